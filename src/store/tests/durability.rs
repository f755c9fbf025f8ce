//! The file: who may read it, who may write, what is left after a crash.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::store::testing::*;
use crate::store::*;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn folder_and_files_belong_to_the_owner_alone() {
    let fixture = Fixture::new();
    fixture.store.set_meta("k", "v").await.unwrap();
    let path = fixture.path();
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    for file in [path.clone(), path.with_extension("db-wal"), path.with_extension("db-shm")] {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_file_that_others_could_read_is_closed_to_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(Store::open(&path).unwrap());
    assert_eq!(mode(&path), 0o600);
}

/// A copy of the files while the store is open is what a power cut leaves: nothing was closed, nothing folded in.
#[tokio::test]
async fn everything_acknowledged_is_there_after_a_crash() {
    let (fixture, cycle) = Fixture::with_decision().await;
    for number in 0..20 {
        let origin = Origin::Decision { cycle: cycle.clone() };
        fixture.store.record_intent(&intent(&format!("j{number}"), origin)).await.unwrap();
    }
    let after = tempfile::tempdir().unwrap();
    for ending in ["db", "db-wal"] {
        let from = fixture.path().with_extension(ending);
        std::fs::copy(&from, after.path().join(from.file_name().unwrap())).unwrap();
    }
    let found = Store::open(&after.path().join(FILE_NAME)).unwrap();
    assert_eq!(found.unresolved_orders().await.unwrap().len(), 20);
    assert_eq!(found.fail_running_cycles("crash").await.unwrap(), [cycle]);
}

#[tokio::test]
async fn a_torn_log_leaves_the_commits_before_the_tear() {
    let fixture = Fixture::new();
    for number in 0..10 {
        fixture.store.record_intent(&intent(&format!("j{number}"), by_operator())).await.unwrap();
    }
    let log = std::fs::read(fixture.path().with_extension("db-wal")).unwrap();
    let mut last = 10;
    for kept in [log.len(), log.len() - 1, log.len() / 2, log.len() / 4, 0] {
        let after = tempfile::tempdir().unwrap();
        let path = after.path().join(FILE_NAME);
        std::fs::copy(fixture.path(), &path).unwrap();
        std::fs::write(path.with_extension("db-wal"), &log[..kept]).unwrap();
        let found = Store::open(&path).unwrap().unresolved_orders().await.unwrap();
        let names: Vec<String> = found.iter().map(|order| order.intent.client_order_id.to_string()).collect();
        let prefix: Vec<String> = (0..found.len()).map(|number| format!("j{number}")).collect();
        assert_eq!(names, prefix);
        assert!(found.len() <= last);
        last = found.len();
    }
    assert_eq!(last, 0);
}

/// The writer is held busy until four jobs wait; they then share a transaction, which one of them looks at from outside.
// A runtime of one thread waits for each write on the spot; the desk runs on several.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_is_committed_together_and_a_failure_undoes_only_itself() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let path = fixture.path();
    let (running, runs) = tokio::sync::oneshot::channel();
    let hold = store.write(move |_| Ok(running.send(()).is_ok() && held.recv().is_ok()));
    let look = store.write(move |connection| {
        let count = |connection: &Connection| {
            connection.query_row("SELECT count(*) FROM orders", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        Ok((count(connection), count(&Connection::open(&path).unwrap())))
    });
    let [first, same, last] = ["j1", "j1", "j2"].map(|id| intent(id, by_operator()));
    let let_go = async { release.send(()).unwrap() };
    // Sent only once the first job runs: what came earlier could still have joined its commit.
    let waiting = async {
        runs.await.unwrap();
        tokio::join!(
            store.record_intent(&first),
            store.record_intent(&same),
            look,
            store.record_intent(&last),
            let_go
        )
    };
    let (held, (first, same, seen, last, ())) = tokio::join!(hold, waiting);
    assert!(held.unwrap() && first.is_ok() && last.is_ok());
    assert!(matches!(same, Err(StoreError::DuplicateOrder(_))));
    assert_eq!(seen.unwrap(), (1, 0), "inside, then outside of the shared transaction");
    assert_eq!(store.unresolved_orders().await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_failed_write_of_many_rows_leaves_none_of_them() {
    let (fixture, cycle) = Fixture::with_decision().await;
    let mut broken = report(&cycle_start(1));
    broken.decisions[0].proposal.symbol = symbol("ETHUSDT");
    broken.usage.input_tokens = u64::MAX;
    assert!(matches!(fixture.store.finish_cycle(&broken).await, Err(StoreError::TooLarge(_))));
    assert_eq!(fixture.store.decisions_of(&cycle).await.unwrap().len(), 1);
    assert_eq!(fixture.store.cycles(1).await.unwrap()[0].state, CycleState::Running);
}

#[tokio::test]
async fn somebody_elses_lock_is_told_and_ends_with_its_holder() {
    let fixture = Fixture::new();
    let impatient = Store::open_patiently(&fixture.path(), Check::Whole, Duration::from_millis(1)).unwrap();
    let stranger = fixture.stranger();
    stranger.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refusal = impatient.record_intent(&intent("j1", by_operator())).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Busy), "{refusal}");
    // Reading goes on beside a writer.
    assert!(impatient.unresolved_orders().await.unwrap().is_empty());
    stranger.execute_batch("ROLLBACK").unwrap();
    impatient.record_intent(&intent("j1", by_operator())).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_what_was_written_before_stays() {
    let fixture = Fixture::new();
    fixture.store.record_intent(&intent("j1", by_operator())).await.unwrap();
    fixture
        .store
        .write(|connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
            Ok(())
        })
        .await
        .unwrap();
    let large = "x".repeat(1_000_000);
    let refusal = fixture.store.put_prompt(PromptKind::User, &large).await.unwrap_err();
    assert!(matches!(refusal, StoreError::Sqlite(_) | StoreError::Commit(_)), "{refusal}");
    assert!(refusal.to_string().contains("full"), "{refusal}");
    assert_eq!(fixture.store.unresolved_orders().await.unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let text = "this is not a database, whatever its name says\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let refusal = Store::open(&path).unwrap_err();
    assert!(matches!(refusal, StoreError::Corrupt { .. }), "{refusal}");
    assert!(refusal.to_string().contains("move it aside"));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_store_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Schema { .. })));
}

#[tokio::test]
async fn the_reading_connection_cannot_write() {
    let fixture = Fixture::new();
    let refusal = fixture.store.read(|connection| Ok(connection.execute("DELETE FROM meta", [])?)).await;
    assert!(matches!(refusal, Err(StoreError::Sqlite(_))));
}

#[tokio::test]
async fn every_table_of_the_contract_is_there_and_strict() {
    let fixture = Fixture::new();
    let stranger = fixture.stranger();
    for table in [
        "cycles",
        "decisions",
        "tool_calls",
        "model_calls",
        "orders",
        "fills",
        "ledger",
        "equity",
        "prompts",
        "briefs",
        "events",
    ] {
        let strict: bool = stranger
            .query_row("SELECT strict FROM pragma_table_list WHERE name = ?1", [table], |row| row.get(0))
            .unwrap();
        assert!(strict, "{table}");
    }
}

#[test]
fn a_second_desk_on_the_same_folder_is_refused_until_the_first_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let first = DeskLock::acquire(folder.path()).unwrap();
    let refusal = DeskLock::acquire(folder.path()).unwrap_err();
    assert!(matches!(refusal, StoreError::Held { .. }), "{refusal}");
    assert!(refusal.to_string().contains(&std::process::id().to_string()), "{refusal}");
    drop(first);
    DeskLock::acquire(folder.path()).unwrap();
    assert_eq!(mode(&folder.path().join("jarvis.lock")), 0o600);
}
