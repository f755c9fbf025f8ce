//! Rows by their number, oldest first: numbers only ever rise, so that a new row goes to the end.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Rows by number, in the order of their numbers. Saved as a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History<T>(Vec<(i64, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> History<T> {
    /// The place of a number, or the one it would have.
    fn place(&self, number: i64) -> Result<usize, usize> {
        match self.0.last() {
            None => Err(0),
            // What is asked for is most often the latest.
            Some((last, _)) if *last == number => Ok(self.0.len() - 1),
            Some((last, _)) if *last < number => Err(self.0.len()),
            Some(_) => self.0.binary_search_by_key(&number, |(number, _)| *number),
        }
    }

    /// The row of a number.
    pub fn get(&self, number: i64) -> Option<&T> {
        self.0.get(self.place(number).ok()?).map(|(_, row)| row)
    }

    pub(super) fn get_mut(&mut self, number: i64) -> Option<&mut T> {
        let place = self.place(number).ok()?;
        self.0.get_mut(place).map(|(_, row)| row)
    }

    /// Puts a row into its place, over the one that was there.
    pub(super) fn insert(&mut self, number: i64, row: T) {
        match self.place(number) {
            Ok(place) => self.0[place].1 = row,
            Err(place) => self.0.insert(place, (number, row)),
        }
    }

    pub(super) fn remove(&mut self, number: i64) {
        if let Ok(place) = self.place(number) {
            self.0.remove(place);
        }
    }

    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        self.0.retain(|(_, row)| keep(row));
    }

    /// The rows, oldest first.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.iter().map(|(_, row)| row)
    }

    /// The numbers, rising.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = i64> {
        self.0.iter().map(|(number, _)| *number)
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
impl<T> std::ops::Index<&i64> for History<T> {
    type Output = T;

    fn index(&self, number: &i64) -> &T {
        self.get(*number).expect("a known number")
    }
}

impl<T: Serialize> Serialize for History<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(number, row)| (number, row)))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for History<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|rows| Self(rows.into_iter().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_by_their_number_however_they_came() {
        let mut history = History::default();
        for number in [3, 9, 5, 9] {
            history.insert(number, number * 10);
        }
        assert_eq!(history.keys().collect::<Vec<_>>(), [3, 5, 9]);
        assert_eq!((history.get(5), history.get(4), history.get(10)), (Some(&50), None, None));
        history.remove(5);
        history.retain(|row| *row != 90);
        assert_eq!(history.values().collect::<Vec<_>>(), [&30]);
    }

    #[test]
    fn it_is_saved_as_a_map() {
        let mut history = History::default();
        history.insert(10, "b".to_owned());
        history.insert(9, "a".to_owned());
        let saved = serde_json::to_string(&history).unwrap();
        assert_eq!(saved, r#"{"9":"a","10":"b"}"#);
        assert_eq!(serde_json::from_str::<History<String>>(&saved).unwrap(), history);
    }
}
