//! The decision table: its order, its filter, and what changed since the cycle before.

use super::state::State;
use crate::domain::{AccountName, CycleId, DecisionWord, OutcomeKind, Symbol};

/// How the decision table is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As the model was asked.
    #[default]
    Asked,
    /// The surest first.
    Confidence,
    /// What changed or traded first.
    Outcome,
    /// By coin.
    Coin,
}

impl Order {
    /// Its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Asked => "by account",
            Self::Confidence => "by confidence",
            Self::Outcome => "by outcome",
            Self::Coin => "by coin",
        }
    }

    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Asked => Self::Confidence,
            Self::Confidence => Self::Outcome,
            Self::Outcome => Self::Coin,
            Self::Coin => Self::Asked,
        }
    }
}

/// What was decided for an account and a coin.
pub type Word = (AccountName, Symbol, Option<DecisionWord>);

/// How decisions are shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    /// Their order.
    pub order: Order,
    /// Only rows that contain this.
    pub filter: String,
    /// Accounts against coins instead of a list.
    pub grid: bool,
    /// Whether dry-run was on when a cycle began, of the last cycle whose beginning was heard.
    pub began_dry: Option<(CycleId, bool)>,
    /// The words of the cycle before, to tell what changed, and which cycle these are the words before.
    pub before: Option<(CycleId, Vec<Word>)>,
}

impl State {
    /// The decisions that pass the filter, in the chosen order, by their place in the cycle.
    pub fn decision_rows(&self) -> Vec<usize> {
        let Some(cycle) = self.cycle() else { return Vec::new() };
        let mut rows: Vec<usize> = (0..cycle.decisions.len()).collect();
        rows.retain(|index| {
            self.table.filter.is_empty()
                || cycle.decisions.get(*index).is_some_and(|(proposal, outcome)| {
                    let kind = outcome.as_ref().map_or("", |outcome| match outcome.kind {
                        OutcomeKind::DryRun => self.kept_back_now(),
                        kind => kind.as_str(),
                    });
                    let rule =
                        outcome.as_ref().and_then(|outcome| outcome.rule).map_or("", |rule| rule.as_str());
                    let word = proposal.decision.map_or("", DecisionWord::as_str);
                    let text = format!("{} {} {word} {kind} {rule}", proposal.account, proposal.symbol);
                    holds_words(&text, &self.table.filter)
                })
        });
        let row = |index: &usize| cycle.decisions.get(*index);
        match self.table.order {
            Order::Asked => {}
            Order::Confidence => rows.sort_by_key(|index| {
                std::cmp::Reverse(row(index).and_then(|(proposal, _)| proposal.confidence))
            }),
            Order::Outcome => rows.sort_by_key(|index| {
                let kind = row(index).and_then(|(_, outcome)| outcome.as_ref()).map(|outcome| outcome.kind);
                match kind {
                    Some(OutcomeKind::Failed | OutcomeKind::Invalid) => 0,
                    Some(OutcomeKind::Opened | OutcomeKind::Closed) => 1,
                    Some(OutcomeKind::DryRun) => 2,
                    Some(OutcomeKind::Refused) => 3,
                    None => 4,
                    Some(OutcomeKind::None) => 5,
                }
            }),
            Order::Coin => rows.sort_by_key(|index| row(index).map(|(proposal, _)| proposal.symbol.clone())),
        }
        rows
    }

    /// What a decision was in the cycle before; `None` when that is not known.
    pub fn word_before(&self, account: &AccountName, symbol: &Symbol) -> Option<Option<DecisionWord>> {
        let (id, words) = self.table.before.as_ref()?;
        if self.cycle().is_none_or(|cycle| &cycle.id != id) {
            return None;
        }
        words.iter().find(|(owner, coin, _)| owner == account && coin == symbol).map(|(.., word)| *word)
    }
}

/// Whether a text holds every word of a filter, in any order and any case.
pub fn holds_words(text: &str, filter: &str) -> bool {
    let text = text.to_lowercase();
    filter.to_lowercase().split_whitespace().all(|word| text.contains(word))
}
