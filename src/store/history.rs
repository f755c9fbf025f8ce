//! What happened, for those who look back: cycles in lists and whole, money over a span, marks on a chart, the log.

use std::sync::Arc;

use rusqlite::{Row, params};
use rust_decimal::Decimal;

use super::Store;
use super::error::StoreError;
use super::ledger::LedgerKind;
use super::values::{collect, decimal, first, fold, instant, uncount, unword, unword_some};
use crate::domain::{
    AccountName, CycleId, CycleLine, CycleOutcomes, DecisionMark, Envelope, FillLine, OrderLine, Symbol,
    Timestamp, Usage, Usdt,
};

/// A movement of money in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Whose.
    pub account: AccountName,
    /// Why.
    pub kind: LedgerKind,
    /// Negative leaves the account.
    pub amount: Decimal,
    /// Of what.
    pub asset: String,
    /// Which coin it belongs to, if to one.
    pub symbol: Option<Symbol>,
    /// Market time.
    pub at: Timestamp,
}

/// What one request to the model cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModelSpending {
    /// Market time of its cycle.
    pub at: Timestamp,
    /// US dollars.
    pub cost: Decimal,
    /// Whether a figure behind it is our estimate, because the provider told none.
    pub is_estimate: bool,
}

/// A decision's outcome counted into its kind, and the columns a line of the list is read from.
const LINE: &str = "SELECT c.id, c.trigger, c.market_time, c.started_at, c.dry_run, c.state, c.failure,
    c.input_tokens, c.output_tokens, c.cache_read_input_tokens, c.cache_creation_input_tokens, c.cost_usd,
    json_extract(c.report, '$.timings_ms.total'), coalesce(json_array_length(c.report, '$.errors'), 0),
    sum(d.outcome = 'opened'), sum(d.outcome = 'closed'), sum(d.outcome = 'none'), sum(d.outcome = 'refused'),
    sum(d.outcome = 'invalid'), sum(d.outcome = 'failed'), sum(d.outcome = 'dry_run'),
    group_concat(DISTINCT CASE WHEN d.outcome IN ('opened', 'closed') THEN d.symbol END),
    coalesce(c.provider = 'builtin', 0)
        OR EXISTS (SELECT 1 FROM model_calls m WHERE m.cycle = c.id AND m.is_estimate)
    FROM cycles c LEFT JOIN decisions d ON d.cycle = c.id";

const ORDER: &str =
    "SELECT client_order_id, account, symbol, purpose, side, quantity, trigger, state, average_price,
    error, market_time FROM orders";

const FILL: &str =
    "SELECT f.account, f.symbol, f.side, f.price, f.quantity, f.commission, f.realised, o.purpose,
    f.client_order_id, f.at
    FROM fills f LEFT JOIN orders o ON o.venue = f.venue AND o.client_order_id = f.client_order_id";

impl Store {
    /// Cycles of this venue that began before a wall time, newest first.
    pub async fn cycle_lines(
        &self,
        before: Option<Timestamp>,
        limit: u32,
    ) -> Result<Vec<CycleLine>, StoreError> {
        let venue = Arc::clone(&self.venue);
        let before = before.map_or(i64::MAX, |before| before.timestamp_millis());
        self.read(move |connection| {
            // The cycles are chosen first: counting the decisions of all history for a screenful would take seconds.
            let query = format!(
                "{LINE} WHERE c.id IN (SELECT id FROM cycles WHERE venue = ?1 AND started_at < ?2
                                       ORDER BY started_at DESC LIMIT ?3)
                 GROUP BY c.id ORDER BY c.started_at DESC, c.rowid DESC"
            );
            let mut statement = connection.prepare_cached(&query)?;
            collect(&mut statement, params![venue, before, limit], line_of)
        })
        .await
    }

    /// The line of one cycle.
    pub async fn cycle_line(&self, cycle: &CycleId) -> Result<Option<CycleLine>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let query = format!("{LINE} WHERE c.id = ?1 GROUP BY c.id");
            let mut statement = connection.prepare_cached(&query)?;
            first(&mut statement, [cycle.as_str()], line_of)
        })
        .await
    }

    /// The orders a cycle caused, in the order of the journal.
    pub async fn orders_of_cycle(&self, cycle: &CycleId) -> Result<Vec<OrderLine>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let query = format!("{ORDER} WHERE cycle = ?1 ORDER BY rowid");
            let mut statement = connection.prepare_cached(&query)?;
            collect(&mut statement, [cycle.as_str()], order_of)
        })
        .await
    }

    /// The fills of the orders of a cycle, oldest first.
    pub async fn fills_of_cycle(&self, cycle: &CycleId) -> Result<Vec<FillLine>, StoreError> {
        let (venue, cycle) = (Arc::clone(&self.venue), cycle.clone());
        self.read(move |connection| {
            let query = format!("{FILL} WHERE f.venue = ?1 AND o.cycle = ?2 ORDER BY f.at, f.trade_id");
            let mut statement = connection.prepare_cached(&query)?;
            collect(&mut statement, [&*venue, cycle.as_str()], fill_of)
        })
        .await
    }

    /// The fills of a coin within a span of market time, oldest first.
    pub async fn fills_between(
        &self,
        symbol: &Symbol,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<FillLine>, StoreError> {
        let (venue, symbol) = (Arc::clone(&self.venue), symbol.clone());
        self.read(move |connection| {
            let query = format!(
                "{FILL} WHERE f.venue = ?1 AND f.symbol = ?2 AND f.at >= ?3 AND f.at < ?4 ORDER BY f.at, f.trade_id"
            );
            let mut statement = connection.prepare_cached(&query)?;
            let span = params![venue, symbol.as_str(), from.timestamp_millis(), to.timestamp_millis()];
            collect(&mut statement, span, fill_of)
        })
        .await
    }

    /// What was decided for a coin within a span of market time, oldest first.
    pub async fn decisions_between(
        &self,
        symbol: &Symbol,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<DecisionMark>, StoreError> {
        let (venue, symbol) = (Arc::clone(&self.venue), symbol.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT d.account, d.symbol, d.decision, d.confidence, d.reason, d.market_bias, d.risk_note, d.outcome,
                     d.rule, d.detail, d.orders, c.market_time
                 FROM cycles c JOIN decisions d ON d.cycle = c.id
                 WHERE c.venue = ?1 AND d.symbol = ?2 AND c.market_time >= ?3 AND c.market_time < ?4
                 ORDER BY c.market_time, d.account",
            )?;
            let span = params![venue, symbol.as_str(), from.timestamp_millis(), to.timestamp_millis()];
            collect(&mut statement, span, |row| {
                let (proposal, outcome) = super::decisions::row_of(row)?;
                Ok(DecisionMark {
                    at: instant("cycles.market_time", row.get(11)?)?,
                    account: proposal.account,
                    decision: proposal.decision,
                    confidence: proposal.confidence,
                    outcome: outcome.map(|outcome| outcome.kind),
                })
            })
        })
        .await
    }

    /// Adds every movement of money at this venue within a span of market time to `sums`, in no order: a year of them
    /// is never in memory at once.
    pub async fn movements_between<T: Send + 'static>(
        &self,
        from: Timestamp,
        to: Timestamp,
        sums: T,
        add: impl Fn(&mut T, Movement) + Send + 'static,
    ) -> Result<T, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, kind, amount, asset, symbol, at FROM ledger
                 WHERE venue = ?1 AND at >= ?2 AND at < ?3",
            )?;
            let span = params![venue, from.timestamp_millis(), to.timestamp_millis()];
            fold(&mut statement, span, sums, add, |row| {
                let text = |index: usize| row.get::<_, String>(index);
                Ok(Movement {
                    account: unword("ledger.account", &text(0)?)?,
                    kind: unword("ledger.kind", &text(1)?)?,
                    amount: decimal("ledger.amount", &text(2)?)?,
                    asset: text(3)?,
                    symbol: unword_some("ledger.symbol", row.get::<_, Option<String>>(4)?.as_deref())?,
                    at: instant("ledger.at", row.get(5)?)?,
                })
            })
        })
        .await
    }

    /// Adds what the model cost in each cycle of this venue, by the cycle's market time, to `sums`, in no order.
    pub async fn model_costs_between<T: Send + 'static>(
        &self,
        from: Timestamp,
        to: Timestamp,
        sums: T,
        add: impl Fn(&mut T, ModelSpending) + Send + 'static,
    ) -> Result<T, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT c.market_time, m.cost_usd, m.is_estimate
                 FROM cycles c JOIN model_calls m ON m.cycle = c.id
                 WHERE c.venue = ?1 AND c.market_time >= ?2 AND c.market_time < ?3",
            )?;
            let span = params![venue, from.timestamp_millis(), to.timestamp_millis()];
            fold(&mut statement, span, sums, add, |row| {
                let cost: String = row.get(1)?;
                Ok(ModelSpending {
                    at: instant("cycles.market_time", row.get(0)?)?,
                    cost: decimal("model_calls.cost_usd", &cost)?,
                    is_estimate: row.get(2)?,
                })
            })
        })
        .await
    }

    /// Events of record before a place in the log, newest first, each with its place.
    pub async fn events_before(
        &self,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<(i64, Envelope)>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, seq, at, cycle, event FROM events WHERE id < ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            collect(&mut statement, params![before.unwrap_or(i64::MAX), limit], |row| {
                let event: String = row.get(4)?;
                let cycle: Option<String> = row.get(3)?;
                let envelope = Envelope {
                    seq: uncount("events.seq", row.get(1)?)?,
                    at: instant("events.at", row.get(2)?)?,
                    cycle: unword_some("events.cycle", cycle.as_deref())?,
                    event: serde_json::from_str(&event)?,
                };
                Ok((row.get(0)?, envelope))
            })
        })
        .await
    }
}

fn line_of(row: &Row<'_>) -> Result<CycleLine, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let tokens = |index: usize| {
        let count: Option<i64> = row.get(index)?;
        count.map(|count| uncount("cycles tokens", count)).transpose()
    };
    let counted = |index: usize| Ok::<_, StoreError>(row.get::<_, Option<u32>>(index)?.unwrap_or_default());
    let cost: Option<String> = row.get(11)?;
    let usage = match (tokens(7)?, tokens(8)?, cost) {
        (Some(input_tokens), Some(output_tokens), Some(cost)) => Some(Usage {
            input_tokens,
            output_tokens,
            cache_read_input_tokens: tokens(9)?.unwrap_or_default(),
            cache_creation_input_tokens: tokens(10)?.unwrap_or_default(),
            cost_usd: decimal("cycles.cost_usd", &cost)?,
            is_estimate: row.get(22)?,
        }),
        _ => None,
    };
    Ok(CycleLine {
        id: unword("cycles.id", &text(0)?)?,
        trigger: unword("cycles.trigger", &text(1)?)?,
        market_time: instant("cycles.market_time", row.get(2)?)?,
        started_at: instant("cycles.started_at", row.get(3)?)?,
        dry_run: row.get(4)?,
        state: text(5)?,
        failure: row.get(6)?,
        usage,
        total_ms: row.get(12)?,
        errors: row.get(13)?,
        coins: coins_of(row.get::<_, Option<String>>(21)?.as_deref())?,
        outcomes: CycleOutcomes {
            opened: counted(14)?,
            closed: counted(15)?,
            none: counted(16)?,
            refused: counted(17)?,
            invalid: counted(18)?,
            failed: counted(19)?,
            dry_run: counted(20)?,
        },
    })
}

/// Coins from a list parted by commas, in alphabetical order.
fn coins_of(list: Option<&str>) -> Result<Vec<Symbol>, StoreError> {
    let names = list.into_iter().flat_map(|list| list.split(','));
    let mut coins: Vec<Symbol> =
        names.map(|name| unword("decisions.symbol", name)).collect::<Result<_, _>>()?;
    coins.sort();
    Ok(coins)
}

fn order_of(row: &Row<'_>) -> Result<OrderLine, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let some = |index: usize| row.get::<_, Option<String>>(index);
    Ok(OrderLine {
        client_order_id: unword("orders.client_order_id", &text(0)?)?,
        account: unword("orders.account", &text(1)?)?,
        symbol: unword("orders.symbol", &text(2)?)?,
        purpose: unword("orders.purpose", &text(3)?)?,
        side: unword("orders.side", &text(4)?)?,
        quantity: unword_some("orders.quantity", some(5)?.as_deref())?,
        trigger: unword_some("orders.trigger", some(6)?.as_deref())?,
        state: unword("orders.state", &text(7)?)?,
        average_price: unword_some("orders.average_price", some(8)?.as_deref())?,
        error: some(9)?,
        at: instant("orders.market_time", row.get(10)?)?,
    })
}

fn fill_of(row: &Row<'_>) -> Result<FillLine, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let some = |index: usize| row.get::<_, Option<String>>(index);
    Ok(FillLine {
        account: unword("fills.account", &text(0)?)?,
        symbol: unword("fills.symbol", &text(1)?)?,
        side: unword("fills.side", &text(2)?)?,
        price: unword("fills.price", &text(3)?)?,
        quantity: unword("fills.quantity", &text(4)?)?,
        commission: Usdt::of(decimal("fills.commission", &text(5)?)?),
        realised: Usdt::of(decimal("fills.realised", &text(6)?)?),
        purpose: unword_some("orders.purpose", some(7)?.as_deref())?,
        client_order_id: unword_some("fills.client_order_id", some(8)?.as_deref())?,
        at: instant("fills.at", row.get(9)?)?,
    })
}
