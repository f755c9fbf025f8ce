//! Every known answer, with each of its parts in turn replaced or taken out: no panic, and never a zero or a "not
//! there" that the exchange did not say.

use serde_json::{Value, json};

use super::tests::Fake;
use super::user_events::{Frame, parse};
use super::*;
use crate::domain::{ClientOrderId, Side, Symbol};

const ODD: [fn() -> Value; 9] = [
    || json!(null),
    || json!(""),
    || json!("x"),
    || json!(-1),
    || json!(i64::MAX),
    || json!(u64::MAX),
    || json!(1.0e300),
    || json!([]),
    || json!({}),
];

fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    let mut go = |key: &str, part: &Value| {
        let there = format!("{here}/{key}");
        places(part, &there, all);
        all.push(there);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, part)| go(key, part)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, part)| go(&index.to_string(), part));
        }
        _ => {}
    }
}

/// The value with one part replaced or, for a field, taken out; with the place that was touched.
fn disturbed(whole: &Value) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    places(whole, "", &mut all);
    let mut out = Vec::new();
    for place in all {
        for odd in ODD {
            let mut changed = whole.clone();
            *changed.pointer_mut(&place).unwrap() = odd();
            out.push((place.clone(), changed));
        }
        let (parent, key) = place.rsplit_once('/').unwrap();
        let mut changed = whole.clone();
        if let Some(map) = changed.pointer_mut(parent).unwrap().as_object_mut() {
            map.remove(key);
            out.push((place, changed));
        }
    }
    out
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn name() -> ClientOrderId {
    ClientOrderId::new("a").unwrap()
}

fn answering(body: &Value) -> ExchangeClient {
    Fake::answering([(200, body.to_string())]).client()
}

#[tokio::test]
async fn balances_and_positions_are_whole_or_errors() {
    let account = json!({"totalWalletBalance":"10.5","totalMarginBalance":"9.25","availableBalance":"3"});
    for (place, body) in disturbed(&account) {
        if let Ok(balance) = answering(&body).account().await {
            for amount in [balance.wallet, balance.equity, balance.available] {
                assert!(!amount.value().is_zero(), "{place} {body}");
            }
        }
    }
    let positions = json!([{"symbol":"BTCUSDT","positionAmt":"0.03","entryPrice":"60000.5","markPrice":"61000",
        "unRealizedProfit":"29.985","liquidationPrice":"40000","isolatedMargin":"599.1","updateTime":1_700_000_000_000_i64}]);
    for (place, body) in disturbed(&positions) {
        let Ok(positions) = answering(&body).positions().await else { continue };
        let left_out = positions.is_empty();
        // Only a name that is not ours, and an exchange that itself says "none", leave a position out.
        assert!(!left_out || place == "/0/symbol" || body == json!([]), "{place} {body}");
    }
}

#[tokio::test]
async fn an_order_that_is_there_is_never_read_as_unknown() {
    let order = json!({"orderId":7,"clientOrderId":"a","symbol":"BTCUSDT","side":"SELL","type":"MARKET","status":"FILLED",
        "origQty":"1","executedQty":"0.5","avgPrice":"60000.1","reduceOnly":true,"updateTime":1_700_000_000_000_i64});
    for (place, body) in disturbed(&order) {
        let read = answering(&body).order(&btc(), &name()).await;
        assert!(!matches!(read, Ok(None)), "{place} {body}");
    }
    let algo = json!([{"algoId":4,"clientAlgoId":"a","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"SELL","algoStatus":"NEW",
        "triggerPrice":"54000","quantity":"0","closePosition":true,"reduceOnly":false,"actualOrderId":"","createTime":1}]);
    for (place, body) in disturbed(&algo) {
        let Ok(stops) = answering(&body).open_algo_orders(None).await else { continue };
        assert!(!stops.is_empty() || place == "/0/symbol", "{place} {body}");
    }
}

#[tokio::test]
async fn an_acknowledgement_without_an_id_is_unknown() {
    let order = MarketOrder {
        symbol: btc(),
        side: Side::Buy,
        quantity: "1".parse().unwrap(),
        reduce_only: true,
        client_order_id: name(),
    };
    let ack = json!({"orderId":7,"status":"FILLED","executedQty":"0.5","updateTime":1});
    for (place, body) in disturbed(&ack) {
        match answering(&body).place_market(&order).await {
            Outcome::Accepted(ack) => assert!(place != "/orderId" || ack.order_id != 7, "{body}"),
            Outcome::Unknown(_) => {}
            other => panic!("{place} {body}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn fills_and_bookings_are_all_there_or_an_error() {
    let fills = json!([{"id":1,"orderId":2,"side":"BUY","price":"66491.80","qty":"0.002","commission":"0.066","commissionAsset":"USDT",
        "realizedPnl":"-0.1","maker":false,"time":1_700_000_000_000_i64}]);
    for (place, body) in disturbed(&fills) {
        if let Ok(fills) = answering(&body).user_trades(&btc(), TradesFrom::Id(1)).await {
            assert_eq!(fills.len(), 1, "{place} {body}");
            assert!(!fills[0].commission.is_zero() && !fills[0].realised.value().is_zero(), "{place} {body}");
        }
    }
    let income = json!([{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.375","asset":"USDT","time":1_700_000_000_000_i64,"tranId":9,"tradeId":""}]);
    for (place, body) in disturbed(&income) {
        if let Ok(income) = answering(&body).income(None).await {
            assert!(!income[0].amount.is_zero(), "{place} {body}");
        }
    }
}

#[tokio::test]
async fn disturbed_rules_never_panic() {
    let info = json!({"symbols":[{"symbol":"BTCUSDT","status":"TRADING","contractType":"PERPETUAL","quoteAsset":"USDT","filters":[
        {"filterType":"PRICE_FILTER","minPrice":"556.80","maxPrice":"4529764","tickSize":"0.10"},
        {"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"},{"filterType":"MIN_NOTIONAL","notional":"100"}]}]});
    for (_, body) in disturbed(&info) {
        let Ok(rules) = answering(&body).exchange_info().await else { continue };
        for rules in rules.values() {
            for amount in ["0.0000001", "1.23456789", "79228162514264337593543950335"] {
                let rounded = rules.round_quantity_down(amount.parse().unwrap());
                assert!(rounded <= amount.parse().unwrap());
                for toward in [Toward::Lower, Toward::Higher] {
                    if let Ok(price) = rules.round_price(amount.parse().unwrap(), toward) {
                        assert_eq!(rules.check_trigger(price), Ok(()), "{body}");
                    }
                }
            }
        }
    }
}

#[test]
fn disturbed_events_are_read_or_refused() {
    let events = [
        json!({"e":"ORDER_TRADE_UPDATE","E":1,"o":{"s":"BTCUSDT","c":"a","S":"BUY","x":"TRADE","X":"FILLED","i":8,"l":"1","z":"1","L":"6","ap":"6",
            "N":"USDT","n":"0.3","t":42,"rp":"1","R":true}}),
        json!({"e":"ACCOUNT_UPDATE","E":3,"a":{"m":"ORDER","B":[{"a":"USDT","wb":"999.7"}],"P":[{"s":"BTCUSDT","pa":"-0.01","ep":"60000.5","up":"0.1"}]}}),
        json!({"e":"ALGO_UPDATE","E":2,"o":{"caid":"s1","aid":2,"s":"BTCUSDT","X":"NEW","ai":"7","tp":"54000"}}),
    ];
    for event in events {
        for (place, body) in disturbed(&event) {
            let Ok(Frame::Event(read)) = parse(&body.to_string()) else { continue };
            if let UserEvent::Account(account) = *read {
                let flat = account.positions.iter().any(|position| position.amount.is_zero());
                assert!(!flat, "{place} {body}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_uses_none_of_the_budgets() {
    let refusing =
        crate::net::Transport::from_service(tower::service_fn(|_: http::Request<bytes::Bytes>| async {
            let (host, reason) = ("exchange".to_owned(), "refused".to_owned());
            Err::<http::Response<crate::net::Body>, _>(crate::net::NetError::NotSent { host, reason })
        }));
    let credentials = Credentials { api_key: "key".into(), api_secret: "secret".into() };
    let wall = std::sync::Arc::new(crate::domain::ManualClock::new(crate::domain::Timestamp::UNIX_EPOCH));
    let limits = std::sync::Arc::new(Limits::budgeted());
    let client = ExchangeClient::sharing(refusing, "http://exchange", credentials, wall, limits);
    // Far more than a minute allows, had it been sent.
    for _ in 0..100 {
        let read = client.open_algo_orders(None).await;
        assert!(matches!(read, Err(ExchangeError::Net { .. })), "{read:?}");
        let order = MarketOrder {
            symbol: btc(),
            side: Side::Buy,
            quantity: "0.001".parse().unwrap(),
            reduce_only: false,
            client_order_id: ClientOrderId::new("x").unwrap(),
        };
        assert!(matches!(client.place_market(&order).await, Outcome::NotSent(_)));
        assert!(matches!(client.set_isolated(&btc()).await, Outcome::NotSent(_)));
    }
    let meter = client.limits().meter();
    assert_eq!((meter.used_weight, meter.orders_10s, meter.orders_1m), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn rules_that_were_never_told_wait_for_no_budget_and_known_ones_do() {
    let nearly_all = || vec![("x-mbx-used-weight-1m", "2300")];
    let fake = Fake::scripted([
        (200, nearly_all(), "[]".to_owned()),
        (200, nearly_all(), r#"{"symbols":[]}"#.to_owned()),
    ]);
    let client = fake.client_with(std::sync::Arc::new(Limits::budgeted()));
    client.positions().await.unwrap();
    client.exchange_info().await.unwrap();
    let again = client.exchange_info().await;
    assert!(matches!(again, Err(ExchangeError::OverBudget { .. })), "{again:?}");
}
