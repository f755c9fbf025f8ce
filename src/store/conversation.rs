//! Every request to the model, every answer, every tool call: the exact bytes.
//!
//! Requests and answers repeat the whole conversation in every turn, so they are kept as gzip. Rows of earlier versions
//! are plain; the first two bytes tell them apart, since neither JSON nor an event stream begins like gzip.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rusqlite::params;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::StoreError;
use super::values::{collect, count, decimal, instant, uncount, unreadable};
use crate::domain::{CycleId, Timestamp, ToolCallRecord, Untrusted, Usage};

/// One request to the model and what came back. Never headers: they carry the key.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelCall {
    /// Which cycle.
    pub cycle: CycleId,
    /// 1 for the first turn; a turn that was tried again has a row for each try.
    pub iteration: u32,
    /// When it was sent (market time).
    pub at: Timestamp,
    /// The body that was sent.
    pub request: Vec<u8>,
    /// HTTP status; `None` when not even a head came.
    pub status: Option<u16>,
    /// The body that came, as far as it came.
    pub response: Vec<u8>,
    /// Why the answer ended, if it did.
    pub stop_reason: Option<String>,
    /// Tokens and money.
    pub usage: Usage,
    /// The provider's id of the request.
    pub request_id: Option<String>,
    /// The provider's rate limits, each with what was left of it.
    pub rate_limits: Option<String>,
    /// Duration in milliseconds.
    pub ms: f64,
    /// What failed, if it did.
    pub error: Option<String>,
}

/// What the model took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spending {
    /// US dollars.
    pub usd: Decimal,
    /// Tokens of every kind.
    pub tokens: u64,
    /// Time that it was waited for.
    pub time: Duration,
}

/// How a conversation ended that brought no answer, or no repair of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// Answers that were taken before.
    pub answers: u32,
    /// Requests that were made by then.
    pub requests: u32,
    /// Why it ended.
    pub words: String,
    /// Whether nothing of the cycle might trade because of it.
    pub forbids_trading: bool,
}

/// How often the model used a tool lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToolHabit {
    /// Cycles looked at.
    pub cycles: u32,
    /// Those with at least one tool call.
    pub with_tools: u32,
}

impl Store {
    /// Keeps one request to the model with its answer, and says under which number.
    pub async fn put_model_call(&self, call: &ModelCall) -> Result<i64, StoreError> {
        self.write_model_call(None, call).await
    }

    /// Puts what became of a request in the place of what was kept of it before.
    pub async fn replace_model_call(&self, number: i64, call: &ModelCall) -> Result<(), StoreError> {
        self.write_model_call(Some(number), call).await.map(drop)
    }

    /// Takes a request away again that was never sent.
    pub async fn forget_model_call(&self, number: i64) -> Result<(), StoreError> {
        self.write(move |connection| {
            connection.execute("DELETE FROM model_calls WHERE id = ?1", [number])?;
            Ok(())
        })
        .await
    }

    async fn write_model_call(&self, number: Option<i64>, call: &ModelCall) -> Result<i64, StoreError> {
        let mut call = call.clone();
        call.request = packed(&call.request)?;
        call.response = packed(&call.response)?;
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT OR REPLACE INTO model_calls (cycle, iteration, at, request, response, stop_reason, input_tokens,
                     output_tokens, cache_read_input_tokens, cache_creation_input_tokens, cost_usd, request_id, ms,
                     error, status, is_estimate, rate_limits, id)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
            )?;
            statement.execute(params![
                call.cycle.as_str(),
                call.iteration,
                call.at.timestamp_millis(),
                call.request,
                call.response,
                call.stop_reason,
                count(call.usage.input_tokens)?,
                count(call.usage.output_tokens)?,
                count(call.usage.cache_read_input_tokens)?,
                count(call.usage.cache_creation_input_tokens)?,
                call.usage.cost_usd.to_string(),
                call.request_id,
                call.ms,
                call.error,
                call.status,
                call.usage.is_estimate,
                call.rate_limits,
                number,
            ])?;
            Ok(connection.last_insert_rowid())
        })
        .await
    }

    /// Every request of a cycle with its answer, in the order they were made.
    pub async fn model_calls_of(&self, cycle: &CycleId) -> Result<Vec<ModelCall>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT iteration, at, request, response, stop_reason, input_tokens, output_tokens,
                     cache_read_input_tokens, cache_creation_input_tokens, cost_usd, request_id, ms, error, status,
                     is_estimate, rate_limits
                 FROM model_calls WHERE cycle = ?1 ORDER BY id",
            )?;
            collect(&mut statement, [cycle.as_str()], |row| {
                let tokens = |index: usize| uncount("model_calls tokens", row.get(index)?);
                Ok(ModelCall {
                    cycle: cycle.clone(),
                    iteration: row.get(0)?,
                    at: instant("model_calls.at", row.get(1)?)?,
                    request: unpacked("model_calls.request", row.get(2)?)?,
                    response: unpacked("model_calls.response", row.get(3)?)?,
                    stop_reason: row.get(4)?,
                    usage: Usage {
                        input_tokens: tokens(5)?,
                        output_tokens: tokens(6)?,
                        cache_read_input_tokens: tokens(7)?,
                        cache_creation_input_tokens: tokens(8)?,
                        cost_usd: decimal("model_calls.cost_usd", &row.get::<_, String>(9)?)?,
                        is_estimate: row.get(14)?,
                    },
                    request_id: row.get(10)?,
                    rate_limits: row.get(15)?,
                    ms: row.get(11)?,
                    error: row.get(12)?,
                    status: row.get(13)?,
                })
            })
        })
        .await
    }

    /// Keeps how the conversation of a cycle ended.
    pub async fn put_ending(&self, cycle: &CycleId, ending: &Ending) -> Result<(), StoreError> {
        let (cycle, ending) = (cycle.clone(), serde_json::to_string(ending)?);
        self.write(move |connection| {
            let query = "UPDATE cycles SET ending = ?2 WHERE id = ?1";
            connection.execute(query, params![cycle.as_str(), ending])?;
            Ok(())
        })
        .await
    }

    /// How the conversation of a cycle ended, if it did not end with an answer.
    pub async fn ending_of(&self, cycle: &CycleId) -> Result<Option<Ending>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let query = "SELECT ending FROM cycles WHERE id = ?1 AND ending IS NOT NULL";
            let mut statement = connection.prepare_cached(query)?;
            let found = collect(&mut statement, [cycle.as_str()], |row| {
                Ok(serde_json::from_str(&row.get::<_, String>(0)?)?)
            })?;
            Ok(found.into_iter().next())
        })
        .await
    }

    /// Keeps one tool call with the answer the model was given.
    pub async fn put_tool_call(
        &self,
        cycle: &CycleId,
        iteration: u32,
        call: &ToolCallRecord,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let (cycle, call, body) = (cycle.clone(), call.clone(), body.to_owned());
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "INSERT INTO tool_calls (cycle, iteration, endpoint, params, status, bytes, ms, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            statement.execute(params![
                cycle.as_str(),
                iteration,
                call.endpoint.raw(),
                call.params.to_string(),
                call.status,
                count(call.bytes)?,
                call.ms,
                body,
            ])?;
            Ok(())
        })
        .await
    }

    /// Every tool call of a cycle, in the order they were made: the turn it was asked in, the call, and the answer the
    /// model was given.
    pub async fn tool_calls_of(
        &self,
        cycle: &CycleId,
    ) -> Result<Vec<(u32, ToolCallRecord, Vec<u8>)>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT endpoint, params, status, bytes, ms, body, iteration FROM tool_calls WHERE cycle = ?1 ORDER BY id",
            )?;
            collect(&mut statement, [cycle.as_str()], |row| {
                let record = ToolCallRecord {
                    endpoint: Untrusted::new(row.get::<_, String>(0)?),
                    params: serde_json::from_str(&row.get::<_, String>(1)?)?,
                    status: row.get(2)?,
                    bytes: uncount("tool_calls.bytes", row.get(3)?)?,
                    ms: row.get(4)?,
                };
                Ok((row.get(6)?, record, row.get(5)?))
            })
        })
        .await
    }

    /// Tokens and money of all requests to the model sent at an instant or later (market time), at all venues: what is
    /// spent is spent.
    pub async fn usage_since(&self, since: Timestamp) -> Result<Usage, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens, cost_usd,
                     is_estimate, rate_limits
                 FROM model_calls WHERE at >= ?1",
            )?;
            let calls = collect(&mut statement, [since.timestamp_millis()], |row| {
                let tokens = |index: usize| uncount("model_calls tokens", row.get(index)?);
                let cost: String = row.get(4)?;
                Ok(Usage {
                    input_tokens: tokens(0)?,
                    output_tokens: tokens(1)?,
                    cache_read_input_tokens: tokens(2)?,
                    cache_creation_input_tokens: tokens(3)?,
                    cost_usd: decimal("model_calls.cost_usd", &cost)?,
                    is_estimate: row.get(5)?,
                })
            })?;
            let mut total = Usage::default();
            for call in calls {
                total += call;
            }
            Ok(total)
        })
        .await
    }

    /// What the model cost in all cycles that began at an instant or later (wall time), at all venues, without those of
    /// the provider that costs nothing. A cycle under way or cut off counts: its provider is not noted yet, and too
    /// careful is right here.
    pub async fn spent_since(
        &self,
        since: Timestamp,
        free_provider: &'static str,
    ) -> Result<Spending, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT model_calls.cost_usd, model_calls.ms,
                     model_calls.input_tokens + model_calls.output_tokens
                        + model_calls.cache_read_input_tokens + model_calls.cache_creation_input_tokens
                 FROM cycles JOIN model_calls ON model_calls.cycle = cycles.id
                 WHERE cycles.started_at >= ?1 AND (cycles.provider IS NULL OR cycles.provider <> ?2)",
            )?;
            let calls = collect(&mut statement, params![since.timestamp_millis(), free_provider], |row| {
                let ms: f64 = row.get(1)?;
                Ok(Spending {
                    usd: decimal("model_calls.cost_usd", &row.get::<_, String>(0)?)?,
                    tokens: uncount("model_calls tokens", row.get(2)?)?,
                    time: Duration::try_from_secs_f64(ms).unwrap_or_default() / 1000,
                })
            })?;
            Ok(calls.into_iter().fold(Spending::default(), |sum, call| Spending {
                usd: sum.usd + call.usd,
                tokens: sum.tokens.saturating_add(call.tokens),
                time: sum.time.saturating_add(call.time),
            }))
        })
        .await
    }

    /// How many of this venue's last finished cycles with a provider used a tool.
    pub async fn tool_habit(&self, provider: &str, cycles: u32) -> Result<ToolHabit, StoreError> {
        let (venue, provider) = (Arc::clone(&self.venue), provider.to_owned());
        self.read(move |connection| {
            let query = "SELECT COUNT(*),
                     COALESCE(SUM(EXISTS (SELECT 1 FROM tool_calls WHERE tool_calls.cycle = last.id)), 0)
                 FROM (SELECT id FROM cycles WHERE venue = ?1 AND provider = ?2 AND iterations > 0
                       ORDER BY started_at DESC, id DESC LIMIT ?3) AS last";
            Ok(connection.query_row(query, params![venue, provider, cycles], |row| {
                Ok(ToolHabit { cycles: row.get(0)?, with_tools: row.get(1)? })
            })?)
        })
        .await
    }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The same bytes always give the same gzip: it bears no time.
fn packed(plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let packing = |plain: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain)?;
        encoder.finish()
    };
    packing(plain).map_err(|error| unreadable("model_calls", error.to_string()))
}

fn unpacked(what: &'static str, kept: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    if !kept.starts_with(&GZIP) {
        return Ok(kept);
    }
    let mut plain = Vec::new();
    GzDecoder::new(kept.as_slice())
        .read_to_end(&mut plain)
        .map_err(|error| unreadable(what, error.to_string()))?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_packed_comes_back_and_what_was_kept_plain_stays() {
        let text = b"{\"model\":\"x\"}".repeat(200);
        let kept = packed(&text).unwrap();
        assert!(kept.len() * 20 < text.len());
        assert_eq!(kept, packed(&text).unwrap());
        assert_eq!(unpacked("x", kept.clone()).unwrap(), text);
        assert_eq!(unpacked("x", text.clone()).unwrap(), text);
        assert!(unpacked("x", kept[..kept.len() / 2].to_vec()).is_err());
    }
}
