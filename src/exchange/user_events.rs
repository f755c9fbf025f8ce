//! What the private stream tells.

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::domain::{ClientOrderId, Price, Quantity, Side, Symbol, Timestamp, Untrusted, Usdt};

use super::types::{AlgoStatus, OrderStatus};
use super::wire::{Num, instant, int, opt_bool, opt_int, opt_num};

/// One thing the private stream told. Order holds within one kind only: compare kinds by `at`.
#[derive(Debug, Clone, PartialEq)]
pub enum UserEvent {
    /// Something may have been missed, because the stream was opened (for the first time or again) or told what cannot
    /// be read. It has no replay: read the account now.
    Reconnected,
    /// The stream is gone and being reopened; until [`UserEvent::Reconnected`] only reads tell the truth.
    Disconnected {
        /// Why, without secrets.
        reason: String,
    },
    /// An order changed.
    Order(OrderUpdate),
    /// Balances or positions changed.
    Account(AccountUpdate),
    /// A conditional order changed.
    Algo(AlgoUpdate),
    /// A position is close to liquidation.
    MarginCall,
    /// A setting of the account changed, whoever changed it.
    Settings {
        /// The contract, when it was the leverage of one; `None` for the assets mode of the account.
        symbol: Option<Symbol>,
        /// The leverage that holds now.
        leverage: Option<u32>,
    },
    /// Something we have no use for.
    Other {
        /// Its kind on the wire.
        kind: Untrusted,
    },
}

/// An order changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderUpdate {
    /// The exchange's time.
    pub at: Option<Timestamp>,
    /// The contract.
    pub symbol: Symbol,
    /// The exchange's id.
    pub order_id: i64,
    /// Our name for it, or the exchange's (`autoclose-…` is a liquidation).
    pub client_order_id: Option<ClientOrderId>,
    /// Side.
    pub side: Option<Side>,
    /// What happened: `NEW`, `TRADE`, `CANCELED`, `EXPIRED`, …
    pub execution: Untrusted,
    /// State after it.
    pub status: OrderStatus,
    /// Filled in all, if told.
    pub executed: Option<Quantity>,
    /// Average price of all fills.
    pub average_price: Option<Price>,
    /// Price of this fill.
    pub last_price: Option<Price>,
    /// Size of this fill.
    pub last_quantity: Option<Quantity>,
    /// Id of this fill.
    pub trade_id: Option<i64>,
    /// Fee of this fill, in `commission_asset`.
    pub commission: Option<Decimal>,
    /// What the fee is paid in.
    pub commission_asset: Option<Untrusted>,
    /// Realised profit and loss of this fill before fees.
    pub realised: Option<Usdt>,
    /// Whether it may only reduce.
    pub reduce_only: bool,
}

/// Balances or positions changed. Only what changed is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountUpdate {
    /// The exchange's time.
    pub at: Option<Timestamp>,
    /// `ORDER`, `FUNDING_FEE`, `MARGIN_TRANSFER`, …
    pub cause: Untrusted,
    /// The USDT wallet, if it changed.
    pub wallet: Option<Usdt>,
    /// Positions that changed.
    pub positions: Vec<PositionUpdate>,
}

/// A position after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionUpdate {
    /// The contract.
    pub symbol: Symbol,
    /// Signed size: above zero is long, zero is flat.
    pub amount: Decimal,
    /// Average entry price, if there is a position.
    pub entry: Option<Price>,
    /// Unrealised profit and loss at that moment, if told.
    pub unrealised: Option<Usdt>,
}

/// A conditional order changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgoUpdate {
    /// The exchange's time.
    pub at: Option<Timestamp>,
    /// The contract.
    pub symbol: Symbol,
    /// The exchange's id.
    pub algo_id: i64,
    /// Our name for it.
    pub client_order_id: Option<ClientOrderId>,
    /// State after the change.
    pub status: AlgoStatus,
    /// The price that triggers it.
    pub trigger: Option<Price>,
    /// The order it became.
    pub order_id: Option<i64>,
    /// Why it failed, if it did.
    pub failure: Option<Untrusted>,
}

/// What one frame means to the stream's keeper.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Event(Box<UserEvent>),
    KeyExpired,
    /// The answer to a subscription, or something without a kind.
    Nothing,
}

/// Reads one frame. An error names what is wrong with it, without quoting it.
pub(super) fn parse(text: &str) -> Result<Frame, serde_json::Error> {
    #[derive(Deserialize)]
    struct Head {
        #[serde(default)]
        e: Option<String>,
    }
    let head: Head = serde_json::from_str(text)?;
    let Some(kind) = head.e else { return Ok(Frame::Nothing) };
    let event = match kind.as_str() {
        "ORDER_TRADE_UPDATE" => serde_json::from_str::<RawOrderEvent>(text)?.into_event(),
        "ACCOUNT_UPDATE" => Some(serde_json::from_str::<RawAccountEvent>(text)?.into_event()),
        "ALGO_UPDATE" => serde_json::from_str::<RawAlgoEvent>(text)?.into_event(),
        "ACCOUNT_CONFIG_UPDATE" => Some(serde_json::from_str::<RawSettingsEvent>(text)?.into_event()),
        "MARGIN_CALL" => Some(UserEvent::MarginCall),
        "listenKeyExpired" => return Ok(Frame::KeyExpired),
        _ => None,
    };
    Ok(Frame::Event(Box::new(event.unwrap_or(UserEvent::Other { kind: kind.into() }))))
}

fn price(value: Option<Decimal>) -> Option<Price> {
    Price::new(value?).ok()
}

fn quantity(value: Option<Decimal>) -> Option<Quantity> {
    Quantity::new(value?).ok()
}

#[derive(Deserialize)]
struct RawOrderEvent {
    #[serde(default, rename = "E", deserialize_with = "opt_int")]
    at: Option<i64>,
    o: RawOrder,
}

#[derive(Deserialize)]
struct RawOrder {
    s: String,
    #[serde(default)]
    c: String,
    #[serde(default, rename = "S")]
    side: String,
    #[serde(default, rename = "x")]
    execution: String,
    #[serde(rename = "X")]
    status: String,
    #[serde(rename = "i", deserialize_with = "int")]
    id: i64,
    #[serde(default, rename = "z", deserialize_with = "opt_num")]
    executed: Option<Decimal>,
    #[serde(default, rename = "ap", deserialize_with = "opt_num")]
    average: Option<Decimal>,
    #[serde(default, rename = "L", deserialize_with = "opt_num")]
    last_price: Option<Decimal>,
    #[serde(default, rename = "l", deserialize_with = "opt_num")]
    last_quantity: Option<Decimal>,
    #[serde(default, rename = "t", deserialize_with = "opt_int")]
    trade: Option<i64>,
    #[serde(default, rename = "n", deserialize_with = "opt_num")]
    commission: Option<Decimal>,
    #[serde(default, rename = "N")]
    commission_asset: Option<String>,
    #[serde(default, rename = "rp", deserialize_with = "opt_num")]
    realised: Option<Decimal>,
    #[serde(default, rename = "R", deserialize_with = "opt_bool")]
    reduce_only: Option<bool>,
}

impl RawOrderEvent {
    fn into_event(self) -> Option<UserEvent> {
        let order = self.o;
        Some(UserEvent::Order(OrderUpdate {
            at: instant(self.at),
            symbol: Symbol::new(&order.s).ok()?,
            order_id: order.id,
            client_order_id: ClientOrderId::new(order.c).ok(),
            side: match order.side.as_str() {
                "BUY" => Some(Side::Buy),
                "SELL" => Some(Side::Sell),
                _ => None,
            },
            execution: order.execution.into(),
            status: OrderStatus::from_wire(&order.status),
            executed: quantity(order.executed),
            average_price: price(order.average),
            last_price: price(order.last_price),
            last_quantity: quantity(order.last_quantity),
            trade_id: order.trade.filter(|id| *id > 0),
            commission: order.commission,
            commission_asset: order.commission_asset.map(Untrusted::new),
            realised: order.realised.map(Usdt::of),
            reduce_only: order.reduce_only.unwrap_or(false),
        }))
    }
}

#[derive(Deserialize)]
struct RawAccountEvent {
    #[serde(default, rename = "E", deserialize_with = "opt_int")]
    at: Option<i64>,
    a: RawAccount,
}

#[derive(Deserialize)]
struct RawAccount {
    #[serde(default, rename = "m")]
    cause: String,
    #[serde(default, rename = "B")]
    balances: Vec<RawBalance>,
    #[serde(default, rename = "P")]
    positions: Vec<RawPosition>,
}

#[derive(Deserialize)]
struct RawBalance {
    a: String,
    #[serde(default, deserialize_with = "opt_num")]
    wb: Option<Decimal>,
}

#[derive(Deserialize)]
struct RawPosition {
    s: String,
    pa: Num,
    #[serde(default, deserialize_with = "opt_num")]
    ep: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    up: Option<Decimal>,
}

impl RawAccountEvent {
    fn into_event(self) -> UserEvent {
        let wallet = self.a.balances.iter().find(|balance| balance.a == "USDT").and_then(|usdt| usdt.wb);
        let positions = self.a.positions.into_iter().filter_map(|row| {
            Some(PositionUpdate {
                symbol: Symbol::new(&row.s).ok()?,
                amount: row.pa.0,
                entry: price(row.ep),
                unrealised: row.up.map(Usdt::of),
            })
        });
        UserEvent::Account(AccountUpdate {
            at: instant(self.at),
            cause: self.a.cause.into(),
            wallet: wallet.map(Usdt::of),
            positions: positions.collect(),
        })
    }
}

#[derive(Deserialize)]
struct RawSettingsEvent {
    #[serde(default)]
    ac: Option<RawLeverage>,
}

#[derive(Deserialize)]
struct RawLeverage {
    s: String,
    #[serde(default, deserialize_with = "opt_int")]
    l: Option<i64>,
}

impl RawSettingsEvent {
    fn into_event(self) -> UserEvent {
        let leverage = self.ac.as_ref().and_then(|row| u32::try_from(row.l?).ok());
        // A contract whose name we cannot spell is not ours to trade; to look at all again does no harm.
        let symbol = self.ac.and_then(|row| Symbol::new(&row.s).ok());
        UserEvent::Settings { symbol, leverage }
    }
}

#[derive(Deserialize)]
struct RawAlgoEvent {
    #[serde(default, rename = "E", deserialize_with = "opt_int")]
    at: Option<i64>,
    o: RawAlgo,
}

#[derive(Deserialize)]
struct RawAlgo {
    #[serde(default)]
    caid: String,
    #[serde(deserialize_with = "int")]
    aid: i64,
    s: String,
    #[serde(rename = "X")]
    status: String,
    #[serde(default, rename = "tp", deserialize_with = "opt_num")]
    trigger: Option<Decimal>,
    #[serde(default, rename = "ai", deserialize_with = "opt_int")]
    order_id: Option<i64>,
    #[serde(default, rename = "rm")]
    failure: Option<String>,
}

impl RawAlgoEvent {
    fn into_event(self) -> Option<UserEvent> {
        let algo = self.o;
        Some(UserEvent::Algo(AlgoUpdate {
            at: instant(self.at),
            symbol: Symbol::new(&algo.s).ok()?,
            algo_id: algo.aid,
            client_order_id: ClientOrderId::new(algo.caid).ok(),
            status: AlgoStatus::from_wire(&algo.status),
            trigger: price(algo.trigger),
            order_id: algo.order_id.filter(|id| *id != 0),
            failure: algo.failure.filter(|text| !text.is_empty()).map(Untrusted::new),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_setting_names_its_contract_and_leverage() {
        let event = |text: &str| match parse(text).unwrap() {
            Frame::Event(event) => *event,
            frame => panic!("{frame:?}"),
        };
        let settings = |symbol, leverage| UserEvent::Settings { symbol, leverage };
        let btc = Symbol::new("BTCUSDT").unwrap();
        let leverage = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ac":{"s":"BTCUSDT","l":25}}"#;
        assert_eq!(event(leverage), settings(Some(btc), Some(25)));
        let assets = r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1,"T":1,"ai":{"j":true}}"#;
        assert_eq!(event(assets), settings(None, None));
    }
}
