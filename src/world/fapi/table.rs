//! The endpoints: path, method, who may ask, what it weighs, who answers.

use http::Method;
use serde_json::{Value, json};

use self::Weight::{BySymbol, Fixed};
use super::error::ApiError;
use super::limits::Pool;
use super::params::Params;
use super::{Call, account, algos, book, data, history, market_data, orders, rules};
use crate::world::market::Market;

/// What a request must carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    /// Nothing.
    Open,
    /// A key.
    Key,
    /// A key and a signature.
    Signed,
}

/// An endpoint's answer.
type Answer = fn(&mut Call<'_>) -> Result<Value, ApiError>;

/// What makes an endpoint's answer from prices alone: JSON text.
pub(super) type FromPrices = Box<dyn FnOnce(&Market) -> String>;

type Question = fn(&mut Call<'_>) -> Result<FromPrices, ApiError>;

/// Who answers, and whether the whole world stands still meanwhile.
pub(super) enum Handler {
    /// Answers while the world is locked.
    Locked(Answer),
    /// Checks the question while the world is locked; the answer, which takes a while, is made afterwards, so that
    /// orders need not wait for it and several are made at once.
    Unlocked(Question),
}

/// What a request weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    /// Always the same.
    Fixed(u32),
    /// With a symbol and without one.
    BySymbol(u32, u32),
    /// By its row limit, which is so many unless said otherwise: up to so many rows so much, beyond all of them the last.
    ByLimit(i64, &'static [(i64, u32)], u32),
}

/// One row of the table.
pub(super) struct Endpoint {
    method: &'static str,
    path: &'static str,
    pub security: Security,
    weight: Weight,
    /// Orders it counts: in ten seconds and in the minute.
    pub orders: Option<(u32, u32)>,
    pub handler: Handler,
}

impl Endpoint {
    /// The limit of its own that it counts against, beside its weight.
    pub fn pool(&self) -> Option<Pool> {
        if self.path.starts_with("/futures/data/") {
            Some(Pool::Data)
        } else if matches!(self.path, "/fapi/v1/fundingRate" | "/fapi/v1/fundingInfo") {
            Some(Pool::Funding)
        } else {
            None
        }
    }

    /// Whether it tells of the past or of other traders. A world whose prices are told from outside knows neither.
    pub fn needs_history(&self) -> bool {
        let own =
            ["klines", "ticker/24hr", "trades", "aggTrades", "fundingRate", "fundingInfo", "openInterest"];
        self.path.starts_with("/futures/data/")
            || self.path.strip_prefix("/fapi/v1/").is_some_and(|path| own.contains(&path))
    }

    /// What a request with these parameters weighs.
    pub fn weight(&self, params: &Params) -> u32 {
        match self.weight {
            Weight::Fixed(weight) => weight,
            Weight::BySymbol(one, all) => {
                if params.get("symbol").is_some() {
                    one
                } else {
                    all
                }
            }
            Weight::ByLimit(usual, steps, most) => {
                let limit = params.integer("limit").ok().flatten().unwrap_or(usual);
                steps.iter().find(|(rows, _)| limit <= *rows).map_or(most, |(_, weight)| *weight)
            }
        }
    }
}

const fn open(path: &'static str, weight: Weight, handler: Answer) -> Endpoint {
    Endpoint {
        method: "GET",
        path,
        security: Security::Open,
        weight,
        orders: None,
        handler: Handler::Locked(handler),
    }
}

const fn unlocked(path: &'static str, weight: Weight, handler: Question) -> Endpoint {
    Endpoint {
        method: "GET",
        path,
        security: Security::Open,
        weight,
        orders: None,
        handler: Handler::Unlocked(handler),
    }
}

const fn keyed(method: &'static str, path: &'static str, handler: Answer) -> Endpoint {
    Endpoint {
        method,
        path,
        security: Security::Key,
        weight: Fixed(1),
        orders: None,
        handler: Handler::Locked(handler),
    }
}

const fn signed(method: &'static str, path: &'static str, weight: Weight, handler: Answer) -> Endpoint {
    Endpoint {
        method,
        path,
        security: Security::Signed,
        weight,
        orders: None,
        handler: Handler::Locked(handler),
    }
}

const fn ordering(path: &'static str, counts: (u32, u32), handler: Answer) -> Endpoint {
    Endpoint {
        method: "POST",
        path,
        security: Security::Signed,
        weight: Fixed(0),
        orders: Some(counts),
        handler: Handler::Locked(handler),
    }
}

const fn amending(path: &'static str, counts: (u32, u32), handler: Answer) -> Endpoint {
    Endpoint { method: "PUT", ..ordering(path, counts, handler) }
}

/// The book's levels on each side.
const DEPTH: Weight = Weight::ByLimit(500, &[(50, 2), (100, 5), (500, 10)], 20);
/// Candles: fewer than a hundred, fewer than five hundred, up to a thousand, more.
const KLINES: Weight = Weight::ByLimit(500, &[(99, 1), (499, 2), (1000, 5)], 10);

static ENDPOINTS: &[Endpoint] = &[
    open("/fapi/v1/ping", Fixed(1), |_| Ok(json!({}))),
    open("/fapi/v1/time", Fixed(1), |call| Ok(json!({"serverTime": call.wall}))),
    open("/fapi/v1/exchangeInfo", Fixed(1), rules::exchange_info),
    open("/fapi/v1/ticker/price", BySymbol(1, 2), market_data::price),
    open("/fapi/v2/ticker/price", BySymbol(1, 2), market_data::price),
    open("/fapi/v1/ticker/bookTicker", BySymbol(2, 5), book::book_ticker),
    open("/fapi/v1/ticker/24hr", BySymbol(1, 40), market_data::day),
    open("/fapi/v1/depth", DEPTH, book::depth),
    open("/fapi/v1/trades", Fixed(5), market_data::trades),
    open("/fapi/v1/aggTrades", Fixed(20), market_data::aggregate_trades),
    unlocked("/fapi/v1/klines", KLINES, market_data::klines),
    open("/fapi/v1/premiumIndex", BySymbol(1, 10), market_data::premium_index),
    open("/fapi/v1/fundingRate", Fixed(1), market_data::funding_rate),
    open("/fapi/v1/fundingInfo", Fixed(0), market_data::funding_info),
    open("/fapi/v1/openInterest", Fixed(1), data::open_interest),
    open("/futures/data/globalLongShortAccountRatio", Fixed(0), data::global_ratio),
    open("/futures/data/topLongShortAccountRatio", Fixed(0), data::top_account_ratio),
    open("/futures/data/topLongShortPositionRatio", Fixed(0), data::top_position_ratio),
    open("/futures/data/openInterestHist", Fixed(0), data::open_interest_history),
    open("/futures/data/takerlongshortRatio", Fixed(0), data::taker_ratio),
    signed("GET", "/sapi/v1/capital/config/getall", Fixed(10), |_| Ok(json!([]))),
    signed("GET", "/sapi/v1/account/apiRestrictions", Fixed(1), account::key_permissions),
    signed("GET", "/fapi/v2/balance", Fixed(5), account::balance),
    signed("GET", "/fapi/v3/balance", Fixed(5), account::balance),
    signed("GET", "/fapi/v2/account", Fixed(5), account::account_v2),
    signed("GET", "/fapi/v3/account", Fixed(5), account::account_v3),
    signed("GET", "/fapi/v2/positionRisk", Fixed(5), account::position_risk_v2),
    signed("GET", "/fapi/v3/positionRisk", Fixed(5), account::position_risk_v3),
    signed("GET", "/fapi/v1/symbolConfig", Fixed(5), account::symbol_config),
    signed("GET", "/fapi/v1/accountConfig", Fixed(5), account::account_config),
    signed("POST", "/fapi/v1/leverage", Fixed(1), account::set_leverage),
    signed("POST", "/fapi/v1/marginType", Fixed(1), account::set_margin_type),
    signed("POST", "/fapi/v1/positionMargin", Fixed(1), account::position_margin),
    signed("GET", "/fapi/v1/positionMargin/history", Fixed(1), account::position_margin_history),
    signed("GET", "/fapi/v1/positionSide/dual", Fixed(30), |_| Ok(json!({"dualSidePosition": false}))),
    signed("POST", "/fapi/v1/positionSide/dual", Fixed(1), account::set_position_side),
    signed("GET", "/fapi/v1/multiAssetsMargin", Fixed(30), |_| Ok(json!({"multiAssetsMargin": false}))),
    signed("POST", "/fapi/v1/multiAssetsMargin", Fixed(1), account::set_multi_assets),
    signed("GET", "/fapi/v1/leverageBracket", Fixed(1), rules::leverage_bracket),
    signed("GET", "/fapi/v1/commissionRate", Fixed(20), account::commission_rate),
    signed("GET", "/fapi/v1/feeBurn", Fixed(30), |_| Ok(json!({"feeBurn": false}))),
    signed("GET", "/fapi/v1/rateLimit/order", Fixed(1), |_| Ok(rules::order_limits())),
    signed("GET", "/fapi/v1/income", Fixed(30), history::income),
    signed("GET", "/fapi/v1/userTrades", Fixed(5), history::user_trades),
    ordering("/fapi/v1/order", (1, 1), orders::place),
    ordering("/fapi/v1/order/test", (1, 1), orders::test),
    Endpoint { weight: Fixed(5), ..ordering("/fapi/v1/batchOrders", (5, 1), orders::place_batch) },
    amending("/fapi/v1/order", (1, 1), orders::amend),
    Endpoint { weight: Fixed(5), ..amending("/fapi/v1/batchOrders", (5, 1), orders::amend_batch) },
    signed("GET", "/fapi/v1/order", Fixed(1), orders::query),
    signed("DELETE", "/fapi/v1/order", Fixed(1), orders::cancel),
    signed("DELETE", "/fapi/v1/batchOrders", Fixed(1), orders::cancel_batch),
    signed("GET", "/fapi/v1/openOrder", Fixed(1), orders::query_open),
    signed("GET", "/fapi/v1/openOrders", BySymbol(1, 40), orders::open_orders),
    signed("GET", "/fapi/v1/allOrders", Fixed(5), orders::all_orders),
    signed("DELETE", "/fapi/v1/allOpenOrders", Fixed(1), orders::cancel_all),
    signed("POST", "/fapi/v1/countdownCancelAll", Fixed(10), orders::countdown),
    ordering("/fapi/v1/algoOrder", (1, 1), algos::place),
    signed("GET", "/fapi/v1/algoOrder", Fixed(1), algos::query),
    signed("DELETE", "/fapi/v1/algoOrder", Fixed(1), algos::cancel),
    signed("GET", "/fapi/v1/openAlgoOrders", BySymbol(1, 40), algos::open_orders),
    signed("GET", "/fapi/v1/allAlgoOrders", Fixed(5), algos::all_orders),
    signed("DELETE", "/fapi/v1/algoOpenOrders", Fixed(1), algos::cancel_all),
    keyed("POST", "/fapi/v1/listenKey", account::open_listen_key),
    keyed("PUT", "/fapi/v1/listenKey", account::extend_listen_key),
    keyed("DELETE", "/fapi/v1/listenKey", account::close_listen_key),
];

/// The endpoint of a method and a path.
pub(super) fn find(method: &Method, path: &str) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.path == path && endpoint.method == method.as_str())
}

/// Method and path of every endpoint.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    ENDPOINTS.iter().map(|endpoint| (endpoint.method, endpoint.path))
}
