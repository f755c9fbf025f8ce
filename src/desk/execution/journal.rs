//! Write, then act, then tell: every step of an order in the store before it is taken or shown.

use std::time::Duration;

use super::AccountDesk;
use super::ids::{OrderReason, client_order_id};
use crate::domain::{
    ClientOrderId, CycleId, Event, OrderPurpose, OrderState, Price, Quantity, Severity, Side, Symbol,
};
use crate::store::{OrderIntent, OrderUpdate, Origin, StoreError};

/// Who or what is behind an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A decision of this cycle.
    Cycle(CycleId),
    /// An operator's command, by its number within this run and the market time it came.
    Operator(String),
    /// The guardian, by what it found.
    Guardian(String),
}

impl Cause {
    pub(super) fn as_text(&self) -> &str {
        match self {
            Self::Cycle(cycle) => cycle.as_str(),
            Self::Operator(text) | Self::Guardian(text) => text,
        }
    }

    pub(super) fn cycle(&self) -> Option<&CycleId> {
        match self {
            Self::Cycle(cycle) => Some(cycle),
            Self::Operator(_) | Self::Guardian(_) => None,
        }
    }
}

/// An order as it is to be written down.
#[derive(Debug, Clone)]
pub(super) struct Draft<'a> {
    pub(super) cause: &'a Cause,
    pub(super) symbol: &'a Symbol,
    pub(super) purpose: OrderPurpose,
    pub(super) side: Side,
    /// How much; a stop over the whole position says nothing.
    pub(super) quantity: Option<Quantity>,
    /// Where a stop is triggered.
    pub(super) trigger: Option<Price>,
    /// 1 for the first; only what reduces is ever tried again under a new name.
    pub(super) attempt: u32,
}

impl Draft<'_> {
    fn under(&self, id: ClientOrderId) -> Journaled {
        Journaled {
            id,
            cause: self.cause.clone(),
            symbol: self.symbol.clone(),
            purpose: self.purpose,
            side: self.side,
            quantity: self.quantity,
            price: self.trigger,
        }
    }
}

/// An order that is in the journal and may be sent.
#[derive(Debug, Clone)]
pub(super) struct Journaled {
    pub(super) id: ClientOrderId,
    pub(super) cause: Cause,
    pub(super) symbol: Symbol,
    pub(super) purpose: OrderPurpose,
    pub(super) side: Side,
    pub(super) quantity: Option<Quantity>,
    pub(super) price: Option<Price>,
}

impl Journaled {
    /// An order that an earlier hand wrote down.
    pub(super) fn recalled(intent: &OrderIntent) -> Self {
        Self {
            id: intent.client_order_id.clone(),
            cause: Cause::Guardian("recovery".to_owned()),
            symbol: intent.symbol.clone(),
            purpose: intent.purpose,
            side: intent.side,
            quantity: intent.quantity,
            price: intent.trigger,
        }
    }
}

/// What is learned about an order.
#[derive(Debug, Clone, Default)]
pub(super) struct Learned {
    pub(super) exchange_id: Option<String>,
    pub(super) price: Option<Price>,
    pub(super) executed: Option<Quantity>,
    pub(super) error: Option<String>,
}

/// Why what protects goes out without a journal entry.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unjournaled {
    /// The journal refused it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk hangs. The entry may still be written later; the guardian then settles it like any other.
    #[error("the disk did not answer in time")]
    Late,
}

/// How long what protects waits for the disk.
const JOURNAL_TIME: Duration = Duration::from_millis(300);
/// How long whoever watches an account waits for the disk, in what it only reads or writes down.
const DISK_TIME: Duration = Duration::from_secs(1);

/// Waits for the store no longer than who watches an account may. What was to be written is still written later.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, StoreError>>) -> Result<T, Unjournaled> {
    match tokio::time::timeout(DISK_TIME, work).await {
        Ok(done) => Ok(done?),
        Err(_elapsed) => Err(Unjournaled::Late),
    }
}

impl AccountDesk {
    /// Like [`Self::journal`], for what protects: a disk that hangs does not hold it up.
    pub(super) async fn journal_in_time(&self, draft: &Draft<'_>) -> Result<Journaled, Unjournaled> {
        match tokio::time::timeout(JOURNAL_TIME, self.journal(draft)).await {
            Ok(written) => Ok(written?),
            Err(_elapsed) => {
                self.set_unbooked(draft.symbol, true);
                Err(Unjournaled::Late)
            }
        }
    }

    /// Writes down what protects, or alarms that it goes out without an entry: what it protects may be lost otherwise.
    pub(super) async fn journal_or_alarm(&self, draft: &Draft<'_>) -> Journaled {
        match self.journal_in_time(draft).await {
            Ok(order) => order,
            Err(error) => self.without_entry(draft, &error),
        }
    }

    /// An order that goes out although it is not in the journal, which is told.
    pub(super) fn without_entry(&self, draft: &Draft<'_>, error: &Unjournaled) -> Journaled {
        let what = if draft.purpose == OrderPurpose::Stop { "stop is placed" } else { "close is sent" };
        let text = format!("{} {}: a {what} without a journal entry: {error}", self.name(), draft.symbol);
        self.alarm(Severity::Critical, text);
        let id = self.name_of(draft);
        self.note_unwritten(&id);
        draft.under(id)
    }

    /// Writes an order down. Only what comes back from here is ever sent; what protects is sent without, too.
    pub(super) async fn journal(&self, draft: &Draft<'_>) -> Result<Journaled, StoreError> {
        let id = self.name_of(draft);
        let origin = match draft.cause {
            Cause::Cycle(cycle) => Origin::Decision { cycle: cycle.clone() },
            Cause::Operator(command) => Origin::Operator { command: command.clone() },
            Cause::Guardian(rule) => Origin::Guardian { rule: rule.clone() },
        };
        self.shared
            .store
            .record_intent(&OrderIntent {
                client_order_id: id.clone(),
                account: self.name().clone(),
                symbol: draft.symbol.clone(),
                purpose: draft.purpose,
                side: draft.side,
                quantity: draft.quantity,
                trigger: draft.trigger,
                origin,
                attempt: draft.attempt,
                market_time: self.shared.clock.now(),
                sent_at: self.shared.wall.now(),
            })
            .await?;
        let order = draft.under(id);
        self.set_unbooked(draft.symbol, true);
        self.tell_order(&order, OrderState::Sent, &Learned::default());
        Ok(order)
    }

    /// The name an order has because of why it exists.
    fn name_of(&self, draft: &Draft<'_>) -> ClientOrderId {
        client_order_id(&OrderReason {
            install: &self.shared.install,
            account: self.name(),
            symbol: draft.symbol,
            cause: draft.cause.as_text(),
            purpose: draft.purpose,
            attempt: draft.attempt,
        })
    }

    /// Writes down what became of an order, then tells it.
    pub(super) async fn learn(&self, order: &Journaled, state: OrderState, learned: Learned) {
        let update = OrderUpdate {
            exchange_id: learned.exchange_id.clone(),
            average_price: learned.price,
            executed: learned.executed,
            error: learned.error.clone(),
            at: self.shared.clock.now(),
        };
        if let Err(error) = in_time(self.shared.store.update_order(&order.id, state, update)).await {
            // The order's fate stands at the exchange; the guardian's next pass reads it from there.
            tracing::error!(order = %order.id, %error, "the state of an order could not be stored");
        }
        self.tell_order(order, state, &learned);
    }

    fn tell_order(&self, order: &Journaled, state: OrderState, learned: &Learned) {
        let event = Event::Order {
            account: self.name().clone(),
            symbol: order.symbol.clone(),
            purpose: order.purpose,
            side: order.side,
            client_order_id: order.id.clone(),
            state,
            quantity: learned.executed.or(order.quantity),
            price: learned.price.or(order.price),
        };
        self.shared.bulletin.record(order.cause.cycle(), event);
    }
}
