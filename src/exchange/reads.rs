//! What can be asked. Every method is a GET: retried, and never changing anything.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;

use crate::domain::{ClientOrderId, Direction, Price, Quantity, Side, Symbol, Timestamp, Untrusted, Usdt};

use super::client::{ExchangeClient, RULES, Security};
use super::error::ExchangeError;
use super::outcome::codes;
use super::rules::{RawSymbol, SymbolRules};
use super::signing::Params;
use super::types::{
    AccountBalance, AccountFlags, AlgoOrder, AlgoStatus, Bracket, CommissionRate, ExchangePosition, Held,
    KeyPermissions, LeverageBrackets, OrderReport, OrderStatus, PositionMode, SymbolConfig,
};
use super::wire::{Num, OneOrMany, instant, int, opt_bool, opt_int, opt_num};

const POSITIONS: &str = "/fapi/v3/positionRisk";

impl ExchangeClient {
    /// The rules of every contract whose name and filters we understand (weight 1, more than a megabyte).
    pub async fn exchange_info(&self) -> Result<BTreeMap<Symbol, SymbolRules>, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Info {
            symbols: Vec<RawSymbol>,
            #[serde(default)]
            rate_limits: Vec<RawLimit>,
        }
        let info: Info = self.read(RULES, Params::new(), Security::Public).await?;
        if let Some(limit) = info.rate_limits.iter().find_map(RawLimit::weight_a_minute) {
            self.limits().set_weight_limit(limit);
        }
        self.limits().rules_are_known();
        let rules = info.symbols.into_iter().filter_map(SymbolRules::from_wire);
        Ok(rules.map(|rules| (rules.symbol.clone(), rules)).collect())
    }

    /// Balances (weight 5).
    pub async fn account(&self) -> Result<AccountBalance, ExchangeError> {
        #[derive(Deserialize)]
        struct Account {
            #[serde(rename = "totalWalletBalance")]
            wallet: Num,
            #[serde(rename = "totalMarginBalance")]
            equity: Num,
            #[serde(rename = "availableBalance")]
            available: Num,
        }
        let account: Account = self.read("/fapi/v3/account", Params::new(), Security::READ).await?;
        Ok(AccountBalance {
            wallet: Usdt::of(account.wallet.0),
            equity: Usdt::of(account.equity.0),
            available: Usdt::of(account.available.0),
        })
    }

    /// Open positions (weight 5). Rows of size zero are left out, and so, with a line in the log, are contracts whose
    /// names the house cannot spell. One row without sense makes the whole answer an error.
    pub async fn positions(&self) -> Result<Vec<ExchangePosition>, ExchangeError> {
        let read = self.held().await?;
        match read.unreadable.first() {
            Some((_, reason)) => Err(ExchangeError::bad_answer(POSITIONS, reason)),
            None => Ok(read.positions),
        }
    }

    /// Open positions (weight 5), with the contracts whose rows make no sense named apart: one of them must not hide
    /// the others.
    pub async fn held(&self) -> Result<Held, ExchangeError> {
        let rows: Vec<RawPosition> = self.read(POSITIONS, Params::new(), Security::READ).await?;
        let mut held = Held::default();
        let rows = rows.into_iter().filter(|row| !row.position_amt.0.is_zero());
        for (symbol, row) in rows.filter_map(|row| known_symbol(&row.symbol).map(|symbol| (symbol, row))) {
            match row.into_position(symbol.clone()) {
                Ok(position) => held.positions.push(position),
                Err(reason) => held.unreadable.push((symbol, reason)),
            }
        }
        Ok(held)
    }

    /// Leverage and margin type of one contract, or of all (weight 5).
    pub async fn symbol_configs(&self, symbol: Option<&Symbol>) -> Result<Vec<SymbolConfig>, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Row {
            symbol: String,
            margin_type: String,
            #[serde(deserialize_with = "int")]
            leverage: i64,
        }
        const PATH: &str = "/fapi/v1/symbolConfig";
        let rows: OneOrMany<Row> = self.read(PATH, with_symbol(symbol), Security::READ).await?;
        rows.into_vec()
            .into_iter()
            .filter_map(|row| known_symbol(&row.symbol).map(|symbol| (symbol, row)))
            .map(|(symbol, row)| {
                let leverage = u32::try_from(row.leverage)
                    .map_err(|_| ExchangeError::bad_answer(PATH, &"a leverage below zero"))?;
                Ok(SymbolConfig {
                    symbol,
                    leverage,
                    isolated: row.margin_type.eq_ignore_ascii_case("isolated"),
                })
            })
            .collect()
    }

    /// What the account may do and how it is set (weight 5): what arming live trading looks at.
    pub async fn account_flags(&self) -> Result<AccountFlags, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default, deserialize_with = "opt_bool")]
            can_trade: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            dual_side_position: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            multi_assets_margin: Option<bool>,
        }
        let raw: Raw = self.read("/fapi/v1/accountConfig", Params::new(), Security::READ).await?;
        Ok(AccountFlags {
            can_trade: raw.can_trade,
            hedge: raw.dual_side_position,
            multi_assets: raw.multi_assets_margin,
        })
    }

    /// What the account's key may do (weight 1, of the host that knows all of an owner's wallets): what arming live
    /// trading looks at.
    pub async fn key_permissions(&self) -> Result<KeyPermissions, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            #[serde(default, deserialize_with = "opt_bool")]
            ip_restrict: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            enable_futures: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            enable_withdrawals: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            enable_internal_transfer: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            permits_universal_transfer: Option<bool>,
            #[serde(default, deserialize_with = "opt_bool")]
            enable_spot_and_margin_trading: Option<bool>,
        }
        let raw: Raw = self.read("/sapi/v1/account/apiRestrictions", Params::new(), Security::READ).await?;
        Ok(KeyPermissions {
            ip_restricted: raw.ip_restrict,
            trades_futures: raw.enable_futures,
            withdraws: raw.enable_withdrawals,
            transfers_internally: raw.enable_internal_transfer,
            transfers_universally: raw.permits_universal_transfer,
            trades_spot: raw.enable_spot_and_margin_trading,
        })
    }

    /// One-way or hedge (weight 30).
    pub async fn position_mode(&self) -> Result<PositionMode, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Mode {
            #[serde(deserialize_with = "opt_bool")]
            dual_side_position: Option<bool>,
        }
        const PATH: &str = "/fapi/v1/positionSide/dual";
        let mode: Mode = self.read(PATH, Params::new(), Security::READ).await?;
        match mode.dual_side_position {
            Some(true) => Ok(PositionMode::Hedge),
            Some(false) => Ok(PositionMode::OneWay),
            None => Err(ExchangeError::bad_answer(PATH, &"dualSidePosition is neither true nor false")),
        }
    }

    /// Leverage steps of one contract, or of all (weight 1).
    pub async fn leverage_brackets(
        &self,
        symbol: Option<&Symbol>,
    ) -> Result<Vec<LeverageBrackets>, ExchangeError> {
        #[derive(Deserialize)]
        struct Row {
            symbol: String,
            brackets: Vec<RawBracket>,
        }
        let rows: OneOrMany<Row> =
            self.read("/fapi/v1/leverageBracket", with_symbol(symbol), Security::READ).await?;
        Ok(rows
            .into_vec()
            .into_iter()
            .filter_map(|row| {
                let symbol = known_symbol(&row.symbol)?;
                Some(LeverageBrackets {
                    symbol,
                    brackets: row.brackets.into_iter().map(Bracket::from).collect(),
                })
            })
            .collect())
    }

    /// Open plain orders (weight 1 for one contract, 40 for all). Untriggered stops are never among them.
    pub async fn open_orders(&self, symbol: Option<&Symbol>) -> Result<Vec<OrderReport>, ExchangeError> {
        const PATH: &str = "/fapi/v1/openOrders";
        let rows: Vec<RawOrder> = self.read(PATH, with_symbol(symbol), Security::READ).await?;
        rows.into_iter()
            .filter(|row| known_symbol(&row.symbol).is_some())
            .map(|row| row.into_report(PATH))
            .collect()
    }

    /// One order by our name for it (weight 1). `None` when the exchange does not know it, which for a fresh order is
    /// not proof that it does not live.
    pub async fn order(
        &self,
        symbol: &Symbol,
        id: &ClientOrderId,
    ) -> Result<Option<OrderReport>, ExchangeError> {
        const PATH: &str = "/fapi/v1/order";
        let params = with_symbol(Some(symbol)).with("origClientOrderId", id.as_str());
        let row: Result<RawOrder, _> = self.read(PATH, params, Security::READ).await;
        none_if_unknown(row)?.map(|row| row.into_report(PATH)).transpose()
    }

    /// One order by the exchange's number (weight 1): orders of others have names we do not know.
    pub async fn order_by_number(
        &self,
        symbol: &Symbol,
        order_id: i64,
    ) -> Result<Option<OrderReport>, ExchangeError> {
        const PATH: &str = "/fapi/v1/order";
        let params = with_symbol(Some(symbol)).with_number("orderId", order_id);
        let row: Result<RawOrder, _> = self.read(PATH, params, Security::READ).await;
        none_if_unknown(row)?.map(|row| row.into_report(PATH)).transpose()
    }

    /// Resting conditional orders (weight 1 for one contract, 40 for all).
    pub async fn open_algo_orders(&self, symbol: Option<&Symbol>) -> Result<Vec<AlgoOrder>, ExchangeError> {
        const PATH: &str = "/fapi/v1/openAlgoOrders";
        RawAlgoOrder::into_orders(self.read(PATH, with_symbol(symbol), Security::READ).await?, PATH)
    }

    /// One conditional order by our name for it (weight 1). `None` when the exchange does not know it; right after
    /// placing it this may be read lag.
    pub async fn algo_order(&self, id: &ClientOrderId) -> Result<Option<AlgoOrder>, ExchangeError> {
        const PATH: &str = "/fapi/v1/algoOrder";
        let params = Params::new().with("clientAlgoId", id.as_str());
        let row: Result<RawAlgoOrder, _> = self.read(PATH, params, Security::READ).await;
        none_if_unknown(row)?.map(|row| row.into_order(PATH)).transpose()
    }

    /// Conditional orders of a contract since an instant, whatever became of them (weight 5, at most seven days).
    pub async fn all_algo_orders(
        &self,
        symbol: &Symbol,
        since: Option<Timestamp>,
    ) -> Result<Vec<AlgoOrder>, ExchangeError> {
        const PATH: &str = "/fapi/v1/allAlgoOrders";
        let params =
            with_symbol(Some(symbol)).with_some("startTime", since.map(millis)).with("limit", "1000");
        RawAlgoOrder::into_orders(self.read(PATH, params, Security::READ).await?, PATH)
    }

    /// Fees of the account in a contract (weight 20).
    pub async fn commission_rate(&self, symbol: &Symbol) -> Result<CommissionRate, ExchangeError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Rate {
            maker_commission_rate: Num,
            taker_commission_rate: Num,
        }
        let rate: Rate =
            self.read("/fapi/v1/commissionRate", with_symbol(Some(symbol)), Security::READ).await?;
        Ok(CommissionRate { maker: rate.maker_commission_rate.0, taker: rate.taker_commission_rate.0 })
    }
}

pub(super) fn with_symbol(symbol: Option<&Symbol>) -> Params {
    Params::new().with_some("symbol", symbol.map(Symbol::as_str))
}

pub(super) fn millis(at: Timestamp) -> String {
    at.timestamp_millis().to_string()
}

/// "No such order" is an answer, not a failure.
fn none_if_unknown<T>(result: Result<T, ExchangeError>) -> Result<Option<T>, ExchangeError> {
    match result {
        Err(error) if error.code() == Some(codes::NO_SUCH_ORDER) => Ok(None),
        result => result.map(Some),
    }
}

/// Contracts with names outside our alphabet are not ours to trade; what is seen of them is logged and left out.
pub(super) fn known_symbol(name: &str) -> Option<Symbol> {
    let symbol = Symbol::new(name).ok();
    if symbol.is_none() {
        tracing::warn!(?name, "a contract with an unusual name is left out");
    }
    symbol
}

pub(super) fn symbol(name: &str, path: &str) -> Result<Symbol, ExchangeError> {
    Symbol::new(name).map_err(|error| ExchangeError::bad_answer(path, &error))
}

pub(super) fn side(word: &str, path: &str) -> Result<Side, ExchangeError> {
    match word {
        "BUY" => Ok(Side::Buy),
        "SELL" => Ok(Side::Sell),
        _ => Err(ExchangeError::bad_answer(path, &"a side that is neither BUY nor SELL")),
    }
}

pub(super) fn quantity(value: Option<Decimal>) -> Option<Quantity> {
    Quantity::new(value?).ok()
}

/// A price; the exchange writes "there is none" as 0.
pub(super) fn price(value: Option<Decimal>) -> Option<Price> {
    Price::new(value?).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPosition {
    symbol: String,
    position_amt: Num,
    #[serde(default)]
    position_side: Option<String>,
    entry_price: Num,
    mark_price: Num,
    // Spelled with a capital R on this endpoint only.
    #[serde(rename = "unRealizedProfit", alias = "unrealizedProfit")]
    unrealised: Num,
    #[serde(default, deserialize_with = "opt_num")]
    liquidation_price: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    isolated_margin: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_int")]
    update_time: Option<i64>,
}

impl RawPosition {
    fn into_position(self, symbol: Symbol) -> Result<ExchangePosition, String> {
        let amount = self.position_amt.0;
        // Of two sides of one coin neither is what the account holds, and no order without a side reaches either.
        if let Some(side) = self.position_side.filter(|side| side != "BOTH") {
            return Err(format!("{symbol} holds a {side} side: the account is in hedge mode"));
        }
        Ok(ExchangePosition {
            direction: if amount.is_sign_negative() { Direction::Short } else { Direction::Long },
            quantity: Quantity::new(amount.abs()).map_err(|error| error.to_string())?,
            entry: Price::new(self.entry_price.0).map_err(|error| format!("entry of {symbol}: {error}"))?,
            mark: Price::new(self.mark_price.0).map_err(|error| format!("mark of {symbol}: {error}"))?,
            unrealised: Usdt::of(self.unrealised.0),
            isolated_margin: self.isolated_margin.filter(|margin| !margin.is_zero()).map(Usdt::of),
            liquidation: price(self.liquidation_price),
            updated_at: instant(self.update_time),
            symbol,
        })
    }
}

/// One of the exchange's own limits.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawLimit {
    #[serde(default)]
    rate_limit_type: String,
    #[serde(default)]
    interval: String,
    #[serde(default, deserialize_with = "opt_int")]
    interval_num: Option<i64>,
    #[serde(default, deserialize_with = "opt_int")]
    limit: Option<i64>,
}

impl RawLimit {
    fn weight_a_minute(&self) -> Option<u32> {
        let is_weight = self.rate_limit_type == "REQUEST_WEIGHT"
            && self.interval == "MINUTE"
            && self.interval_num == Some(1);
        is_weight
            .then_some(self.limit?)
            .filter(|limit| *limit > 0)
            .and_then(|limit| u32::try_from(limit).ok())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBracket {
    #[serde(deserialize_with = "int")]
    initial_leverage: i64,
    notional_floor: Num,
    notional_cap: Num,
    maint_margin_ratio: Num,
    cum: Num,
}

impl From<RawBracket> for Bracket {
    fn from(raw: RawBracket) -> Self {
        Self {
            leverage: u32::try_from(raw.initial_leverage).unwrap_or(0),
            notional_floor: raw.notional_floor.0,
            notional_cap: raw.notional_cap.0,
            maintenance_share: raw.maint_margin_ratio.0,
            maintenance_offset: raw.cum.0,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOrder {
    #[serde(deserialize_with = "int")]
    order_id: i64,
    #[serde(default)]
    client_order_id: String,
    symbol: String,
    side: String,
    #[serde(default, rename = "type")]
    kind: String,
    status: String,
    #[serde(default, deserialize_with = "opt_num")]
    orig_qty: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    executed_qty: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    avg_price: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_bool")]
    reduce_only: Option<bool>,
    #[serde(default, deserialize_with = "opt_int")]
    update_time: Option<i64>,
}

impl RawOrder {
    fn into_report(self, path: &str) -> Result<OrderReport, ExchangeError> {
        Ok(OrderReport {
            symbol: symbol(&self.symbol, path)?,
            side: side(&self.side, path)?,
            order_id: self.order_id,
            client_order_id: ClientOrderId::new(self.client_order_id).ok(),
            kind: self.kind.into(),
            status: OrderStatus::from_wire(&self.status),
            quantity: quantity(self.orig_qty),
            executed: quantity(self.executed_qty),
            average_price: price(self.avg_price),
            reduce_only: self.reduce_only.unwrap_or(false),
            updated_at: instant(self.update_time),
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlgoOrder {
    #[serde(deserialize_with = "int")]
    algo_id: i64,
    #[serde(default)]
    client_algo_id: String,
    symbol: String,
    side: String,
    #[serde(default, alias = "type")]
    order_type: String,
    algo_status: String,
    #[serde(default, deserialize_with = "opt_num")]
    trigger_price: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_num")]
    quantity: Option<Decimal>,
    #[serde(default, deserialize_with = "opt_bool")]
    close_position: Option<bool>,
    #[serde(default, deserialize_with = "opt_bool")]
    reduce_only: Option<bool>,
    #[serde(default)]
    working_type: Option<String>,
    #[serde(default, deserialize_with = "opt_bool")]
    price_protect: Option<bool>,
    #[serde(default, deserialize_with = "opt_int")]
    actual_order_id: Option<i64>,
    #[serde(default, deserialize_with = "opt_int")]
    create_time: Option<i64>,
}

impl RawAlgoOrder {
    fn into_order(self, path: &str) -> Result<AlgoOrder, ExchangeError> {
        Ok(AlgoOrder {
            symbol: symbol(&self.symbol, path)?,
            side: side(&self.side, path)?,
            algo_id: self.algo_id,
            client_order_id: ClientOrderId::new(self.client_algo_id).ok(),
            kind: self.order_type.into(),
            status: AlgoStatus::from_wire(&self.algo_status),
            trigger: price(self.trigger_price),
            quantity: quantity(self.quantity).filter(|quantity| !quantity.is_zero()),
            close_position: self.close_position.unwrap_or(false),
            reduce_only: self.reduce_only.unwrap_or(false),
            working_type: self.working_type.filter(|word| !word.is_empty()).map(Untrusted::from),
            price_protect: self.price_protect,
            order_id: self.actual_order_id.filter(|id| *id != 0),
            created_at: instant(self.create_time),
        })
    }

    fn into_orders(rows: Vec<Self>, path: &str) -> Result<Vec<AlgoOrder>, ExchangeError> {
        rows.into_iter()
            .filter(|row| known_symbol(&row.symbol).is_some())
            .map(|row| row.into_order(path))
            .collect()
    }
}
