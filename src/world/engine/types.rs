//! Requests and records of the engine.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::{Short, Side, Symbol};

/// A client's name for an order: 36 signs at most.
pub type ClientId = Short<36>;

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value a wire word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// How an order is executed.
    OrderKind {
        /// At the other side of the book, at once.
        Market = "MARKET",
        /// At a price or better.
        Limit = "LIMIT",
        /// Sent by the exchange itself against a position that lost its margin.
        Liquidation = "LIQUIDATION",
    }
}
words! {
    /// How long an order stays.
    TimeInForce {
        /// Until cancelled.
        Gtc = "GTC",
        /// At once, the rest expires.
        Ioc = "IOC",
        /// At once and whole, or not at all.
        Fok = "FOK",
        /// Only if it rests.
        Gtx = "GTX",
        /// Until a date.
        Gtd = "GTD",
    }
}
words! {
    /// What became of an order.
    OrderStatus {
        /// Rests.
        New = "NEW",
        /// Rests with a part filled.
        PartiallyFilled = "PARTIALLY_FILLED",
        /// Filled whole.
        Filled = "FILLED",
        /// Taken back.
        Canceled = "CANCELED",
        /// Ended by the exchange.
        Expired = "EXPIRED",
    }
}
words! {
    /// Conditional order types.
    AlgoKind {
        /// Market order when the price turns against the position.
        StopMarket = "STOP_MARKET",
        /// Market order when the price reaches a target.
        TakeProfitMarket = "TAKE_PROFIT_MARKET",
        /// Limit order when the price turns.
        Stop = "STOP",
        /// Limit order when the price reaches a target.
        TakeProfit = "TAKE_PROFIT",
        /// Market order when the price falls back from its best.
        TrailingStopMarket = "TRAILING_STOP_MARKET",
    }
}
words! {
    /// What became of a conditional order.
    AlgoStatus {
        /// Waits for its trigger.
        New = "NEW",
        /// Its condition came true.
        Triggering = "TRIGGERING",
        /// Its order is in the book.
        Triggered = "TRIGGERED",
        /// Its order is done.
        Finished = "FINISHED",
        /// Taken back.
        Canceled = "CANCELED",
        /// Its order was refused at the trigger.
        Rejected = "REJECTED",
        /// Ended by the exchange.
        Expired = "EXPIRED",
    }
}
words! {
    /// The price a trigger watches.
    WorkingType {
        /// The last traded price.
        Contract = "CONTRACT_PRICE",
        /// The mark price.
        Mark = "MARK_PRICE",
    }
}
words! {
    /// What stands behind a position.
    MarginType {
        /// The whole account.
        Cross = "CROSSED",
        /// Its own margin only.
        Isolated = "ISOLATED",
    }
}
words! {
    /// Why money moved; the ledger's row kinds.
    IncomeKind {
        /// Paid in from outside.
        Transfer = "TRANSFER",
        /// Profit or loss of a closing fill, before fees.
        RealizedPnl = "REALIZED_PNL",
        /// Paid between longs and shorts.
        FundingFee = "FUNDING_FEE",
        /// Fee of a fill.
        Commission = "COMMISSION",
        /// Liquidation fee, or what the insurance fund covered.
        InsuranceClear = "INSURANCE_CLEAR",
    }
}

impl AlgoKind {
    /// Stop and take-profit kinds exclude each other's duplicates separately.
    pub const fn is_take_profit(self) -> bool {
        matches!(self, Self::TakeProfitMarket | Self::TakeProfit)
    }

    /// Whether the triggered order is a limit order.
    pub const fn is_limit(self) -> bool {
        matches!(self, Self::Stop | Self::TakeProfit)
    }
}

/// A wish to trade at once or at a price.
#[derive(Debug, Clone)]
pub struct OrderRequest {
    /// Contract.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Market or limit.
    pub kind: OrderKind,
    /// How long a limit order stays.
    pub time_in_force: TimeInForce,
    /// Units of the coin.
    pub quantity: Decimal,
    /// Limit price; zero for a market order.
    pub price: Decimal,
    /// Only ever makes the position smaller.
    pub reduce_only: bool,
    /// The client's name for it; made up when absent.
    pub client_id: Option<String>,
    /// The end of a good-till-date order, market time, ms; only whole seconds count.
    pub good_till: Option<i64>,
}

/// A wish to change a resting limit order. Price and quantity are both named, changed or not.
#[derive(Debug, Clone)]
pub struct Amendment {
    /// Contract.
    pub symbol: Symbol,
    /// The order.
    pub handle: super::Handle,
    /// The order's side; it cannot be changed.
    pub side: Side,
    /// New units in all, filled ones included.
    pub quantity: Decimal,
    /// New limit price.
    pub price: Decimal,
}

/// A wish to trade when a price is reached.
#[derive(Debug, Clone)]
pub struct AlgoRequest {
    /// Contract.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Stop, take profit or trailing.
    pub kind: AlgoKind,
    /// For the limit kinds.
    pub time_in_force: TimeInForce,
    /// Units of the coin; absent with `close_position`.
    pub quantity: Option<Decimal>,
    /// Limit price of the limit kinds.
    pub price: Option<Decimal>,
    /// The price to wait for; absent for trailing.
    pub trigger_price: Option<Decimal>,
    /// Percent a trailing stop gives back.
    pub callback_rate: Option<Decimal>,
    /// Price from which a trailing stop follows.
    pub activate_price: Option<Decimal>,
    /// Which price triggers.
    pub working: WorkingType,
    /// Closes whatever the position is.
    pub close_position: bool,
    /// Only ever makes the position smaller.
    pub reduce_only: bool,
    /// Does not fire while last and mark are far apart.
    pub price_protect: bool,
    /// The client's name for it.
    pub client_id: Option<String>,
    /// The end of the good-till-date order it becomes, market time, ms.
    pub good_till: Option<i64>,
}

/// An order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Strictly increasing over all accounts.
    pub id: i64,
    /// The client's name for it.
    pub client_id: ClientId,
    /// Contract.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Market, limit or liquidation.
    pub kind: OrderKind,
    /// How long it stays.
    pub time_in_force: TimeInForce,
    /// Limit price or zero.
    pub price: Decimal,
    /// Units asked for.
    pub quantity: Decimal,
    /// Units filled.
    pub executed: Decimal,
    /// USDT filled.
    pub executed_quote: Decimal,
    /// Only ever makes the position smaller.
    pub reduce_only: bool,
    /// Came from a `closePosition` order.
    pub close_position: bool,
    /// State.
    pub status: OrderStatus,
    /// Why it expired (`er` in the stream), 0 when it did not.
    pub expiry_reason: u8,
    /// The conditional order it came from.
    pub algo_id: Option<i64>,
    /// Market time of arrival, ms.
    pub created: i64,
    /// Market time of the last change, ms.
    pub updated: i64,
    /// Market time at which it took its place in the queue, ms: an amendment goes to the end.
    #[serde(default)]
    pub queued: i64,
    /// The end of a good-till-date order, ms; 0 for every other.
    #[serde(default)]
    pub good_till: i64,
    /// How often it was amended.
    #[serde(default)]
    pub amendments: u32,
}

impl Order {
    /// Average fill price; zero before the first fill.
    pub fn average(&self) -> Decimal {
        if self.executed.is_zero() { Decimal::ZERO } else { self.executed_quote / self.executed }
    }

    /// Units still open.
    pub fn remaining(&self) -> Decimal {
        self.quantity - self.executed
    }

    /// Whether it still rests.
    pub fn is_open(&self) -> bool {
        matches!(self.status, OrderStatus::New | OrderStatus::PartiallyFilled)
    }
}

/// A conditional order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlgoOrder {
    /// Strictly increasing over all accounts.
    pub id: i64,
    /// The client's name for it.
    pub client_id: ClientId,
    /// Contract.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Stop, take profit or trailing.
    pub kind: AlgoKind,
    /// For the limit kinds.
    pub time_in_force: TimeInForce,
    /// Units; zero with `close_position`.
    pub quantity: Decimal,
    /// Limit price or zero.
    pub price: Decimal,
    /// Price it waits for; zero for trailing.
    pub trigger_price: Decimal,
    /// Percent a trailing stop gives back.
    pub callback_rate: Option<Decimal>,
    /// Price from which a trailing stop follows.
    pub activate_price: Option<Decimal>,
    /// Best price since a trailing stop follows.
    pub extreme: Option<Decimal>,
    /// Which price triggers.
    pub working: WorkingType,
    /// Closes whatever the position is.
    pub close_position: bool,
    /// Only ever makes the position smaller.
    pub reduce_only: bool,
    /// Does not fire while last and mark are far apart.
    pub price_protect: bool,
    /// State.
    pub status: AlgoStatus,
    /// The order it became.
    pub actual_order: Option<i64>,
    /// Average price of that order.
    pub actual_price: Decimal,
    /// Filled units of that order.
    pub actual_quantity: Decimal,
    /// Why it was rejected.
    pub fail_reason: Option<String>,
    /// The end of the good-till-date order it becomes, ms; 0 for every other.
    #[serde(default)]
    pub good_till: i64,
    /// Market time of arrival, ms.
    pub created: i64,
    /// Market time of the last change, ms.
    pub updated: i64,
    /// Market time of the trigger, ms; 0 before.
    pub triggered: i64,
}

/// One fill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trade {
    /// Strictly increasing over all accounts.
    pub id: i64,
    /// Its order.
    pub order_id: i64,
    /// Contract.
    pub symbol: Symbol,
    /// Buy or sell.
    pub side: Side,
    /// Fill price.
    pub price: Decimal,
    /// Units.
    pub quantity: Decimal,
    /// Fee paid, USDT, positive.
    pub commission: Decimal,
    /// Profit or loss before fees, USDT.
    pub realized: Decimal,
    /// Whether the order rested.
    pub maker: bool,
    /// Market time, ms.
    pub time: i64,
}

/// One row of the ledger: the wallet is the sum of them all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Income {
    /// Unique with its kind.
    pub id: i64,
    /// Why.
    pub kind: IncomeKind,
    /// Contract, if any.
    pub symbol: Option<Symbol>,
    /// Signed amount, USDT.
    pub amount: Decimal,
    /// The trade it belongs to.
    pub trade_id: Option<i64>,
    /// Market time, ms.
    pub time: i64,
}
