//! One plan, several accounts: whether they did the same, at which prices, and who stayed out because of what.

use rust_decimal::Decimal;

use super::{
    AccountName, ClientOrderId, CycleReport, DecisionRow, DecisionWord, FillLine, OutcomeKind, Price, Symbol,
};

/// One coin of one cycle over all accounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParityRow {
    /// Which coin.
    pub symbol: Symbol,
    /// Every account that has it, in the report's order.
    pub legs: Vec<ParityLeg>,
    /// Whether the model decided the same for all of them.
    pub is_same_decision: bool,
    /// The widest gap between two accounts that were filled in the same direction, in hundredths of a percent of the
    /// lower price; `None` with fewer than two.
    pub gap_bps: Option<Decimal>,
}

/// What became of the coin in one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParityLeg {
    /// Whose.
    pub account: AccountName,
    /// What the model decided; `None` when the row was not usable.
    pub decision: Option<DecisionWord>,
    /// How it ended.
    pub kind: OutcomeKind,
    /// The average price of the order that carried it out; `None` while no fill of it is booked.
    pub price: Option<Price>,
    /// Why it was not carried out, when another account's same decision was.
    pub skipped_because: Option<String>,
}

/// Compares the accounts of a cycle, coin by coin. Coins that nobody acted on and all agree on are left out. `fills`
/// are those of the cycle's orders; others do no harm.
pub fn parity(report: &CycleReport, fills: &[FillLine]) -> Vec<ParityRow> {
    let mut symbols: Vec<&Symbol> = Vec::new();
    for row in &report.decisions {
        if !symbols.contains(&&row.proposal.symbol) {
            symbols.push(&row.proposal.symbol);
        }
    }
    let rows = symbols.into_iter().map(|symbol| {
        let rows: Vec<&DecisionRow> =
            report.decisions.iter().filter(|row| &row.proposal.symbol == symbol).collect();
        let legs: Vec<ParityLeg> = rows.iter().map(|row| leg(row, &rows, fills)).collect();
        let first = rows.first().and_then(|row| row.proposal.decision);
        ParityRow {
            symbol: symbol.clone(),
            is_same_decision: rows.iter().all(|row| row.proposal.decision == first),
            gap_bps: gap(&legs),
            legs,
        }
    });
    rows.filter(|row| !row.is_same_decision || row.legs.iter().any(|leg| is_carried_out(leg.kind))).collect()
}

fn leg(row: &DecisionRow, others: &[&DecisionRow], fills: &[FillLine]) -> ParityLeg {
    let carried_out = is_carried_out(row.outcome.kind);
    let somebody_did = others
        .iter()
        .any(|other| other.proposal.decision == row.proposal.decision && is_carried_out(other.outcome.kind));
    let because = || match row.outcome.rule {
        Some(rule) => format!("{}: {}", rule.as_str(), row.outcome.detail),
        None => row.outcome.detail.clone(),
    };
    ParityLeg {
        account: row.proposal.account.clone(),
        decision: row.proposal.decision,
        kind: row.outcome.kind,
        // The first order is the one decided on; a stop or an emergency comes after it.
        price: row
            .outcome
            .orders
            .first()
            .filter(|_| carried_out)
            .and_then(|order| average(row, order, fills)),
        skipped_because: (!carried_out && somebody_did).then(because),
    }
}

const fn is_carried_out(kind: OutcomeKind) -> bool {
    matches!(kind, OutcomeKind::Opened | OutcomeKind::Closed | OutcomeKind::DryRun)
}

fn average(row: &DecisionRow, order: &ClientOrderId, fills: &[FillLine]) -> Option<Price> {
    let of_order = fills.iter().filter(|fill| {
        fill.client_order_id.as_ref() == Some(order)
            && fill.account == row.proposal.account
            && fill.symbol == row.proposal.symbol
    });
    let (cost, quantity) = of_order.fold((Decimal::ZERO, Decimal::ZERO), |(cost, quantity), fill| {
        (cost + fill.price.notional(fill.quantity).value(), quantity + fill.quantity.value())
    });
    Price::new(cost.checked_div(quantity)?).ok()
}

fn gap(legs: &[ParityLeg]) -> Option<Decimal> {
    let widest = |decision: DecisionWord| {
        let prices = legs.iter().filter(|leg| leg.decision == Some(decision)).filter_map(|leg| leg.price);
        let prices: Vec<Price> = prices.collect();
        let (low, high) = (prices.iter().min()?.value(), prices.iter().max()?.value());
        (prices.len() > 1).then(|| ((high - low) / low * Decimal::from(10_000)).round_dp(2))
    };
    [DecisionWord::Long, DecisionWord::Short, DecisionWord::Close].into_iter().filter_map(widest).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        BriefSummary, Confidence, CycleId, Mode, ModelSummary, Outcome, Profile, Proposal, Rule, Side,
        Timestamp, TimingsMs, Trigger, Untrusted, Usage, Usdt,
    };
    use rust_decimal_macros::dec;

    fn row(
        account: &str,
        symbol: &str,
        word: DecisionWord,
        kind: OutcomeKind,
        rule: Option<Rule>,
    ) -> DecisionRow {
        let account = AccountName::new(account).unwrap();
        let orders = [format!("{account}-{symbol}-o"), format!("{account}-{symbol}-s")];
        DecisionRow {
            proposal: Proposal {
                decision: Some(word),
                confidence: Some(Confidence::new(dec!(0.9)).unwrap()),
                ..Proposal::empty(account, Symbol::new(symbol).unwrap())
            },
            outcome: Outcome {
                kind,
                rule,
                detail: "the figures".to_owned(),
                orders: if is_carried_out(kind) {
                    orders.map(|id| ClientOrderId::new(id).unwrap()).to_vec()
                } else {
                    Vec::new()
                },
            },
        }
    }

    fn fill(account: &str, symbol: &str, order: &str, price: &str, quantity: &str) -> FillLine {
        FillLine {
            account: AccountName::new(account).unwrap(),
            symbol: Symbol::new(symbol).unwrap(),
            client_order_id: Some(ClientOrderId::new(format!("{account}-{symbol}-{order}")).unwrap()),
            side: Side::Buy,
            price: price.parse().unwrap(),
            quantity: quantity.parse().unwrap(),
            commission: Usdt::ZERO,
            realised: Usdt::ZERO,
            purpose: None,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn report(decisions: Vec<DecisionRow>) -> CycleReport {
        let at = Timestamp::UNIX_EPOCH;
        CycleReport {
            cycle_id: CycleId::new(at, 1),
            trigger: Trigger::Manual,
            mode: Mode::Paper,
            dry_run: false,
            profile: Profile::Guarded,
            started_at: at,
            finished_at: at,
            market_time: at,
            model: ModelSummary::default(),
            analysis: Untrusted::default(),
            tool_calls: Vec::new(),
            brief: BriefSummary::default(),
            decisions,
            usage: Usage::default(),
            timings_ms: TimingsMs::default(),
            errors: Vec::new(),
        }
    }

    #[test]
    fn the_same_decision_is_compared_by_the_average_price_of_its_own_order() {
        use {DecisionWord::Long, OutcomeKind::Opened};
        let report = report(vec![
            row("a", "BTCUSDT", Long, Opened, None),
            row("b", "BTCUSDT", Long, Opened, None),
            row("c", "BTCUSDT", Long, OutcomeKind::Refused, Some(Rule::Cooldown)),
        ]);
        let fills = [
            fill("a", "BTCUSDT", "o", "100", "1"),
            fill("a", "BTCUSDT", "o", "102", "1"),
            fill("a", "BTCUSDT", "s", "50", "2"),
            fill("b", "BTCUSDT", "o", "101.505", "3"),
        ];
        let rows = parity(&report, &fills);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].is_same_decision);
        assert_eq!(rows[0].legs[0].price, Some("101".parse().unwrap()));
        assert_eq!(rows[0].gap_bps, Some(dec!(50)));
        assert_eq!(rows[0].legs[2].skipped_because.as_deref(), Some("cooldown: the figures"));
        assert_eq!((rows[0].legs[2].price, &rows[0].legs[0].skipped_because), (None, &None));
    }

    #[test]
    fn different_decisions_are_shown_and_agreed_inaction_is_not() {
        use DecisionWord::{Hold, Long, NoTrade, Short};
        use OutcomeKind::{None as Nothing, Opened};
        let report = report(vec![
            row("a", "BTCUSDT", NoTrade, Nothing, None),
            row("b", "BTCUSDT", NoTrade, Nothing, None),
            row("a", "ETHUSDT", Long, Opened, None),
            row("b", "ETHUSDT", Short, Opened, None),
            row("a", "SOLUSDT", Hold, Nothing, None),
            row("b", "SOLUSDT", NoTrade, Nothing, None),
        ]);
        let fills = [fill("a", "ETHUSDT", "o", "100", "1"), fill("b", "ETHUSDT", "o", "120", "1")];
        let rows = parity(&report, &fills);
        let shown: Vec<(&str, bool)> =
            rows.iter().map(|row| (row.symbol.as_str(), row.is_same_decision)).collect();
        assert_eq!(shown, [("ETHUSDT", false), ("SOLUSDT", false)]);
        assert_eq!(rows[0].gap_bps, None, "opposite directions have no gap");
        assert!(rows.iter().flat_map(|row| &row.legs).all(|leg| leg.skipped_because.is_none()));
    }
}
