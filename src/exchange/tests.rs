//! The client against a fake exchange that plays scripts and remembers what it was sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use secrecy::SecretString;
use tokio::time::Instant;

use super::signing::sign;
use super::*;
use crate::domain::{ClientOrderId, Direction, ManualClock, Side, Symbol, Timestamp};
use crate::net::Transport;

const SECRET: &str = "planted-api-secret";
const KEY: &str = "planted-api-key";

/// What the fake was sent.
#[derive(Debug, Clone)]
struct Seen {
    method: Method,
    path: String,
    query: String,
    body: String,
    key: Option<String>,
}

impl Seen {
    fn params(&self) -> &str {
        if self.body.is_empty() { &self.query } else { &self.body }
    }

    fn param(&self, name: &str) -> Option<&str> {
        self.params().split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

type Answer = (u16, Vec<(&'static str, &'static str)>, String);

#[derive(Clone, Default)]
pub(super) struct Fake {
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(super) fn answering(answers: impl IntoIterator<Item = (u16, impl Into<String>)>) -> Self {
        Self::scripted(answers.into_iter().map(|(status, body)| (status, vec![], body.into())))
    }

    fn scripted(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { script: Arc::new(Mutex::new(answers.into_iter().collect())), seen: Arc::default() }
    }

    pub(super) fn client(&self) -> ExchangeClient {
        async fn answer(State(fake): State<Fake>, request: Request) -> Response {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            fake.seen.lock().unwrap().push(Seen {
                method: parts.method,
                path: parts.uri.path().to_owned(),
                query: parts.uri.query().unwrap_or_default().to_owned(),
                body: String::from_utf8(body.to_vec()).unwrap(),
                key: parts.headers.get("x-mbx-apikey").map(|key| key.to_str().unwrap().to_owned()),
            });
            let (status, headers, body) =
                fake.script.lock().unwrap().pop_front().expect("a request too many");
            let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
        let router = Router::new().fallback(answer).with_state(self.clone());
        let wall = ManualClock::new(Timestamp::from_timestamp_millis(1_700_000_000_000).unwrap());
        ExchangeClient::new(
            Transport::in_process(router),
            "http://exchange/",
            Credentials { api_key: KEY.into(), api_secret: SECRET.into() },
            Arc::new(wall),
        )
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.seen().iter().map(|seen| format!("{} {}", seen.method, seen.path)).collect()
    }
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn id(text: &str) -> ClientOrderId {
    ClientOrderId::new(text).unwrap()
}

fn market_order() -> MarketOrder {
    MarketOrder {
        symbol: btc(),
        side: Side::Buy,
        quantity: "0.0100".parse().unwrap(),
        reduce_only: false,
        client_order_id: id("jv-o:1"),
    }
}

const ACK: &str = r#"{"orderId":22542179,"symbol":"BTCUSDT","status":"FILLED","clientOrderId":"jv-o:1","executedQty":"0.010",
    "cumQty":"0.010","updateTime":1566818724722,"someday":{"new":[1]}}"#;

#[tokio::test]
async fn an_order_is_signed_over_the_bytes_it_is_sent_with() {
    let fake = Fake::answering([(200, ACK)]);
    let ack = fake.client().place_market(&market_order()).await.accepted().unwrap();
    assert_eq!((ack.order_id, ack.status), (22_542_179, Some(OrderStatus::Filled)));
    let seen = &fake.seen()[0];
    assert_eq!((seen.query.as_str(), seen.key.as_deref()), ("", Some(KEY)));
    let (payload, signature) = seen.body.rsplit_once("&signature=").unwrap();
    assert_eq!(signature, sign(&SecretString::from(SECRET), payload.as_bytes()));
    assert_eq!(
        payload,
        "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01&newClientOrderId=jv-o%3A1&newOrderRespType=RESULT\
         &recvWindow=3000&timestamp=1700000000000"
    );
}

#[tokio::test]
async fn a_stop_goes_to_the_conditional_orders_and_closes_only() {
    let answer = r#"{"algoId":2146760,"clientAlgoId":"s1","algoStatus":"NEW","triggerPrice":"750.000"}"#;
    let fake = Fake::answering([(200, answer), (200, answer)]);
    let client = fake.client();
    let mut stop = StopOrder {
        symbol: btc(),
        side: Side::Sell,
        trigger: "750.00".parse().unwrap(),
        size: StopSize::WholePosition,
        client_order_id: id("s1"),
    };
    let ack = client.place_stop(&stop).await.accepted().unwrap();
    assert_eq!((ack.algo_id, ack.trigger.unwrap().to_string()), (2_146_760, "750".to_owned()));
    stop.size = StopSize::ReduceOnly("0.5".parse().unwrap());
    assert!(client.place_stop(&stop).await.accepted().is_some());
    let seen = fake.seen();
    assert_eq!(fake.paths(), ["POST /fapi/v1/algoOrder", "POST /fapi/v1/algoOrder"]);
    for (name, value) in [
        ("algoType", "CONDITIONAL"),
        ("type", "STOP_MARKET"),
        ("triggerPrice", "750"),
        ("workingType", "MARK_PRICE"),
    ] {
        assert_eq!(seen[0].param(name), Some(value));
    }
    let sizes = |seen: &Seen| {
        ["closePosition", "quantity", "reduceOnly"].map(|name| seen.param(name).map(ToOwned::to_owned))
    };
    assert_eq!(sizes(&seen[0]), [Some("true".into()), None, None]);
    assert_eq!(sizes(&seen[1]), [None, Some("0.5".into()), Some("true".into())]);
}

#[tokio::test]
async fn an_order_leaves_once_whatever_comes_back() {
    let time = r#"{"serverTime":1700000005000}"#;
    for (status, body) in [
        (503, "Service Unavailable."),
        (503, "x"),
        (429, "x"),
        (500, ""),
        (408, r#"{"code":-1007}"#),
        (400, r#"{"code":-1021}"#),
        (200, "{"),
    ] {
        let fake = Fake::answering([(status, body), (200, time)]);
        let outcome = fake.client().place_market(&market_order()).await;
        assert!(outcome.trouble().is_some());
        let posts = fake.seen().iter().filter(|seen| seen.method == Method::POST).count();
        assert_eq!(posts, 1, "{status} {body}");
    }
}

#[tokio::test]
async fn a_refused_time_stamp_measures_the_clock_and_a_read_is_signed_anew() {
    let skew = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;
    let account =
        r#"{"totalWalletBalance":"10.5","totalMarginBalance":"9.25","availableBalance":"3","assets":[]}"#;
    let fake = Fake::answering([(400, skew), (200, r#"{"serverTime":1700000004000}"#), (200, account)]);
    let client = fake.client();
    let balance = client.account().await.unwrap();
    assert_eq!(balance.equity.to_string(), "9.25");
    assert_eq!(client.limits().clock_offset_ms(), 4000);
    let seen = fake.seen();
    assert_eq!(seen[2].param("timestamp"), Some("1700000004000"));
    assert_ne!(seen[0].param("signature"), seen[2].param("signature"));
    assert_eq!(seen[1].key, None);
}

#[tokio::test(start_paused = true)]
async fn a_read_is_tried_three_times_with_fresh_time_stamps() {
    let fake = Fake::answering([(503, "x"), (502, "x"), (200, "[]")]);
    assert_eq!(fake.client().positions().await.unwrap(), []);
    let fake = Fake::answering([(503, "x"), (502, "x"), (503, "y")]);
    let error = fake.client().positions().await.unwrap_err();
    assert!(matches!(error, ExchangeError::Refused { .. }), "{error}");
    let fake = Fake::answering([(400, r#"{"code":-2019}"#)]);
    assert_eq!(fake.client().positions().await.unwrap_err().code(), Some(codes::MARGIN));
}

#[tokio::test(start_paused = true)]
async fn a_told_wait_holds_back_all_accounts_of_the_address() {
    let fake = Fake::scripted([
        (429, vec![("retry-after", "30")], r#"{"code":-1003}"#.to_owned()),
        (200, vec![("x-mbx-used-weight-1m", "11"), ("x-mbx-order-count-10s", "2")], ACK.to_owned()),
    ]);
    let first = fake.client();
    let second = first.for_account(Credentials { api_key: "other".into(), api_secret: "other".into() });
    assert!(first.positions().await.is_err());
    let held = second.place_market(&market_order()).await;
    assert!(matches!(held, Outcome::NotSent(_)), "{held:?}");
    assert!(matches!(second.account().await, Err(ExchangeError::Throttled { .. })));
    assert_eq!(fake.seen().len(), 1);
    tokio::time::advance(Duration::from_secs(30)).await;
    assert!(second.place_market(&market_order()).await.accepted().is_some());
    assert_eq!((first.limits().used_weight(), second.order_counts().ten_seconds), (11, 2));
    assert_eq!(first.order_counts(), OrderCounts::default());
}

#[tokio::test(start_paused = true)]
async fn a_silent_exchange_leaves_an_order_unknown_after_five_seconds() {
    let transport =
        Transport::in_process(Router::new().fallback(async || std::future::pending::<String>().await));
    let client = ExchangeClient::new(
        transport,
        "http://exchange",
        Credentials { api_key: KEY.into(), api_secret: SECRET.into() },
        Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)),
    );
    let began = Instant::now();
    assert!(client.place_market(&market_order()).await.is_unknown());
    assert_eq!(began.elapsed(), Duration::from_secs(5));
}

#[tokio::test]
async fn positions_are_read_with_direction_and_without_empty_rows() {
    let rows = r#"[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"-0.030","entryPrice":"60000.5","markPrice":"61000",
        "unRealizedProfit":"-29.985","liquidationPrice":"0","isolatedMargin":"599.1","updateTime":1700000000000,"adl":2},
        {"symbol":"ETHUSDT","positionAmt":"0.000","entryPrice":"0.0","markPrice":"0","unRealizedProfit":"0"},
        {"symbol":"测试USDT","positionAmt":"1","entryPrice":"1","markPrice":"1","unRealizedProfit":"0"}]"#;
    let positions = Fake::answering([(200, rows)]).client().positions().await.unwrap();
    assert_eq!(positions.len(), 1);
    let position = &positions[0];
    assert_eq!((position.direction, position.quantity.to_string()), (Direction::Short, "0.03".to_owned()));
    assert_eq!((position.liquidation, position.unrealised.to_string()), (None, "-29.985".to_owned()));
}

#[tokio::test]
async fn a_position_whose_entry_is_missing_is_an_error_and_not_zero() {
    let rows = r#"[{"symbol":"BTCUSDT","positionAmt":"1","markPrice":"61000","unRealizedProfit":"0"}]"#;
    let error = Fake::answering([(200, rows)]).client().positions().await.unwrap_err();
    assert!(matches!(error, ExchangeError::BadAnswer { .. }), "{error}");
    let missing = r#"{"totalWalletBalance":"1","availableBalance":"1"}"#;
    assert!(Fake::answering([(200, missing)]).client().account().await.is_err());
}

#[tokio::test]
async fn an_unknown_order_is_none_and_other_refusals_are_errors() {
    let gone = r#"{"code":-2013,"msg":"Order does not exist."}"#;
    let fake = Fake::answering([(400, gone), (400, gone), (401, r#"{"code":-2015,"msg":"x"}"#)]);
    let client = fake.client();
    assert_eq!(client.order(&btc(), &id("a")).await.unwrap(), None);
    assert_eq!(client.algo_order(&id("a")).await.unwrap(), None);
    assert!(client.order(&btc(), &id("a")).await.unwrap_err().to_string().contains("check the API key"));
}

#[tokio::test]
async fn orders_of_both_stores_are_read() {
    let order = r#"{"orderId":7,"clientOrderId":"a","symbol":"BTCUSDT","side":"SELL","type":"MARKET","status":"BRAND_NEW",
        "origQty":"1","executedQty":"0.5","avgPrice":"60000.10","reduceOnly":true,"updateTime":1700000000000}"#;
    let algo = r#"[{"algoId":4000001910058351,"clientAlgoId":"s1","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"SELL",
        "algoStatus":"NEW","triggerPrice":"54000","quantity":"0.00","closePosition":true,"reduceOnly":true,"actualOrderId":"","createTime":1}]"#;
    let fake = Fake::answering([(200, order), (200, algo)]);
    let client = fake.client();
    let report = client.order(&btc(), &id("a")).await.unwrap().unwrap();
    assert_eq!(report.status, OrderStatus::Other("BRAND_NEW".into()));
    assert_eq!(report.average_price.unwrap().to_string(), "60000.1");
    let stop = client.open_algo_orders(None).await.unwrap().remove(0);
    assert_eq!((stop.algo_id, stop.order_id, stop.quantity), (4_000_001_910_058_351, None, None));
    assert!(stop.protects(Direction::Long) && !stop.protects(Direction::Short));
    assert_eq!(fake.paths(), ["GET /fapi/v1/order", "GET /fapi/v1/openAlgoOrders"]);
}

#[tokio::test]
async fn money_is_read_to_the_last_digit() {
    let trades = r#"[{"id":1,"orderId":2,"symbol":"BTCUSDT","side":"BUY","price":"66491.80","qty":"0.002","commission":"0.06649180",
        "commissionAsset":"USDT","realizedPnl":"-0.10000001","maker":false,"time":1700000000000}]"#;
    let income = r#"[{"symbol":"","incomeType":"TRANSFER","income":"-0.37500000","asset":"USDT","time":1700000000000,"tranId":9689322392,"tradeId":""}]"#;
    let rate = r#"{"symbol":"BTCUSDT","makerCommissionRate":"0.0002","takerCommissionRate":"0.0005"}"#;
    let fake = Fake::answering([(200, trades), (200, income), (200, rate)]);
    let client = fake.client();
    let fill = client.user_trades(&btc(), TradesFrom::Id(1)).await.unwrap().remove(0);
    assert_eq!(
        (fill.commission.to_string(), fill.realised.to_string()),
        ("0.06649180".into(), "-0.10000001".into())
    );
    let booking = client.income(None).await.unwrap().remove(0);
    assert_eq!((booking.symbol, booking.trade_id, booking.transaction_id), (None, None, 9_689_322_392));
    assert_eq!(client.commission_rate(&btc()).await.unwrap().taker.to_string(), "0.0005");
    assert_eq!(fake.seen()[0].param("fromId"), Some("1"));
}

#[tokio::test]
async fn settings_are_read_in_every_shape_the_exchange_uses() {
    let configs = r#"[{"symbol":"BTCUSDT","marginType":"ISOLATED","leverage":"3"},{"symbol":"ETHUSDT","marginType":"CROSSED","leverage":20}]"#;
    let brackets = r#"{"symbol":"BTCUSDT","brackets":[{"bracket":1,"initialLeverage":75,"notionalCap":10000,"notionalFloor":0,"maintMarginRatio":0.0065,"cum":0.0}]}"#;
    let fake = Fake::answering([(200, configs), (200, brackets), (200, r#"{"dualSidePosition":false}"#)]);
    let client = fake.client();
    let configs = client.symbol_configs(None).await.unwrap();
    assert_eq!((configs[0].leverage, configs[0].isolated, configs[1].isolated), (3, true, false));
    let brackets = client.leverage_brackets(Some(&btc())).await.unwrap();
    assert_eq!(brackets[0].brackets[0].maintenance_share.to_string(), "0.0065");
    assert_eq!(client.position_mode().await.unwrap(), PositionMode::OneWay);
}

#[tokio::test]
async fn setting_what_is_set_already_is_success() {
    let fake = Fake::answering([
        (400, r#"{"code":-4046,"msg":"No need to change margin type."}"#),
        (400, r#"{"code":-4059,"msg":"No need to change position side."}"#),
        (200, r#"{"leverage":3,"maxNotionalValue":"1000000","symbol":"BTCUSDT"}"#),
        (200, r#"{"algoId":1,"clientAlgoId":"s","code":"200","msg":"success"}"#),
        (400, r#"{"code":-4048,"msg":"position exists"}"#),
    ]);
    let client = fake.client();
    assert_eq!(client.set_isolated(&btc()).await, Outcome::Accepted(()));
    assert_eq!(client.set_one_way().await, Outcome::Accepted(()));
    assert_eq!(client.set_leverage(&btc(), 3).await, Outcome::Accepted(3));
    assert_eq!(client.cancel_algo(&id("s")).await, Outcome::Accepted(()));
    assert_eq!(client.set_isolated(&btc()).await.rejection_code(), Some(-4048));
    assert_eq!(fake.paths()[3], "DELETE /fapi/v1/algoOrder");
}

#[tokio::test]
async fn no_secret_comes_out_of_errors_or_debug() {
    // A server in between that quotes the whole request back.
    let echo = Router::new().fallback(|request: Request| async move {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let text = format!("{:?} {} {}", parts.headers, parts.uri, String::from_utf8_lossy(&body));
        (StatusCode::BAD_REQUEST, text + " " + KEY)
    });
    let client = ExchangeClient::new(
        Transport::in_process(echo),
        "http://exchange",
        Credentials { api_key: KEY.into(), api_secret: SECRET.into() },
        Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)),
    );
    let read = client.positions().await.unwrap_err();
    let write = client.place_market(&market_order()).await;
    let credentials = Credentials { api_key: KEY.into(), api_secret: SECRET.into() };
    let key = ListenKey(SecretString::from("planted-listen-key"));
    let all = format!("{read} {read:?} {write:?} {:?} {client:?} {credentials:?} {key:?}", write.trouble());
    assert!(all.contains("signature=[removed]"), "{all}");
    for secret in [KEY, SECRET, "planted-listen-key"] {
        assert!(!all.contains(secret), "{all}");
    }
    let hex = all.split(|character: char| !character.is_ascii_hexdigit()).map(str::len).max().unwrap();
    assert!(hex < 64, "a signature is in {all}");
}
