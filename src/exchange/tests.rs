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

pub(super) type Answer = (u16, Vec<(&'static str, &'static str)>, String);

#[derive(Clone, Default)]
pub(super) struct Fake {
    script: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Fake {
    pub(super) fn answering(answers: impl IntoIterator<Item = (u16, impl Into<String>)>) -> Self {
        Self::scripted(answers.into_iter().map(|(status, body)| (status, vec![], body.into())))
    }

    pub(super) fn scripted(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self { script: Arc::new(Mutex::new(answers.into_iter().collect())), seen: Arc::default() }
    }

    pub(super) fn client(&self) -> ExchangeClient {
        self.client_with(Arc::default())
    }

    pub(super) fn client_with(&self, limits: Arc<Limits>) -> ExchangeClient {
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
        ExchangeClient::sharing(
            Transport::in_process(router),
            "http://exchange/",
            Credentials { api_key: KEY.into(), api_secret: SECRET.into() },
            Arc::new(wall),
            limits,
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

#[tokio::test(start_paused = true)]
async fn an_answer_that_broke_off_is_asked_for_again_and_one_of_another_shape_is_not() {
    let rows = r#"[{"symbol":"BTCUSDT","positionAmt":"1","entryPrice":"60000","markPrice":"61000","unRealizedProfit":"0"}]"#;
    let cut = Fake::answering([(200, &rows[..rows.len() / 2]), (200, ""), (200, rows)]);
    assert_eq!(cut.client().positions().await.unwrap().len(), 1);
    assert_eq!(cut.seen().len(), 3);
    for strange in ["<html>gateway</html>", r#"{"positions":[]}"#] {
        let fake = Fake::answering([(200, strange)]);
        assert!(fake.client().positions().await.is_err(), "{strange}");
        assert_eq!(fake.seen().len(), 1, "{strange}");
    }
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

fn limit_order(time_in_force: TimeInForce) -> LimitOrder {
    LimitOrder {
        symbol: btc(),
        side: Side::Sell,
        quantity: "0.010".parse().unwrap(),
        price: "61000.50".parse().unwrap(),
        time_in_force,
        reduce_only: true,
        client_order_id: id("l1"),
    }
}

#[tokio::test]
async fn a_limit_order_says_how_long_it_stays() {
    let fake = Fake::answering([(200, ACK); 5]);
    let client = fake.client();
    let until = Timestamp::from_timestamp_millis(1_700_000_700_999).unwrap();
    for time_in_force in [
        TimeInForce::GoodTillCancelled,
        TimeInForce::ImmediateOrCancel,
        TimeInForce::FillOrKill,
        TimeInForce::PostOnly,
        TimeInForce::GoodTillDate(until),
    ] {
        assert!(client.place_limit(&limit_order(time_in_force)).await.accepted().is_some());
    }
    let seen = fake.seen();
    let words: Vec<_> = seen.iter().map(|seen| seen.param("timeInForce").unwrap()).collect();
    assert_eq!(words, ["GTC", "IOC", "FOK", "GTX", "GTD"]);
    let dates: Vec<_> = seen.iter().map(|seen| seen.param("goodTillDate")).collect();
    assert_eq!(dates, [None, None, None, None, Some("1700000700000")]);
    for (name, value) in
        [("type", "LIMIT"), ("price", "61000.5"), ("quantity", "0.01"), ("reduceOnly", "true")]
    {
        assert_eq!(seen[0].param(name), Some(value));
    }
}

#[tokio::test]
async fn taking_back_everything_reaches_both_stores_and_keeps_their_outcomes_apart() {
    let done = r#"{"code":200,"msg":"The operation of cancel all open order is done."}"#;
    let fake =
        Fake::answering([(200, done), (503, "Unknown error, please check your request or try again later.")]);
    let cancelled = fake.client().cancel_all(&btc()).await;
    assert_eq!(fake.paths(), ["DELETE /fapi/v1/allOpenOrders", "DELETE /fapi/v1/algoOpenOrders"]);
    assert_eq!(cancelled.orders, Outcome::Accepted(()));
    assert!(cancelled.conditional.is_unknown() && !cancelled.is_complete());
}

#[tokio::test]
async fn a_countdown_armed_for_another_time_is_not_taken_for_done() {
    let fake = Fake::answering([
        (200, r#"{"symbol":"BTCUSDT","countdownTime":"120000"}"#),
        (200, r#"{"symbol":"BTCUSDT","countdownTime":"0"}"#),
    ]);
    let client = fake.client();
    let after = Duration::from_mins(2);
    assert_eq!(client.countdown_cancel_all(&btc(), after).await, Outcome::Accepted(()));
    assert!(client.countdown_cancel_all(&btc(), after).await.is_unknown());
}

#[tokio::test]
async fn an_account_is_ready_only_when_the_exchange_says_so() {
    let fake = Fake::answering([
        (
            200,
            r#"{"canTrade":true,"canWithdraw":false,"dualSidePosition":false,"multiAssetsMargin":"false"}"#,
        ),
        (200, r#"{"canTrade":false,"dualSidePosition":true,"multiAssetsMargin":true}"#),
        (200, "{}"),
    ]);
    let client = fake.client();
    let ready = client.account_flags().await.unwrap();
    assert!(ready.obstacles().is_empty(), "{ready:?}");
    assert_eq!(client.account_flags().await.unwrap().obstacles().len(), 3);
    assert_eq!(client.account_flags().await.unwrap().obstacles().len(), 3, "silence is an obstacle");
}

#[tokio::test]
async fn a_key_that_could_move_money_away_is_an_obstacle_and_so_is_silence() {
    let permissions = |futures: bool, others: bool| {
        format!(
            r#"{{"ipRestrict":true,"enableReading":true,"enableFutures":{futures},"enableWithdrawals":{others},
                "enableInternalTransfer":{others},"permitsUniversalTransfer":{others},
                "enableSpotAndMarginTrading":{others}}}"#
        )
    };
    let answers =
        [permissions(true, false), permissions(false, false), permissions(true, true), "{}".to_owned()];
    let mut found = Vec::new();
    for answer in &answers {
        let fake = Fake::answering([(200, answer.as_str())]);
        found.push(fake.client().key_permissions().await.unwrap().obstacles().len());
    }
    assert_eq!(found, [0, 1, 4, 5]);
}

#[test]
fn brackets_bound_a_position_and_tell_its_maintenance() {
    let bracket = |leverage: u32, floor: i64, cap: i64, share: &str, offset: i64| Bracket {
        leverage,
        notional_floor: floor.into(),
        notional_cap: cap.into(),
        maintenance_share: share.parse().unwrap(),
        maintenance_offset: offset.into(),
    };
    let brackets = LeverageBrackets {
        symbol: btc(),
        brackets: vec![bracket(125, 0, 50_000, "0.004", 0), bracket(20, 50_000, 600_000, "0.05", 2300)],
    };
    let largest = |leverage| brackets.largest_notional(leverage).map(|notional| notional.to_string());
    assert_eq!(largest(3).as_deref(), Some("600000"));
    assert_eq!(largest(21).as_deref(), Some("50000"));
    assert_eq!(largest(126), None);
    assert_eq!(brackets.maintenance(100_000.into()).unwrap().to_string(), "2700.00");
    // Where two brackets meet, both say the same.
    assert_eq!(brackets.maintenance(50_000.into()).unwrap(), rust_decimal::Decimal::from(200));
    assert_eq!(brackets.maintenance(600_001.into()), None);
    let rate = CommissionRate { maker: "0.0002".parse().unwrap(), taker: "0.0005".parse().unwrap() };
    assert_eq!(rate.taker_round_trip().to_string(), "0.0010");
}

#[tokio::test]
async fn a_time_stamp_refused_twice_is_an_error_after_one_more_try() {
    let skew = (400, r#"{"code":-1021,"msg":"x"}"#);
    let fake = Fake::answering([skew, (200, r#"{"serverTime":1700000004000}"#), skew]);
    let error = fake.client().positions().await.unwrap_err();
    assert_eq!((error.code(), fake.seen().len()), (Some(codes::CLOCK), 3));
}

#[tokio::test]
async fn an_order_with_a_refused_time_stamp_is_refused_and_the_next_one_is_signed_right() {
    let fake = Fake::answering([
        (400, r#"{"code":-1021,"msg":"x"}"#),
        (200, r#"{"serverTime":1700000004000}"#),
        (200, ACK),
    ]);
    let client = fake.client();
    assert_eq!(client.place_market(&market_order()).await.rejection_code(), Some(codes::CLOCK));
    assert!(client.place_market(&market_order()).await.accepted().is_some());
    assert_eq!(fake.seen()[2].param("timestamp"), Some("1700000004000"));
}

#[tokio::test(start_paused = true)]
async fn the_clock_is_measured_anew_each_hour_once_for_all_accounts() {
    let time = |ms: i64| (200, format!(r#"{{"serverTime":{ms}}}"#));
    let empty = || (200, "[]".to_owned());
    let fake = Fake::answering([
        empty(),
        time(1_700_000_001_000),
        empty(),
        time(1_700_000_002_000),
        empty(),
        empty(),
        (400, r#"{"code":-1100}"#.to_owned()),
        empty(),
        empty(),
        time(1_700_000_003_000),
        empty(),
    ]);
    let client = fake.client();
    let other = client.for_account(Credentials { api_key: "other".into(), api_secret: "other".into() });
    client.positions().await.unwrap();
    assert_eq!(client.sync_clock().await.unwrap(), 1000);
    client.positions().await.unwrap();
    tokio::time::advance(Duration::from_hours(1)).await;
    client.positions().await.unwrap();
    other.positions().await.unwrap();
    assert_eq!(client.limits().clock_offset_ms(), 2000);
    tokio::time::advance(Duration::from_hours(1)).await;
    client.positions().await.unwrap();
    other.positions().await.unwrap();
    assert_eq!(client.limits().clock_offset_ms(), 2000, "a failed measure leaves the last one");
    tokio::time::advance(Duration::from_mins(1)).await;
    other.positions().await.unwrap();
    assert_eq!(client.limits().clock_offset_ms(), 3000);
}

#[tokio::test(start_paused = true)]
async fn books_and_rules_wait_first_then_decisions_and_orders_never() {
    let fake = Fake::scripted([
        (200, vec![("x-mbx-used-weight-1m", "1676")], "[]".to_owned()),
        (200, vec![("x-mbx-used-weight-1m", "2156")], "[]".to_owned()),
        (200, vec![("x-mbx-used-weight-1m", "2395")], ACK.to_owned()),
        (200, vec![("x-mbx-used-weight-1m", "2400")], "[]".to_owned()),
        (200, vec![("x-mbx-order-count-10s", "7"), ("x-mbx-order-count-1m", "8")], ACK.to_owned()),
        (200, vec![("x-mbx-used-weight-1m", "30")], "[]".to_owned()),
    ]);
    let plain = fake.client();
    let client = fake.client_with(Arc::new(Limits::budgeted()));
    let over = |result: Result<(), ExchangeError>| matches!(result, Err(ExchangeError::OverBudget { .. }));
    client.positions().await.unwrap();
    assert!(over(client.income(None).await.map(|_| ())), "bookings wait at seven tenths");
    client.positions().await.unwrap();
    assert!(over(client.account().await.map(|_| ())), "decisions wait at nine tenths");
    assert!(client.place_market(&market_order()).await.accepted().is_some(), "orders weigh nothing");
    client.positions().await.unwrap();
    assert!(over(client.positions().await.map(|_| ())), "at the limit every read waits");
    assert!(client.place_market(&market_order()).await.accepted().is_some());
    assert_eq!(fake.seen().len(), 5);
    let meter = client.limits().meter();
    assert_eq!((meter.used_weight, meter.weight_limit), (2400, 2400));
    assert_eq!((meter.orders_10s, meter.orders_1m, meter.banned_until), (7, 8, None));
    assert_eq!(plain.limits().meter().used_weight, 0);
    // The exchange's minute ends 40 s after the fake's :20.
    tokio::time::advance(Duration::from_secs(40)).await;
    client.income(None).await.unwrap();
    assert_eq!(client.limits().meter().used_weight, 30);
}

#[tokio::test(start_paused = true)]
async fn a_short_wait_for_the_next_minute_is_waited_out() {
    let fake = Fake::scripted([
        (200, vec![("x-mbx-used-weight-1m", "2400")], "[]".to_owned()),
        (200, vec![], "[]".to_owned()),
    ]);
    let client = fake.client_with(Arc::new(Limits::budgeted()));
    client.positions().await.unwrap();
    tokio::time::advance(Duration::from_secs(37)).await;
    let began = Instant::now();
    client.positions().await.unwrap();
    assert_eq!(began.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn too_many_orders_hold_back_openings_of_that_account_and_let_closes_through() {
    let fake = Fake::scripted([
        (429, vec![("retry-after", "4")], r#"{"code":-1015,"msg":"Too many new orders."}"#.to_owned()),
        (200, vec![], ACK.to_owned()),
        (200, vec![], ACK.to_owned()),
    ]);
    let client = fake.client();
    assert_eq!(client.place_market(&market_order()).await.rejection_code(), Some(codes::TOO_MANY_ORDERS));
    assert!(matches!(client.place_market(&market_order()).await, Outcome::NotSent(_)));
    let close = MarketOrder { reduce_only: true, ..market_order() };
    assert!(client.place_market(&close).await.accepted().is_some());
    let other = client.for_account(Credentials { api_key: "other".into(), api_secret: "other".into() });
    assert!(other.place_market(&market_order()).await.accepted().is_some());
}

#[tokio::test]
async fn fills_are_read_page_by_page_from_the_first_week_that_has_some() {
    let row = |id: i64, at: i64| {
        format!(
            r#"{{"id":{id},"orderId":2,"side":"BUY","price":"1","qty":"1","commission":"0.1","commissionAsset":"USDT","realizedPnl":"0","time":{at}}}"#
        )
    };
    let week = 7 * 86_400_000;
    let start = 1_700_000_000_000;
    let full: Vec<String> = (1..=1000).map(|id| row(id, start + week + id)).collect();
    let fake = Fake::answering([
        (200, "[]".to_owned()),
        (200, format!("[{}]", full.join(","))),
        (200, format!("[{},{}]", row(1001, start + week + 2000), row(1002, start + 3 * week))),
    ]);
    let at = |ms| Timestamp::from_timestamp_millis(ms).unwrap();
    let fills = fake
        .client()
        .all_user_trades(&btc(), TradesFrom::Time(at(start)), at(start + 2 * week))
        .await
        .unwrap();
    assert_eq!((fills.len(), fills.last().unwrap().id), (1001, 1001), "what is after the end is left out");
    let seen = fake.seen();
    assert_eq!(seen[0].param("endTime"), Some((start + week - 1).to_string().as_str()));
    assert_eq!(seen[1].param("startTime"), Some((start + week).to_string().as_str()));
    assert_eq!((seen[2].param("fromId"), seen[2].param("startTime")), (Some("1001"), None));
    // Pages that go backwards would never end.
    let fake =
        Fake::answering([(200, format!("[{}]", full.join(","))), (200, format!("[{}]", full.join(",")))]);
    assert!(fake.client().all_user_trades(&btc(), TradesFrom::Id(1), at(start + 2 * week)).await.is_err());
}

#[tokio::test]
async fn bookings_are_read_page_by_page_and_each_once() {
    let row = |id: i64, at: i64| {
        format!(r#"{{"incomeType":"FUNDING_FEE","income":"-0.1","asset":"USDT","time":{at},"tranId":{id}}}"#)
    };
    let start = 1_700_000_000_000;
    let at = |ms| Timestamp::from_timestamp_millis(ms).unwrap();
    let page = |ids: std::ops::RangeInclusive<i64>| {
        let rows: Vec<String> = ids.map(|id| row(id, start + id / 2)).collect();
        (200, format!("[{}]", rows.join(",")))
    };
    // The second page begins with the rows of the millisecond the first one ended in.
    let fake = Fake::answering([page(1..=1000), page(1000..=1100)]);
    let income = fake.client().all_income(at(start), at(start + 10_000)).await.unwrap();
    assert_eq!(income.len(), 1100);
    assert_eq!(fake.seen()[1].param("startTime"), Some((start + 500).to_string().as_str()));
    let crowd: Vec<String> = (1..=1000).map(|id| row(id, start)).collect();
    let fake = Fake::answering([(200, format!("[{}]", crowd.join(",")))]);
    assert!(fake.client().all_income(at(start), at(start + 10_000)).await.is_err());
}
