//! Reads TOML so that every refusal knows its line, its key and what would be allowed.
//!
//! A section remembers the keys it was asked for. What is left over when it is finished is unknown, and the keys asked
//! for are exactly the ones to suggest: the list of known keys cannot drift from the code that reads them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::str::FromStr;

use rust_decimal::Decimal;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::ConfigError;
use super::secret::SecretRef;

/// The file being read.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub file: &'t Path,
    pub text: &'t str,
}

impl Source<'_> {
    /// The line of a byte offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        before.iter().fold(1, |line, byte| line + usize::from(*byte == b'\n'))
    }
}

/// A table, or the place where one could be.
pub(super) struct Section<'t> {
    source: Source<'t>,
    path: String,
    offset: usize,
    table: Option<&'t DeTable<'t>>,
    known: Vec<&'static str>,
}

/// One value with its key.
pub(super) struct Entry<'t> {
    source: Source<'t>,
    key: String,
    value: &'t Spanned<DeValue<'t>>,
}

impl<'t> Section<'t> {
    /// The file's own top level.
    pub fn root(source: Source<'t>, table: &'t DeTable<'t>) -> Self {
        Self { source, path: String::new(), offset: 0, table: Some(table), known: Vec::new() }
    }

    /// The line this section begins at.
    pub fn line(&self) -> usize {
        self.source.line(self.offset)
    }

    /// The value of a key, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Entry<'t>> {
        self.known.push(key);
        let (_, value) = self.table?.iter().find(|(name, _)| name.get_ref().as_ref() == key)?;
        Some(Entry { source: self.source, key: self.full(key), value })
    }

    /// The value of a key that has no default.
    pub fn required(&mut self, key: &'static str, allowed: &str) -> Result<Entry<'t>, ConfigError> {
        let missing = ConfigError::Value {
            file: self.source.file.to_owned(),
            line: self.line(),
            key: self.full(key),
            found: "missing".to_owned(),
            allowed: allowed.to_owned(),
        };
        self.take(key).ok_or(missing)
    }

    /// A section below this one; one that is not in the file has no values.
    pub fn section(&mut self, key: &'static str) -> Result<Self, ConfigError> {
        let Some(entry) = self.take(key) else {
            return Ok(Self {
                source: self.source,
                path: self.full(key),
                offset: self.offset,
                table: None,
                known: Vec::new(),
            });
        };
        entry.into_section(&format!("a section, written [{key}]"))
    }

    /// The sections of a list such as `[[account]]`, if there is one.
    pub fn sections(&mut self, key: &'static str) -> Result<Option<Vec<Self>>, ConfigError> {
        let allowed = format!("one or more sections, each written [[{key}]]");
        let Some(entry) = self.take(key) else { return Ok(None) };
        let items = entry.list(&allowed)?;
        if items.is_empty() {
            return Err(entry.refuse_as("empty", &allowed));
        }
        items.into_iter().map(|item| item.into_section(&allowed)).collect::<Result<_, _>>().map(Some)
    }

    /// Ends the reading: a key nobody asked for is refused.
    pub fn finish(self) -> Result<(), ConfigError> {
        let Some(table) = self.table else { return Ok(()) };
        let unknown = table
            .keys()
            .filter(|name| !self.known.contains(&name.get_ref().as_ref()))
            .min_by_key(|name| name.span().start);
        let Some(unknown) = unknown else { return Ok(()) };
        let name: &str = unknown.get_ref();
        Err(ConfigError::UnknownKey {
            file: self.source.file.to_owned(),
            line: self.source.line(unknown.span().start),
            key: self.full(&printable(name)),
            nearest: nearest(name, &self.known).map(|known| self.full(known)),
            known: self.known.iter().map(|known| self.full(known)).collect(),
        })
    }

    /// A switch.
    pub fn boolean(&mut self, key: &'static str, target: &mut bool) -> Result<(), ConfigError> {
        if let Some(entry) = self.take(key) {
            *target = entry.value.get_ref().as_bool().ok_or_else(|| entry.refuse("true or false"))?;
        }
        Ok(())
    }

    /// `true` or `false`, if it is there.
    pub fn optional_boolean(
        &mut self,
        key: &'static str,
        target: &mut Option<bool>,
    ) -> Result<(), ConfigError> {
        if let Some(entry) = self.take(key) {
            let value = entry.value.get_ref().as_bool().ok_or_else(|| entry.refuse("true or false"))?;
            *target = Some(value);
        }
        Ok(())
    }

    /// A whole number within a range, if it is there.
    pub fn optional_whole(
        &mut self,
        key: &'static str,
        target: &mut Option<u64>,
        range: RangeInclusive<u64>,
    ) -> Result<(), ConfigError> {
        if let Some(entry) = self.take(key) {
            *target = Some(entry.whole(range)?);
        }
        Ok(())
    }

    /// A whole number within a range.
    pub fn whole<N>(
        &mut self,
        key: &'static str,
        target: &mut N,
        range: RangeInclusive<N>,
    ) -> Result<(), ConfigError>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        if let Some(entry) = self.take(key) {
            *target = entry.whole(range)?;
        }
        Ok(())
    }

    /// One of a few words.
    pub fn word<T: Copy>(
        &mut self,
        key: &'static str,
        target: &mut T,
        words: &[(&str, T)],
    ) -> Result<(), ConfigError> {
        if let Some(entry) = self.take(key) {
            let quoted: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let allowed = format!("one of {}", quoted.join(", "));
            let text = entry.string(&allowed)?;
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            *target = found.ok_or_else(|| entry.refuse(&allowed))?;
        }
        Ok(())
    }

    /// A text its type checks.
    pub fn parsed<T>(&mut self, key: &'static str, target: &mut T) -> Result<(), ConfigError>
    where
        T: FromStr<Err: AllowedText>,
    {
        if let Some(entry) = self.take(key) {
            *target = entry.parsed()?;
        }
        Ok(())
    }

    /// Where a secret is kept: one key names a variable, the other a file; both at once leave open which one counts.
    pub fn secret(
        &mut self,
        variable: &'static str,
        file: &'static str,
    ) -> Result<Option<SecretRef>, ConfigError> {
        let by_variable = self.take(variable);
        let by_file = self.take(file);
        match (by_variable, by_file) {
            (Some(_), Some(entry)) => {
                let found = format!("given together with {}", self.full(variable));
                Err(entry.refuse_as(&found, "one of the two"))
            }
            (Some(entry), None) => entry.variable_name().map(|name| Some(SecretRef::Variable(name))),
            (None, Some(entry)) => entry.secret_file().map(|path| Some(SecretRef::File(path))),
            (None, None) => Ok(None),
        }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'t> Entry<'t> {
    /// A text.
    pub fn string(&self, allowed: &str) -> Result<&'t str, ConfigError> {
        self.value.get_ref().as_str().ok_or_else(|| self.refuse(allowed))
    }

    /// A whole number within a range.
    fn whole<N>(&self, range: RangeInclusive<N>) -> Result<N, ConfigError>
    where
        N: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let allowed = format!("a whole number from {} to {}", range.start(), range.end());
        let number = self.integer().and_then(|number| N::try_from(number).ok());
        number.filter(|number| range.contains(number)).ok_or_else(|| self.refuse(&allowed))
    }

    /// A whole number, if it is one.
    fn integer(&self) -> Option<i64> {
        let number = self.value.get_ref().as_integer()?;
        i64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// A number with every digit it was written with.
    pub fn decimal(&self) -> Option<Decimal> {
        let value = self.value.get_ref();
        value.as_float().map_or_else(
            || self.integer().map(Decimal::from),
            |number| {
                let text = number.as_str();
                Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).ok()
            },
        )
    }

    /// The items of a list, each with its own line.
    pub fn list(&self, allowed: &str) -> Result<Vec<Self>, ConfigError> {
        let items = self.value.get_ref().as_array().ok_or_else(|| self.refuse(allowed))?;
        let entry = |value| Self { source: self.source, key: self.key.clone(), value };
        Ok(items.iter().map(entry).collect())
    }

    /// A section whose keys are free words, each with a text or a list of texts.
    pub fn word_lists(&self, allowed: &str) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.refuse(allowed))?;
        let mut lists = BTreeMap::new();
        for (name, value) in table {
            let name = printable(name.get_ref());
            let entry = Self { source: self.source, key: format!("{}.{name}", self.key), value };
            let texts = match value.get_ref() {
                DeValue::Array(_) => {
                    let items = entry.list(allowed)?;
                    items.iter().map(|item| Ok(item.string(allowed)?.to_owned())).collect::<Result<_, _>>()?
                }
                _ => vec![entry.string(allowed)?.to_owned()],
            };
            lists.insert(name, texts);
        }
        Ok(lists)
    }

    /// A text its type checks; the type's error says what is allowed.
    pub fn parsed<T>(&self) -> Result<T, ConfigError>
    where
        T: FromStr<Err: AllowedText>,
    {
        let text = self.string("a text in quotes")?;
        text.parse().map_err(|error: T::Err| self.refuse(error.allowed()))
    }

    /// Refuses the value as it stands in the file.
    pub fn refuse(&self, allowed: &str) -> ConfigError {
        self.refuse_as(&shown(self.value.get_ref()), allowed)
    }

    /// Refuses the value and says what is wrong with it in other words.
    pub fn refuse_as(&self, found: &str, allowed: &str) -> ConfigError {
        ConfigError::Value {
            file: self.source.file.to_owned(),
            line: self.source.line(self.value.span().start),
            key: self.key.clone(),
            found: found.to_owned(),
            allowed: allowed.to_owned(),
        }
    }

    /// The name of an environment variable. A refusal keeps the text to itself: it may be the secret.
    fn variable_name(&self) -> Result<String, ConfigError> {
        let text = self.value.get_ref().as_str().unwrap_or("");
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if !text.is_empty() && text.bytes().all(inner) && !text.starts_with(|c: char| c.is_ascii_digit()) {
            Ok(text.to_owned())
        } else {
            let allowed = "the name of an environment variable, never the secret itself";
            Err(self.refuse_as("not a variable's name", allowed))
        }
    }

    /// The path of a secret file; a relative one starts at the settings folder.
    fn secret_file(&self) -> Result<std::path::PathBuf, ConfigError> {
        let text = self.value.get_ref().as_str().unwrap_or("");
        if text.is_empty() || text.contains('\n') {
            return Err(self.refuse_as("not a path", "the path of a file of mode 0600 that holds the secret"));
        }
        Ok(self.source.file.parent().unwrap_or(Path::new("")).join(text))
    }

    fn into_section(self, allowed: &str) -> Result<Section<'t>, ConfigError> {
        let table = self.value.get_ref().as_table().ok_or_else(|| self.refuse(allowed))?;
        Ok(Section {
            source: self.source,
            path: self.key,
            offset: self.value.span().start,
            table: Some(table),
            known: Vec::new(),
        })
    }
}

/// A type's error that knows what the type allows.
pub(super) trait AllowedText {
    /// What would be accepted.
    fn allowed(&self) -> &'static str;
}

impl AllowedText for crate::domain::InvalidName {
    fn allowed(&self) -> &'static str {
        self.allowed
    }
}

impl AllowedText for crate::domain::InvalidAmount {
    fn allowed(&self) -> &'static str {
        self.allowed
    }
}

/// A value as the operator wrote it, short enough for a message.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("\"{}\"", printable(text)),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(switch) => switch.to_string(),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a section".to_owned(),
    }
}

/// Keeps a message on one line and free of anything that steers a terminal.
fn printable(text: &str) -> String {
    crate::domain::Untrusted::new(text).line(60)
}

/// The known key that is spelled most like `word`, if it is close enough to be meant.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    let closeness = |known: &str| edit_distance(&word, known);
    let best =
        known.iter().copied().min_by_key(|known| (closeness(known), known.len().abs_diff(word.len())))?;
    let allowed = (best.len().max(word.len()) / 2).clamp(1, 5);
    let related = best.starts_with(&word) || word.starts_with(best);
    (closeness(best) <= allowed || related).then_some(best)
}

/// How many letters must be put in, taken out, exchanged or swapped with their neighbour to turn one into the other.
fn edit_distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (i, letter) in from.iter().enumerate() {
        let above = &rows[i];
        let mut row = vec![i + 1];
        for (j, other) in to.iter().enumerate() {
            let exchanged = above[j] + usize::from(letter != other);
            let mut best = exchanged.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *letter == to[j - 1] && from[i - 1] == *other {
                best = best.min(rows[i - 1][j - 1] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_key_and_a_foreign_word_none() {
        let known = ["mode", "model", "max_tokens", "leverage"];
        assert_eq!(nearest("modle", &known), Some("model"));
        assert_eq!(nearest("maxtokens", &known), Some("max_tokens"));
        assert_eq!(nearest("Leverage", &known), Some("leverage"));
        assert_eq!(nearest("zzzzzzzz", &known), None);
    }

    #[test]
    fn swapping_two_neighbours_is_one_slip() {
        assert_eq!(edit_distance("levreage", "leverage"), 1);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }
}
