//! Why an order was computed and not sent.

use super::state::State;
use crate::domain::{CycleId, Mode};

/// What is said of an order that was computed for an account nobody armed.
pub const NOT_ARMED: &str = "not armed";

impl State {
    /// Why a cycle's orders were computed and not sent: a dry run, or on a live desk an account that was not armed. The
    /// record has one word for both; which of them it was is known of the cycle in sight, and not of older ones.
    pub fn kept_back(&self, cycle: &CycleId, reported_dry: Option<bool>) -> &'static str {
        if self.mode() != Some(Mode::Live) {
            return "dry-run";
        }
        let heard = self.table.began_dry.as_ref().filter(|(id, _)| id == cycle).map(|(_, dry)| *dry);
        // A report says that nothing could be sent, not why; where something could, it was the account.
        let reported = reported_dry.filter(|dry| !dry);
        let is_latest = self.cycle().is_some_and(|latest| &latest.id == cycle);
        let now = self.desk.as_ref().filter(|_| is_latest).map(|desk| desk.dry_run);
        match heard.or(reported).or(now) {
            Some(true) => "dry-run",
            Some(false) => NOT_ARMED,
            None => "not sent",
        }
    }

    /// The same of the cycle in sight.
    pub fn kept_back_now(&self) -> &'static str {
        self.cycle().map_or("dry-run", |cycle| {
            self.kept_back(&cycle.id, cycle.report.as_ref().map(|report| report.dry_run))
        })
    }
}
