//! What the exchange tells, in our words.

use rust_decimal::Decimal;

use crate::domain::{ClientOrderId, Direction, Price, Quantity, Side, Symbol, Timestamp, Untrusted, Usdt};

/// The balances of an account, in USDT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountBalance {
    /// Cash without open profit and loss.
    pub wallet: Usdt,
    /// Wallet plus unrealised profit and loss (margin balance).
    pub equity: Usdt,
    /// Free for new margin.
    pub available: Usdt,
}

/// One open position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangePosition {
    /// The contract.
    pub symbol: Symbol,
    /// Which way it points.
    pub direction: Direction,
    /// Its size, unsigned, above zero.
    pub quantity: Quantity,
    /// Average entry price.
    pub entry: Price,
    /// Mark price at the time of reading.
    pub mark: Price,
    /// Unrealised profit and loss at the mark.
    pub unrealised: Usdt,
    /// Isolated margin with unrealised profit and loss; `None` if not told or cross.
    pub isolated_margin: Option<Usdt>,
    /// The exchange's liquidation price, if there is one.
    pub liquidation: Option<Price>,
    /// Last change of the position.
    pub updated_at: Option<Timestamp>,
}

/// Open positions as one answer told them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Held {
    /// Those whose rows make sense.
    pub positions: Vec<ExchangePosition>,
    /// Contracts that hold something of which the row makes no sense, with what is wrong with it. They are not flat.
    pub unreadable: Vec<(Symbol, String)>,
}

impl Held {
    /// The position of a contract; `None` when it is flat. An error when its row makes no sense.
    pub fn of(&self, symbol: &Symbol) -> Result<Option<&ExchangePosition>, String> {
        if let Some((_, reason)) = self.unreadable.iter().find(|(known, _)| known == symbol) {
            return Err(format!("the position in {symbol} cannot be read: {reason}"));
        }
        Ok(self.positions.iter().find(|position| &position.symbol == symbol))
    }
}

/// What is set for a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolConfig {
    /// The contract.
    pub symbol: Symbol,
    /// Leverage of new positions.
    pub leverage: u32,
    /// Whether margin is isolated.
    pub isolated: bool,
}

/// Whether long and short of one contract net out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PositionMode {
    /// One position a contract.
    OneWay,
    /// Long and short side by side; the desk does not trade in it.
    Hedge,
}

/// What an account may do and how it is set; `None` where the exchange did not say. What its key may do is told
/// elsewhere: [`KeyPermissions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFlags {
    /// Whether it may trade.
    pub can_trade: Option<bool>,
    /// Whether long and short of one contract stand side by side.
    pub hedge: Option<bool>,
    /// Whether other coins than USDT are margin too.
    pub multi_assets: Option<bool>,
}

impl AccountFlags {
    /// What keeps the desk from trading on it, one line each; empty when nothing does. Silence is an obstacle.
    pub fn obstacles(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        match self.can_trade {
            Some(true) => {}
            Some(false) => found.push("the exchange does not let this account trade"),
            None => found.push("the exchange does not say whether this account may trade"),
        }
        match self.hedge {
            Some(false) => {}
            Some(true) => found.push("the account is in hedge mode; put it into one-way mode"),
            None => found.push("the exchange does not tell the position mode"),
        }
        match self.multi_assets {
            Some(false) => {}
            Some(true) => found.push("the account is in multi-assets mode; put it into single-asset mode"),
            None => found.push("the exchange does not tell the assets mode"),
        }
        found
    }
}

/// What an API key may do; `None` where the exchange did not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPermissions {
    /// Whether it works from chosen addresses only.
    pub ip_restricted: Option<bool>,
    /// Whether it may trade futures.
    pub trades_futures: Option<bool>,
    /// Whether it may withdraw.
    pub withdraws: Option<bool>,
    /// Whether it may move money between a main account and its sub-accounts.
    pub transfers_internally: Option<bool>,
    /// Whether it may move money between wallets, and to other accounts.
    pub transfers_universally: Option<bool>,
    /// Whether it may trade spot and margin.
    pub trades_spot: Option<bool>,
}

impl KeyPermissions {
    /// What keeps a desk from sending orders with this key, one line each; empty when nothing does. A key that can move
    /// money away is worth stealing, so it may do no more than trade futures; silence is an obstacle.
    pub fn obstacles(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        match self.trades_futures {
            Some(true) => {}
            Some(false) => found.push("its key may not trade futures; allow it"),
            None => found.push("the exchange does not say whether its key may trade futures"),
        }
        let forbidden = [
            (
                self.withdraws,
                "its key may withdraw; take that away",
                "the exchange does not say whether its key may withdraw",
            ),
            (
                self.transfers_internally,
                "its key may move money to other accounts; take that away",
                "the exchange does not say whether its key may move money to other accounts",
            ),
            (
                self.transfers_universally,
                "its key may move money between wallets; take that away",
                "the exchange does not say whether its key may move money between wallets",
            ),
            (
                self.trades_spot,
                "its key may trade spot and margin; take that away",
                "the exchange does not say whether its key may trade spot and margin",
            ),
        ];
        for (permission, allowed, unknown) in forbidden {
            match permission {
                Some(false) => {}
                Some(true) => found.push(allowed),
                None => found.push(unknown),
            }
        }
        found
    }
}

/// The leverage steps of a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeverageBrackets {
    /// The contract.
    pub symbol: Symbol,
    /// Steps by notional, smallest first.
    pub brackets: Vec<Bracket>,
}

/// One leverage step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// Highest leverage in it.
    pub leverage: u32,
    /// Notional from which it holds, USDT.
    pub notional_floor: Decimal,
    /// Notional up to which it holds, USDT.
    pub notional_cap: Decimal,
    /// Maintenance margin as a share of the notional.
    pub maintenance_share: Decimal,
    /// Subtracted from the maintenance margin, USDT.
    pub maintenance_offset: Decimal,
}

impl LeverageBrackets {
    /// The bracket a position of this notional (USDT) falls into; `None` when it is larger than the contract allows.
    pub fn bracket(&self, notional: Decimal) -> Option<&Bracket> {
        self.brackets.iter().filter(|bracket| notional <= bracket.notional_cap).min_by_key(|b| b.notional_cap)
    }

    /// The largest position, in USDT, that a leverage allows; `None` for a leverage the contract does not have. An
    /// opening beyond it is refused with -2027.
    pub fn largest_notional(&self, leverage: u32) -> Option<Decimal> {
        let allowed = self.brackets.iter().filter(|bracket| bracket.leverage >= leverage);
        allowed.map(|bracket| bracket.notional_cap).max()
    }

    /// The margin, in USDT, below which a position of this notional is liquidated.
    pub fn maintenance(&self, notional: Decimal) -> Option<Decimal> {
        let bracket = self.bracket(notional)?;
        notional.checked_mul(bracket.maintenance_share)?.checked_sub(bracket.maintenance_offset)
    }
}

impl CommissionRate {
    /// What opening and closing at market costs, as a share of the notional.
    pub fn taker_round_trip(&self) -> Decimal {
        self.taker * Decimal::TWO
    }
}

/// State of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the exchange's own words")]
pub enum OrderStatus {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Rejected,
    Expired,
    ExpiredInMatch,
    /// A word we do not know.
    Other(Untrusted),
}

impl OrderStatus {
    pub(super) fn from_wire(word: &str) -> Self {
        match word {
            "NEW" => Self::New,
            "PARTIALLY_FILLED" => Self::PartiallyFilled,
            "FILLED" => Self::Filled,
            "CANCELED" => Self::Canceled,
            "REJECTED" => Self::Rejected,
            "EXPIRED" => Self::Expired,
            "EXPIRED_IN_MATCH" => Self::ExpiredInMatch,
            other => Self::Other(other.into()),
        }
    }

    /// Whether nothing more will be filled.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Filled | Self::Canceled | Self::Rejected | Self::Expired | Self::ExpiredInMatch)
    }
}

/// State of a conditional order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlgoStatus {
    /// Rests and waits for its price.
    New,
    /// Its price was reached.
    Triggering,
    /// It became an order.
    Triggered,
    /// Its order is done.
    Finished,
    /// Taken back.
    Canceled,
    /// Refused at the trigger; the position is still there.
    Rejected,
    /// Its position is gone.
    Expired,
    /// A word we do not know.
    Other(Untrusted),
}

impl AlgoStatus {
    pub(super) fn from_wire(word: &str) -> Self {
        match word {
            "NEW" => Self::New,
            "TRIGGERING" => Self::Triggering,
            "TRIGGERED" => Self::Triggered,
            "FINISHED" => Self::Finished,
            "CANCELED" => Self::Canceled,
            "REJECTED" => Self::Rejected,
            "EXPIRED" => Self::Expired,
            other => Self::Other(other.into()),
        }
    }

    /// Whether it still protects: resting, or on its way to the market.
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::New | Self::Triggering | Self::Triggered)
    }
}

/// The exchange's word that it took an order. It carries no price: read that from fills or the position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderAck {
    /// The exchange's id.
    pub order_id: i64,
    /// State at the answer, if told.
    pub status: Option<OrderStatus>,
    /// Filled so far, if told.
    pub executed: Option<Quantity>,
    /// Time of the last change, if told.
    pub updated_at: Option<Timestamp>,
}

/// The exchange's word that it took a conditional order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgoAck {
    /// The exchange's id.
    pub algo_id: i64,
    /// State at the answer, if told.
    pub status: Option<AlgoStatus>,
    /// The trigger as the exchange keeps it, if told.
    pub trigger: Option<Price>,
}

/// An order as the exchange reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderReport {
    /// The exchange's id.
    pub order_id: i64,
    /// Our name for it, or the exchange's own for liquidations (`autoclose-…`).
    pub client_order_id: Option<ClientOrderId>,
    /// The contract.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// `MARKET`, `LIMIT`, …
    pub kind: Untrusted,
    /// State.
    pub status: OrderStatus,
    /// Ordered, if told.
    pub quantity: Option<Quantity>,
    /// Filled so far, if told.
    pub executed: Option<Quantity>,
    /// Average price of the fills; `None` before the first fill or if not told.
    pub average_price: Option<Price>,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// Time of the last change, if told.
    pub updated_at: Option<Timestamp>,
}

/// A conditional order as the exchange reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgoOrder {
    /// The exchange's id.
    pub algo_id: i64,
    /// Our name for it.
    pub client_order_id: Option<ClientOrderId>,
    /// The contract.
    pub symbol: Symbol,
    /// Side.
    pub side: Side,
    /// `STOP_MARKET`, `TAKE_PROFIT_MARKET`, …
    pub kind: Untrusted,
    /// State.
    pub status: AlgoStatus,
    /// The price that triggers it.
    pub trigger: Option<Price>,
    /// Its quantity; `None` for one that closes whatever is there.
    pub quantity: Option<Quantity>,
    /// Whether it closes the whole position.
    pub close_position: bool,
    /// Whether it may only reduce.
    pub reduce_only: bool,
    /// Which price triggers it (`MARK_PRICE`, `CONTRACT_PRICE`), if told.
    pub working_type: Option<Untrusted>,
    /// Whether it waits while mark and last price are far apart, if told.
    pub price_protect: Option<bool>,
    /// The order it became, once triggered.
    pub order_id: Option<i64>,
    /// When it was placed, if told.
    pub created_at: Option<Timestamp>,
}

impl AlgoOrder {
    /// Whether nothing but the mark price triggers it, in every market. What the exchange does not tell is taken to be
    /// as we ask for it.
    pub fn is_by_mark(&self) -> bool {
        self.working_type.as_ref().is_none_or(|word| word.raw() == "MARK_PRICE")
            && self.price_protect != Some(true)
    }

    /// Whether this is a live market stop that closes a position of this direction and can neither open nor flip one.
    pub fn protects(&self, direction: Direction) -> bool {
        self.kind.raw() == "STOP_MARKET"
            && self.status.is_live()
            && self.side == direction.closing_side()
            && (self.close_position || self.reduce_only)
    }
}

/// One fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The exchange's id of the trade, rising.
    pub id: i64,
    /// The order it belongs to.
    pub order_id: i64,
    /// The contract.
    pub symbol: Symbol,
    /// Side of our order.
    pub side: Side,
    /// Price.
    pub price: Price,
    /// Size.
    pub quantity: Quantity,
    /// Fee; positive is paid. In `commission_asset`, which is not USDT when fees are paid in BNB.
    pub commission: Decimal,
    /// What the fee is paid in.
    pub commission_asset: Untrusted,
    /// Realised profit and loss before fees.
    pub realised: Usdt,
    /// Whether we were the resting side.
    pub maker: bool,
    /// When.
    pub at: Timestamp,
}

/// One booking of the wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Income {
    /// The contract, unless the booking is about the account.
    pub symbol: Option<Symbol>,
    /// `FUNDING_FEE`, `COMMISSION`, `REALIZED_PNL`, `TRANSFER`, …
    pub kind: Untrusted,
    /// Signed amount; fees are negative. In `asset`.
    pub amount: Decimal,
    /// Its currency.
    pub asset: Untrusted,
    /// Unique together with `kind`.
    pub transaction_id: i64,
    /// The fill it belongs to, if any.
    pub trade_id: Option<i64>,
    /// When.
    pub at: Timestamp,
}

/// Fees of an account in a contract, as shares of the notional.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommissionRate {
    /// For resting orders.
    pub maker: Decimal,
    /// For market orders.
    pub taker: Decimal,
}

/// From where to read fills. The exchange returns the oldest of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TradesFrom {
    /// From this fill on, inclusive.
    Id(i64),
    /// From this instant on, at most seven days.
    Time(Timestamp),
    /// All fills of one order.
    Order(i64),
}
