//! Short text that lives where it is used: copied and compared like a number, never on the heap.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Text of at most `N` bytes, `N` being 255 at most. What lies behind its end is zero, so that it orders as text does.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Short<const N: usize> {
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Short<N> {
    /// The text, when it is short enough.
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        Some(Self { bytes, length: u8::try_from(text.len()).ok()? })
    }

    /// No text, to write some into.
    pub const fn empty() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // It was made of text, so it is text.
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl<const N: usize> Ord for Short<N> {
    /// As text orders. The first bytes, compared as one number, decide nearly always.
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |text: &Self| text.bytes.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let by_first = first(self).cmp(&first(other));
        by_first.then_with(|| if self == other { Ordering::Equal } else { self.bytes.cmp(&other.bytes) })
    }
}

impl<const N: usize> PartialOrd for Short<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Fails when the text becomes too long, and keeps what it was.
impl<const N: usize> fmt::Write for Short<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let start = usize::from(self.length);
        let end = start + text.len();
        let length = u8::try_from(end).map_err(|_| fmt::Error)?;
        self.bytes.get_mut(start..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = length;
        Ok(())
    }
}

impl<const N: usize> Serialize for Short<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de, const N: usize> Deserialize<'de> for Short<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| de::Error::invalid_length(text.len(), &"shorter text"))
    }
}

impl<const N: usize> fmt::Display for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn short_text_orders_as_text_does() {
        let mut words = ["b", "", "ab", "abc", "a", "aB", "abd", "a lot of text", "a lot of", "a lot more"];
        let mut short: Vec<Short<13>> = words.iter().map(|word| Short::new(word).unwrap()).collect();
        words.sort_unstable();
        short.sort_unstable();
        assert!(short.iter().map(Short::as_str).eq(words));
    }

    #[test]
    fn what_is_too_long_is_refused() {
        assert!(Short::<3>::new("abcd").is_none());
        assert!(Short::<300>::new(&"a".repeat(256)).is_none());
        assert!(Short::<3>::new("é!").is_some());
        let mut short = Short::<3>::empty();
        assert!(write!(short, "{}", 12).is_ok() && write!(short, "34").is_err());
        assert_eq!(short.as_str(), "12");
    }
}
