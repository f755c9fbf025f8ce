//! Our books against the exchange: positions, wallet, trades, orders and stops.
//!
//! Read at start, after every reconnection and every minute. A difference counts when two looks in a row see it: what is
//! on its way between the exchange and the journal at one look has arrived by the next. It is named, told once, told again
//! when its amount became another one, and kept with the time it lasted; nothing here corrects anything.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use rust_decimal::Decimal;

use super::execution::AccountDesk;
use crate::domain::{ClientOrderId, Direction, OrderPurpose, Severity, Symbol, Timestamp};
use crate::exchange::{AlgoOrder, ExchangePosition, OrderReport};
use crate::store::{Difference, DifferenceKind, StoreError};

/// Time between two looks.
pub const PERIOD: Duration = Duration::from_secs(45);
/// Time until the second look at a difference.
pub const CONFIRM: Duration = Duration::from_secs(10);
/// The wallet and the ledger may differ by less than a cent.
const LESS_THAN_A_CENT: Decimal = Decimal::from_parts(1, 0, 0, false, 2);
/// How long a trade that is not ours is named.
const TRADES_BACK: TimeDelta = TimeDelta::hours(24);

/// What the last look at an account left open.
#[derive(Debug, Default)]
pub struct Reconciler {
    /// Differences to be confirmed, with the amounts that were seen.
    doubts: BTreeMap<(DifferenceKind, String), Option<Decimal>>,
}

/// What the exchange says at one look.
struct Seen {
    wallet: Decimal,
    positions: Vec<ExchangePosition>,
    stops: Vec<AlgoOrder>,
    orders: Vec<OrderReport>,
}

impl Reconciler {
    /// Whether the last look saw something that the next one has to confirm.
    pub fn is_in_doubt(&self) -> bool {
        !self.doubts.is_empty()
    }

    /// One look at an account whose books were just brought up to date. Returns the names of everything that rests there;
    /// `None` when the account could not be read.
    pub async fn look(&mut self, account: &AccountDesk) -> Option<Vec<ClientOrderId>> {
        let seen = read(account).await?;
        self.compare(account, &seen).await;
        let stops = seen.stops.into_iter().filter_map(|stop| stop.client_order_id);
        Some(stops.chain(seen.orders.into_iter().filter_map(|order| order.client_order_id)).collect())
    }

    async fn compare(&mut self, account: &AccountDesk, seen: &Seen) {
        let found = match differences(account, seen).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(account = %account.name(), %error, "the books could not be read for reconciliation");
                return;
            }
        };
        let known = account.store().open_differences(account.name()).await.unwrap_or_default();
        let mut confirmed = Vec::new();
        let mut doubts = BTreeMap::new();
        for difference in found {
            let name = (difference.kind, difference.subject.clone());
            let seen = self.doubts.get(&name);
            let known = known
                .iter()
                .find(|known| known.kind == difference.kind && known.subject == difference.subject);
            match known {
                None if seen.is_some() => confirmed.push(difference),
                None => _ = doubts.insert(name, difference.amount),
                Some(known)
                    if !difference.is_another_than(known.amount)
                        || seen.is_some_and(|seen| !difference.is_another_than(*seen)) =>
                {
                    confirmed.push(difference);
                }
                // It lasts; that it became another one is seen once so far.
                Some(known) => {
                    doubts.insert(name, difference.amount);
                    confirmed.push(known.clone());
                }
            }
        }
        self.doubts = doubts;
        match account.store().note_differences(account.name(), confirmed, account.now()).await {
            Ok(fresh) => {
                for difference in fresh {
                    let text = format!(
                        "{} {}: {}: {}",
                        account.name(),
                        difference.subject,
                        difference.kind.meaning(),
                        difference.detail
                    );
                    account.alarm(Severity::Warning, text);
                }
            }
            Err(error) => {
                tracing::error!(account = %account.name(), %error, "differences could not be stored");
            }
        }
    }
}

async fn read(account: &AccountDesk) -> Option<Seen> {
    let client = account.client();
    let read = tokio::try_join!(
        client.account(),
        client.positions(),
        client.open_algo_orders(None),
        client.open_orders(None)
    );
    match read {
        Ok((balance, positions, stops, orders)) => {
            Some(Seen { wallet: balance.wallet.value(), positions, stops, orders })
        }
        Err(error) => {
            tracing::warn!(account = %account.name(), %error, "the account could not be read for reconciliation");
            None
        }
    }
}

async fn differences(account: &AccountDesk, seen: &Seen) -> Result<Vec<Difference>, StoreError> {
    let now = account.now();
    let mut found = Vec::new();
    let mut note = |kind: DifferenceKind, subject: String, detail: String, amount: Option<Decimal>| {
        found.push(Difference {
            account: account.name().clone(),
            kind,
            subject,
            detail,
            amount,
            first_seen: now,
            last_seen: now,
            ended_at: None,
        });
    };
    for (symbol, booked, held) in unequal_positions(account, seen).await? {
        let detail =
            format!("the fills add up to {}, the exchange holds {}", booked.normalize(), held.normalize());
        note(DifferenceKind::Position, symbol.to_string(), detail, Some(held - booked));
    }
    if let Some((expected, wallet)) = unequal_wallet(account, seen, now).await? {
        let detail = format!(
            "the ledger says {} USDT, the exchange {} USDT",
            expected.round_dp(2),
            wallet.round_dp(2)
        );
        note(DifferenceKind::Wallet, "wallet".to_owned(), detail, Some(wallet - expected));
    }
    for fill in account.store().fills_since(account.name(), now - TRADES_BACK).await? {
        if fill.client_order_id.is_none() {
            let subject = format!("{} {}", fill.symbol, fill.exchange_id);
            let detail = format!(
                "{} {} at {}, no order in the journal",
                fill.side.as_str(),
                fill.quantity,
                fill.price
            );
            note(DifferenceKind::ForeignTrade, subject, detail, None);
        }
    }
    for order in &seen.orders {
        let id =
            order.client_order_id.as_ref().map_or_else(|| order.order_id.to_string(), ToString::to_string);
        let kind = crate::domain::Untrusted::line(&order.kind, 20);
        let detail = format!("{} {kind} rests; the desk rests no plain orders", order.side.as_str());
        note(DifferenceKind::ForeignOrder, format!("{} {id}", order.symbol), detail, None);
    }
    for stop in &seen.stops {
        let is_ours = match &stop.client_order_id {
            Some(id) => account.store().order(id).await?.is_some(),
            None => false,
        };
        if !is_ours {
            let id =
                stop.client_order_id.as_ref().map_or_else(|| stop.algo_id.to_string(), ToString::to_string);
            let kind = crate::domain::Untrusted::line(&stop.kind, 20);
            let detail = format!("{} {kind} rests without a journal entry", stop.side.as_str());
            note(DifferenceKind::ForeignOrder, format!("{} {id}", stop.symbol), detail, None);
        }
    }
    let resting: BTreeSet<&str> = seen
        .stops
        .iter()
        .filter_map(|stop| stop.client_order_id.as_ref().map(ClientOrderId::as_str))
        .collect();
    for order in account.store().accepted_orders(account.name()).await? {
        let id = &order.intent.client_order_id;
        if order.intent.purpose == OrderPurpose::Stop && !resting.contains(id.as_str()) {
            let detail = format!("{id} rests by the journal");
            note(DifferenceKind::MissingStop, format!("{} {id}", order.intent.symbol), detail, None);
        }
    }
    Ok(found)
}

/// Every coin whose fills do not add up to what is held, after one more look for fills.
async fn unequal_positions(
    account: &AccountDesk,
    seen: &Seen,
) -> Result<Vec<(Symbol, Decimal, Decimal)>, StoreError> {
    let mut held: BTreeMap<Symbol, Decimal> = BTreeMap::new();
    for position in &seen.positions {
        let signed = match position.direction {
            Direction::Long => position.quantity.value(),
            Direction::Short => -position.quantity.value(),
        };
        held.insert(position.symbol.clone(), signed);
    }
    let unequal = |booked: BTreeMap<Symbol, Decimal>| -> Vec<(Symbol, Decimal, Decimal)> {
        let coins: BTreeSet<&Symbol> = held.keys().chain(booked.keys()).collect();
        let of = |map: &BTreeMap<Symbol, Decimal>, coin: &Symbol| map.get(coin).copied().unwrap_or_default();
        coins
            .into_iter()
            .map(|coin| (coin.clone(), of(&booked, coin), of(&held, coin)))
            .filter(|(_, booked, held)| booked != held)
            .collect()
    };
    let first = unequal(account.store().booked_positions(account.name()).await?);
    if first.is_empty() {
        return Ok(first);
    }
    let coins: Vec<Symbol> = first.into_iter().map(|(symbol, ..)| symbol).collect();
    account.book_what_is_left(&coins).await;
    Ok(unequal(account.store().booked_positions(account.name()).await?))
}

/// What the ledger expects in the wallet and what is there, where they differ by a cent or more.
async fn unequal_wallet(
    account: &AccountDesk,
    seen: &Seen,
    now: Timestamp,
) -> Result<Option<(Decimal, Decimal)>, StoreError> {
    // Fills that are not booked yet would be a difference, or be taken into the baseline and be one for ever.
    if !account.is_all_booked() {
        return Ok(None);
    }
    let totals = account.store().ledger_totals(account.name()).await?;
    // What is paid in another coin does not touch the USDT in the wallet.
    let booked: Decimal = totals.iter().filter(|row| row.1 == "USDT").map(|row| row.2.value()).sum();
    let baseline = account.store().wallet_baseline(account.name(), seen.wallet - booked, now).await?;
    let expected = baseline + booked;
    Ok(((seen.wallet - expected).abs() >= LESS_THAN_A_CENT).then_some((expected, seen.wallet)))
}
