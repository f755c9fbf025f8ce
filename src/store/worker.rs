//! A thread that owns a connection and does jobs on it.

use std::fmt;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use rusqlite::{Connection, TransactionBehavior};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::error::StoreError;

/// At most this many jobs share a commit, so that the first of them does not wait for all the others.
const LARGEST_GROUP: usize = 128;

/// Does its work on the connection, or learns why it cannot, and hands back how to tell the caller once it is known
/// whether the work was kept.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Done + Send>;

type Tell = Box<dyn FnOnce(Result<(), &str>) + Send>;

struct Done {
    /// Whether the work succeeded and its effects are to be kept.
    keep: bool,
    /// Tells the caller; the argument says why a commit failed, if it did.
    tell: Tell,
}

/// The thread's end of the line, held by the store.
pub(super) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl Worker {
    /// A thread that does jobs one by one on a connection that only reads.
    pub fn reader(connection: Connection) -> Result<Self, StoreError> {
        Self::start("store-reader", connection, read_each)
    }

    /// A thread that does jobs on the writing connection and commits those together that wait together.
    pub fn writer(connection: Connection) -> Result<Self, StoreError> {
        Self::start("store-writer", connection, write_together)
    }

    fn start(
        name: &str,
        connection: Connection,
        serve: fn(Connection, &Receiver<Job>),
    ) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || serve(connection, &inbox))
            .map_err(|reason| StoreError::Place { path: name.into(), reason })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has `work` done and waits for it. A caller that stops waiting does not stop the work.
    pub async fn run<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (teller, told) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = connection.and_then(work);
            let keep = outcome.is_ok();
            let tell = Box::new(move |committed: Result<(), &str>| {
                let outcome = match committed {
                    Ok(()) => outcome,
                    Err(reason) => outcome.and(Err(StoreError::Commit(reason.to_owned()))),
                };
                // A caller that went away is not interested any more.
                drop(teller.send(outcome));
            });
            Done { keep, tell }
        });
        self.jobs.as_ref().ok_or(StoreError::Closed)?.send(job).map_err(|_| StoreError::Closed)?;
        let runs_alone = Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread;
        let outcome = if runs_alone {
            // A runtime of one thread, as tests with a paused clock have it, waits on the spot: its clock cannot run
            // into a timeout meanwhile, and what comes next does not depend on how fast this thread is.
            std::thread::scope(|scope| scope.spawn(|| told.blocking_recv()).join())
                .map_err(|_| StoreError::Closed)?
        } else {
            told.await
        };
        outcome.map_err(|_| StoreError::Closed)?
    }
}

/// Hangs up and waits until everything handed over before is done and the connection is closed.
impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has already told its callers: their line went dead.
            drop(thread.join());
        }
    }
}

/// Serves a reader: one job at a time, nothing to commit.
fn read_each(connection: Connection, jobs: &Receiver<Job>) {
    while let Ok(job) = jobs.recv() {
        (job(Ok(&connection)).tell)(Ok(()));
    }
    close(connection);
}

/// Serves the writer: whatever waits is done in one transaction and told when that is on the disk.
fn write_together(mut connection: Connection, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let group: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).take(LARGEST_GROUP).collect();
        write_group(&mut connection, group);
    }
    close(connection);
}

fn write_group(connection: &mut Connection, group: Vec<Job>) {
    let transaction = match connection.transaction_with_behavior(TransactionBehavior::Immediate) {
        Ok(transaction) => transaction,
        Err(error) => return refuse_group(group, &error),
    };
    let mut lost = None;
    let done: Vec<Done> = group.into_iter().map(|job| in_savepoint(&transaction, job, &mut lost)).collect();
    let committed = match lost {
        // Dropping the transaction rolls back what is left of it.
        Some(reason) => Err(reason),
        None => transaction.commit().map_err(|error| error.to_string()),
    };
    for one in done {
        (one.tell)(committed.as_ref().copied().map_err(String::as_str));
    }
}

/// Nothing could be begun: tells every caller why.
fn refuse_group(group: Vec<Job>, error: &rusqlite::Error) {
    let busy = error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy);
    for job in group {
        let refusal = if busy { StoreError::Busy } else { StoreError::Commit(error.to_string()) };
        (job(Err(refusal)).tell)(Ok(()));
    }
}

/// Does one job so that its failure undoes only its own work. `lost` says why the whole transaction is gone, which
/// SQLite does by itself when the disk is full or fails.
fn in_savepoint(transaction: &Connection, job: Job, lost: &mut Option<String>) -> Done {
    if let Some(reason) = lost {
        return job(Err(StoreError::Commit(reason.clone())));
    }
    if let Err(error) = transaction.execute_batch("SAVEPOINT job") {
        *lost = Some(error.to_string());
        return job(Err(error.into()));
    }
    let done = job(Ok(transaction));
    let end = if done.keep { "RELEASE job" } else { "ROLLBACK TO job; RELEASE job" };
    if let Err(error) = transaction.execute_batch(end) {
        *lost = Some(error.to_string());
    }
    done
}

fn close(connection: Connection) {
    if let Err((_, error)) = connection.close() {
        // Everything acknowledged is in the log already; the next start folds it in.
        tracing::warn!(%error, "the store could not be closed in order");
    }
}
