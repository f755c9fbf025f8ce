//! Money over a span: gross, commission, funding, the model, and what is left.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures_util::future::try_join_all;
use rust_decimal::Decimal;

use crate::desk::floor::Floor;
use crate::domain::{AccountName, MoneyPage, MoneyRow, Symbol, Timestamp};
use crate::store::{LedgerKind, Movement, StoreError};

/// The most points of an equity curve; more than any terminal has columns.
const POINTS: usize = 500;
/// What is counted; everything else is told apart.
const ASSET: &str = "USDT";

impl Floor {
    pub(super) async fn money_page(&self, from: Timestamp, to: Timestamp) -> Result<MoneyPage, StoreError> {
        let store = &self.shared.store;
        let movements = store.movements_between(from, to).await?;
        let costs = store.model_costs_between(from, to).await?;
        let accounts: Vec<AccountName> = self.accounts.iter().map(|account| account.name().clone()).collect();
        let equity = try_join_all(accounts.iter().map(|account| async {
            let mut curve = store.equity_since(account, from).await?;
            curve.retain(|(at, _)| *at < to);
            Ok::<_, StoreError>((account.clone(), thinned(curve)))
        }))
        .await?;
        Ok(MoneyPage { equity, ..add_up(from, to, &movements, &costs, &accounts, &self.symbols()) })
    }
}

/// Keeps the first, the last and evenly spread points between them.
fn thinned(curve: Vec<(Timestamp, crate::domain::Usdt)>) -> Vec<(Timestamp, Decimal)> {
    let last = curve.len().saturating_sub(1);
    let step = last.div_ceil(POINTS - 1).max(1);
    let kept = |place: usize| place.is_multiple_of(step) || place == last;
    curve
        .into_iter()
        .enumerate()
        .filter(|(place, _)| kept(*place))
        .map(|(_, (at, equity))| (at, equity.value()))
        .collect()
}

fn add_up(
    from: Timestamp,
    to: Timestamp,
    movements: &[Movement],
    costs: &[(Timestamp, Decimal)],
    accounts: &[AccountName],
    symbols: &[Symbol],
) -> MoneyPage {
    let mut total = MoneyRow::default();
    let mut days: BTreeMap<NaiveDate, MoneyRow> = BTreeMap::new();
    let mut by_account: BTreeMap<&AccountName, MoneyRow> =
        accounts.iter().map(|account| (account, MoneyRow::default())).collect();
    let mut by_coin: BTreeMap<&Symbol, MoneyRow> =
        symbols.iter().map(|symbol| (symbol, MoneyRow::default())).collect();
    let mut others: BTreeMap<&str, Decimal> = BTreeMap::new();
    for movement in movements {
        if movement.asset != ASSET {
            *others.entry(movement.asset.as_str()).or_default() += movement.amount;
            continue;
        }
        book(&mut total, movement);
        book(days.entry(movement.at.date_naive()).or_default(), movement);
        book(by_account.entry(&movement.account).or_default(), movement);
        if let Some(symbol) = &movement.symbol {
            book(by_coin.entry(symbol).or_default(), movement);
        }
    }
    for (at, cost) in costs {
        total.model_cost += cost;
        days.entry(at.date_naive()).or_default().model_cost += cost;
    }
    MoneyPage {
        from,
        to,
        total,
        days: days.into_iter().rev().map(|(day, row)| labelled(row, &day)).collect(),
        accounts: in_order(by_account, accounts),
        coins: in_order(by_coin, symbols),
        other_assets: others.into_iter().map(|(asset, sum)| (asset.to_owned(), sum)).collect(),
        equity: Vec::new(),
    }
}

fn book(row: &mut MoneyRow, movement: &Movement) {
    match movement.kind {
        LedgerKind::RealisedPnl => {
            row.gross += movement.amount;
            row.trades += 1;
        }
        // The fee of a liquidation is a cost of trading like any other.
        LedgerKind::Commission | LedgerKind::Insurance => row.commission += movement.amount,
        LedgerKind::Funding => row.funding += movement.amount,
        // Money put in or taken out is neither gain nor loss.
        LedgerKind::Transfer | LedgerKind::Other => {}
    }
}

fn labelled(mut row: MoneyRow, label: &impl ToString) -> MoneyRow {
    row.label = label.to_string();
    row
}

/// The settings' order first; what is no longer in the settings but moved money comes after it.
fn in_order<K: Ord + ToString>(mut rows: BTreeMap<&K, MoneyRow>, order: &[K]) -> Vec<MoneyRow> {
    let mut out = Vec::with_capacity(rows.len());
    for key in order {
        if let Some(row) = rows.remove(key) {
            out.push(labelled(row, key));
        }
    }
    out.extend(rows.into_iter().map(|(key, row)| labelled(row, key)));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(hours * 3600, 0).unwrap()
    }

    fn movement(account: &str, symbol: Option<&str>, kind: LedgerKind, cents: i64, hours: i64) -> Movement {
        Movement {
            account: account.parse().unwrap(),
            kind,
            amount: Decimal::new(cents, 2),
            asset: "USDT".to_owned(),
            symbol: symbol.map(|symbol| symbol.parse().unwrap()),
            at: at(hours),
        }
    }

    #[test]
    fn net_is_gross_and_commission_and_funding_less_the_model_and_transfers_are_no_profit() {
        let moved = [
            movement("a", Some("BTCUSDT"), LedgerKind::RealisedPnl, 500, 1),
            movement("a", Some("BTCUSDT"), LedgerKind::Commission, -30, 1),
            movement("a", Some("BTCUSDT"), LedgerKind::Funding, -5, 8),
            movement("a", None, LedgerKind::Transfer, 100_000, 9),
            movement("gone", Some("ETHUSDT"), LedgerKind::RealisedPnl, -100, 30),
        ];
        let known = ["a".parse().unwrap(), "b".parse().unwrap()];
        let coins = ["BTCUSDT".parse().unwrap()];
        let page = add_up(at(0), at(48), &moved, &[(at(2), Decimal::new(9, 2))], &known, &coins);
        assert_eq!(page.total.net(), Decimal::new(500 - 30 - 5 - 100 - 9, 2));
        let labels = |rows: &[MoneyRow]| rows.iter().map(|row| row.label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&page.days), ["1970-01-02", "1970-01-01"]);
        assert_eq!(labels(&page.accounts), ["a", "b", "gone"]);
        assert_eq!(labels(&page.coins), ["BTCUSDT", "ETHUSDT"]);
        assert_eq!(page.coins[0].trades, 1);
    }

    #[test]
    fn another_asset_is_told_apart_and_never_added_to_dollars() {
        let mut fee = movement("a", Some("BNBUSDT"), LedgerKind::Commission, -2, 1);
        "BNB".clone_into(&mut fee.asset);
        let page = add_up(at(0), at(48), &[fee], &[], &[], &[]);
        assert_eq!(page.total, MoneyRow::default());
        assert_eq!(page.other_assets, [("BNB".to_owned(), Decimal::new(-2, 2))]);
    }

    proptest! {
        #[test]
        fn days_accounts_and_the_total_always_agree(
            rows in proptest::collection::vec((0..3usize, 0..4usize, -10_000i64..10_000, 0i64..200), 0..40)
        ) {
            let kinds = [LedgerKind::RealisedPnl, LedgerKind::Commission, LedgerKind::Funding, LedgerKind::Insurance];
            let names = ["a", "b", "c"];
            let moved: Vec<Movement> = rows
                .iter()
                .map(|(name, kind, cents, hours)| {
                    movement(names[*name], Some("BTCUSDT"), kinds[*kind], *cents, *hours)
                })
                .collect();
            let page = add_up(at(0), at(300), &moved, &[], &[], &[]);
            let sum = |rows: &[MoneyRow]| rows.iter().map(MoneyRow::net).sum::<Decimal>();
            prop_assert_eq!(sum(&page.days), page.total.net());
            prop_assert_eq!(sum(&page.accounts), page.total.net());
            prop_assert_eq!(sum(&page.coins), page.total.net());
        }

        #[test]
        fn a_thinned_curve_keeps_its_ends_and_fits(length in 0usize..3_000) {
            let curve: Vec<_> =
                (0..length).map(|i| (at(i64::try_from(i).unwrap()), crate::domain::Usdt::ZERO)).collect();
            let thin = thinned(curve.clone());
            prop_assert!(thin.len() <= POINTS + 1);
            prop_assert_eq!(thin.first().map(|p| p.0), curve.first().map(|p| p.0));
            prop_assert_eq!(thin.last().map(|p| p.0), curve.last().map(|p| p.0));
        }
    }
}
