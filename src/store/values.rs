//! Between our types and SQLite's: milliseconds, decimal text, words.

use chrono::DateTime;
use rusqlite::Row;
use rust_decimal::Decimal;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use crate::domain::Timestamp;

/// A count as SQLite's signed integer.
pub(super) fn count(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::TooLarge(value))
}

/// A count read back.
pub(super) fn uncount(column: &'static str, value: i64) -> Result<u64, StoreError> {
    u64::try_from(value).map_err(|_| unreadable(column, value))
}

/// An instant read back.
pub(super) fn instant(column: &'static str, millis: i64) -> Result<Timestamp, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| unreadable(column, millis))
}

/// The wire word of an enum that serde writes as a string: the same in the store as in every JSON.
pub(super) fn word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value)? {
        serde_json::Value::String(word) => Ok(word),
        other => Err(StoreError::Unreadable { column: "a word", value: other.to_string() }),
    }
}

/// The enum, name or amount of a text.
pub(super) fn unword<T: DeserializeOwned>(column: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|_| unreadable(column, text))
}

/// Like [`unword`], for a column that may be empty.
pub(super) fn unword_some<T: DeserializeOwned>(
    column: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, StoreError> {
    text.map(|text| unword(column, text)).transpose()
}

/// Every digit of an amount, in plain notation.
pub(super) fn money(amount: impl Into<Decimal>) -> String {
    amount.into().to_string()
}

/// A decimal read back.
pub(super) fn decimal(column: &'static str, text: &str) -> Result<Decimal, StoreError> {
    Decimal::from_str_exact(text).map_err(|_| unreadable(column, text))
}

/// What a column holds and this version does not understand.
pub(super) fn unreadable(column: &'static str, value: impl std::fmt::Display) -> StoreError {
    StoreError::Unreadable { column, value: format!("{value}") }
}

/// Every row, read by our own function, which fails with our own errors.
pub(super) fn collect<T>(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut rows = statement.query(parameters)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        out.push(read(row)?);
    }
    Ok(out)
}

/// Adds every row to `sums`, one at a time.
pub(super) fn fold<S, T>(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
    mut sums: S,
    add: impl Fn(&mut S, T),
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<S, StoreError> {
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        add(&mut sums, read(row)?);
    }
    Ok(sums)
}

/// The first row, if there is one.
pub(super) fn first<T>(
    statement: &mut rusqlite::Statement<'_>,
    parameters: impl rusqlite::Params,
    read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(read).transpose()
}
