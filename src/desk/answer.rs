//! The model's answer: found in its text, taken apart row by row, checked.
//!
//! Nothing is guessed. A row that is not exactly right becomes an invalid proposal with the rule it broke; truncated
//! JSON is never completed; duplicates are refused on both sides. What comes out has one proposal for every pair that
//! was asked for.

use std::collections::BTreeSet;

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use crate::domain::{
    AccountName, Confidence, DecisionWord, MarketBias, Outcome, OutcomeKind, Proposal, Rule, Symbol,
    Untrusted,
};

mod extract;

use extract::{NoRows, Row, rows_of, rows_of_call};

pub use extract::analysis_of;

/// Longest reason or risk note that is kept, in characters.
const LONGEST_NOTE: usize = 2_000;
/// Errors beside the rows that a repair names at most.
const ERRORS_NAMED: usize = 10;

/// One account and coin for which an answer is due.
pub type Pair = (AccountName, Symbol);

/// How the model handed its decisions over. Both ways end in the same checks.
#[derive(Debug, Clone, PartialEq)]
pub enum Handed {
    /// As the input of the submitting tool: its JSON as the model wrote it.
    Call(String),
    /// In its text.
    Text(String),
}

/// An answer after checking.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// One entry for every pair asked for, in the order asked.
    pub rows: Vec<CheckedRow>,
    /// What else was wrong: rows for pairs nobody asked for, no array at all.
    pub errors: Vec<String>,
    /// The budget of the model that was used up with it, with limit and value: nothing of it trades.
    pub spent: Option<String>,
}

/// A proposal, or what was wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedRow {
    /// The row as far as it could be read.
    pub proposal: Proposal,
    /// The rule it broke with a sentence about it; `None` when it is usable.
    pub fault: Option<(Rule, String)>,
}

impl CheckedRow {
    /// The outcome of a row that is not usable.
    pub fn invalid_outcome(&self) -> Option<Outcome> {
        self.fault.as_ref().map(|(rule, detail)| Outcome {
            kind: OutcomeKind::Invalid,
            rule: Some(*rule),
            detail: detail.clone(),
            orders: Vec::new(),
        })
    }
}

impl Answer {
    /// Checks what was handed over against the pairs that were asked for.
    pub fn check_handed(handed: &Handed, pairs: &[Pair]) -> Self {
        let rows = match handed {
            Handed::Text(text) => rows_of(text),
            Handed::Call(input) => rows_of_call(input),
        };
        match rows {
            Ok(rows) => Self::from_rows(&rows, pairs),
            Err(NoRows::Unusable(reason)) => Self::unusable(reason, pairs),
            Err(NoRows::Ambiguous) => Self::ambiguous(pairs),
        }
    }

    /// Checks the rows found in `text` against the pairs that were asked for.
    pub fn check(text: &str, pairs: &[Pair]) -> Self {
        Self::check_handed(&Handed::Text(text.to_owned()), pairs)
    }

    /// An answer with two lists that differ: none of them counts.
    fn ambiguous(pairs: &[Pair]) -> Self {
        let detail = "the answer holds two different lists of decisions; none of them counts";
        let row = |pair| CheckedRow {
            proposal: empty_proposal(pair),
            fault: Some((Rule::Duplicate, detail.to_owned())),
        };
        let rows = pairs.iter().map(row).collect();
        Self { rows, errors: vec![detail.to_owned()], ..Self::default() }
    }

    /// An answer in which nothing can be used.
    pub fn unusable(reason: &str, pairs: &[Pair]) -> Self {
        let rows = pairs.iter().map(|pair| missing(pair, reason)).collect();
        Self { rows, errors: vec![format!("the answer is not usable: {reason}")], ..Self::default() }
    }

    /// The same answer, but a budget of the model was used up with it: what was decided is known, and none of it trades.
    #[must_use]
    pub fn beyond_budget(mut self, reason: &str, spent: &str) -> Self {
        self.errors.insert(0, format!("the answer is not usable: {reason}"));
        self.spent = Some(spent.to_owned());
        self
    }

    fn from_rows(rows: &[Row], pairs: &[Pair]) -> Self {
        let mut errors = Vec::new();
        let mut found: Vec<Vec<CheckedRow>> = vec![Vec::new(); pairs.len()];
        for (number, row) in (1..).zip(rows) {
            match pair_index(&row.value, pairs) {
                Ok(index) => found[index].push(check_row(row, &pairs[index])),
                Err(reason) => errors.push(format!("row {number} of the answer was ignored: {reason}")),
            }
        }
        let rows = pairs
            .iter()
            .zip(found)
            .map(|(pair, mut candidates)| match (candidates.pop(), candidates.len()) {
                (None, _) => missing(pair, "no row for this account and coin"),
                (Some(row), 0) => row,
                (Some(_), others) => doubled(pair, others + 1),
            })
            .collect();
        Self { rows, errors, ..Self::default() }
    }

    /// Rows that are not usable.
    pub fn faulty(&self) -> impl Iterator<Item = &CheckedRow> {
        self.rows.iter().filter(|row| row.fault.is_some())
    }

    /// Takes usable rows of a later answer in place of unusable ones of this; a row that was right stays.
    pub fn repair_with(&mut self, later: Self) {
        for (row, repaired) in self.rows.iter_mut().zip(later.rows) {
            if row.fault.is_some() && repaired.fault.is_none() {
                *row = repaired;
            }
        }
        for error in later.errors {
            if !self.errors.contains(&error) {
                self.errors.push(error);
            }
        }
    }

    /// The message that asks for the unusable rows again, naming each fault, and what stood there that nobody can use.
    /// `by_call` when they come by the submitting tool.
    pub fn repair_request(&self, turkish: bool, by_call: bool) -> String {
        let mut faults: Vec<String> = self
            .faulty()
            .map(|row| {
                let detail = row.fault.as_ref().map_or("", |(_, detail)| detail.as_str());
                format!("- {} {}: {detail}", row.proposal.account, row.proposal.symbol)
            })
            .collect();
        let errors = self.errors.iter().take(ERRORS_NAMED);
        faults.extend(errors.map(|error| format!("- {}", Untrusted::new(error.as_str()).line(200))));
        let before = if turkish {
            "Cevabın şu satırları kullanılamadı:"
        } else {
            "These rows of your answer could not be used:"
        };
        let after = match (turkish, by_call) {
            (true, true) => {
                "submit_decisions aracını bir kez daha, yalnızca bu satırlarla çağır. Başka araç çağırma."
            }
            (true, false) => {
                "Yalnızca bu satırları, aynı biçimde, tek bir ```json dizisi olarak yeniden yaz. Yeni araç çağrısı yapma."
            }
            (false, true) => "Call submit_decisions once more with only these rows. Call no other tool.",
            (false, false) => {
                "Write only these rows again, in the same form, as one ```json array. Make no further tool call."
            }
        };
        format!("{before}\n{}\n{}{after}", faults.join("\n"), self.valid_names(turkish))
    }

    /// The names that rows may bear, when one bore another.
    fn valid_names(&self, turkish: bool) -> String {
        if self.errors.is_empty() {
            return String::new();
        }
        let accounts: BTreeSet<&str> = self.rows.iter().map(|row| row.proposal.account.as_str()).collect();
        let coins: BTreeSet<&str> = self.rows.iter().map(|row| row.proposal.symbol.as_str()).collect();
        let [accounts, coins] = [accounts, coins].map(|names| Vec::from_iter(names).join(", "));
        if turkish {
            format!("Geçerli hesaplar: {accounts}; coinler: {coins}.\n")
        } else {
            format!("Valid accounts: {accounts}; coins: {coins}.\n")
        }
    }
}

fn empty_proposal((account, symbol): &Pair) -> Proposal {
    Proposal::empty(account.clone(), symbol.clone())
}

fn missing(pair: &Pair, detail: &str) -> CheckedRow {
    CheckedRow { proposal: empty_proposal(pair), fault: Some((Rule::Missing, detail.to_owned())) }
}

fn doubled(pair: &Pair, times: usize) -> CheckedRow {
    let detail = format!("{times} rows for this account and coin; none of them counts");
    CheckedRow { proposal: empty_proposal(pair), fault: Some((Rule::Duplicate, detail)) }
}

/// Which pair a row speaks of. The error is for the log of the cycle and quotes the row only in cleaned form.
fn pair_index(row: &Value, pairs: &[Pair]) -> Result<usize, String> {
    let object = row.as_object().ok_or("it is not an object")?;
    let word = |key: &str| object.get(key).and_then(Value::as_str).map(str::trim);
    let (Some(account), Some(symbol)) = (word("account"), word("symbol")) else {
        return Err("it names no account and symbol".to_owned());
    };
    pairs.iter().position(|(known, coin)| known.as_str() == account && coin.as_str() == symbol).ok_or_else(
        || format!("nobody asked for {:?}", Untrusted::new(format!("{account} {symbol}")).line(60)),
    )
}

fn check_row(row: &Row, pair: &Pair) -> CheckedRow {
    let empty = Map::new();
    let object = row.value.as_object().unwrap_or(&empty);
    let mut proposal = empty_proposal(pair);
    proposal.reason = text_of(object.get("reason"));
    proposal.risk_note = Some(text_of(object.get("risk_note"))).filter(says_something);
    let checked = match &row.fault {
        Some(fault) => Err(fault.clone()),
        None => texts_are_there(object)
            .and_then(|()| word_of(object))
            .and_then(|word| Ok((word, confidence_of(object)?, bias_of(object)?)))
            .and_then(|said| nothing_within(object).map(|()| said)),
    };
    match checked {
        Ok((word, confidence, bias)) => {
            proposal.decision = Some(word);
            proposal.confidence = Some(confidence);
            proposal.market_bias = Some(bias);
            CheckedRow { proposal, fault: None }
        }
        Err(fault) => CheckedRow { proposal, fault: Some(fault) },
    }
}

type Checked<T> = Result<T, (Rule, String)>;

/// What is kept as a sentence must be one. A decision without a reason is asked for again: nobody could say later what
/// would have proved it wrong. Only the note about the risk may be absent.
fn texts_are_there(object: &Map<String, Value>) -> Checked<()> {
    let malformed = |what: &str| Err((Rule::Malformed, what.to_owned()));
    match object.get("reason") {
        Some(Value::String(reason)) if !Untrusted::new(reason.as_str()).line(1).is_empty() => {}
        None | Some(Value::Null | Value::String(_)) => return malformed("reason is missing"),
        Some(_) => return malformed("reason is not a text"),
    }
    match object.get("risk_note") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(_) => malformed("risk_note is not a text"),
    }
}

/// A row is flat. Whatever stands deeper may be another decision, and nobody can tell which was meant.
fn nothing_within(object: &Map<String, Value>) -> Checked<()> {
    match object.iter().find(|(_, value)| value.is_array() || value.is_object()) {
        Some((field, _)) => {
            let shown = Untrusted::new(field.as_str()).line(30);
            Err((Rule::Malformed, format!("the field {shown:?} holds a list or an object")))
        }
        None => Ok(()),
    }
}

fn word_of(object: &Map<String, Value>) -> Checked<DecisionWord> {
    match object.get("decision") {
        Some(Value::String(word)) => word.parse().map_err(|()| {
            let shown = Untrusted::new(word.as_str()).line(30);
            (Rule::UnknownWord, format!("{shown:?} is not one of LONG, SHORT, NO_TRADE, HOLD, CLOSE"))
        }),
        Some(_) => Err((Rule::Malformed, "decision is not a text".to_owned())),
        None => Err((Rule::Malformed, "decision is missing".to_owned())),
    }
}

fn confidence_of(object: &Map<String, Value>) -> Checked<Confidence> {
    let number = match object.get("confidence") {
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err((Rule::Malformed, "confidence is not a number".to_owned())),
        None => return Err((Rule::Malformed, "confidence is missing".to_owned())),
    };
    let out_of_range = || {
        (
            Rule::OutOfRange,
            format!("confidence {} is not within 0 to 1", Untrusted::new(number.as_str()).line(20)),
        )
    };
    let value = Decimal::from_str_exact(&number)
        .or_else(|_| Decimal::from_scientific(&number))
        .map_err(|_| out_of_range())?;
    Confidence::new(value).map_err(|_| out_of_range())
}

fn bias_of(object: &Map<String, Value>) -> Checked<MarketBias> {
    match object.get("market_bias") {
        None | Some(Value::Null) => Err((Rule::Malformed, "market_bias is missing".to_owned())),
        Some(Value::String(word)) => word.parse().map_err(|()| {
            let shown = Untrusted::new(word.as_str()).line(30);
            (Rule::UnknownWord, format!("market_bias {shown:?} is not one of bullish, bearish, neutral"))
        }),
        Some(_) => Err((Rule::Malformed, "market_bias is not a text".to_owned())),
    }
}

/// A strict schema has no null, so "none" stands for no note.
fn says_something(note: &Untrusted) -> bool {
    !note.is_empty() && !note.raw().trim().eq_ignore_ascii_case("none")
}

fn text_of(value: Option<&Value>) -> Untrusted {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    Untrusted::new(text.chars().take(LONGEST_NOTE).collect::<String>())
}

#[cfg(test)]
mod tests;
