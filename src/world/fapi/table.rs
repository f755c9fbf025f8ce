//! The endpoints: path, method, who may ask, what it weighs, who answers.

use http::Method;
use serde_json::{Value, json};

use super::error::ApiError;
use super::limits::Pool;
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

/// One row of the table.
pub(super) struct Endpoint {
    method: &'static str,
    path: &'static str,
    pub security: Security,
    /// Weight with a symbol and without one.
    weights: (u32, u32),
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

    pub fn weight(&self, with_symbol: bool) -> u32 {
        if with_symbol { self.weights.0 } else { self.weights.1 }
    }
}

const fn open(path: &'static str, weights: (u32, u32), handler: Answer) -> Endpoint {
    Endpoint {
        method: "GET",
        path,
        security: Security::Open,
        weights,
        orders: None,
        handler: Handler::Locked(handler),
    }
}

const fn unlocked(path: &'static str, weights: (u32, u32), handler: Question) -> Endpoint {
    Endpoint {
        method: "GET",
        path,
        security: Security::Open,
        weights,
        orders: None,
        handler: Handler::Unlocked(handler),
    }
}

const fn keyed(method: &'static str, path: &'static str, handler: Answer) -> Endpoint {
    Endpoint {
        method,
        path,
        security: Security::Key,
        weights: (1, 1),
        orders: None,
        handler: Handler::Locked(handler),
    }
}

const fn signed(method: &'static str, path: &'static str, weights: (u32, u32), handler: Answer) -> Endpoint {
    Endpoint {
        method,
        path,
        security: Security::Signed,
        weights,
        orders: None,
        handler: Handler::Locked(handler),
    }
}

const fn ordering(path: &'static str, counts: (u32, u32), handler: Answer) -> Endpoint {
    Endpoint {
        method: "POST",
        path,
        security: Security::Signed,
        weights: (0, 0),
        orders: Some(counts),
        handler: Handler::Locked(handler),
    }
}

const fn amending(path: &'static str, counts: (u32, u32), handler: Answer) -> Endpoint {
    Endpoint { method: "PUT", ..ordering(path, counts, handler) }
}

static ENDPOINTS: &[Endpoint] = &[
    open("/fapi/v1/ping", (1, 1), |_| Ok(json!({}))),
    open("/fapi/v1/time", (1, 1), |call| Ok(json!({"serverTime": call.wall}))),
    open("/fapi/v1/exchangeInfo", (1, 1), rules::exchange_info),
    open("/fapi/v1/ticker/price", (1, 2), market_data::price),
    open("/fapi/v2/ticker/price", (1, 2), market_data::price),
    open("/fapi/v1/ticker/bookTicker", (2, 5), book::book_ticker),
    open("/fapi/v1/ticker/24hr", (1, 40), market_data::day),
    open("/fapi/v1/depth", (5, 5), book::depth),
    open("/fapi/v1/trades", (5, 5), market_data::trades),
    open("/fapi/v1/aggTrades", (20, 20), market_data::aggregate_trades),
    unlocked("/fapi/v1/klines", (5, 5), market_data::klines),
    open("/fapi/v1/premiumIndex", (1, 10), market_data::premium_index),
    open("/fapi/v1/fundingRate", (1, 1), market_data::funding_rate),
    open("/fapi/v1/fundingInfo", (0, 0), market_data::funding_info),
    open("/fapi/v1/openInterest", (1, 1), data::open_interest),
    open("/futures/data/globalLongShortAccountRatio", (0, 0), data::global_ratio),
    open("/futures/data/topLongShortAccountRatio", (0, 0), data::top_account_ratio),
    open("/futures/data/topLongShortPositionRatio", (0, 0), data::top_position_ratio),
    open("/futures/data/openInterestHist", (0, 0), data::open_interest_history),
    open("/futures/data/takerlongshortRatio", (0, 0), data::taker_ratio),
    signed("GET", "/sapi/v1/capital/config/getall", (10, 10), |_| Ok(json!([]))),
    signed("GET", "/sapi/v1/account/apiRestrictions", (1, 1), account::key_permissions),
    signed("GET", "/fapi/v2/balance", (5, 5), account::balance),
    signed("GET", "/fapi/v3/balance", (5, 5), account::balance),
    signed("GET", "/fapi/v2/account", (5, 5), account::account_v2),
    signed("GET", "/fapi/v3/account", (5, 5), account::account_v3),
    signed("GET", "/fapi/v2/positionRisk", (5, 5), account::position_risk_v2),
    signed("GET", "/fapi/v3/positionRisk", (5, 5), account::position_risk_v3),
    signed("GET", "/fapi/v1/symbolConfig", (5, 5), account::symbol_config),
    signed("GET", "/fapi/v1/accountConfig", (5, 5), account::account_config),
    signed("POST", "/fapi/v1/leverage", (1, 1), account::set_leverage),
    signed("POST", "/fapi/v1/marginType", (1, 1), account::set_margin_type),
    signed("POST", "/fapi/v1/positionMargin", (1, 1), account::position_margin),
    signed("GET", "/fapi/v1/positionMargin/history", (1, 1), account::position_margin_history),
    signed("GET", "/fapi/v1/positionSide/dual", (30, 30), |_| Ok(json!({"dualSidePosition": false}))),
    signed("POST", "/fapi/v1/positionSide/dual", (1, 1), account::set_position_side),
    signed("GET", "/fapi/v1/multiAssetsMargin", (30, 30), |_| Ok(json!({"multiAssetsMargin": false}))),
    signed("POST", "/fapi/v1/multiAssetsMargin", (1, 1), account::set_multi_assets),
    signed("GET", "/fapi/v1/leverageBracket", (1, 1), rules::leverage_bracket),
    signed("GET", "/fapi/v1/commissionRate", (20, 20), account::commission_rate),
    signed("GET", "/fapi/v1/feeBurn", (30, 30), |_| Ok(json!({"feeBurn": false}))),
    signed("GET", "/fapi/v1/rateLimit/order", (1, 1), |_| Ok(rules::order_limits())),
    signed("GET", "/fapi/v1/income", (30, 30), history::income),
    signed("GET", "/fapi/v1/userTrades", (5, 5), history::user_trades),
    ordering("/fapi/v1/order", (1, 1), orders::place),
    ordering("/fapi/v1/order/test", (1, 1), orders::test),
    ordering("/fapi/v1/batchOrders", (5, 1), orders::place_batch),
    amending("/fapi/v1/order", (1, 1), orders::amend),
    amending("/fapi/v1/batchOrders", (5, 1), orders::amend_batch),
    signed("GET", "/fapi/v1/order", (1, 1), orders::query),
    signed("DELETE", "/fapi/v1/order", (1, 1), orders::cancel),
    signed("DELETE", "/fapi/v1/batchOrders", (1, 1), orders::cancel_batch),
    signed("GET", "/fapi/v1/openOrder", (1, 1), orders::query_open),
    signed("GET", "/fapi/v1/openOrders", (1, 40), orders::open_orders),
    signed("GET", "/fapi/v1/allOrders", (5, 5), orders::all_orders),
    signed("DELETE", "/fapi/v1/allOpenOrders", (1, 1), orders::cancel_all),
    signed("POST", "/fapi/v1/countdownCancelAll", (10, 10), orders::countdown),
    ordering("/fapi/v1/algoOrder", (1, 1), algos::place),
    signed("GET", "/fapi/v1/algoOrder", (1, 1), algos::query),
    signed("DELETE", "/fapi/v1/algoOrder", (1, 1), algos::cancel),
    signed("GET", "/fapi/v1/openAlgoOrders", (1, 40), algos::open_orders),
    signed("GET", "/fapi/v1/allAlgoOrders", (5, 5), algos::all_orders),
    signed("DELETE", "/fapi/v1/algoOpenOrders", (1, 1), algos::cancel_all),
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
