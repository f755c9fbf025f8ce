//! Opening a position: at most one order, ever, and a stop behind it before anything else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::flat::unclear;
use super::journal::{Cause, Draft, Journaled, Learned};
use super::protect::Protection;
use super::{AccountDesk, Unresolved, failed};
use crate::desk::guards::{Approved, OpenOrder};
use crate::domain::{
    ClientOrderId, Direction, OrderPurpose, OrderState, Outcome, OutcomeKind, Price, Quantity, Rule,
};
use crate::exchange::{MarketOrder, OrderAck, OrderReport, OrderStatus, SymbolConfig, codes};

/// How long an opening may wait for its coin, its last look and its journal entry. What it was judged by is no older than
/// a mark may be then.
const OPENING_AGE: Duration = Duration::from_secs(15);
/// How long the price of a fill is asked for; after that the stop is placed by the price the order was sized by.
const FILL_TIME: Duration = Duration::from_secs(1);
/// With so many orders of unknown fate an account opens nothing, in no coin.
const UNRESOLVED_LIMIT: usize = 2;
/// An answer that takes longer is late, and its order is looked for.
const USUAL_ANSWER: Duration = Duration::from_millis(500);
/// How far the user stream may run ahead of the answer.
const STREAM_LEAD: Duration = Duration::from_millis(100);
/// How soon a halt is noticed while an order is on its way, and how long its answer is waited for then: together well
/// under the second after which no order may leave any more.
const HALT_LOOK: Duration = Duration::from_millis(50);
const HALT_PATIENCE: Duration = Duration::from_millis(700);
/// Pause between questions for the price of a fill.
const FILL_PAUSE: Duration = Duration::from_millis(100);

/// What is known of a fill.
struct Filled {
    price: Price,
    quantity: Quantity,
    /// The exchange's id, when the order itself told the fill.
    order_id: Option<i64>,
}

impl AccountDesk {
    /// Carries out an approved opening and returns what became of it, stop included.
    pub async fn open(&self, cause: &Cause, approved: &Approved<OpenOrder>) -> Outcome {
        let order = approved.order();
        let judged = Instant::now();
        let Some(_coin) = self.hold_coin(&order.symbol).await else {
            return failed(format!("{} is not among this account's coins", order.symbol), Vec::new());
        };
        if !self.may_open() {
            return would_open(order);
        }
        // Told before the last look at what forbids it: whoever forbids it sees it, or it sees the ban.
        let _under_way = self.under_way(&order.symbol, true);
        if let Some(reason) = self.halted(&order.symbol) {
            return refused_by_halt(reason);
        }
        let _room = match self.hold_room().await {
            Ok(room) => room,
            Err(refusal) => return refusal,
        };
        if let Err(reason) = self.ready_to_open(&order.symbol).await {
            return failed(format!("nothing was sent: {reason}"), Vec::new());
        }
        let journaled = match self
            .journal(&Draft {
                cause,
                symbol: &order.symbol,
                purpose: OrderPurpose::Open,
                side: order.direction.opening_side(),
                quantity: Some(order.quantity),
                trigger: None,
                attempt: 1,
            })
            .await
        {
            Ok(journaled) => journaled,
            Err(error) => {
                return failed(
                    format!("the order could not be journaled, so it was not sent: {error}"),
                    Vec::new(),
                );
            }
        };
        let orders = vec![journaled.id.clone()];
        if !self.may_open() {
            // The operator switched while the order was being prepared.
            self.learn_failure(&journaled, OrderState::NotPlaced, "dry-run was switched on").await;
            return would_open(order);
        }
        // The last moment: whatever was decided before, a halt that is in force by now keeps the order here.
        if let Some(reason) = self.halted(&order.symbol) {
            self.learn_failure(&journaled, OrderState::NotPlaced, &reason).await;
            return refused_by_halt(reason);
        }
        if judged.elapsed() > OPENING_AGE {
            let reason = format!(
                "it was ready to leave only {} s after it was judged, and the price it was sized by is old",
                judged.elapsed().as_secs()
            );
            self.learn_failure(&journaled, OrderState::NotPlaced, &reason).await;
            return failed(format!("nothing was sent: {reason}"), orders);
        }
        let request = MarketOrder {
            symbol: order.symbol.clone(),
            side: order.direction.opening_side(),
            quantity: order.quantity,
            reduce_only: false,
            client_order_id: journaled.id.clone(),
        };
        // An answer that is late may be lost while the order lives: it is looked for while we still wait.
        let mut answer = Box::pin(self.client.place_market(&request));
        let mut evidence = Box::pin(async {
            self.answer_is_late().await;
            self.await_evidence(&journaled, order.direction).await
        });
        let mut given_up = Box::pin(self.halted_meanwhile(&order.symbol));
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            found = &mut evidence => {
                if found {
                    return self.after_acceptance(order, &journaled, None).await;
                }
                tokio::select! {
                    biased;
                    answered = &mut answer => answered,
                    reason = &mut given_up => crate::exchange::Outcome::Unknown(reason),
                }
            }
            reason = &mut given_up => crate::exchange::Outcome::Unknown(reason),
        };
        // What has not left by now never does.
        drop(answer);
        match answered {
            crate::exchange::Outcome::Accepted(ack) => {
                self.after_acceptance(order, &journaled, Some(&ack)).await
            }
            crate::exchange::Outcome::Rejected(rejection) => {
                if rejection.code == codes::WRONG_POSITION_SIDE {
                    // Somebody switched the account to hedge mode; the next opening looks again.
                    self.one_way.store(false, Ordering::SeqCst);
                }
                let detail = rejection.to_string();
                self.learn_failure(&journaled, OrderState::Rejected, &detail).await;
                failed(format!("the exchange refused the order: {detail}"), orders)
            }
            crate::exchange::Outcome::NotSent(reason) => {
                self.learn_failure(&journaled, OrderState::NotPlaced, &reason).await;
                failed(format!("the order never left: {reason}"), orders)
            }
            crate::exchange::Outcome::Unknown(reason) => {
                self.learn_failure(&journaled, OrderState::Unknown, &reason).await;
                self.set_unresolved(&order.symbol, Unresolved::OPENING);
                if self.await_evidence(&journaled, order.direction).await {
                    self.set_unresolved(&order.symbol, Unresolved::NONE);
                    return self.after_acceptance(order, &journaled, None).await;
                }
                failed(
                    format!(
                        "nobody knows whether the order was executed ({reason}); the coin is blocked until it is known"
                    ),
                    orders,
                )
            }
        }
    }

    fn halted(&self, symbol: &crate::domain::Symbol) -> Option<String> {
        if self.shared.ending.is_cancelled() {
            return Some("the desk is being shut down".to_owned());
        }
        self.shared.halts.against_opening(self.name(), symbol, self.shared.clock.now())
    }

    /// Returns a moment after a halt came into force, the account was disarmed or the desk's end began: an order that is
    /// sent then, because the way to the exchange took so long, must not leave any more. Most answers arrive within that
    /// moment.
    async fn halted_meanwhile(&self, symbol: &crate::domain::Symbol) -> String {
        loop {
            tokio::time::sleep(HALT_LOOK).await;
            let disarmed = || (!self.may_open()).then(|| "nothing may be opened any more".to_owned());
            if let Some(reason) = self.halted(symbol).or_else(disarmed) {
                tokio::time::sleep(HALT_PATIENCE).await;
                return format!("its answer was not waited for: {reason}");
            }
        }
    }

    /// Returns when an answer is late: at once after the usual time, sooner when the user stream tells of something.
    async fn answer_is_late(&self) {
        tokio::select! {
            biased;
            () = async {
                self.stirred.notified().await;
                tokio::time::sleep(STREAM_LEAD).await;
            } => {}
            () = tokio::time::sleep(USUAL_ANSWER) => {}
        }
    }

    /// The order is at the exchange: find the fill, place the stop.
    async fn after_acceptance(
        &self,
        order: &OpenOrder,
        journaled: &Journaled,
        ack: Option<&OrderAck>,
    ) -> Outcome {
        let mut orders = vec![journaled.id.clone()];
        let (naked, accepted_at) = ((&order.symbol, order.direction), Instant::now());
        let exchange_id =
            |filled: Option<i64>| ack.map(|ack| ack.order_id).or(filled).map(|id| id.to_string());
        let filled = match self.fill_of(order, journaled, ack).await {
            Ok(Some(filled)) => filled,
            Ok(None) => {
                self.learn_failure(journaled, OrderState::Rejected, "expired without a fill").await;
                return failed("the order expired without a fill".to_owned(), orders);
            }
            Err(reason) => {
                // The position may be there: the stop follows the position, whatever is known of the order. What
                // became of the order itself the guardian finds out.
                tracing::warn!(order = %journaled.id, reason, "the fill could not be read; protecting by position");
                let filled = Filled { price: order.reference, quantity: order.quantity, order_id: None };
                let protection = self.protect(&journaled.cause, naked, order.reference, accepted_at).await;
                let learned = Learned { exchange_id: exchange_id(None), ..Learned::default() };
                self.learn(journaled, OrderState::Accepted, learned).await;
                self.book_fills(&order.symbol).await;
                return opened(order.direction, &filled, protection, &mut orders);
            }
        };
        // The stop first: nothing that is only written down may hold it up.
        let protection = self.protect(&journaled.cause, naked, filled.price, accepted_at).await;
        let order_id = exchange_id(filled.order_id);
        // Seen in the position only: the order's own word, and with it the name of its fills, follows later.
        let state = if order_id.is_some() { OrderState::Filled } else { OrderState::Accepted };
        self.learn(
            journaled,
            state,
            Learned {
                exchange_id: order_id,
                price: Some(filled.price),
                executed: Some(filled.quantity),
                error: None,
            },
        )
        .await;
        self.book_fills(&order.symbol).await;
        opened(order.direction, &filled, protection, &mut orders)
    }

    /// The average price and quantity of the fill, from whichever tells it first: the order or the position.
    async fn fill_of(
        &self,
        order: &OpenOrder,
        journaled: &Journaled,
        ack: Option<&OrderAck>,
    ) -> Result<Option<Filled>, String> {
        let expired = |status: &Option<OrderStatus>, executed: Option<Quantity>| {
            matches!(status, Some(OrderStatus::Expired | OrderStatus::Canceled | OrderStatus::Rejected))
                && executed.is_some_and(Quantity::is_zero)
        };
        if ack.is_some_and(|ack| expired(&ack.status, ack.executed)) {
            return Ok(None);
        }
        let told = async {
            tokio::select! {
                biased;
                by_order = self.told_by_order(order, journaled) => by_order,
                by_position = self.told_by_position(order) => Some(by_position),
            }
        };
        tokio::time::timeout(FILL_TIME, told).await.map_err(|_elapsed| "no answer within a second".to_owned())
    }

    /// What the order itself says, as soon as it says something final; `None` when it ended without a fill.
    async fn told_by_order(&self, order: &OpenOrder, journaled: &Journaled) -> Option<Filled> {
        loop {
            if let Ok(Some(report)) = self.client.order(&order.symbol, &journaled.id).await {
                if let Some(filled) = filled_by(&report) {
                    return Some(filled);
                }
                // Without a word about what was executed nothing is known: the position tells.
                if report.status.is_final() && report.executed.is_some_and(Quantity::is_zero) {
                    return None;
                }
            }
            tokio::time::sleep(FILL_PAUSE).await;
        }
    }

    /// What the position says, as soon as it is seen: it was not there when the order was sent.
    async fn told_by_position(&self, order: &OpenOrder) -> Filled {
        loop {
            if let Ok(Some(position)) = self.position_of(&order.symbol).await
                && position.direction == order.direction
            {
                return Filled { price: position.entry, quantity: position.quantity, order_id: None };
            }
            tokio::time::sleep(FILL_PAUSE).await;
        }
    }

    /// The last look before an opening: what the guards saw may be minutes old. Nothing is ever added to a position, so
    /// that an order found late cannot be doubled, and no old stop may meet the new position.
    pub(super) async fn ready_to_open(&self, symbol: &crate::domain::Symbol) -> Result<(), String> {
        if self.is_unresolved(symbol) {
            return Err("an earlier order of this coin is unresolved by now".to_owned());
        }
        if let Some(refusal) = self.client.key_trouble() {
            return Err(format!("the exchange refuses this account's key ({refusal})"));
        }
        let unresolved = self.unresolved_count();
        if unresolved >= UNRESOLVED_LIMIT {
            return Err(format!(
                "{unresolved} orders of this account are unresolved: the exchange does not tell what it does"
            ));
        }
        if let Some(doubt) = self.doubt_of_worth() {
            return Err(doubt);
        }
        self.compare_past_once(symbol).await?;
        let (one_way, config, position, stops, booked) = tokio::join!(
            self.ensure_one_way(),
            self.config_to_prepare(symbol),
            self.position_of(symbol),
            self.client.open_algo_orders(Some(symbol)),
            self.shared.store.booked_position(self.name(), symbol),
        );
        one_way?;
        if position?.is_some() {
            return Err("a position is there by now, and none is ever added to".to_owned());
        }
        // "No position" may be an empty answer over a full account. What rests or is booked contradicts it, and is left
        // alone here: the guardian sorts it out.
        if let Some(resting) = stops.map_err(|error| error.to_string())?.first() {
            let id = resting.client_order_id.as_ref().map_or("unnamed", ClientOrderId::as_str);
            return Err(unclear(symbol, &format!("a conditional order rests ({id})")));
        }
        let mut booked = booked.map_err(|error| error.to_string())?;
        if self.is_unbooked(symbol) || !booked.is_zero() {
            booked = self.books_of(symbol).await?;
        }
        if !booked.is_zero() {
            return Err(unclear(symbol, &format!("our fills add up to {booked}")));
        }
        // Last: what is held keeps the leverage and margin mode it was opened with.
        let prepared = match config {
            Ok(config) if !self.is_prepared(symbol) => self.set_up_coin(symbol, config.as_ref()).await,
            read => read.map(drop),
        };
        prepared.map_err(|reason| format!("leverage or margin mode could not be set: {reason}"))
    }

    /// What a coin that is not prepared yet is set to; nothing is asked about one that is.
    async fn config_to_prepare(
        &self,
        symbol: &crate::domain::Symbol,
    ) -> Result<Option<SymbolConfig>, String> {
        if self.is_prepared(symbol) {
            return Ok(None);
        }
        let configs = self.client.symbol_configs(Some(symbol)).await.map_err(|error| error.to_string())?;
        Ok(configs.into_iter().find(|config| &config.symbol == symbol))
    }

    /// Sets what differs from our terms in what was read of a coin.
    pub(super) async fn set_up_coin(
        &self,
        symbol: &crate::domain::Symbol,
        config: Option<&SymbolConfig>,
    ) -> Result<(), String> {
        if config.is_none_or(|config| !config.isolated) {
            confirmed(self.client.set_isolated(symbol).await)?;
        }
        if config.is_none_or(|config| config.leverage != self.terms.leverage) {
            let holds = confirmed(self.client.set_leverage(symbol, self.terms.leverage).await)?;
            if holds != self.terms.leverage {
                return Err(format!("the exchange set {holds}x instead of {}x", self.terms.leverage));
            }
        }
        self.set_prepared(symbol);
        Ok(())
    }

    pub(super) async fn learn_failure(&self, order: &Journaled, state: OrderState, reason: &str) {
        self.learn(order, state, Learned { error: Some(reason.to_owned()), ..Learned::default() }).await;
    }
}

/// What holds now, by the exchange's word. "Already as wanted" is told as accepted; every refusal is one.
fn confirmed<T>(outcome: crate::exchange::Outcome<T>) -> Result<T, String> {
    match outcome {
        crate::exchange::Outcome::Accepted(holds) => Ok(holds),
        other => Err(other.trouble().unwrap_or_default()),
    }
}

fn filled_by(report: &OrderReport) -> Option<Filled> {
    let quantity = report.executed.filter(|quantity| !quantity.is_zero())?;
    report.status.is_final().then_some(())?;
    Some(Filled { price: report.average_price?, quantity, order_id: Some(report.order_id) })
}

/// The outcome of what a halt keeps from being sent.
pub(super) fn refused_by_halt(reason: String) -> Outcome {
    Outcome { kind: OutcomeKind::Refused, rule: Some(Rule::Halted), detail: reason, orders: Vec::new() }
}

/// The outcome of an opening that is only computed.
pub fn would_open(order: &OpenOrder) -> Outcome {
    let notional = order.reference.notional(order.quantity);
    Outcome {
        kind: OutcomeKind::DryRun,
        rule: None,
        detail: format!(
            "would open {} {} at about {} ({} USDT)",
            order.direction.as_str(),
            order.quantity,
            order.reference,
            notional.value().round_dp(2)
        ),
        orders: Vec::new(),
    }
}

fn opened(
    direction: Direction,
    filled: &Filled,
    protection: Protection,
    orders: &mut Vec<ClientOrderId>,
) -> Outcome {
    let what = format!("{} {} at {}", direction.as_str(), filled.quantity, filled.price);
    let (kind, detail) = match protection {
        Protection::Resting { trigger, order } => {
            orders.extend(order);
            (OutcomeKind::Opened, format!("{what}, stop at {trigger}"))
        }
        Protection::Flat => {
            (OutcomeKind::Failed, format!("{what}, but the position was gone before its stop was placed"))
        }
        Protection::Emptied { reason, order } => {
            orders.push(order);
            (
                OutcomeKind::Failed,
                format!("{what}, but no stop could be placed ({reason}); closed again at market"),
            )
        }
        Protection::Naked { reason } => {
            (OutcomeKind::Failed, format!("{what}, but WITHOUT A STOP: {reason}; the guardian keeps trying"))
        }
    };
    Outcome { kind, rule: None, detail, orders: std::mem::take(orders) }
}
