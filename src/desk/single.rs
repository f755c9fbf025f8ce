//! One cycle without the rest of the desk's work beside it, and an end that leaves nothing behind that only a running
//! desk would look after.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::cycle::CycleError;
use super::floor::Floor;
use super::guardian::Guardian;
use super::service::Streams;
use crate::domain::{CycleReport, Event, Severity, Trigger};

/// How long an order whose fate is unknown, or a position without a stop, may hold up the end: an absence is proven
/// when the request window has closed (three minutes after it).
const UNTIL_PROVEN: Duration = Duration::from_secs(200);
/// How long they may when somebody asked for the end.
const WHEN_ASKED: Duration = Duration::from_secs(5);
/// Pause between two looks.
const AGAIN: Duration = Duration::from_secs(1);

impl Floor {
    /// Runs one cycle with halts and prices followed beside it. It returns only when every position of its accounts has
    /// its stop and the fate of every order is known, or when waiting longer would help nobody, which is told as an
    /// alarm. [`Floor::end`] cuts it short.
    pub async fn run_single_cycle(self: &Arc<Self>, streams: Streams) -> Result<CycleReport, CycleError> {
        let mut beside: JoinSet<()> = JoinSet::new();
        let halts = Arc::clone(self);
        beside.spawn(async move { halts.keep_halts().await });
        let (marks, heard) = mpsc::channel(64);
        beside.spawn(crate::market::follow_marks(streams.connector, streams.ws_url, self.symbols(), marks));
        beside.spawn(Arc::clone(self).tell_marks(heard));
        let report = self.run_cycle(Trigger::Manual).await;
        for state in self.glance_at_accounts().await {
            self.shared.bulletin.tell(None, Event::Account { state });
        }
        self.leave_nothing_open().await;
        beside.shutdown().await;
        report
    }

    /// Lets the guardians look until nothing is open that they would have to come back for.
    pub(super) async fn leave_nothing_open(&self) {
        let mut guardians: Vec<Guardian> =
            self.accounts.iter().map(|account| Guardian::new(Arc::clone(account))).collect();
        let looks = async {
            while self.is_something_open() {
                join_all(guardians.iter_mut().map(Guardian::pass)).await;
                if self.is_something_open() {
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let patience = async {
            tokio::select! {
                () = tokio::time::sleep(UNTIL_PROVEN) => {}
                () = async {
                    self.ending.cancelled().await;
                    tokio::time::sleep(WHEN_ASKED).await;
                } => {}
            }
        };
        tokio::select! {
            () = looks => {}
            () = patience => {
                const TEXT: &str = "a position without a stop, or an order of unknown fate, is left behind; \
                                    start jarvis again, it looks after them first";
                let alarm = Event::Alarm { severity: Severity::Critical, text: TEXT.to_owned() };
                self.shared.bulletin.record(None, alarm);
            }
        }
    }

    /// Whether a coin is between an order and its stop, an order's fate is unknown, or a position was last seen without
    /// a stop where one may be sent.
    fn is_something_open(&self) -> bool {
        self.accounts.iter().any(|account| !account.is_dry() && account.is_busy())
            || self.naked_position().is_some()
    }
}
