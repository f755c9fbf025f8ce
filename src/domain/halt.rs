//! The halt ladder: what may not trade, how far that goes, who said so and until when.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::decision::Rule;
use super::symbol::{AccountName, Symbol};
use super::untrusted::Untrusted;

/// Columns of a reason where it stands within a sentence.
const REASON_COLUMNS: usize = 300;

/// What a halt covers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "scope", content = "name", rename_all = "snake_case")]
pub enum HaltScope {
    /// One coin, in every account.
    Coin(Symbol),
    /// One account.
    Account(AccountName),
    /// Everything.
    Desk,
}

impl HaltScope {
    /// Whether it reaches this account and coin.
    pub fn covers(&self, account: &AccountName, symbol: &Symbol) -> bool {
        match self {
            Self::Coin(halted) => halted == symbol,
            Self::Account(halted) => halted == account,
            Self::Desk => true,
        }
    }
}

impl fmt::Display for HaltScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coin(symbol) => write!(f, "{symbol}"),
            Self::Account(account) => write!(f, "account {account}"),
            Self::Desk => f.write_str("the whole desk"),
        }
    }
}

/// How far a halt goes; each step contains the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HaltLevel {
    /// Nothing is opened; the model may still close.
    NoEntries,
    /// The model changes nothing at all. Stops are still kept, and an operator may still close.
    Frozen,
    /// Everything held is closed at market, and nothing is opened afterwards.
    Flattened,
}

impl HaltLevel {
    /// The wire word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoEntries => "no_entries",
            Self::Frozen => "frozen",
            Self::Flattened => "flattened",
        }
    }

    /// The same for an operator, as it is typed and read.
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoEntries => "no entries",
            Self::Frozen | Self::Flattened => self.as_str(),
        }
    }
}

/// Who or what began a halt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", content = "detail", rename_all = "snake_case")]
pub enum HaltOrigin {
    /// A key or a command.
    Operator,
    /// The halt file in the data directory.
    File,
    /// A guard whose limit was passed.
    Guard(Rule),
    /// The desk itself, because something did not add up.
    Desk,
}

impl HaltOrigin {
    /// Whose hand it is. A halt is replaced only by the same hand's; those of others stand beside it.
    pub const fn hand(&self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::File => "file",
            Self::Guard(_) => "guard",
            Self::Desk => "desk",
        }
    }
}

/// One halt in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// What it covers.
    #[serde(flatten)]
    pub scope: HaltScope,
    /// How far it goes.
    pub level: HaltLevel,
    /// Who began it.
    pub origin: HaltOrigin,
    /// Why; may be empty. Whoever can reach the desk's socket or its folder may have written it.
    pub reason: Untrusted,
    /// Market time it began.
    pub since: Timestamp,
    /// Market time it runs out by itself.
    pub until: Option<Timestamp>,
}

impl Halt {
    /// The reason as the end of a sentence: a colon and one clean line, or nothing.
    pub fn because(&self) -> String {
        match self.reason.line(REASON_COLUMNS) {
            reason if reason.is_empty() => reason,
            reason => format!(": {reason}"),
        }
    }

    /// The words of the alarm that a guard's halt is told with.
    pub fn alarm(&self) -> String {
        format!("{}{}{}", self.scope, halted_as(self.level), self.because())
    }

    /// Whether an alarm tells of a halt: the halt has an event of its own.
    pub fn is_alarm(text: &str) -> bool {
        let levels = [HaltLevel::NoEntries, HaltLevel::Frozen, HaltLevel::Flattened];
        levels.into_iter().any(|level| text.contains(&halted_as(level)))
    }
}

fn halted_as(level: HaltLevel) -> String {
    format!(" is halted ({})", level.as_str())
}

/// What is left of a flattening: the positions that were still seen at the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flattening {
    /// Whose.
    pub account: AccountName,
    /// Positions the exchange still shows.
    pub remaining: Vec<Symbol>,
    /// Market time of the position query this is read from; `None` when the account could not be asked.
    pub proven_at: Option<Timestamp>,
    /// Why something remains, if it does.
    pub trouble: Option<String>,
}

/// How much of what the exchange allows one address is used at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetReading {
    /// Whether what can wait is held back before a limit. A world without limits is only counted.
    pub enforced: bool,
    /// Request weight of all accounts in the running minute, and what is allowed.
    pub weight: (u32, u32),
    /// Orders of the busiest account in the running ten seconds, and what is allowed.
    pub orders_10s: (u32, u32),
    /// Orders of the busiest account in the running minute, and what is allowed.
    pub orders_1m: (u32, u32),
    /// Until when nothing is sent, by the wall clock: the exchange said that there was too much.
    pub closed_until: Option<Timestamp>,
}

/// How a guard stands at this moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardReading {
    /// The guard.
    pub rule: Rule,
    /// Whose; `None` for one over the whole desk.
    pub account: Option<AccountName>,
    /// Whether the settings switch it on.
    pub on: bool,
    /// Its limit, with unit.
    pub limit: String,
    /// The present value, with unit; empty when nothing can be measured between cycles.
    pub value: String,
    /// The value as a share of the limit, 0 to 1 and beyond, where that makes sense.
    pub used: Option<f64>,
    /// Whether it would refuse an opening now.
    pub refuses: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guards_halt_is_told_in_words_by_which_its_alarm_is_known() {
        for (level, reason, told) in [
            (HaltLevel::NoEntries, "4 % lost", "account mirat is halted (no_entries): 4 % lost"),
            (HaltLevel::Frozen, "", "account mirat is halted (frozen)"),
            (HaltLevel::Flattened, "news", "account mirat is halted (flattened): news"),
        ] {
            let halt = Halt {
                scope: HaltScope::Account(AccountName::new("mirat").unwrap()),
                level,
                origin: HaltOrigin::Guard(Rule::DailyLoss),
                reason: reason.into(),
                since: Timestamp::UNIX_EPOCH,
                until: None,
            };
            assert_eq!(halt.alarm(), told);
            assert!(Halt::is_alarm(told), "{told}");
        }
        for other in ["", "account mirat is halted", "the stop at 54000 was triggered"] {
            assert!(!Halt::is_alarm(other), "{other}");
        }
    }
}
