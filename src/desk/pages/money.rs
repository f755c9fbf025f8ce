//! Money over a span: gross, commission, funding, the model, and what is left.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use futures_util::future::try_join_all;
use rust_decimal::Decimal;

use crate::desk::floor::Floor;
use crate::domain::{AccountName, MoneyPage, MoneyRow, Symbol, Timestamp};
use crate::store::{LedgerKind, ModelSpending, Movement, StoreError};

/// The most points of an equity curve; more than any terminal has columns.
const POINTS: u32 = 500;
/// What is counted; everything else is told apart.
const ASSET: &str = "USDT";

impl Floor {
    pub(super) async fn money_page(&self, from: Timestamp, to: Timestamp) -> Result<MoneyPage, StoreError> {
        let store = &self.shared.store;
        let accounts: Vec<AccountName> = self.accounts.iter().map(|account| account.name().clone()).collect();
        let sums = store.movements_between(from, to, Sums::default(), Sums::move_money).await?;
        let sums = store.model_costs_between(from, to, sums, Sums::pay_model).await?;
        let equity = try_join_all(accounts.iter().map(|account| async {
            let curve = store.equity_curve(account, (from, to), POINTS).await?;
            let points = curve.into_iter().map(|(at, equity)| (at, equity.value())).collect();
            Ok::<_, StoreError>((account.clone(), points))
        }))
        .await?;
        Ok(MoneyPage { equity, ..sums.page(from, to, &accounts, &self.symbols()) })
    }
}

/// Money added up while it is read, row by row.
#[derive(Debug, Default)]
struct Sums {
    total: MoneyRow,
    days: BTreeMap<NaiveDate, MoneyRow>,
    accounts: BTreeMap<AccountName, MoneyRow>,
    coins: BTreeMap<Symbol, MoneyRow>,
    others: BTreeMap<String, Decimal>,
}

impl Sums {
    fn move_money(&mut self, movement: Movement) {
        if movement.asset != ASSET {
            *self.others.entry(movement.asset).or_default() += movement.amount;
            return;
        }
        book(&mut self.total, &movement);
        book(self.days.entry(movement.at.date_naive()).or_default(), &movement);
        if let Some(symbol) = &movement.symbol {
            if let Some(row) = self.coins.get_mut(symbol) {
                book(row, &movement);
            } else {
                book(self.coins.entry(symbol.clone()).or_default(), &movement);
            }
        }
        if let Some(row) = self.accounts.get_mut(&movement.account) {
            book(row, &movement);
        } else {
            book(self.accounts.entry(movement.account.clone()).or_default(), &movement);
        }
    }

    fn pay_model(&mut self, spent: ModelSpending) {
        for row in [&mut self.total, self.days.entry(spent.at.date_naive()).or_default()] {
            row.model_cost += spent.cost;
            row.is_estimate |= spent.is_estimate;
        }
    }

    fn page(self, from: Timestamp, to: Timestamp, accounts: &[AccountName], symbols: &[Symbol]) -> MoneyPage {
        MoneyPage {
            from,
            to,
            total: self.total,
            days: self.days.into_iter().rev().map(|(day, row)| labelled(row, &day)).collect(),
            accounts: in_order(self.accounts, accounts),
            coins: in_order(self.coins, symbols),
            other_assets: self.others.into_iter().collect(),
            equity: Vec::new(),
        }
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
fn in_order<K: Ord + ToString>(mut rows: BTreeMap<K, MoneyRow>, order: &[K]) -> Vec<MoneyRow> {
    let mut out = Vec::with_capacity(rows.len().max(order.len()));
    for key in order {
        out.push(labelled(rows.remove(key).unwrap_or_default(), key));
    }
    out.extend(rows.into_iter().map(|(key, row)| labelled(row, &key)));
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(hours * 3600, 0).unwrap()
    }

    fn add_up(moved: Vec<Movement>, spent: &[ModelSpending]) -> Sums {
        let mut sums = Sums::default();
        for movement in moved {
            sums.move_money(movement);
        }
        for spent in spent {
            sums.pay_model(*spent);
        }
        sums
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
        let spent = ModelSpending { at: at(2), cost: Decimal::new(9, 2), is_estimate: true };
        let page = add_up(moved.to_vec(), &[spent]).page(at(0), at(48), &known, &coins);
        assert!(page.total.is_estimate && page.days[1].is_estimate && !page.days[0].is_estimate);
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
        let page = add_up(vec![fee], &[]).page(at(0), at(48), &[], &[]);
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
            let page = add_up(moved, &[]).page(at(0), at(300), &[], &[]);
            let sum = |rows: &[MoneyRow]| rows.iter().map(MoneyRow::net).sum::<Decimal>();
            prop_assert_eq!(sum(&page.days), page.total.net());
            prop_assert_eq!(sum(&page.accounts), page.total.net());
            prop_assert_eq!(sum(&page.coins), page.total.net());
        }
    }
}
