//! The journal: an order stands here, with its name and its reason, before it is sent.

use std::sync::Arc;

use rusqlite::{Connection, Row, params};

use super::Store;
use super::error::StoreError;
use super::fills::{fills_of_coin, link_to_order, made_the_present, of_the_present};
use super::values::{collect, first, instant, money, unword, unword_some, word};
use crate::domain::{
    AccountName, ClientOrderId, CycleId, OrderPurpose, OrderState, Price, Quantity, Side, Symbol, Timestamp,
};

/// Who wanted an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The decision of this cycle for the order's account and coin; it must be in the store before the order.
    Decision {
        /// Which cycle.
        cycle: CycleId,
    },
    /// An operator.
    Operator {
        /// What was asked for, in words.
        command: String,
    },
    /// The guardian that protects positions.
    Guardian {
        /// Its rule.
        rule: String,
    },
}

/// An order that is about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderIntent {
    /// Our name for it; never used twice.
    pub client_order_id: ClientOrderId,
    /// Whose.
    pub account: AccountName,
    /// Which coin.
    pub symbol: Symbol,
    /// Why it exists.
    pub purpose: OrderPurpose,
    /// Buy or sell.
    pub side: Side,
    /// How much; `None` for a stop that covers the whole position.
    pub quantity: Option<Quantity>,
    /// The price that triggers a stop.
    pub trigger: Option<Price>,
    /// Who wanted it.
    pub origin: Origin,
    /// 1 for the first try.
    pub attempt: u32,
    /// Market time.
    pub market_time: Timestamp,
    /// Wall time of the sending: how long the order can still be on its way is counted from here.
    pub sent_at: Timestamp,
}

/// News of an order. What is `None` is not known and leaves the journal as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderUpdate {
    /// The exchange's id.
    pub exchange_id: Option<String>,
    /// Average price of the execution.
    pub average_price: Option<Price>,
    /// How much was executed.
    pub executed: Option<Quantity>,
    /// What the exchange, or the network, said against it.
    pub error: Option<String>,
    /// When it became known (market time).
    pub at: Timestamp,
}

/// An order in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredOrder {
    /// What was to be sent.
    pub intent: OrderIntent,
    /// Where it stands.
    pub state: OrderState,
    /// The exchange's id.
    pub exchange_id: Option<String>,
    /// Average price of the execution.
    pub average_price: Option<Price>,
    /// How much was executed.
    pub executed: Option<Quantity>,
    /// What was said against it.
    pub error: Option<String>,
    /// Time of the last news (market time).
    pub updated_at: Timestamp,
    /// When it came to its end, if it did (market time).
    pub settled_at: Option<Timestamp>,
}

impl OrderUpdate {
    /// News without any detail.
    pub const fn at(at: Timestamp) -> Self {
        Self { exchange_id: None, average_price: None, executed: None, error: None, at }
    }
}

const COLUMNS: &str =
    "client_order_id, account, symbol, purpose, side, quantity, trigger, cycle, operator, guardian,
    attempt, market_time, sent_at, state, exchange_id, average_price, executed, error, updated_at,
    settled_at";

impl Store {
    /// Writes an order down as sent. When this returns it is on the disk, and only then may the order be sent.
    ///
    /// A name that is in the journal already is [`StoreError::DuplicateOrder`]: that order must not be sent again.
    pub async fn record_intent(&self, intent: &OrderIntent) -> Result<(), StoreError> {
        let (venue, intent) = (Arc::clone(&self.venue), intent.clone());
        self.write(move |connection| insert_intent(connection, &venue, &intent)).await
    }

    /// Notes news of an order and returns where it stands now.
    ///
    /// News may arrive late and out of order: an order that came to its end stays there, and late news only fills in
    /// what was not known. The one way back is evidence that an order thought never to have been placed exists. Fills
    /// that came before the exchange's id of their order get its name.
    pub async fn update_order(
        &self,
        id: &ClientOrderId,
        state: OrderState,
        update: OrderUpdate,
    ) -> Result<OrderState, StoreError> {
        let (venue, id) = (Arc::clone(&self.venue), id.clone());
        self.write(move |connection| apply(connection, &venue, &id, state, &update)).await
    }

    /// One order of this venue by our name for it.
    pub async fn order(&self, id: &ClientOrderId) -> Result<Option<StoredOrder>, StoreError> {
        let (venue, id) = (Arc::clone(&self.venue), id.clone());
        self.read(move |connection| find(connection, &venue, &id)).await
    }

    /// The orders of this venue of which it is not known whether the exchange has them: after a start, what is to be
    /// resolved first.
    pub async fn unresolved_orders(&self) -> Result<Vec<StoredOrder>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM orders WHERE venue = ?1 AND state IN ('sent', 'unknown')
                 ORDER BY market_time, rowid"
            );
            let mut statement = connection.prepare_cached(&query)?;
            collect(&mut statement, [&*venue], order_of)
        })
        .await
    }

    /// The orders of an account that the exchange took and that have not come to their end, as far as is known.
    pub async fn accepted_orders(&self, account: &AccountName) -> Result<Vec<StoredOrder>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM orders WHERE venue = ?1 AND account = ?2 AND state = 'accepted'
                 ORDER BY market_time, rowid"
            );
            let mut statement = connection.prepare_cached(&query)?;
            collect(&mut statement, [&*venue, account.as_str()], order_of)
        })
        .await
    }

    /// The last orders of an account and coin, newest first.
    pub async fn orders_of(
        &self,
        account: &AccountName,
        symbol: &Symbol,
        limit: u32,
    ) -> Result<Vec<StoredOrder>, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM orders WHERE venue = ?1 AND account = ?2 AND symbol = ?3
                 ORDER BY market_time DESC, rowid DESC LIMIT ?4"
            );
            let mut statement = connection.prepare_cached(&query)?;
            let parameters = params![venue, account.as_str(), symbol.as_str(), limit];
            collect(&mut statement, parameters, order_of)
        })
        .await
    }

    /// The orders of an account and coin from an instant on (market time), newest first.
    pub async fn orders_since(
        &self,
        account: &AccountName,
        symbol: &Symbol,
        since: Timestamp,
    ) -> Result<Vec<StoredOrder>, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let query = format!(
                "SELECT {COLUMNS} FROM orders WHERE venue = ?1 AND account = ?2 AND symbol = ?3 AND market_time >= ?4
                 ORDER BY market_time DESC, rowid DESC"
            );
            let mut statement = connection.prepare_cached(&query)?;
            let since = since.timestamp_millis();
            collect(&mut statement, params![venue, account.as_str(), symbol.as_str(), since], order_of)
        })
        .await
    }

    /// Whether an opening of ours on this side made the position of a coin, or may have: one whose fate or whose fills are
    /// not known yet is taken to.
    pub async fn is_opened_by_us(
        &self,
        account: &AccountName,
        symbol: &Symbol,
        side: Side,
    ) -> Result<bool, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT client_order_id, state, market_time FROM orders
                 WHERE venue = ?1 AND account = ?2 AND symbol = ?3 AND purpose = 'open' AND side = ?4
                     AND state IN ('sent', 'unknown', 'accepted', 'filled')
                 ORDER BY market_time DESC, rowid DESC LIMIT 1",
            )?;
            let side = word(&side)?;
            let latest = first(&mut statement, [&*venue, account.as_str(), symbol.as_str(), &side], |row| {
                let id: ClientOrderId = unword("orders.client_order_id", &row.get::<_, String>(0)?)?;
                let state: OrderState = unword("orders.state", &row.get::<_, String>(1)?)?;
                Ok((id, state, instant("orders.market_time", row.get(2)?)?))
            })?;
            let Some((opening, state, sent_at)) = latest else { return Ok(false) };
            let fills = fills_of_coin(connection, &venue, &account, &symbol)?;
            Ok(if state == OrderState::Filled && fills.iter().any(|fill| fill.at >= sent_at) {
                of_the_present(&fills).iter().any(|fill| fill.order.as_ref() == Some(&opening))
            } else {
                true
            })
        })
        .await
    }

    /// When the position of an account and coin was opened (market time): when its last opening was filled, or, where our
    /// fills say that what it opened is gone, when they began anew.
    pub async fn opened_at(
        &self,
        account: &AccountName,
        symbol: &Symbol,
    ) -> Result<Option<Timestamp>, StoreError> {
        let (venue, account, symbol) = (Arc::clone(&self.venue), account.clone(), symbol.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT client_order_id, settled_at FROM orders
                 WHERE venue = ?1 AND account = ?2 AND symbol = ?3 AND purpose = 'open' AND state = 'filled'
                 ORDER BY settled_at DESC, rowid DESC LIMIT 1",
            )?;
            let latest = first(&mut statement, [&*venue, account.as_str(), symbol.as_str()], |row| {
                let id: ClientOrderId = unword("orders.client_order_id", &row.get::<_, String>(0)?)?;
                Ok((id, instant("orders.settled_at", row.get(1)?)?))
            })?;
            let fills = fills_of_coin(connection, &venue, &account, &symbol)?;
            Ok(match latest {
                Some((opening, at)) if made_the_present(&fills, &opening) => Some(at),
                _ => of_the_present(&fills).first().map(|fill| fill.at),
            })
        })
        .await
    }
}

fn insert_intent(connection: &Connection, venue: &str, intent: &OrderIntent) -> Result<(), StoreError> {
    let [cycle, operator, guardian] = match &intent.origin {
        Origin::Decision { cycle } => [Some(cycle.as_str()), None, None],
        Origin::Operator { command } => [None, Some(command.as_str()), None],
        Origin::Guardian { rule } => [None, None, Some(rule.as_str())],
    };
    let mut statement = connection.prepare_cached(
        "INSERT INTO orders (venue, client_order_id, account, symbol, purpose, side, quantity, trigger, cycle, operator,
             guardian, attempt, market_time, sent_at, state, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'sent', ?13)
         ON CONFLICT (venue, client_order_id) DO NOTHING",
    )?;
    let inserted = statement.execute(params![
        venue,
        intent.client_order_id.as_str(),
        intent.account.as_str(),
        intent.symbol.as_str(),
        word(&intent.purpose)?,
        word(&intent.side)?,
        intent.quantity.map(money),
        intent.trigger.map(money),
        cycle,
        operator,
        guardian,
        intent.attempt,
        intent.market_time.timestamp_millis(),
        intent.sent_at.timestamp_millis(),
    ])?;
    if inserted == 1 { Ok(()) } else { Err(StoreError::DuplicateOrder(intent.client_order_id.clone())) }
}

fn apply(
    connection: &Connection,
    venue: &str,
    id: &ClientOrderId,
    state: OrderState,
    update: &OrderUpdate,
) -> Result<OrderState, StoreError> {
    let before = find(connection, venue, id)?.ok_or_else(|| StoreError::UnknownOrder(id.clone()))?;
    let moves = may_become(before.state, state);
    let after = if moves { state } else { before.state };
    // Fresh news replaces, late news only completes.
    let details = if moves || before.state == state {
        "exchange_id = coalesce(?4, exchange_id), average_price = coalesce(?5, average_price),
         executed = coalesce(?6, executed), error = coalesce(?7, error)"
    } else {
        "exchange_id = coalesce(exchange_id, ?4), average_price = coalesce(average_price, ?5),
         executed = coalesce(executed, ?6), error = coalesce(error, ?7)"
    };
    let settled_at = match (is_settled(after), before.settled_at) {
        (true, Some(settled_at)) if !moves => Some(settled_at),
        (true, _) => Some(update.at),
        (false, _) => None,
    };
    let query = format!(
        "UPDATE orders SET state = ?3, {details}, updated_at = max(updated_at, ?8), settled_at = ?9
         WHERE venue = ?1 AND client_order_id = ?2"
    );
    connection.prepare_cached(&query)?.execute(params![
        venue,
        id.as_str(),
        after.as_str(),
        update.exchange_id,
        update.average_price.map(money),
        update.executed.map(money),
        update.error,
        update.at.timestamp_millis(),
        settled_at.map(|at| at.timestamp_millis()),
    ])?;
    if update.exchange_id.is_some() {
        link_to_order(connection, venue, id)?;
    }
    Ok(after)
}

/// Whether an order of this state came to its end.
const fn is_settled(state: OrderState) -> bool {
    matches!(state, OrderState::Filled | OrderState::Rejected | OrderState::NotPlaced | OrderState::Cancelled)
}

/// Whether news of `next` moves an order that stands at `now`.
const fn may_become(now: OrderState, next: OrderState) -> bool {
    use OrderState::{Accepted, Cancelled, Filled, NotPlaced, Rejected, Sent, Unknown};
    match (now, next) {
        // Nothing proves an order like its fill, whatever was concluded before.
        (NotPlaced | Rejected | Cancelled, Filled) => true,
        (_, Sent) | (Filled | Rejected | Cancelled, _) | (Unknown, Unknown) => false,
        (Sent | Unknown, _) => true,
        // Known to have reached the exchange: it cannot become doubtful or unplaced again.
        (Accepted, next) => matches!(next, Filled | Rejected | Cancelled),
        // The proof was wrong: the exchange shows the order after all.
        (NotPlaced, next) => matches!(next, Accepted | Cancelled),
    }
}

fn find(connection: &Connection, venue: &str, id: &ClientOrderId) -> Result<Option<StoredOrder>, StoreError> {
    let query = format!("SELECT {COLUMNS} FROM orders WHERE venue = ?1 AND client_order_id = ?2");
    let mut statement = connection.prepare_cached(&query)?;
    first(&mut statement, [venue, id.as_str()], order_of)
}

fn order_of(row: &Row<'_>) -> Result<StoredOrder, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let maybe = |index: usize| row.get::<_, Option<String>>(index);
    let settled_at: Option<i64> = row.get(19)?;
    let intent = OrderIntent {
        client_order_id: unword("orders.client_order_id", &text(0)?)?,
        account: unword("orders.account", &text(1)?)?,
        symbol: unword("orders.symbol", &text(2)?)?,
        purpose: unword("orders.purpose", &text(3)?)?,
        side: unword("orders.side", &text(4)?)?,
        quantity: unword_some("orders.quantity", maybe(5)?.as_deref())?,
        trigger: unword_some("orders.trigger", maybe(6)?.as_deref())?,
        origin: origin_of(maybe(7)?, maybe(8)?, maybe(9)?),
        attempt: row.get(10)?,
        market_time: instant("orders.market_time", row.get(11)?)?,
        sent_at: instant("orders.sent_at", row.get(12)?)?,
    };
    Ok(StoredOrder {
        intent,
        state: unword("orders.state", &text(13)?)?,
        exchange_id: maybe(14)?,
        average_price: unword_some("orders.average_price", maybe(15)?.as_deref())?,
        executed: unword_some("orders.executed", maybe(16)?.as_deref())?,
        error: maybe(17)?,
        updated_at: instant("orders.updated_at", row.get(18)?)?,
        settled_at: settled_at.map(|millis| instant("orders.settled_at", millis)).transpose()?,
    })
}

/// The schema sees to it that exactly one of the three is there.
fn origin_of(cycle: Option<String>, operator: Option<String>, guardian: Option<String>) -> Origin {
    match (cycle, operator) {
        (Some(cycle), _) => Origin::Decision { cycle: CycleId::from_stored(cycle) },
        (None, Some(command)) => Origin::Operator { command },
        (None, None) => Origin::Guardian { rule: guardian.unwrap_or_default() },
    }
}
