//! The client against the world's exchange in this process: two independent readings of one wire.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use jarvis::domain::{AccountName, ClientOrderId, ManualClock, Side, Symbol, Timestamp, Usdt};
use jarvis::exchange::{
    Credentials, ExchangeClient, LimitOrder, Limits, MarketOrder, OrderStatus, Outcome, PositionMode,
    StopOrder, StopSize, TimeInForce, Toward, TradesFrom,
};
use jarvis::net::Transport;
use jarvis::world::{Histories, World, WorldOptions};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tower::ServiceExt;

struct Stage {
    client: ExchangeClient,
    transport: Transport,
    wall: Arc<ManualClock>,
    world: Arc<World>,
    /// The path of each request, and what its answer reported as used weight.
    weights: Arc<Mutex<Vec<(String, u32)>>>,
}

fn btc() -> Symbol {
    Symbol::new("BTCUSDT").unwrap()
}

fn id(text: &str) -> ClientOrderId {
    ClientOrderId::new(text).unwrap()
}

static HISTORIES: Histories = Histories::new();

fn stage() -> Stage {
    let wall = Arc::new(ManualClock::new(Timestamp::from_timestamp_millis(1_772_438_700_000).unwrap()));
    let options = WorldOptions {
        seed: 7,
        accounts: vec![AccountName::new("mirat").unwrap()],
        balance: Usdt::of(10_000.into()),
        speed: 1.0,
        token_delay: Duration::ZERO,
        enforce_limits: true,
        recorded: None,
        state_file: None,
    };
    let world = World::open_from(&HISTORIES, options, wall.clone()).unwrap();
    let weights: Arc<Mutex<Vec<(String, u32)>>> = Arc::default();
    let (router, noted) = (world.router(), Arc::clone(&weights));
    let transport = Transport::in_process(tower::service_fn(move |request: Request<axum::body::Body>| {
        let (router, noted) = (router.clone(), Arc::clone(&noted));
        async move {
            let place = {
                let mut noted = noted.lock().unwrap();
                noted.push((request.uri().path().to_owned(), 0));
                noted.len() - 1
            };
            let mut answer = router.oneshot(request).await?;
            // Kept from the client, so that it has to count by itself. A fault's answer tells no weight.
            if let Some(used) = answer.headers_mut().remove("x-mbx-used-weight-1m") {
                noted.lock().unwrap()[place].1 = used.to_str().unwrap().parse().unwrap();
            }
            Ok(answer)
        }
    }));
    let client = client_of(&world, &transport, &wall);
    Stage { client, transport, wall, world, weights }
}

/// The account's client, with budgets of its own.
fn client_of(world: &World, transport: &Transport, wall: &Arc<ManualClock>) -> ExchangeClient {
    let key = world.keys().remove(0);
    let credentials = Credentials { api_key: key.api_key.into(), api_secret: key.api_secret.into() };
    let limits = Arc::new(Limits::budgeted());
    ExchangeClient::sharing(transport.clone(), "http://world", credentials, wall.clone(), limits)
}

impl Stage {
    async fn buy(&self, quantity: &str, name: &str) {
        let order = MarketOrder {
            symbol: btc(),
            side: Side::Buy,
            quantity: quantity.parse().unwrap(),
            reduce_only: false,
            client_order_id: id(name),
        };
        assert!(self.client.place_market(&order).await.accepted().is_some());
    }

    /// A buy this share below the mark, on the tick.
    async fn limit(&self, share: &str, time_in_force: TimeInForce, name: &str) -> LimitOrder {
        let rules = self.client.exchange_info().await.unwrap().remove(&btc()).unwrap();
        let mark: Decimal = self.mark().await;
        let price = mark * (Decimal::ONE - share.parse::<Decimal>().unwrap());
        LimitOrder {
            symbol: btc(),
            side: Side::Buy,
            quantity: "0.01".parse().unwrap(),
            price: rules.round_price(price.to_string().parse().unwrap(), Toward::Lower).unwrap(),
            time_in_force,
            reduce_only: false,
            client_order_id: id(name),
        }
    }

    /// What the world tells past the client.
    async fn world(&self, method: http::Method, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let request = Request::builder().method(method).uri(path).body(axum::body::Body::from(body)).unwrap();
        let answer = self.world.router().oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    async fn mark(&self) -> Decimal {
        let row = self.world(http::Method::GET, "/fapi/v1/premiumIndex?symbol=BTCUSDT", &Value::Null).await;
        row["markPrice"].as_str().unwrap().parse().unwrap()
    }

    /// Lets this happen to the next request of this kind.
    async fn fault(&self, effect: &Value, class: &str) {
        let rule = json!({"effect": effect, "match": {"class": class}, "schedule": "once"});
        self.world(http::Method::POST, "/world/faults", &rule).await;
    }

    /// What the exchange holds of a coin, whatever the client was told.
    async fn held(&self) -> Decimal {
        let state = self.world(http::Method::GET, "/world/state", &Value::Null).await;
        let amount = state["accounts"][0]["positions"][0]["amount"].as_str().unwrap_or("0").to_owned();
        amount.parse().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn limit_orders_rest_fill_or_are_refused_by_how_long_they_stay() {
    let stage = stage();
    let client = &stage.client;
    client.set_isolated(&btc()).await.accepted().unwrap();
    let resting = stage.limit("0.03", TimeInForce::GoodTillCancelled, "gtc").await;
    let ack = client.place_limit(&resting).await.accepted().unwrap();
    assert_eq!(ack.status, Some(OrderStatus::New));
    let open = client.open_orders(Some(&btc())).await.unwrap();
    assert_eq!((open.len(), open[0].order_id, open[0].kind.raw()), (1, ack.order_id, "LIMIT"));
    let taking = stage.limit("-0.01", TimeInForce::ImmediateOrCancel, "ioc").await;
    assert_eq!(client.place_limit(&taking).await.accepted().unwrap().status, Some(OrderStatus::Filled));
    let maker = stage.limit("-0.01", TimeInForce::PostOnly, "gtx").await;
    let refused = client.place_limit(&maker).await;
    let expired = matches!(&refused, Outcome::Accepted(ack) if ack.status == Some(OrderStatus::Expired));
    assert!(refused.rejection_code() == Some(-5022) || expired, "{refused:?}");
    let whole = stage.limit("0.03", TimeInForce::FillOrKill, "fok").await;
    let refused = client.place_limit(&whole).await;
    let expired = matches!(&refused, Outcome::Accepted(ack) if ack.status == Some(OrderStatus::Expired));
    assert!(refused.rejection_code() == Some(-5021) || expired, "{refused:?}");
    let cancelled = client.cancel_order(&btc(), &id("gtc")).await.accepted().unwrap();
    assert_eq!(cancelled.status, Some(OrderStatus::Canceled));
    assert_eq!(client.cancel_order(&btc(), &id("gtc")).await.rejection_code(), Some(-2011));
}

#[tokio::test(start_paused = true)]
async fn a_limit_order_with_an_end_rests_until_that_second_and_no_longer() {
    let stage = stage();
    let client = &stage.client;
    let now = stage.world.clock().now();
    let until = |seconds| TimeInForce::GoodTillDate(now + chrono::TimeDelta::seconds(seconds));
    let soon = stage.limit("0.03", until(600), "soon").await;
    assert_eq!(client.place_limit(&soon).await.rejection_code(), Some(-5040), "ten minutes are too few");
    assert_eq!(client.test_limit(&soon).await.rejection_code(), Some(-5040));
    let resting = stage.limit("0.4", until(700), "gtd").await;
    let ack = client.place_limit(&resting).await.accepted().unwrap();
    assert_eq!(ack.status, Some(OrderStatus::New));
    let open = client.open_orders(Some(&btc())).await.unwrap();
    assert_eq!((open.len(), open[0].order_id), (1, ack.order_id));
    stage.wall.advance(chrono::TimeDelta::seconds(699));
    stage.world.step();
    assert_eq!(client.open_orders(Some(&btc())).await.unwrap().len(), 1, "a second is left");
    stage.wall.advance(chrono::TimeDelta::seconds(1));
    stage.world.step();
    assert!(client.open_orders(Some(&btc())).await.unwrap().is_empty());
    let ended = client.order(&btc(), &id("gtd")).await.unwrap().unwrap();
    assert_eq!(ended.status, OrderStatus::Expired);
    assert_eq!(ended.executed.unwrap().value(), Decimal::ZERO);
    assert_eq!(client.cancel_order(&btc(), &id("gtd")).await.rejection_code(), Some(-2011));
    let crossing = stage.limit("-0.01", until(2_000), "now").await;
    assert_eq!(client.place_limit(&crossing).await.accepted().unwrap().status, Some(OrderStatus::Filled));
}

#[tokio::test(start_paused = true)]
async fn an_order_test_is_judged_and_leaves_nothing() {
    let stage = stage();
    let client = &stage.client;
    let good = stage.limit("0.03", TimeInForce::GoodTillCancelled, "t1").await;
    assert_eq!(client.test_limit(&good).await, Outcome::Accepted(()));
    let crooked = LimitOrder { quantity: "0.00001".parse().unwrap(), ..good };
    assert!(client.test_limit(&crooked).await.rejection_code().is_some());
    let market = MarketOrder {
        symbol: btc(),
        side: Side::Buy,
        quantity: "0.01".parse().unwrap(),
        reduce_only: false,
        client_order_id: id("t2"),
    };
    assert_eq!(client.test_market(&market).await, Outcome::Accepted(()));
    assert!(client.positions().await.unwrap().is_empty());
    assert!(client.open_orders(None).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn taking_back_everything_empties_both_stores() {
    let stage = stage();
    let client = &stage.client;
    stage.buy("0.01", "open").await;
    let resting = stage.limit("0.03", TimeInForce::GoodTillCancelled, "gtc").await;
    assert!(client.place_limit(&resting).await.accepted().is_some());
    let stop = StopOrder {
        symbol: btc(),
        side: Side::Sell,
        trigger: resting.price,
        size: StopSize::WholePosition,
        client_order_id: id("stop"),
    };
    assert!(client.place_stop(&stop).await.accepted().is_some());
    assert!(client.cancel_all(&btc()).await.is_complete());
    assert!(client.open_orders(None).await.unwrap().is_empty());
    assert!(client.open_algo_orders(None).await.unwrap().is_empty());
    assert_eq!(client.positions().await.unwrap().len(), 1, "positions stay");
}

#[tokio::test(start_paused = true)]
async fn a_countdown_takes_plain_orders_back_and_leaves_stops() {
    let stage = stage();
    let client = &stage.client;
    stage.buy("0.01", "open").await;
    let resting = stage.limit("0.03", TimeInForce::GoodTillCancelled, "gtc").await;
    assert!(client.place_limit(&resting).await.accepted().is_some());
    let stop = StopOrder {
        symbol: btc(),
        side: Side::Sell,
        trigger: resting.price,
        size: StopSize::WholePosition,
        client_order_id: id("stop"),
    };
    assert!(client.place_stop(&stop).await.accepted().is_some());
    let arm = |seconds| client.countdown_cancel_all(&resting.symbol, Duration::from_secs(seconds));
    assert_eq!(arm(2).await, Outcome::Accepted(()));
    assert_eq!(arm(0).await, Outcome::Accepted(()), "disarmed");
    stage.wall.advance(chrono::TimeDelta::seconds(3));
    stage.world.step();
    assert_eq!(client.open_orders(None).await.unwrap().len(), 1);
    assert_eq!(arm(2).await, Outcome::Accepted(()));
    stage.wall.advance(chrono::TimeDelta::seconds(3));
    stage.world.step();
    assert!(client.open_orders(None).await.unwrap().is_empty());
    assert_eq!(client.open_algo_orders(None).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_arming_and_sizing_ask_for_is_answered() {
    let stage = stage();
    let client = &stage.client;
    let flags = client.account_flags().await.unwrap();
    assert!(flags.obstacles().is_empty(), "{flags:?}");
    let permissions = client.key_permissions().await.unwrap();
    assert!(permissions.obstacles().is_empty(), "{permissions:?}");
    assert_eq!(client.position_mode().await.unwrap(), PositionMode::OneWay);
    let brackets = client.leverage_brackets(Some(&btc())).await.unwrap().remove(0);
    let bound = |leverage| brackets.largest_notional(leverage).unwrap();
    assert!(bound(1) > bound(brackets.brackets[0].leverage), "{brackets:?}");
    assert_eq!(client.commission_rate(&btc()).await.unwrap().taker_round_trip(), Decimal::new(1, 3));
    client.set_cross(&btc()).await.accepted().unwrap();
    let margin = |configs: Vec<jarvis::exchange::SymbolConfig>| configs[0].isolated;
    assert!(!margin(client.symbol_configs(Some(&btc())).await.unwrap()));
    client.set_isolated(&btc()).await.accepted().unwrap();
    assert!(margin(client.symbol_configs(Some(&btc())).await.unwrap()));
}

#[tokio::test(start_paused = true)]
async fn the_past_is_read_whole_from_an_instant_or_a_fill() {
    let stage = stage();
    let client = &stage.client;
    let since = stage.world.clock().now() - chrono::TimeDelta::days(20);
    for name in ["a", "b", "c"] {
        stage.buy("0.01", name).await;
    }
    let until = stage.world.clock().now();
    let fills = client.all_user_trades(&btc(), TradesFrom::Time(since), until).await.unwrap();
    assert!(fills.len() >= 3 && fills.windows(2).all(|pair| pair[0].id < pair[1].id), "{fills:?}");
    let later = client.all_user_trades(&btc(), TradesFrom::Id(fills[1].id), until).await.unwrap();
    assert_eq!(later, fills[1..]);
    let income = client.all_income(since, until).await.unwrap();
    let fees: Decimal =
        income.iter().filter(|row| row.kind.raw() == "COMMISSION").map(|row| row.amount).sum();
    assert_eq!(-fees, fills.iter().map(|fill| fill.commission).sum::<Decimal>());
}

#[tokio::test(start_paused = true)]
async fn the_client_counts_the_weight_the_exchange_counts() {
    let stage = stage();
    let client = &stage.client;
    let order = stage.limit("0.03", TimeInForce::GoodTillCancelled, "w").await;
    client.sync_clock().await.unwrap();
    let told = || stage.weights.lock().unwrap().last().unwrap().1;
    // The mark was read past the client.
    let others = told() - client.limits().meter().used_weight;
    let same = |call: &str| assert_eq!(client.limits().meter().used_weight + others, told(), "{call}");
    macro_rules! each {
        ($($call:expr),+ $(,)?) => {$(
            let _ = $call.await;
            same(stringify!($call));
        )+};
    }
    let (symbol, name) = (btc(), id("x"));
    let now = stage.world.clock().now();
    each!(
        client.sync_clock(),
        client.exchange_info(),
        client.account(),
        client.account_flags(),
        client.key_permissions(),
        client.positions(),
        client.symbol_configs(None),
        client.position_mode(),
        client.leverage_brackets(None),
        client.leverage_brackets(Some(&symbol)),
        client.open_orders(None),
        client.open_orders(Some(&symbol)),
        client.order(&symbol, &name),
        client.open_algo_orders(None),
        client.open_algo_orders(Some(&symbol)),
        client.algo_order(&name),
        client.all_algo_orders(&symbol, None),
        client.user_trades(&symbol, TradesFrom::Time(now)),
        client.income(Some(now)),
        client.commission_rate(&symbol),
        client.place_limit(&order),
        client.test_limit(&order),
        client.cancel_order(&symbol, &name),
        client.cancel_algo(&name),
        client.cancel_all(&symbol),
        client.countdown_cancel_all(&symbol, Duration::ZERO),
        client.set_leverage(&symbol, 3),
        client.set_isolated(&symbol),
        client.set_one_way(),
        client.start_listen_key(),
        client.extend_listen_key(),
        client.end_listen_key(),
    );
    let paths = stage.weights.lock().unwrap();
    assert!(paths.len() >= 31, "{paths:?}");
    assert_eq!(client.limits().meter().orders_10s, 2);
}

#[tokio::test(start_paused = true)]
async fn a_budgeted_client_never_meets_the_limit_of_an_exchange_that_enforces_it() {
    let stage = stage();
    let client = &stage.client;
    let mut held = 0;
    for _ in 0..100 {
        match client.income(None).await {
            Ok(_) => {}
            Err(jarvis::exchange::ExchangeError::OverBudget { .. }) => held += 1,
            Err(other) => panic!("{other}"),
        }
    }
    // 56 bookings of weight 30 fit into seven tenths of 2400.
    assert_eq!(held, 44);
    stage.buy("0.01", "still").await;
    assert_eq!(client.positions().await.unwrap().len(), 1, "the watch over positions goes on");
}

/// What the client says of an order.
#[derive(Debug, PartialEq)]
enum Said {
    Accepted,
    Refused(i64),
    Unknown,
}

#[tokio::test(start_paused = true)]
async fn whatever_befalls_an_order_is_told_as_it_can_be_known() {
    use Said::{Accepted, Refused, Unknown};
    let (all, half, none) = (Decimal::new(2, 2), Decimal::new(1, 2), Decimal::ZERO);
    let table = [
        (json!({"kind": "latency", "ms": 900}), all, Accepted),
        (json!({"kind": "latency", "ms": 8000}), all, Unknown),
        (json!({"kind": "timeout", "acted": true}), all, Unknown),
        (json!({"kind": "timeout", "acted": false}), none, Unknown),
        (json!({"kind": "reset"}), all, Unknown),
        (json!({"kind": "reset", "acted": false}), none, Unknown),
        (json!({"kind": "truncated"}), all, Unknown),
        (json!({"kind": "503_unknown", "acted": true}), all, Unknown),
        (json!({"kind": "503_unknown", "acted": false}), none, Unknown),
        (json!({"kind": "503_throttled"}), none, Refused(-1008)),
        (json!({"kind": "503_unavailable"}), none, Refused(0)),
        (json!({"kind": "503_internal"}), none, Refused(-1001)),
        (json!({"kind": "408", "acted": true}), all, Unknown),
        (json!({"kind": "408", "acted": false}), none, Unknown),
        (json!({"kind": "429"}), none, Refused(-1003)),
        (json!({"kind": "418", "retry_after": 120}), none, Refused(-1003)),
        (json!({"kind": "clock_skew", "ms": 8000}), none, Refused(-1021)),
        (json!({"kind": "rejected", "code": -2019}), none, Refused(-2019)),
        (json!({"kind": "rejected", "code": -1000}), none, Unknown),
        (json!({"kind": "maintenance"}), none, Unknown),
        (json!({"kind": "answer", "status": 502, "body": "<html>", "acted": true}), all, Unknown),
        (json!({"kind": "answer", "status": 200, "body": "{", "acted": true}), all, Unknown),
        (json!({"kind": "answer", "status": 403, "body": "<html>", "acted": false}), none, Refused(0)),
        (json!({"kind": "partial_fill", "share": "0.5"}), half, Accepted),
        (json!({"kind": "price_gap", "symbol": "BTCUSDT", "percent": "-3"}), all, Accepted),
    ];
    let stage = stage();
    for (number, (effect, executed, expected)) in table.into_iter().enumerate() {
        // What an address is told to wait for must not hold the next one back.
        let client = client_of(&stage.world, &stage.transport, &stage.wall);
        let before = stage.held().await;
        let known = stage.weights.lock().unwrap().len();
        stage.fault(&effect, "order").await;
        let order = MarketOrder {
            symbol: btc(),
            side: Side::Buy,
            quantity: "0.02".parse().unwrap(),
            reduce_only: false,
            client_order_id: id(&format!("once-{number}")),
        };
        let said = match client.place_market(&order).await {
            Outcome::Accepted(_) => Accepted,
            Outcome::Rejected(rejection) => Refused(rejection.code),
            Outcome::NotSent(reason) => panic!("{effect} happens to what was sent: {reason}"),
            Outcome::Unknown(_) => Unknown,
        };
        assert_eq!(said, expected, "{effect}");
        // An order that is late is carried out when nobody waits any more.
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(stage.held().await - before, executed, "{effect}");
        // Nor does a ban hold the next one back.
        stage.wall.advance(chrono::TimeDelta::minutes(3));
        let arrived = stage.weights.lock().unwrap()[known..].to_vec();
        let orders = arrived.iter().filter(|(path, _)| path == "/fapi/v1/order").count();
        assert_eq!(orders, 1, "{effect}: sent once, whatever comes back");
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_befalls_a_stop_is_told_as_it_can_be_known() {
    let stage = stage();
    stage.buy("0.01", "open").await;
    let trigger = stage.limit("0.1", TimeInForce::GoodTillCancelled, "unused").await.price;
    for (number, (effect, rests, refusal)) in [
        (json!({"kind": "stop_rejected"}), 0, Some(-2021)),
        (json!({"kind": "stop_rejected", "code": -4130}), 0, Some(-4130)),
        (json!({"kind": "timeout", "acted": false}), 0, None),
        (json!({"kind": "truncated"}), 1, None),
    ]
    .into_iter()
    .enumerate()
    {
        let stop = StopOrder {
            symbol: btc(),
            side: Side::Sell,
            trigger,
            size: StopSize::WholePosition,
            client_order_id: id(&format!("stop-{number}")),
        };
        stage.fault(&effect, "algo").await;
        let outcome = stage.client.place_stop(&stop).await;
        assert_eq!(
            (outcome.rejection_code(), outcome.is_unknown()),
            (refusal, refusal.is_none()),
            "{effect}"
        );
        assert_eq!(stage.client.open_algo_orders(Some(&btc())).await.unwrap().len(), rests, "{effect}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_order_that_reads_do_not_show_yet_is_none_and_no_error() {
    let stage = stage();
    stage.buy("0.01", "fresh").await;
    stage.fault(&json!({"kind": "read_lag", "ms": 2000}), "read").await;
    assert_eq!(stage.client.order(&btc(), &id("fresh")).await.unwrap(), None);
    let seen = stage.client.order(&btc(), &id("fresh")).await.unwrap().unwrap();
    assert_eq!(seen.status, OrderStatus::Filled);
}
