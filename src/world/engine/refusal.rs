//! The exchange's refusals: a code clients match on, and a sentence for people.

use std::borrow::Cow;

/// Why a request was not carried out. Codes as at Binance; the state is as before the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The exchange's error code.
    pub code: i32,
    /// The sentence that goes with it.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a fixed sentence.
    pub const fn fixed(code: i32, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message) }
    }

    /// A refusal whose sentence names a value.
    pub fn told(code: i32, message: String) -> Self {
        Self { code, message: Cow::Owned(message) }
    }
}

macro_rules! refusals {
    ($($name:ident = $code:literal, $message:literal;)*) => {
        $(
            #[doc = concat!("Code ", stringify!($code), ": ", $message)]
            pub const $name: Refusal = Refusal::fixed($code, $message);
        )*
    };
}

refusals! {
    GOOD_TILL_MISSING = -1102, "Mandatory parameter 'goodTillDate' was not sent, was empty/null, or malformed.";
    INVALID_SIDE = -1117, "Invalid side.";
    PRECISION = -1111, "Precision is over the maximum defined for this asset.";
    COMBINATION = -1128, "Combination of optional parameters invalid.";
    INVALID_SYMBOL = -1121, "Invalid symbol.";
    UNKNOWN_ORDER = -2011, "Unknown order sent.";
    NO_SUCH_ORDER = -2013, "Order does not exist.";
    MARGIN_INSUFFICIENT = -2019, "Margin is insufficient.";
    WOULD_TRIGGER = -2021, "Order would immediately trigger.";
    REDUCE_ONLY = -2022, "ReduceOnly Order is rejected.";
    MAX_OPEN_ORDERS = -2025, "Reach max open order limit.";
    MAX_POSITION = -2027, "Exceeded the maximum allowable position at current leverage.";
    LEVERAGE_TOO_SMALL = -2028, "Leverage is smaller than permitted: insufficient margin balance.";
    PRICE_NOT_POSITIVE = -4001, "Price less than 0.";
    PRICE_TOO_HIGH = -4002, "Price greater than max price.";
    QUANTITY_NOT_POSITIVE = -4003, "Quantity less than or equal to zero.";
    QUANTITY_TOO_SMALL = -4004, "Quantity less than min quantity.";
    QUANTITY_TOO_LARGE = -4005, "Quantity greater than max quantity.";
    PRICE_TOO_LOW = -4013, "Price less than min price.";
    PRICE_OFF_TICK = -4014, "Price not increased by tick size.";
    QUANTITY_OFF_STEP = -4023, "Qty not increased by step size.";
    CLIENT_ID = -4015, "Client order id is not valid.";
    MAX_ALGO_ORDERS = -4045, "Reach max stop order limit.";
    MARGIN_TYPE_SAME = -4046, "No need to change margin type.";
    MARGIN_TYPE_ORDERS = -4047, "Margin type cannot be changed if there exists open orders.";
    MARGIN_TYPE_POSITION = -4048, "Margin type cannot be changed if there exists position.";
    CROSS_BALANCE = -4050, "Cross balance insufficient.";
    ISOLATED_BALANCE = -4051, "Isolated balance insufficient.";
    NO_POSITION_MARGIN = -4054, "Cannot add position margin: position is 0.";
    DUPLICATE_CLIENT_ID = -4116, "ClientOrderId is duplicated.";
    CLOSE_WITH_QUANTITY = -4137, "Quantity must be zero with closePosition equals true.";
    CLOSE_WITH_REDUCE_ONLY = -4138, "Reduce only must be true with closePosition equals true.";
    COUNTERPARTY_PRICE = -4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.";
    CLOSE_EXISTS = -4130, "An open stop or take profit order with GTE and closePosition in the direction is existing.";
    LEVERAGE_REDUCTION = -4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.";
    CLOSE_WHILE_FLAT = -4509, "Time in Force (TIF) GTE can only be used with open positions. Please ensure that positions are available.";
    AMEND_LIMIT_ONLY = -5025, "Only limit order is supported.";
    AMEND_TOO_OFTEN = -5026, "Exceed maximum modify order limit.";
    AMEND_NOTHING = -5027, "No need to modify the order.";
    GOOD_TILL = -5040, "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than 253402300799000.";
    FILL_OR_KILL = -5021, "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be recorded in the order history.";
    POST_ONLY = -5022, "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not be recorded in the order history.";
    NO_PRICE = -4141, "Symbol is closed.";
    FROZEN = -4141, "Symbol is closed: no fresh price of it is known.";
}
