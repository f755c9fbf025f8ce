//! How a socket is closed on purpose.

use serde::{Deserialize, Serialize};

/// How the world closes a socket. Written as the code, or as `"none"` or `"abrupt"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Farewell {
    /// With a close frame that has no code.
    #[default]
    Bare,
    /// With a close frame of this code.
    Coded(u16),
    /// Without a close frame: the connection just ends.
    Abrupt,
}

/// The codes a rule may close a socket with: done, going away, against the rules.
const CLOSE_CODES: [u16; 3] = [1000, 1001, 1008];

impl Farewell {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands the field over as it is")]
    /// Whether it is the usual one.
    pub(super) fn is_bare(&self) -> bool {
        *self == Self::Bare
    }
}

impl<'de> Deserialize<'de> for Farewell {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let code = value.as_u64().and_then(|code| u16::try_from(code).ok());
        match (value.as_str(), code.filter(|code| CLOSE_CODES.contains(code))) {
            (Some("none"), _) => Ok(Self::Bare),
            (Some("abrupt"), _) => Ok(Self::Abrupt),
            (_, Some(code)) => Ok(Self::Coded(code)),
            _ => Err(serde::de::Error::custom(format!(
                "code is {value}; allowed are 1000, 1001, 1008, \"none\" and \"abrupt\""
            ))),
        }
    }
}

impl Serialize for Farewell {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bare => serializer.serialize_str("none"),
            Self::Coded(code) => serializer.serialize_u16(*code),
            Self::Abrupt => serializer.serialize_str("abrupt"),
        }
    }
}
