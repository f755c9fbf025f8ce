//! Names with rules: the contract and the account.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::short::Short;

/// A name its type does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {kind}: {allowed}")]
pub struct InvalidName {
    /// The type that refused the name.
    pub kind: &'static str,
    /// The name as it was given.
    pub value: String,
    /// What the type allows.
    pub allowed: &'static str,
}

macro_rules! name {
    ($(#[$meta:meta])* $name:ident, $longest:literal, $kind:literal, $allowed:literal, $valid:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Short<$longest>);

        impl $name {
            /// Checks the spelling and wraps the name.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                Short::new(text).filter(|_| valid(text)).map(Self).ok_or_else(|| InvalidName {
                    kind: $kind,
                    value: text.to_owned(),
                    allowed: $allowed,
                })
            }

            /// The bare name.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().to_owned()
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

name!(
    /// A contract as the exchange spells it, such as `BTCUSDT`.
    Symbol, 20, "symbol", "2 to 20 capital letters and digits, such as BTCUSDT",
    |text| (2..=20).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
);
name!(
    /// An account's own name in the settings, such as `mirat`.
    AccountName, 24, "account name", "1 to 24 small letters, digits, '-' and '_', starting with a letter",
    |text| (1..=24).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_'
        })
);

impl Symbol {
    /// Every symbol once, in order of first mention.
    pub fn each_once<'a>(mentioned: impl IntoIterator<Item = &'a Self>) -> Vec<Self> {
        let mut symbols: Vec<Self> = Vec::new();
        for symbol in mentioned {
            if !symbols.contains(symbol) {
                symbols.push(symbol.clone());
            }
        }
        symbols
    }

    /// The coin without its quote currency: `BTC` of `BTCUSDT`.
    pub fn coin(&self) -> &str {
        let name = self.as_str();
        name.strip_suffix("USDT").filter(|coin| !coin.is_empty()).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_knows_its_coin() {
        assert_eq!(Symbol::new("PAXGUSDT").unwrap().coin(), "PAXG");
    }

    #[test]
    fn names_that_could_break_a_path_or_a_screen_are_refused() {
        for bad in ["", "B", "btcusdt", "BTC/USDT", "BTC\u{1b}[2J", "../etc"] {
            assert!(Symbol::new(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "Mirat", "1st", "a b", "ş"] {
            assert!(AccountName::new(bad).is_err(), "{bad:?}");
        }
    }
}
