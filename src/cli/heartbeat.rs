//! Somebody who notices when the desk's tasks stand still: stuck in a loop, or waiting for each other for ever.
//!
//! A task beats every other second; a thread of its own, which needs nothing of the runtime, listens. Half a minute
//! without a beat ends the program, so that whoever started it starts it anew: start-up is recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::domain::{Clock, SystemClock, Timestamp};

use super::failure::{Failure, STUCK};

/// Time between two beats, and between two looks for one.
const BEAT: Duration = Duration::from_secs(2);
/// So many looks in a row without a beat end the program.
const SILENT_LOOKS: u32 = 15;
/// How long that is, in seconds.
const SILENCE_S: u64 = SILENT_LOOKS as u64 * BEAT.as_secs();
/// A listener that was itself away for longer than this knows nothing: the machine slept, or the process was stopped.
const AWAY: Duration = Duration::from_secs(5);
/// Time to give the terminal back and say why; then the program ends without.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Listens while it lives.
#[derive(Debug)]
pub struct Heartbeat {
    beating: tokio::task::JoinHandle<()>,
    ended: Option<Sender<()>>,
    listener: Option<JoinHandle<()>>,
}

impl Heartbeat {
    /// Begins to beat on the runtime it is called on, and to listen beside it.
    pub fn start() -> Result<Self, Failure> {
        let beats = Arc::new(AtomicU64::new(0));
        let heard = Arc::clone(&beats);
        let beating = tokio::spawn(async move {
            loop {
                beats.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(BEAT).await;
            }
        });
        let (ended, over) = mpsc::channel::<()>();
        let listener = std::thread::Builder::new().name("heartbeat".to_owned()).spawn(move || {
            let began = Instant::now();
            let mut ear = Ear::default();
            while over.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                let moment = Moment { wall: SystemClock.now(), awake: began.elapsed() };
                if ear.hears_nothing(heard.load(Ordering::SeqCst), moment) {
                    end_the_program();
                }
            }
        })?;
        Ok(Self { beating, ended: Some(ended), listener: Some(listener) })
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.beating.abort();
        drop(self.ended.take());
        if let Some(listener) = self.listener.take() {
            // It has nothing to say any more.
            drop(listener.join());
        }
    }
}

/// When something was heard, by both clocks: only one of them goes on while the machine sleeps.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: Timestamp,
    awake: Duration,
}

impl Moment {
    /// The time since an earlier one by whichever clock moved further.
    fn since(&self, earlier: &Self) -> Duration {
        let wall = (self.wall - earlier.wall).abs().to_std().unwrap_or(Duration::MAX);
        wall.max(self.awake.saturating_sub(earlier.awake))
    }
}

/// Counts looks in a row at which no new beat was there.
#[derive(Debug, Default)]
struct Ear {
    last: Option<(u64, Moment)>,
    silent: u32,
}

impl Ear {
    /// One look: whether the desk has been silent for too long.
    fn hears_nothing(&mut self, beats: u64, now: Moment) -> bool {
        let Some((known, looked)) = self.last.replace((beats, now)) else { return false };
        if beats != known || now.since(&looked) > AWAY {
            self.silent = 0;
        } else {
            self.silent += 1;
        }
        self.silent >= SILENT_LOOKS
    }
}

/// Gives the terminal back, says why, and ends. A terminal that does not take its bytes holds nothing up for long.
fn end_the_program() -> ! {
    let (said, over) = mpsc::channel();
    let words = std::thread::Builder::new().name("last-words".to_owned()).spawn(move || {
        crate::console::terminal::restore();
        super::note(&format!(
            "jarvis: the desk did not answer for {SILENCE_S} s; the program ends so that it can be started anew \
             (exit code {STUCK}). Positions keep their stops at the exchange; the next start looks after them first"
        ));
        tracing::error!("the desk did not answer for {SILENCE_S} s; the program ended itself");
        // Nobody waits for it any more when it came too late.
        let _ = said.send(());
    });
    if words.is_ok() {
        // Too late is as good as said: the end does not wait.
        let _ = over.recv_timeout(LAST_WORDS);
    }
    // What runs at an orderly exit may wait for a lock that nobody gives back.
    let hurry = std::thread::Builder::new().spawn(|| {
        let (_held, never) = mpsc::channel::<()>();
        // Nothing is ever sent: it only waits.
        let _ = never.recv_timeout(LAST_WORDS);
        std::process::abort()
    });
    if hurry.is_err() {
        std::process::abort();
    }
    std::process::exit(i32::from(STUCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(wall_s: i64, awake_s: u64) -> Moment {
        let wall = Timestamp::from_timestamp(1_772_400_000 + wall_s, 0).unwrap();
        Moment { wall, awake: Duration::from_secs(awake_s) }
    }

    /// The looks at each of these instants, with the beats counted by then; the last one's verdict.
    fn last_of(looks: impl IntoIterator<Item = (u64, Moment)>) -> bool {
        let mut ear = Ear::default();
        let mut verdict = false;
        for (beats, now) in looks {
            assert!(!verdict, "only the last look may end the program");
            verdict = ear.hears_nothing(beats, now);
        }
        verdict
    }

    /// A look at every beat that is due.
    fn silent_for(seconds: i64) -> impl Iterator<Item = (u64, Moment)> {
        (0..=seconds).step_by(2).map(|second| (7, moment(second, u64::try_from(second).unwrap())))
    }

    #[test]
    fn half_a_minute_of_silence_ends_the_program_and_less_does_not() {
        assert!(!last_of(silent_for(29)));
        assert!(last_of(silent_for(30)));
    }

    #[test]
    fn one_beat_begins_the_half_minute_anew() {
        let with_a_beat =
            silent_for(50).map(|(beats, now)| (beats + u64::from(now.awake.as_secs() > 25), now));
        assert!(!last_of(with_a_beat));
    }

    #[test]
    fn a_machine_that_slept_is_given_its_time_again_whichever_clock_says_so() {
        // The wall clock went on in the sleep; the other one, as Linux counts it, did not. Or both did.
        for awake_in_sleep in [0, 7200] {
            let before = silent_for(29);
            let after = (30..=58).step_by(2).map(move |second: i64| {
                let awake = u64::try_from(second).unwrap() + awake_in_sleep;
                (7, moment(second + 7200, awake))
            });
            assert!(!last_of(before.chain(after)), "{awake_in_sleep}");
        }
        // Still stuck half a minute after waking up.
        let before = silent_for(29);
        let after = (30..=60)
            .step_by(2)
            .map(|second: i64| (7, moment(second + 7200, u64::try_from(second).unwrap())));
        assert!(last_of(before.chain(after)));
    }

    #[test]
    fn a_listener_on_a_starved_machine_takes_its_own_lateness_for_no_silence() {
        let late = (0..20).map(|look| (7, moment(look * 6, u64::try_from(look * 6).unwrap())));
        assert!(!last_of(late));
    }

    #[test]
    fn a_runtime_whose_task_never_yields_is_not_heard_and_one_that_works_is() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let beats = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&beats);
        runtime.spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(BEAT).await;
            }
        });
        let mut ear = Ear::default();
        let mut second = 0;
        let mut look = |beats: &AtomicU64| {
            second += 2;
            ear.hears_nothing(beats.load(Ordering::SeqCst), moment(second, u64::try_from(second).unwrap()))
        };
        for _ in 0..60 {
            runtime.block_on(async { tokio::time::sleep(BEAT).await });
            assert!(!look(&beats));
        }
        // From here on a future holds the only thread and never comes back: seen from the listener.
        let verdicts = runtime.block_on(async { (0..16).map(|_| look(&beats)).collect::<Vec<_>>() });
        assert_eq!(verdicts.iter().position(|ends| *ends), Some(14), "{verdicts:?}");
    }
}
