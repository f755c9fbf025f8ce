//! Where the exchange and our books disagree. Kept, never papered over.

use std::collections::BTreeSet;
use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::values::{collect, decimal, instant, money, unword, word};
use crate::domain::{AccountName, Timestamp};

/// In what the exchange and our books disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The fills of a coin do not add up to its position.
    Position,
    /// The wallet moved by another amount than the ledger.
    Wallet,
    /// A trade that no order of ours explains: made by hand, by another program, or by the exchange itself.
    ForeignTrade,
    /// An order or stop rests that no order of ours explains.
    ForeignOrder,
    /// A stop that the journal says rests and the exchange does not show.
    MissingStop,
}

impl DifferenceKind {
    /// From which change on an amount is another one: of a wallet a cent, of a position anything, as sizes lie on steps.
    fn least_change(self) -> Decimal {
        match self {
            Self::Wallet => Decimal::new(1, 2),
            _ => Decimal::ZERO,
        }
    }

    /// What it is, in a few words.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Position => "the fills do not add up to the position",
            Self::Wallet => "the wallet and the ledger differ",
            Self::ForeignTrade => "a trade that is not ours",
            Self::ForeignOrder => "an order that is not ours",
            Self::MissingStop => "a stop of the journal is not at the exchange",
        }
    }
}

/// One difference, while it lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whose.
    pub account: AccountName,
    /// In what.
    pub kind: DifferenceKind,
    /// Of which coin or order; unique together with account and kind while it lasts.
    pub subject: String,
    /// Both sides, with figures.
    pub detail: String,
    /// By how much the exchange's side is more than ours, where that is one number. Of a stored one: when it was told last.
    pub amount: Option<Decimal>,
    /// When it was first seen (market time).
    pub first_seen: Timestamp,
    /// When it was seen last (market time).
    pub last_seen: Timestamp,
    /// When it was first found gone (market time); `None` while it lasts.
    pub ended_at: Option<Timestamp>,
}

impl Difference {
    /// Whether its amount is another one than this, by so much that it is told again.
    pub fn is_another_than(&self, amount: Option<Decimal>) -> bool {
        let (Some(one), Some(other)) = (self.amount, amount) else { return false };
        one != other && (one - other).abs() >= self.kind.least_change()
    }
}

impl Store {
    /// Keeps what one look at an account found: `seen` are all the differences there are now. Those that were there
    /// before and are not any more end. Returns the ones that are new, and those whose amount is another one than when
    /// they were told last.
    pub async fn note_differences(
        &self,
        account: &AccountName,
        seen: Vec<Difference>,
        at: Timestamp,
    ) -> Result<Vec<Difference>, StoreError> {
        let (venue, account, at) = (Arc::clone(&self.venue), account.clone(), at.timestamp_millis());
        self.write(move |connection| {
            let mut fresh = Vec::new();
            let mut kept = BTreeSet::new();
            for difference in seen {
                let kind = word(&difference.kind)?;
                kept.insert((kind.clone(), difference.subject.clone()));
                let known: Option<(i64, Option<String>)> = connection
                    .prepare_cached(
                        "SELECT id, amount FROM differences
                         WHERE venue = ?1 AND account = ?2 AND kind = ?3 AND subject = ?4 AND ended_at IS NULL",
                    )?
                    .query_row(params![venue, account.as_str(), kind, difference.subject], |row| {
                        Ok((row.get(0)?, row.get(1)?))
                    })
                    .optional()?;
                let Some((id, told)) = known else {
                    connection
                        .prepare_cached(
                            "INSERT INTO differences
                                 (venue, account, kind, subject, detail, first_seen, last_seen, amount)
                             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)",
                        )?
                        .execute(params![
                            venue,
                            account.as_str(),
                            kind,
                            difference.subject,
                            difference.detail,
                            at,
                            difference.amount.map(money)
                        ])?;
                    fresh.push(difference);
                    continue;
                };
                let told = told.map(|told| decimal("differences.amount", &told)).transpose()?;
                let is_another = difference.is_another_than(told);
                let amount = if is_another { difference.amount } else { told.or(difference.amount) };
                connection
                    .prepare_cached("UPDATE differences SET last_seen = ?2, detail = ?3, amount = ?4 WHERE id = ?1")?
                    .execute(params![id, at, difference.detail, amount.map(money)])?;
                if is_another {
                    fresh.push(difference);
                }
            }
            let mut open = connection.prepare_cached(
                "SELECT id, kind, subject FROM differences WHERE venue = ?1 AND account = ?2 AND ended_at IS NULL",
            )?;
            let rows = collect(&mut open, params![venue, account.as_str()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })?;
            for (id, kind, subject) in rows {
                if !kept.contains(&(kind, subject)) {
                    connection
                        .prepare_cached("UPDATE differences SET ended_at = ?2 WHERE id = ?1")?
                        .execute(params![id, at])?;
                }
            }
            Ok(fresh)
        })
        .await
    }

    /// The differences of every account that were there at an instant or later (market time), newest first.
    pub async fn differences_since(&self, since: Timestamp) -> Result<Vec<Difference>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, kind, subject, detail, first_seen, last_seen, ended_at, amount FROM differences
                 WHERE venue = ?1 AND (ended_at IS NULL OR ended_at >= ?2) ORDER BY first_seen DESC, id DESC",
            )?;
            collect(&mut statement, params![venue, since.timestamp_millis()], difference_of)
        })
        .await
    }

    /// The differences of an account that last.
    pub async fn open_differences(&self, account: &AccountName) -> Result<Vec<Difference>, StoreError> {
        let (venue, account) = (Arc::clone(&self.venue), account.clone());
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT account, kind, subject, detail, first_seen, last_seen, ended_at, amount FROM differences
                 WHERE venue = ?1 AND account = ?2 AND ended_at IS NULL ORDER BY first_seen, id",
            )?;
            collect(&mut statement, params![venue, account.as_str()], difference_of)
        })
        .await
    }

    /// What the wallet held beyond the ledger's sum at the first comparison: `now` is kept if this is the first.
    pub async fn wallet_baseline(
        &self,
        account: &AccountName,
        now: Decimal,
        at: Timestamp,
    ) -> Result<Decimal, StoreError> {
        let (venue, account, at) = (Arc::clone(&self.venue), account.clone(), at.timestamp_millis());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO wallet_baselines (venue, account, amount, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
                params![venue, account.as_str(), money(now), at],
            )?;
            let amount: Option<String> = connection
                .query_row(
                    "SELECT amount FROM wallet_baselines WHERE venue = ?1 AND account = ?2",
                    params![venue, account.as_str()],
                    |row| row.get(0),
                )
                .optional()?;
            amount.map_or(Ok(now), |amount| decimal("wallet_baselines.amount", &amount))
        })
        .await
    }
}

fn difference_of(row: &Row<'_>) -> Result<Difference, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let ended_at: Option<i64> = row.get(6)?;
    let amount: Option<String> = row.get(7)?;
    Ok(Difference {
        account: unword("differences.account", &text(0)?)?,
        kind: unword("differences.kind", &text(1)?)?,
        subject: text(2)?,
        detail: text(3)?,
        first_seen: instant("differences.first_seen", row.get(4)?)?,
        last_seen: instant("differences.last_seen", row.get(5)?)?,
        ended_at: ended_at.map(|millis| instant("differences.ended_at", millis)).transpose()?,
        amount: amount.map(|amount| decimal("differences.amount", &amount)).transpose()?,
    })
}
