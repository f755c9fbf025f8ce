//! Identities that join the records: the cycle, and the order as we name it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::clock::Timestamp;
use super::symbol::InvalidName;

/// One cycle. Sorts by time: `c20260302T080500Z-1f3a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CycleId(String);

impl CycleId {
    /// From the market time it began and a number that tells two cycles of the same second apart.
    pub fn new(started: Timestamp, number: u64) -> Self {
        Self(format!("c{}-{number:04x}", started.format("%Y%m%dT%H%M%SZ")))
    }

    /// An id read back from the store.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The bare text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the first cycle of its store.
    pub fn is_first(&self) -> bool {
        self.0.ends_with("-0001")
    }
}

impl fmt::Display for CycleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name we give an order before it is sent; the exchange carries it through every report.
///
/// Binance allows `^[\.A-Z\:/a-z0-9_-]{1,36}$`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientOrderId(String);

impl ClientOrderId {
    /// Checks the exchange's spelling rule.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
        let text = text.into();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte);
        if (1..=36).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text))
        } else {
            Err(InvalidName {
                kind: "client order id",
                value: text,
                allowed: "1 to 36 letters, digits and . : / _ -",
            })
        }
    }

    /// The bare text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ClientOrderId {
    type Error = InvalidName;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<ClientOrderId> for String {
    fn from(id: ClientOrderId) -> Self {
        id.0
    }
}

impl fmt::Display for ClientOrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
