//! Cycles from begin to report, and the briefs they were decided on.

use std::sync::Arc;

use rusqlite::params;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::Store;
use super::decisions::upsert_row;
use super::error::StoreError;
use super::values::{collect, count, decimal, first, instant, unword, word};
use crate::domain::{CycleId, CycleReport, Mode, Profile, Timestamp, Trigger};

/// A cycle as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleStart {
    /// Identity.
    pub id: CycleId,
    /// What started it.
    pub trigger: Trigger,
    /// Which money.
    pub mode: Mode,
    /// Whether orders are only computed.
    pub dry_run: bool,
    /// How openings are sized.
    pub profile: Profile,
    /// Market time the decisions belong to.
    pub market_time: Timestamp,
    /// Wall time.
    pub started_at: Timestamp,
}

/// How far a cycle came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CycleState {
    /// Begun; after a crash, begun and never ended.
    Running,
    /// There is a report.
    Finished,
    /// It ended without one.
    Failed,
}

/// A cycle in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CycleLine {
    /// At which venue.
    pub venue: String,
    /// How it began.
    pub start: CycleStart,
    /// How far it came.
    pub state: CycleState,
    /// Wall time of its end.
    pub finished_at: Option<Timestamp>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// What the model cost, in US dollars, once finished.
    pub cost_usd: Option<Decimal>,
}

impl Store {
    /// Whether no cycle was ever begun at this venue.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let query = "SELECT NOT EXISTS (SELECT 1 FROM cycles WHERE venue = ?1)";
            Ok(connection.query_row(query, [&*venue], |row| row.get(0))?)
        })
        .await
    }

    /// Notes that a cycle begins. An id that was used before is refused.
    pub async fn begin_cycle(&self, start: &CycleStart) -> Result<(), StoreError> {
        let (venue, start) = (Arc::clone(&self.venue), start.clone());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO cycles (venue, id, trigger, mode, dry_run, profile, market_time, started_at, state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'running')",
                params![
                    venue,
                    start.id.as_str(),
                    word(&start.trigger)?,
                    word(&start.mode)?,
                    start.dry_run,
                    word(&start.profile)?,
                    start.market_time.timestamp_millis(),
                    start.started_at.timestamp_millis(),
                ],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps the brief a cycle is decided on.
    pub async fn put_brief(&self, cycle: &CycleId, brief: &serde_json::Value) -> Result<(), StoreError> {
        let (cycle, brief) = (cycle.clone(), brief.to_string());
        self.write(move |connection| {
            connection.execute(
                "INSERT INTO briefs (cycle, brief) VALUES (?1, ?2)
                 ON CONFLICT (cycle) DO UPDATE SET brief = excluded.brief",
                [cycle.as_str(), &brief],
            )?;
            Ok(())
        })
        .await
    }

    /// Keeps the whole report and its decisions; the cycle is finished.
    pub async fn finish_cycle(&self, report: &CycleReport) -> Result<(), StoreError> {
        let json = serde_json::to_string(report)?;
        self.end_cycle(report, CycleState::Finished, None, Some(json)).await
    }

    /// Keeps what a cycle came to that was ended from outside: its cost and rows, the reason, and no report.
    pub async fn interrupt_cycle(&self, report: &CycleReport, reason: &str) -> Result<(), StoreError> {
        self.end_cycle(report, CycleState::Failed, Some(reason.to_owned()), None).await
    }

    async fn end_cycle(
        &self,
        report: &CycleReport,
        state: CycleState,
        failure: Option<String>,
        json: Option<String>,
    ) -> Result<(), StoreError> {
        let report = report.clone();
        self.write(move |connection| {
            let finished = connection.execute(
                "UPDATE cycles SET state = ?14, failure = ?15, finished_at = ?2, provider = ?3, model = ?4,
                     iterations = ?5, stop_reason = ?6, analysis = ?7, input_tokens = ?8, output_tokens = ?9,
                     cache_read_input_tokens = ?10, cache_creation_input_tokens = ?11, cost_usd = ?12, report = ?13
                 WHERE id = ?1",
                params![
                    report.cycle_id.as_str(),
                    report.finished_at.timestamp_millis(),
                    report.model.provider,
                    report.model.id,
                    report.model.iterations,
                    report.model.stop_reason,
                    report.analysis.raw(),
                    count(report.usage.input_tokens)?,
                    count(report.usage.output_tokens)?,
                    count(report.usage.cache_read_input_tokens)?,
                    count(report.usage.cache_creation_input_tokens)?,
                    report.usage.cost_usd.to_string(),
                    json,
                    word(&state)?,
                    failure,
                ],
            )?;
            if finished != 1 {
                return Err(StoreError::UnknownCycle(report.cycle_id));
            }
            report.decisions.iter().try_for_each(|row| upsert_row(connection, &report.cycle_id, row))
        })
        .await
    }

    /// Notes that a cycle ended without a report.
    pub async fn fail_cycle(&self, cycle: &CycleId, reason: &str) -> Result<(), StoreError> {
        let (cycle, reason) = (cycle.clone(), reason.to_owned());
        self.write(move |connection| {
            let failed = connection.execute(
                "UPDATE cycles SET state = 'failed', failure = ?2 WHERE id = ?1 AND state <> 'finished'",
                [cycle.as_str(), &reason],
            )?;
            if failed == 1 { Ok(()) } else { Err(StoreError::UnknownCycle(cycle)) }
        })
        .await
    }

    /// Fails every cycle that is still running, at whichever venue: one desk holds the file, so at its start they are
    /// what a crash left behind. Returns them.
    pub async fn fail_running_cycles(&self, reason: &str) -> Result<Vec<CycleId>, StoreError> {
        let reason = reason.to_owned();
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(
                "UPDATE cycles SET state = 'failed', failure = ?1 WHERE state = 'running' RETURNING id",
            )?;
            collect(&mut statement, [reason], |row| Ok(CycleId::from_stored(row.get::<_, String>(0)?)))
        })
        .await
    }

    /// Whether a cycle of this id was begun.
    pub async fn cycle_exists(&self, cycle: &CycleId) -> Result<bool, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let query = "SELECT EXISTS (SELECT 1 FROM cycles WHERE id = ?1)";
            Ok(connection.query_row(query, [cycle.as_str()], |row| row.get(0))?)
        })
        .await
    }

    /// The report of a cycle, if it is finished.
    pub async fn report(&self, cycle: &CycleId) -> Result<Option<CycleReport>, StoreError> {
        let cycle = cycle.clone();
        self.read(move |connection| {
            let mut statement = connection
                .prepare_cached("SELECT report FROM cycles WHERE id = ?1 AND report IS NOT NULL")?;
            first(&mut statement, [cycle.as_str()], report_of)
        })
        .await
    }

    /// The report of this venue's cycle that finished last.
    pub async fn last_report(&self) -> Result<Option<CycleReport>, StoreError> {
        let venue = Arc::clone(&self.venue);
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT report FROM cycles WHERE venue = ?1 AND state = 'finished'
                 ORDER BY started_at DESC, id DESC LIMIT 1",
            )?;
            first(&mut statement, [&*venue], report_of)
        })
        .await
    }

    /// The last cycles of all venues, newest first.
    pub async fn cycles(&self, limit: u32) -> Result<Vec<CycleLine>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, trigger, mode, dry_run, profile, market_time, started_at, state, finished_at, failure,
                     cost_usd, venue
                 FROM cycles ORDER BY started_at DESC, id DESC LIMIT ?1",
            )?;
            collect(&mut statement, [limit], line_of)
        })
        .await
    }
}

fn report_of(row: &rusqlite::Row<'_>) -> Result<CycleReport, StoreError> {
    let json: String = row.get(0)?;
    Ok(serde_json::from_str(&json)?)
}

fn line_of(row: &rusqlite::Row<'_>) -> Result<CycleLine, StoreError> {
    let text = |index: usize| row.get::<_, String>(index);
    let finished_at: Option<i64> = row.get(8)?;
    let cost: Option<String> = row.get(10)?;
    Ok(CycleLine {
        venue: text(11)?,
        start: CycleStart {
            id: CycleId::from_stored(text(0)?),
            trigger: unword("cycles.trigger", &text(1)?)?,
            mode: unword("cycles.mode", &text(2)?)?,
            dry_run: row.get(3)?,
            profile: unword("cycles.profile", &text(4)?)?,
            market_time: instant("cycles.market_time", row.get(5)?)?,
            started_at: instant("cycles.started_at", row.get(6)?)?,
        },
        state: unword("cycles.state", &text(7)?)?,
        finished_at: finished_at.map(|millis| instant("cycles.finished_at", millis)).transpose()?,
        failure: row.get(9)?,
        cost_usd: cost.map(|cost| decimal("cycles.cost_usd", &cost)).transpose()?,
    })
}
