//! The face, request by request, as clients send them.

use std::sync::Arc;

use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use rust_decimal::Decimal;
use rust_decimal_macros::dec;
use serde_json::{Value, json};
use sha2::Sha256;
use tower::ServiceExt;

use crate::domain::{Clock, ManualClock, Symbol};
use crate::world::tests::{HISTORIES, options, wall, world};
use crate::world::{World, WorldKey, WorldOptions};

mod misuse;
mod streams;

pub(crate) struct Client {
    pub wall: Arc<ManualClock>,
    pub world: Arc<World>,
    pub router: axum::Router,
    pub key: WorldKey,
}

pub(crate) struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    /// Whether the connection was cut before the answer was whole.
    pub cut: bool,
}

impl Reply {
    pub fn code(&self) -> i64 {
        self.body["code"].as_i64().unwrap_or_default()
    }
}

pub(crate) fn client() -> Client {
    let (wall, world) = world();
    Client { wall, router: world.router(), key: world.keys()[0].clone(), world }
}

impl Client {
    pub async fn raw(&self, method: &str, path: &str, body: &str, key: Option<&str>) -> Reply {
        let mut request =
            Request::builder().method(method).uri(path).header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("X-MBX-APIKEY", key);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let collected = body.collect().await;
        let cut = collected.is_err();
        let bytes = collected.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8(bytes.to_vec()).map_or(Value::Null, Value::String));
        Reply { status: parts.status, headers: parts.headers, body, cut }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.raw("GET", path, "", None).await
    }

    pub fn sign(&self, params: &str) -> String {
        let stamped = format!(
            "{params}{}timestamp={}",
            if params.is_empty() { "" } else { "&" },
            self.wall.now().timestamp_millis()
        );
        format!("{stamped}&signature={}", self.signature(&stamped))
    }

    pub fn signature(&self, signed: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.api_secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }

    pub async fn signed(&self, method: &str, path: &str, params: &str) -> Reply {
        let signed = self.sign(params);
        let key = Some(self.key.api_key.as_str());
        if method == "GET" || method == "DELETE" {
            self.raw(method, &format!("{path}?{signed}"), "", key).await
        } else {
            self.raw(method, path, &signed, key).await
        }
    }

    pub async fn post(&self, path: &str, params: &str) -> Reply {
        self.signed("POST", path, params).await
    }

    /// Isolated, 3x.
    pub async fn prepare(&self) {
        assert_eq!(self.post("/fapi/v1/marginType", "symbol=SOLUSDT&marginType=ISOLATED").await.status, 200);
        assert_eq!(self.post("/fapi/v1/leverage", "symbol=SOLUSDT&leverage=3").await.status, 200);
    }

    pub async fn sol(&self) -> Decimal {
        let reply = self.get("/fapi/v2/ticker/price?symbol=SOLUSDT").await;
        reply.body["price"].as_str().unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn public_routes_answer_in_their_shapes() {
    let client = client();
    for (path, array) in [
        ("/fapi/v1/ping", false),
        ("/fapi/v1/time?", false),
        ("/fapi/v1/exchangeInfo", false),
        ("/fapi/v1/ticker/price", true),
        ("/fapi/v2/ticker/price?symbol=BTCUSDT", false),
        ("/fapi/v1/ticker/bookTicker", true),
        ("/fapi/v1/ticker/24hr?symbol=BTCUSDT", false),
        ("/fapi/v1/ticker/24hr", true),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=5", false),
        ("/fapi/v1/trades?symbol=BTCUSDT&limit=5", true),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=4h&limit=20", true),
        ("/fapi/v1/premiumIndex", true),
        ("/fapi/v1/premiumIndex?symbol=PAXGUSDT", false),
        ("/fapi/v1/fundingRate?symbol=BTCUSDT&limit=3", true),
        ("/fapi/v1/fundingInfo", true),
        ("/fapi/v1/openInterest?symbol=BTCUSDT", false),
        ("/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT&period=1h", true),
        ("/futures/data/topLongShortAccountRatio?symbol=BTCUSDT&period=1d", true),
        ("/futures/data/topLongShortPositionRatio?symbol=BTCUSDT&period=5m&limit=500", true),
        ("/futures/data/openInterestHist?symbol=BTCUSDT&period=4h", true),
        ("/futures/data/takerlongshortRatio?symbol=BTCUSDT&period=1h", true),
    ] {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 200, "{path} {}", reply.body);
        assert_eq!(reply.body.is_array(), array, "{path}");
        assert!(reply.headers.contains_key("x-mbx-used-weight-1m"), "{path}");
        if array && !path.contains("fundingInfo") {
            assert!(!reply.body.as_array().unwrap().is_empty(), "{path}");
        }
    }
    let klines = client.get("/fapi/v1/klines?symbol=BTCUSDT&interval=4h&limit=20").await.body;
    assert_eq!(klines.as_array().unwrap().len(), 20);
    assert_eq!(klines[0].as_array().unwrap().len(), 12);
    assert!(klines[0][0].is_i64() && klines[0][1].is_string() && klines[0][11] == "0");
}

#[tokio::test]
async fn time_is_wall_time_and_everything_else_is_market_time() {
    let client = client();
    client.world.advance(7200);
    let wall_ms = client.wall.now().timestamp_millis();
    assert_eq!(client.get("/fapi/v1/time").await.body["serverTime"], wall_ms);
    let price = client.get("/fapi/v1/ticker/price?symbol=BTCUSDT").await.body;
    assert_eq!(price["time"], wall_ms + 7_200_000);
    assert_eq!(client.signed("GET", "/fapi/v3/balance", "").await.status, 200);
}

#[tokio::test]
async fn the_exchange_information_can_be_used_to_round() {
    let info = client().get("/fapi/v1/exchangeInfo").await.body;
    let symbols = info["symbols"].as_array().unwrap();
    assert_eq!(symbols.len(), 10);
    let bitcoin = symbols.iter().find(|row| row["symbol"] == "BTCUSDT").unwrap();
    let filter = |kind: &str| {
        bitcoin["filters"]
            .as_array()
            .unwrap()
            .iter()
            .find(|filter| filter["filterType"] == kind)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (&filter("PRICE_FILTER")["tickSize"], &bitcoin["pricePrecision"]),
        (&json!("0.10"), &json!(2))
    );
    assert_eq!(filter("LOT_SIZE")["stepSize"], "0.001");
    assert_eq!(filter("MIN_NOTIONAL")["notional"], "100");
    assert_eq!(bitcoin["timeInForce"], json!(["GTC", "IOC", "FOK", "GTX", "GTD"]));
}

#[tokio::test]
async fn an_unknown_path_is_told_as_the_exchange_does() {
    for path in ["/fapi", "/fapi/v1/x"] {
        let reply = client().get(path).await;
        assert_eq!(reply.status, 404);
        let told = format!("Path {path}, Method GET is invalid");
        assert_eq!(reply.body, json!({"code": -5000, "msg": told}));
    }
}

#[tokio::test]
async fn keys_and_signatures_are_checked_in_order() {
    let client = client();
    let path = "/fapi/v3/balance";
    let reply = client.get(path).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (401, -2014));
    let reply = client.raw("GET", path, "", Some("stranger")).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (401, -2015));
    let key = Some(client.key.api_key.as_str());
    let reply = client.raw("GET", path, "", key).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, -1102));
    let signed = client.sign("recvWindow=10000");
    let reply = client.raw("GET", &format!("{path}?{signed}0"), "", key).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, -1022));
    client.wall.advance(chrono::Duration::seconds(11));
    let reply = client.raw("GET", &format!("{path}?{signed}"), "", key).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, -1021));
    assert_eq!(client.raw("POST", "/fapi/v1/listenKey", "", key).await.status, 200);
}

#[tokio::test]
async fn a_market_order_is_acknowledged_without_a_price_and_told_with_one_when_asked() {
    let client = client();
    client.prepare().await;
    let reply = client
        .post(
            "/fapi/v1/order",
            "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1.00&newClientOrderId=jv-1&newOrderRespType=RESULT",
        )
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["status"], "FILLED");
    assert_eq!(reply.body["executedQty"], "1.00");
    assert_eq!(reply.body["cumQty"], "1.00");
    assert!(reply.body.get("avgPrice").is_none() && reply.body.get("cumQuote").is_none());
    assert!(reply.headers.contains_key("x-mbx-order-count-10s"));
    let told = client.signed("GET", "/fapi/v1/order", "symbol=SOLUSDT&origClientOrderId=jv-1").await.body;
    assert!(told["avgPrice"].as_str().unwrap().parse::<Decimal>().unwrap() > dec!(0));
    assert!(told.get("cumQty").is_none() && told["time"].is_i64());
    let trades = client.signed("GET", "/fapi/v1/userTrades", "symbol=SOLUSDT").await.body;
    assert_eq!(trades[0]["orderId"], told["orderId"]);
    let acknowledged =
        client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1").await.body;
    assert_eq!((&acknowledged["status"], &acknowledged["executedQty"]), (&json!("NEW"), &json!("0.00")));
}

#[tokio::test]
async fn parameters_may_come_in_the_query_of_a_post() {
    let client = client();
    let signed = client.sign("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&newOrderRespType=RESULT");
    let reply =
        client.raw("POST", &format!("/fapi/v1/order?{signed}"), "", Some(client.key.api_key.as_str())).await;
    assert_eq!(reply.body["status"], "FILLED", "{}", reply.body);
}

#[tokio::test]
async fn bad_orders_are_refused_with_their_codes() {
    let client = client();
    let base = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1";
    for (params, code) in [
        ("", -1102),
        ("symbol=SOLUSDT", -1102),
        ("symbol=NOPE&side=BUY&type=MARKET&quantity=1", -1121),
        ("symbol=%F0%9F%92%A5&side=BUY&type=MARKET&quantity=1", -1121),
        ("symbol=SOLUSDT&side=UP&type=MARKET&quantity=1", -1117),
        ("symbol=SOLUSDT&side=BUY&type=PEGGED&quantity=1", -1116),
        ("symbol=SOLUSDT&side=SELL&type=STOP_MARKET&stopPrice=1&closePosition=true", -4120),
        ("symbol=SOLUSDT&side=SELL&type=TRAILING_STOP_MARKET", -4120),
        ("symbol=SOLUSDT&side=BUY&type=MARKET", -1102),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=NaN", -1100),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1e1", -1100),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=99999999999999999999", -4005),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=0.00000000000000000001", -1111),
        ("symbol=SOLUSDT&side=BUY&type=LIMIT&quantity=1&price=50", -1102),
        ("symbol=SOLUSDT&side=BUY&type=LIMIT&quantity=1&price=50&timeInForce=SOON", -1115),
        // Digits allow it, the increment of 0.10 does not.
        ("symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=60000.05&timeInForce=GTC", -4014),
        ("symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=60000.005&timeInForce=GTC", -1111),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&positionSide=LONG", -4061),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&positionSide=UP", -4060),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&priceMatch=QUEUE", -1130),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&selfTradePreventionMode=EXPIRE_BOTH", -1130),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&reduceOnly=true", -2022),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&reduceOnly=maybe", -1130),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1&newClientOrderId=a%20b", -4015),
        ("symbol=SOLUSDT&side=BUY&type=MARKET&quantity=9999", -2019),
    ] {
        let before = client.world.core().engine.state().clone();
        let reply = client.post("/fapi/v1/order", params).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, code), "{params} {}", reply.body);
        assert_eq!(client.world.core().engine.state(), &before, "{params}");
    }
    assert_eq!(client.post("/fapi/v1/order/test", base).await.body, json!({}));
    let usual = format!("{base}&priceMatch=NONE&selfTradePreventionMode=EXPIRE_MAKER");
    assert_eq!(client.post("/fapi/v1/order/test", &usual).await.body, json!({}));
    assert_eq!(client.signed("GET", "/fapi/v1/allOrders", "symbol=SOLUSDT").await.body, json!([]));
    assert_eq!(client.signed("GET", "/fapi/v1/order", "symbol=SOLUSDT&orderId=1").await.code(), -2013);
    assert_eq!(client.signed("DELETE", "/fapi/v1/order", "symbol=SOLUSDT&orderId=1").await.code(), -2011);
}

#[tokio::test]
async fn a_stop_lives_in_its_own_store_until_it_fires() {
    let client = client();
    client.prepare().await;
    let price = client.sol().await;
    let trigger = (price * dec!(0.9)).round_dp(2);
    let stop = format!(
        "algoType=CONDITIONAL&symbol=SOLUSDT&side=SELL&type=STOP_MARKET&triggerPrice={trigger}&closePosition=true&clientAlgoId=sl-1"
    );
    assert_eq!(client.post("/fapi/v1/algoOrder", &stop).await.code(), -4509);
    client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=2").await;
    let placed = client.post("/fapi/v1/algoOrder", &stop).await;
    assert_eq!((placed.status.as_u16(), &placed.body["algoStatus"]), (200, &json!("NEW")), "{}", placed.body);
    assert_eq!(client.post("/fapi/v1/algoOrder", &stop.replace("sl-1", "sl-2")).await.code(), -4130);
    assert_eq!(client.signed("GET", "/fapi/v1/openOrders", "").await.body, json!([]));
    let open = client.signed("GET", "/fapi/v1/openAlgoOrders", "symbol=SOLUSDT").await.body;
    assert_eq!((&open[0]["clientAlgoId"], &open[0]["actualOrderId"]), (&json!("sl-1"), &json!("")));
    // Clients read what is there as a number.
    assert_eq!((open[0].get("callbackRate"), open[0].get("activatePrice")), (None, None));
    assert_eq!(placed.body["callbackRate"], json!(""));
    client.world.set_price(&Symbol::new("SOLUSDT").unwrap(), (price * dec!(0.8)).round_dp(2)).unwrap();
    let told = client.signed("GET", "/fapi/v1/algoOrder", "clientAlgoId=sl-1").await.body;
    assert_eq!((&told["algoStatus"], &told["isActivated"]), (&json!("FINISHED"), &json!(false)));
    let order = client.signed("GET", "/fapi/v1/order", "symbol=SOLUSDT&origClientOrderId=sl-1").await.body;
    assert_eq!(told["actualOrderId"], json!(order["orderId"].to_string()));
    assert_eq!(client.signed("GET", "/fapi/v3/positionRisk", "").await.body, json!([]));
    assert_eq!(client.signed("DELETE", "/fapi/v1/algoOrder", "clientAlgoId=sl-1").await.code(), -2011);
    assert_eq!(client.signed("DELETE", "/fapi/v1/algoOrder", "algoId=5").await.code(), -2013);
}

#[tokio::test]
async fn a_page_begins_at_the_asked_for_order_and_ends_at_the_newest_without_one() {
    let client = client();
    client.prepare().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let reply =
            client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1").await.body;
        ids.push(reply["orderId"].as_i64().unwrap());
    }
    let page = async |params: &str| -> Vec<i64> {
        let params = format!("symbol=SOLUSDT&limit=2{params}");
        let rows = client.signed("GET", "/fapi/v1/allOrders", &params).await.body;
        rows.as_array().unwrap().iter().map(|row| row["orderId"].as_i64().unwrap()).collect()
    };
    assert_eq!(page("").await, ids[3..]);
    assert_eq!(page(&format!("&orderId={}", ids[1])).await, ids[1..3]);
}

#[tokio::test]
async fn cancelling_a_stop_answers_with_a_code_that_is_text() {
    let client = client();
    client.prepare().await;
    client.post("/fapi/v1/order", "symbol=SOLUSDT&side=SELL&type=MARKET&quantity=2").await;
    let trigger = (client.sol().await * dec!(1.1)).round_dp(2);
    let stop = format!(
        "algoType=CONDITIONAL&symbol=SOLUSDT&side=BUY&type=STOP_MARKET&triggerPrice={trigger}&quantity=2&reduceOnly=true"
    );
    let id = client.post("/fapi/v1/algoOrder", &stop).await.body["algoId"].clone();
    let reply = client.signed("DELETE", "/fapi/v1/algoOrder", &format!("symbol=SOLUSDT&algoId={id}")).await;
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (200, &json!("200")));
    client.post("/fapi/v1/algoOrder", &stop).await;
    let reply = client.signed("DELETE", "/fapi/v1/algoOpenOrders", "symbol=SOLUSDT").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (200, 200));
    assert_eq!(client.signed("GET", "/fapi/v1/openAlgoOrders", "").await.body, json!([]));
}

#[tokio::test]
async fn account_answers_agree_with_each_other() {
    let client = client();
    client.prepare().await;
    client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=3").await;
    let balance = client.signed("GET", "/fapi/v3/balance", "").await.body;
    let account = client.signed("GET", "/fapi/v3/account", "").await.body;
    let risk = client.signed("GET", "/fapi/v3/positionRisk", "").await.body;
    assert_eq!(balance[0]["balance"], account["totalWalletBalance"]);
    assert!(balance[0]["updateTime"].as_i64().unwrap() > 0);
    assert_eq!(account["positions"][0]["positionAmt"], "3.00");
    assert_eq!(risk[0]["isolatedWallet"], account["positions"][0]["isolatedWallet"]);
    assert!(risk[0].get("leverage").is_none());
    let wide = client.signed("GET", "/fapi/v2/positionRisk", "").await.body;
    assert_eq!(wide.as_array().unwrap().len(), 10);
    let sol = wide.as_array().unwrap().iter().find(|row| row["symbol"] == "SOLUSDT").unwrap();
    assert_eq!(
        (&sol["leverage"], &sol["marginType"], &sol["isAutoAddMargin"]),
        (&json!("3"), &json!("isolated"), &json!("false"))
    );
    let wide = client.signed("GET", "/fapi/v2/account", "").await.body;
    assert_eq!((wide["positions"].as_array().unwrap().len(), &wide["canTrade"]), (10, &json!(true)));
    let config = client.signed("GET", "/fapi/v1/symbolConfig", "symbol=SOLUSDT").await.body;
    assert_eq!((&config[0]["marginType"], &config[0]["leverage"]), (&json!("ISOLATED"), &json!(3)));
    let income = client.signed("GET", "/fapi/v1/income", "").await.body;
    let sum: Decimal = income
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["income"].as_str().unwrap().parse::<Decimal>().unwrap())
        .sum();
    assert_eq!(sum, balance[0]["balance"].as_str().unwrap().parse::<Decimal>().unwrap());
}

#[tokio::test]
async fn settings_that_are_already_so_have_their_own_codes() {
    let client = client();
    client.prepare().await;
    for (path, params, code) in [
        ("/fapi/v1/marginType", "symbol=SOLUSDT&marginType=ISOLATED", -4046),
        ("/fapi/v1/positionSide/dual", "dualSidePosition=false", -4059),
        ("/fapi/v1/positionSide/dual", "dualSidePosition=true", -4060),
        ("/fapi/v1/leverage", "symbol=SOLUSDT&leverage=500", -4028),
        ("/fapi/v1/leverage", "symbol=SOLUSDT&leverage=-3", -4028),
        ("/fapi/v1/leverage", "symbol=SOLUSDT&leverage=many", -1100),
    ] {
        let reply = client.post(path, params).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, code), "{path} {}", reply.body);
    }
    let brackets = client.signed("GET", "/fapi/v1/leverageBracket", "").await.body;
    assert_eq!(brackets.as_array().unwrap().len(), 10);
    assert!(brackets[0]["brackets"][0]["maintMarginRatio"].is_number());
    for path in [
        "/fapi/v1/accountConfig",
        "/fapi/v1/multiAssetsMargin",
        "/fapi/v1/positionSide/dual",
        "/fapi/v1/rateLimit/order",
        "/sapi/v1/capital/config/getall",
        "/sapi/v1/account/apiRestrictions",
    ] {
        assert_eq!(client.signed("GET", path, "").await.status, 200, "{path}");
    }
    assert_eq!(
        client.signed("GET", "/fapi/v1/commissionRate", "symbol=BTCUSDT").await.body["takerCommissionRate"],
        "0.0005"
    );
}

#[tokio::test]
async fn a_batch_mixes_orders_and_refusals() {
    let client = client();
    let batch = r#"batchOrders=[{"symbol":"SOLUSDT","side":"BUY","type":"MARKET","quantity":"1","newOrderRespType":"RESULT"},{"symbol":"SOLUSDT","side":"BUY","type":"MARKET","quantity":"1","reduceOnly":"true"}]"#;
    let reply = client.post("/fapi/v1/batchOrders", batch).await;
    assert_eq!(reply.status, 200);
    assert_eq!((&reply.body[0]["status"], &reply.body[1]["code"]), (&json!("FILLED"), &json!(-2022)));
    assert_eq!(client.post("/fapi/v1/batchOrders", "batchOrders=[[").await.code(), -1130);
}

#[tokio::test]
async fn limits_are_reported_always_and_enforced_when_asked() {
    let wall = wall();
    let world =
        World::open_from(&HISTORIES, WorldOptions { enforce_limits: true, ..options() }, wall.clone())
            .unwrap();
    let client = Client { wall, router: world.router(), key: world.keys()[0].clone(), world };
    for _ in 0..60 {
        client.get("/fapi/v1/ticker/24hr").await;
    }
    let reply = client.get("/fapi/v1/ping").await;
    assert_eq!((reply.status.as_u16(), reply.code()), (429, -1003));
    assert!(reply.headers.contains_key("retry-after"));
    client.wall.advance(chrono::Duration::seconds(60));
    assert_eq!(client.get("/fapi/v1/ping").await.headers["x-mbx-used-weight-1m"], "1");
}

#[tokio::test]
async fn too_many_orders_are_told_when_the_window_they_fill_ends() {
    let wall = wall();
    wall.advance(chrono::Duration::seconds(5));
    let rich = crate::domain::Usdt::of(dec!(10000000));
    let limited = WorldOptions { enforce_limits: true, balance: rich, ..options() };
    let world = World::open_from(&HISTORIES, limited, wall.clone()).unwrap();
    let client = Client { wall, router: world.router(), key: world.keys()[0].clone(), world };
    let place = async |accepted: bool| {
        let reply = client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1").await;
        assert_eq!(
            (reply.status == StatusCode::OK, reply.code() == -1015),
            (accepted, !accepted),
            "{}",
            reply.body
        );
        reply
    };
    for window in 0..4 {
        for _ in 0..if window == 3 { 299 } else { 300 } {
            place(true).await;
        }
        if window == 0 {
            // Counted too: the minute has room for one less at its end.
            assert_eq!(place(false).await.headers["retry-after"], "6");
        }
        client.wall.advance(chrono::Duration::seconds(10));
    }
    let refused = place(false).await;
    assert_eq!(refused.headers["retry-after"], "16");
    assert!(refused.body["msg"].as_str().unwrap().contains("1200"), "{}", refused.body);
}

#[tokio::test]
async fn requests_weigh_what_the_exchange_says() {
    let client = client();
    client.prepare().await;
    let used =
        |reply: &Reply| reply.headers["x-mbx-used-weight-1m"].to_str().unwrap().parse::<u32>().unwrap();
    let mut before = used(&client.get("/fapi/v1/ping").await);
    for (path, weight) in [
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=99", 1),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=100", 2),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1h", 5),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=1000", 5),
        ("/fapi/v1/klines?symbol=BTCUSDT&interval=1h&limit=1001", 10),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=50", 2),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=100", 5),
        ("/fapi/v1/depth?symbol=BTCUSDT", 10),
        ("/fapi/v1/depth?symbol=BTCUSDT&limit=1000", 20),
        ("/fapi/v1/premiumIndex", 10),
        ("/fapi/v1/premiumIndex?symbol=BTCUSDT", 1),
    ] {
        let now = used(&client.get(path).await);
        assert_eq!(now - before, weight, "{path}");
        before = now;
    }
    let order = "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1";
    let after_order = used(&client.post("/fapi/v1/order", order).await);
    assert_eq!(after_order - before, 0);
    let batch = "batchOrders=[]";
    assert_eq!(used(&client.post("/fapi/v1/batchOrders", batch).await) - after_order, 5);
    assert_eq!(used(&client.signed("PUT", "/fapi/v1/batchOrders", batch).await) - after_order, 10);
}

#[tokio::test]
async fn reading_fills_no_order_while_time_stands_still() {
    let wall = wall();
    let rich = crate::domain::Usdt::of(dec!(10000000));
    let world =
        World::open_from(&HISTORIES, WorldOptions { speed: 0.0, balance: rich, ..options() }, wall.clone())
            .unwrap();
    let client = Client { wall, router: world.router(), key: world.keys()[0].clone(), world };
    let book = client.get("/fapi/v1/depth?symbol=SOLUSDT&limit=5").await.body;
    let number = |value: &Value| value.as_str().unwrap().parse::<Decimal>().unwrap();
    let (price, size) = (number(&book["asks"][0][0]), number(&book["asks"][0][1]));
    let params = format!(
        "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity={}&price={price}&newClientOrderId=big",
        size * dec!(4)
    );
    assert_eq!(client.post("/fapi/v1/order", &params).await.status, 200);
    for _ in 0..6 {
        let order = client.signed("GET", "/fapi/v1/order", "symbol=SOLUSDT&origClientOrderId=big").await.body;
        assert_eq!((&order["status"], number(&order["executedQty"])), (&json!("PARTIALLY_FILLED"), size));
    }
}

/// A limit order that the market will reach within a day, and the market time of its acceptance.
async fn reachable(client: &Client) -> i64 {
    let price = (client.sol().await * dec!(0.999)).round_dp(2);
    let params = format!(
        "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price={price}&newClientOrderId=near"
    );
    let placed = client.post("/fapi/v1/order", &params).await;
    assert_eq!(placed.body["status"], "NEW", "{}", placed.body);
    placed.body["updateTime"].as_i64().unwrap()
}

#[tokio::test]
async fn a_dead_mans_switch_goes_off_at_its_moment_however_far_time_is_moved() {
    let client = client();
    client.prepare().await;
    let placed = reachable(&client).await;
    client.post("/fapi/v1/countdownCancelAll", "symbol=SOLUSDT&countdownTime=10000").await;
    client.world.advance(86_400);
    let order = client.signed("GET", "/fapi/v1/order", "symbol=SOLUSDT&origClientOrderId=near").await.body;
    assert_eq!((&order["status"], &order["updateTime"]), (&json!("CANCELED"), &json!(placed + 10_000)));
}

#[tokio::test]
async fn switches_and_moved_margin_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || WorldOptions { state_file: Some(folder.path().join("world.json")), ..options() };
    let open = |wall: &Arc<ManualClock>| {
        let world = World::open_from(&HISTORIES, kept(), wall.clone()).unwrap();
        Client { wall: wall.clone(), router: world.router(), key: world.keys()[0].clone(), world }
    };
    let wall = wall();
    for whole in [false, true] {
        let client = open(&wall);
        client.post("/fapi/v1/marginType", "symbol=SOLUSDT&marginType=ISOLATED").await;
        client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1").await;
        client.post("/fapi/v1/positionMargin", "symbol=SOLUSDT&amount=12.5&type=1").await;
        let placed = reachable(&client).await;
        client.post("/fapi/v1/countdownCancelAll", "symbol=SOLUSDT&countdownTime=10000").await;
        let moves = client.signed("GET", "/fapi/v1/positionMargin/history", "symbol=SOLUSDT").await.body;
        if whole {
            client.world.save().unwrap();
        }
        drop(client);
        wall.advance(chrono::Duration::seconds(3));
        let client = open(&wall);
        assert_eq!(
            client.signed("GET", "/fapi/v1/positionMargin/history", "symbol=SOLUSDT").await.body,
            moves
        );
        client.world.advance(86_400);
        let order =
            client.signed("GET", "/fapi/v1/order", "symbol=SOLUSDT&origClientOrderId=near").await.body;
        assert_eq!((&order["status"], &order["updateTime"]), (&json!("CANCELED"), &json!(placed + 10_000)));
    }
}

#[tokio::test]
async fn series_share_limits_of_their_own() {
    let wall = wall();
    let world =
        World::open_from(&HISTORIES, WorldOptions { enforce_limits: true, ..options() }, wall.clone())
            .unwrap();
    let client = Client { wall, router: world.router(), key: world.keys()[0].clone(), world };
    for number in 0..=500 {
        let path = if number % 2 == 0 {
            "/fapi/v1/fundingRate?symbol=BTCUSDT&limit=1"
        } else {
            "/fapi/v1/fundingInfo"
        };
        let reply = client.get(path).await;
        assert_eq!(reply.status.as_u16(), if number < 500 { 200 } else { 429 }, "{number}");
    }
    assert_eq!(
        client.get("/futures/data/takerlongshortRatio?symbol=BTCUSDT&period=1d&limit=1").await.status,
        200
    );
    client.wall.advance(chrono::Duration::minutes(5));
    assert_eq!(client.get("/fapi/v1/fundingInfo").await.status, 200);
}

#[tokio::test]
async fn aggregate_trades_go_on_from_where_the_last_page_ended() {
    let client = client();
    let first = client.get("/fapi/v1/aggTrades?symbol=BTCUSDT&limit=5").await.body;
    assert_eq!(first.as_array().unwrap().len(), 5);
    let id = first[4]["a"].as_i64().unwrap();
    client.wall.advance(chrono::Duration::seconds(3));
    let next = client.get(&format!("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId={}", id + 1)).await.body;
    let ids: Vec<i64> = next.as_array().unwrap().iter().map(|row| row["a"].as_i64().unwrap()).collect();
    assert_eq!(ids, [id + 1, id + 2, id + 3]);
    let start = first[1]["T"].as_i64().unwrap();
    let timed =
        client.get(&format!("/fapi/v1/aggTrades?symbol=BTCUSDT&startTime={start}&limit=2")).await.body;
    assert_eq!((timed.as_array().unwrap().len(), &timed[0]), (2, &first[1]));
    assert_eq!(client.get("/fapi/v1/aggTrades?symbol=BTCUSDT&fromId=1&endTime=5").await.code(), -1128);
}

#[tokio::test]
async fn a_resting_order_is_amended_in_place() {
    let client = client();
    let price = (client.sol().await * dec!(0.97)).round_dp(2);
    let limit = format!(
        "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=2&price={price}&newClientOrderId=rest"
    );
    let id = client.post("/fapi/v1/order", &limit).await.body["orderId"].clone();
    let lower = price - dec!(0.5);
    let change = format!("symbol=SOLUSDT&side=BUY&origClientOrderId=rest&quantity=3&price={lower}");
    let reply = client.signed("PUT", "/fapi/v1/order", &change).await;
    assert_eq!((reply.status.as_u16(), &reply.body["orderId"]), (200, &id), "{}", reply.body);
    assert_eq!((&reply.body["origQty"], &reply.body["price"]), (&json!("3.00"), &json!(lower.to_string())));
    assert!(reply.body.get("avgPrice").is_none() && reply.headers.contains_key("x-mbx-order-count-10s"));
    for (params, code) in [
        (change.as_str(), -5027),
        ("symbol=SOLUSDT&side=BUY&origClientOrderId=rest&quantity=3", -1102),
        ("symbol=SOLUSDT&side=BUY&orderId=1&quantity=3&price=50", -2013),
        ("symbol=SOLUSDT&side=BUY&quantity=3&price=50", -1102),
    ] {
        let reply = client.signed("PUT", "/fapi/v1/order", params).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (400, code), "{params}");
    }
    let batch = format!(
        r#"batchOrders=[{{"symbol":"SOLUSDT","side":"BUY","orderId":{id},"quantity":"4","price":"{lower}"}},{{"symbol":"SOLUSDT"}}]"#
    );
    let reply = client.signed("PUT", "/fapi/v1/batchOrders", &batch).await;
    assert_eq!((&reply.body[0]["origQty"], &reply.body[1]["code"]), (&json!("4.00"), &json!(-1102)));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_like_any_other_request() {
    let client = client();
    let body = "a".repeat(super::BODY_LIMIT + 1);
    let reply = client.raw("POST", "/fapi/v1/order", &body, Some(&client.key.api_key)).await;
    assert_eq!((reply.status.as_u16(), reply.code()), (400, -1102));
    assert_eq!(reply.headers[super::USED_WEIGHT], "1");
}

#[tokio::test]
async fn several_orders_are_taken_back_by_either_spelling_of_their_list() {
    let client = client();
    let price = (client.sol().await * dec!(0.9)).round_dp(2);
    for name in ["orderIdList", "orderidlist", "origClientOrderIdList", "origclientorderidlist"] {
        let limit = format!(
            "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=2&price={price}&newClientOrderId=some"
        );
        let id = client.post("/fapi/v1/order", &limit).await.body["orderId"].clone();
        let list = if name.starts_with("orig") {
            "%5B%22some%22,%22none%22%5D".to_owned()
        } else {
            format!("%5B{id},1%5D")
        };
        let reply =
            client.signed("DELETE", "/fapi/v1/batchOrders", &format!("symbol=SOLUSDT&{name}={list}")).await;
        assert_eq!(
            (&reply.body[0]["status"], &reply.body[1]["code"]),
            (&json!("CANCELED"), &json!(-2011)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn margin_moved_by_its_owner_is_remembered() {
    let client = client();
    client.prepare().await;
    client.post("/fapi/v1/order", "symbol=SOLUSDT&side=BUY&type=MARKET&quantity=1").await;
    let moved = client.post("/fapi/v1/positionMargin", "symbol=SOLUSDT&amount=12.5&type=1").await.body;
    assert_eq!((&moved["amount"], &moved["type"]), (&json!(12.5), &json!(1)));
    client.post("/fapi/v1/positionMargin", "symbol=SOLUSDT&amount=2&type=2").await;
    let history = client.signed("GET", "/fapi/v1/positionMargin/history", "symbol=SOLUSDT").await.body;
    assert_eq!((&history[0]["amount"], &history[1]["type"]), (&json!("12.50000000"), &json!(2)));
    let out = client.signed("GET", "/fapi/v1/positionMargin/history", "symbol=SOLUSDT&type=2").await.body;
    assert_eq!(out.as_array().unwrap().len(), 1);
    assert_eq!(client.post("/fapi/v1/positionMargin", "symbol=BTCUSDT&amount=2&type=1").await.code(), -4054);
}

#[tokio::test]
async fn nonsense_in_any_parameter_of_any_route_is_answered() {
    let client = client();
    client.prepare().await;
    let values = ["", "-1", "9223372036854775807", "-9223372036854775808", "1e400", "%00%FF", "%5B%5B"];
    let names = [
        "symbol",
        "interval",
        "limit",
        "startTime",
        "endTime",
        "orderId",
        "amount",
        "quantity",
        "price",
        "triggerPrice",
        "countdownTime",
        "batchOrders",
    ];
    let known = "symbol=SOLUSDT&side=BUY&type=LIMIT&timeInForce=GTC&interval=1h&period=1h&algoType=CONDITIONAL&marginType=CROSSED&leverage=5&quantity=1&price=50&triggerPrice=500&countdownTime=5&amount=1";
    for endpoint in super::table::all() {
        for name in names {
            for value in values {
                let params = format!("{name}={value}&{known}");
                let reply = client.signed(endpoint.0, endpoint.1, &params).await;
                assert!(!reply.status.is_server_error(), "{} {} {params}", endpoint.0, endpoint.1);
                assert!(!reply.cut && !reply.body.is_null(), "{} {} {params}", endpoint.0, endpoint.1);
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]
    #[test]
    fn any_body_to_any_route_is_answered_and_leaves_the_books_alone(
        body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        number in 0..1000_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let world = SHARED.get_or_init(|| client().world);
        let before = world.core().engine.state().clone();
        let routes: Vec<_> = super::table::all().filter(|(_, path)| !path.contains("listenKey")).collect();
        let (method, path) = routes[number % routes.len()];
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-mbx-apikey", world.keys()[0].api_key.as_str())
            .body(Body::from(body))
            .unwrap();
        let status = runtime.block_on(world.router().oneshot(request)).unwrap().status();
        proptest::prop_assert!(!status.is_server_error(), "{} {} {}", method, path, status);
        let after = world.core().engine.state().clone();
        proptest::prop_assert_eq!(after, before);
    }
}

static SHARED: std::sync::OnceLock<Arc<World>> = std::sync::OnceLock::new();
