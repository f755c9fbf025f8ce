//! What the store knows of the accounts' past: equity without the money put in and taken out, what was traded, closed
//! and opened.

use std::collections::BTreeMap;

use chrono::{NaiveTime, TimeDelta};
use rust_decimal::Decimal;

use crate::domain::{AccountName, Direction, Symbol, Timestamp};
use crate::store::{Store, StoreError, TransferRow};

/// How far back the highest equity is looked for.
const REACH: TimeDelta = TimeDelta::days(90);
/// What counts as the last day for turnover and closes.
const DAY: TimeDelta = TimeDelta::hours(24);
/// Closes are remembered as long as the longest cooldown the settings allow.
const CLOSES_REACH: TimeDelta = TimeDelta::days(30);
/// The last openings that are counted.
const OPENINGS: u32 = 20;
/// Decimals kept of an index that grew by thousands of factors.
const INDEX_DECIMALS: u32 = 15;

/// What an account, or all of them, made and lost. Losses are positive shares of equity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Gain since midnight UTC as a share of the equity then; negative for a loss.
    pub day: Decimal,
    /// Fall from the highest equity, as a share of it; never negative.
    pub drawdown: Decimal,
}

impl Standing {
    /// What was lost since midnight; negative for a gain.
    pub fn day_loss(&self) -> Decimal {
        -self.day
    }
}

/// Equity through time as an index that begins at 1 and that moving money does not change: each reading multiplies it
/// by what the equity grew since the one before, transfers in between taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    last: BTreeMap<AccountName, (Timestamp, Decimal)>,
    index: Decimal,
    day: Decimal,
    peak: Decimal,
}

impl Default for Track {
    fn default() -> Self {
        Self { last: BTreeMap::new(), index: Decimal::ONE, day: Decimal::ONE, peak: Decimal::ONE }
    }
}

impl Track {
    /// Plays equity readings, oldest first. The day is counted from the last reading up to `day_from`, the highest
    /// equity from the last one up to `peak_from`.
    pub fn replay<'a>(
        readings: impl Iterator<Item = (Timestamp, &'a AccountName, Decimal)>,
        transfers: &[TransferRow],
        day_from: Timestamp,
        peak_from: Timestamp,
    ) -> Self {
        let mut track = Self::default();
        for (at, account, equity) in readings {
            track.step(at, account, equity, transfers);
            if at <= day_from {
                track.day = track.index;
            }
            track.peak = if at <= peak_from { track.index } else { track.peak.max(track.index) };
        }
        track
    }

    fn step(&mut self, at: Timestamp, account: &AccountName, equity: Decimal, transfers: &[TransferRow]) {
        // An account worth nothing is an answer without data, or one that is empty: nothing can be gained on it.
        if equity <= Decimal::ZERO {
            return;
        }
        if let Some((before, _)) = self.last.get(account).copied() {
            let moved = transfers
                .iter()
                .filter(|row| &row.account == account && row.at > before && row.at <= at)
                .map(|row| row.amount.value())
                .sum();
            self.index = self.grown(account, equity, moved);
        }
        self.last.insert(account.clone(), (at, equity));
    }

    /// The index after an account's equity became `equity`, of which `moved` was put in.
    fn grown(&self, account: &AccountName, equity: Decimal, moved: Decimal) -> Decimal {
        let Some((_, before)) = self.last.get(account) else { return self.index };
        let base: Decimal = self.last.values().map(|(_, equity)| *equity).sum();
        let factor = (base + equity - before - moved) / base;
        (self.index * factor.max(Decimal::ZERO)).round_dp(INDEX_DECIMALS)
    }

    /// Day and drawdown with the equity of some accounts as it is now.
    pub fn standing<'a>(&self, now: impl Iterator<Item = (&'a AccountName, Decimal)>) -> Standing {
        let mut track = self.clone();
        for (account, equity) in now.filter(|(_, equity)| *equity > Decimal::ZERO) {
            track.index = track.grown(account, equity, Decimal::ZERO);
            if let Some(last) = track.last.get_mut(account) {
                last.1 = equity;
            }
        }
        let share = |from: Decimal| {
            if from > Decimal::ZERO { track.index / from - Decimal::ONE } else { Decimal::ZERO }
        };
        Standing { day: share(track.day), drawdown: (-share(track.peak)).max(Decimal::ZERO) }
    }
}

/// One account's past.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountPast {
    /// Its equity.
    pub track: Track,
    /// What it traded in the last 24 hours, USDT.
    pub traded: Decimal,
    /// When a position was last closed, by coin.
    pub closed: BTreeMap<Symbol, Timestamp>,
    /// When an operator last closed a position through the desk, by coin: in market time and in wall time.
    pub closed_by_hand: BTreeMap<Symbol, (Timestamp, Timestamp)>,
}

/// What the guards have to remember.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Past {
    accounts: BTreeMap<AccountName, AccountPast>,
    /// The equity of all accounts together.
    pub desk: Track,
    /// The directions of the last openings of all accounts, oldest first.
    pub openings: Vec<Direction>,
    /// When it was read (market time).
    pub as_of: Option<Timestamp>,
}

/// From when on the losses of an account or the desk are counted anew, because an operator resumed after a guard's halt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resumed {
    /// The day's.
    pub day: Option<Timestamp>,
    /// Those from the highest equity.
    pub highest: Option<Timestamp>,
}

impl Past {
    /// One account's.
    pub fn account(&self, name: &AccountName) -> Option<&AccountPast> {
        self.accounts.get(name)
    }

    /// Reads everything. `resumed` is by account, and under `None` that of the whole desk.
    pub async fn read(
        store: &Store,
        names: &[AccountName],
        resumed: &BTreeMap<Option<AccountName>, Resumed>,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let since = now - REACH;
        let midnight = now.date_naive().and_time(NaiveTime::MIN).and_utc();
        let transfers = store.transfers_since(since).await?;
        let from = |whose: Option<&AccountName>| {
            let resumed = resumed.get(&whose.cloned()).copied().unwrap_or_default();
            (resumed.day.map_or(midnight, |at| at.max(midnight)), resumed.highest.unwrap_or(since))
        };
        let mut all = Vec::new();
        let mut past = Self { as_of: Some(now), ..Self::default() };
        for name in names {
            let readings = store.equity_since(name, since).await?;
            let (day_from, peak_from) = from(Some(name));
            let own = readings.iter().map(|(at, equity)| (*at, name, equity.value()));
            let track = Track::replay(own, &transfers, day_from, peak_from);
            past.accounts.insert(name.clone(), AccountPast { track, ..AccountPast::default() });
            all.extend(readings.into_iter().map(|(at, equity)| (at, name, equity.value())));
        }
        all.sort_by_key(|(at, ..)| *at);
        let (day_from, peak_from) = from(None);
        past.desk = Track::replay(all.into_iter(), &transfers, day_from, peak_from);
        past.read_trades(store, now).await?;
        Ok(past)
    }

    /// Reads what was traded, closed and opened again: it changes with every fill, and is little.
    pub async fn read_trades(&mut self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let traded = store.traded_since(now - DAY).await?;
        let closed = store.closes_since(now - CLOSES_REACH).await?;
        let by_hand = store.closed_by_hand().await?;
        self.openings = store.last_openings(OPENINGS).await?;
        for own in self.accounts.values_mut() {
            own.traded = Decimal::ZERO;
            own.closed.clear();
            own.closed_by_hand.clear();
        }
        for (name, notional) in traded {
            self.accounts.entry(name).or_default().traded += notional;
        }
        for (name, symbol, at) in closed {
            self.accounts.entry(name).or_default().closed.insert(symbol, at);
        }
        for close in by_hand {
            let own = self.accounts.entry(close.account).or_default();
            own.closed_by_hand.insert(close.symbol, (close.at, close.sent_at));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Usdt;
    use proptest::prelude::*;
    use rust_decimal_macros::dec;

    fn name(text: &str) -> AccountName {
        AccountName::new(text).unwrap()
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(1_772_409_600_000 + minute * 60_000).unwrap()
    }

    fn transfer(account: &str, minute: i64, amount: Decimal) -> TransferRow {
        TransferRow { account: name(account), at: at(minute), amount: Usdt::of(amount) }
    }

    fn track(readings: &[(i64, &str, Decimal)], transfers: &[TransferRow], day: i64, peak: i64) -> Track {
        let names: Vec<AccountName> = readings.iter().map(|(_, account, _)| name(account)).collect();
        let each =
            readings.iter().zip(&names).map(|((minute, _, equity), name)| (at(*minute), name, *equity));
        Track::replay(each, transfers, at(day), at(peak))
    }

    #[test]
    fn a_day_is_counted_from_its_midnight_and_a_fall_from_the_top() {
        let readings =
            [(-60, "a", dec!(1000)), (-1, "a", dec!(1100)), (5, "a", dec!(1200)), (9, "a", dec!(1080))];
        let standing = track(&readings, &[], 0, -100).standing(std::iter::empty());
        assert_eq!(standing.day.round_dp(6), dec!(-0.018182), "1080 after 1100 at midnight");
        assert_eq!(standing.drawdown.round_dp(6), dec!(0.1), "1080 after 1200 at the top");
        let now = track(&readings, &[], 0, -100).standing([(&name("a"), dec!(990))].into_iter());
        assert_eq!((now.day.round_dp(6), now.drawdown.round_dp(6)), (dec!(-0.1), dec!(0.175)));
        let risen = track(&readings, &[], 0, -100).standing([(&name("a"), dec!(1300))].into_iter());
        assert_eq!(risen.drawdown, dec!(0), "above the top there is no fall");
    }

    #[test]
    fn money_put_in_or_taken_out_is_neither_gain_nor_loss() {
        let readings = [(0, "a", dec!(1000)), (10, "a", dec!(400)), (20, "a", dec!(900))];
        let transfers =
            [transfer("a", 5, dec!(-600)), transfer("a", 20, dec!(500)), transfer("b", 5, dec!(9))];
        let standing = track(&readings, &transfers, 0, 0).standing(std::iter::empty());
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn a_withdrawal_does_not_make_a_later_loss_look_smaller() {
        let readings = [(0, "a", dec!(1000)), (10, "a", dec!(500)), (20, "a", dec!(440))];
        let standing = track(&readings, &[transfer("a", 5, dec!(-500))], 0, 0).standing(std::iter::empty());
        assert_eq!(standing.day.round_dp(6), dec!(-0.12));
    }

    #[test]
    fn all_accounts_together_count_by_their_money_and_a_new_one_is_no_gain() {
        let readings = [
            (0, "a", dec!(1000)),
            (1, "b", dec!(3000)),
            (2, "a", dec!(900)),
            (3, "b", dec!(3000)),
            (4, "b", dec!(0)),
        ];
        let standing = track(&readings, &[], 1, 1).standing([(&name("b"), dec!(2900))].into_iter());
        assert_eq!(standing.day.round_dp(6), dec!(-0.05), "200 of 4000, and an empty answer is no loss");
    }

    #[test]
    fn what_two_accounts_lost_since_their_last_readings_is_lost_by_both_together() {
        let readings = [(0, "a", dec!(1000)), (0, "b", dec!(1000))];
        let (a, b) = (name("a"), name("b"));
        let now = [(&a, dec!(900)), (&b, dec!(900))].into_iter();
        let standing = track(&readings, &[], 0, 0).standing(now);
        assert_eq!(standing, Standing { day: dec!(-0.1), drawdown: dec!(0.1) });
    }

    #[test]
    fn an_answer_without_money_between_two_readings_changes_nothing() {
        let readings = [(0, "a", dec!(1000)), (1, "a", dec!(0)), (2, "a", dec!(-5)), (3, "a", dec!(950))];
        let standing = track(&readings, &[], 0, 0).standing([(&name("a"), dec!(0))].into_iter());
        assert_eq!(standing, Standing { day: dec!(-0.05), drawdown: dec!(0.05) });
    }

    #[test]
    fn a_transfer_at_the_moment_of_a_reading_is_in_that_reading_and_not_in_the_next() {
        let readings = [(0, "a", dec!(1000)), (10, "a", dec!(1500)), (20, "a", dec!(1500))];
        let standing = track(&readings, &[transfer("a", 10, dec!(500))], 0, 0).standing(std::iter::empty());
        assert_eq!(standing, Standing::default());
        let before = track(&readings[1..], &[transfer("a", 10, dec!(500))], 10, 10);
        assert_eq!(before.standing(std::iter::empty()), Standing::default());
    }

    #[test]
    fn what_is_lost_to_the_last_is_no_measure_of_what_follows() {
        let readings = [(0, "a", dec!(1000)), (10, "a", dec!(10)), (20, "a", dec!(20))];
        let all_gone = [transfer("a", 5, dec!(2000))];
        let standing = track(&readings, &all_gone, 10, 10).standing(std::iter::empty());
        assert_eq!(standing, Standing::default());
    }

    #[test]
    fn after_a_resume_the_top_is_counted_anew() {
        let readings = [(0, "a", dec!(1000)), (10, "a", dec!(800)), (20, "a", dec!(790))];
        let standing = track(&readings, &[], 10, 10).standing(std::iter::empty());
        assert_eq!((standing.day, standing.drawdown), (dec!(-0.0125), dec!(0.0125)));
    }

    proptest! {
        #[test]
        fn transfers_alone_never_move_the_index(amounts in prop::collection::vec(-400_i64..400, 1..20)) {
            let mut equity = dec!(10000);
            let mut readings = vec![(0, "a", equity)];
            let mut transfers = Vec::new();
            for (minute, amount) in (1..).zip(amounts) {
                equity += Decimal::from(amount);
                transfers.push(transfer("a", minute, amount.into()));
                readings.push((minute, "a", equity));
            }
            let standing = track(&readings, &transfers, 0, 0).standing(std::iter::empty());
            prop_assert_eq!(standing, Standing::default());
        }
    }
}
