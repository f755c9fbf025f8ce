//! Files that were torn, flipped or lost: what is believed of them, and what is moved aside.

use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::store::testing::*;
use crate::store::*;

/// Commits in every file that is damaged here.
const COMMITS: usize = 10;
/// How often a file is damaged, each time at another place.
const TRIES: u64 = 60;

/// A file and its log with [`COMMITS`] orders. While the store is open they are in the log; afterwards in the file.
struct Files {
    db: Vec<u8>,
    log: Vec<u8>,
}

async fn files(is_closed: bool) -> Files {
    let fixture = Fixture::new();
    for number in 0..COMMITS {
        fixture.store.record_intent(&intent(&format!("j{number}"), by_operator())).await.unwrap();
    }
    let path = fixture.path();
    if is_closed {
        let Fixture { store, folder } = fixture;
        drop(store);
        let db = std::fs::read(&path).unwrap();
        drop(folder);
        return Files { db, log: Vec::new() };
    }
    Files { db: std::fs::read(&path).unwrap(), log: std::fs::read(path.with_extension("db-wal")).unwrap() }
}

/// Numbers that look random and are the same in every run.
fn rolls(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    }
}

/// Cuts the bytes off somewhere, or flips one of them.
fn damage(bytes: &mut Vec<u8>, seed: u64) {
    let mut roll = rolls(seed);
    if seed.is_multiple_of(3) {
        bytes.truncate(roll(bytes.len()));
    } else {
        let at = roll(bytes.len());
        bytes[at] ^= u8::try_from(1 + roll(255)).unwrap();
    }
}

fn lay_down(files: &Files) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    std::fs::write(&path, &files.db).unwrap();
    if !files.log.is_empty() {
        std::fs::write(path.with_extension("db-wal"), &files.log).unwrap();
    }
    (folder, path)
}

fn moved_aside(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> =
        entries.filter(|path| path.to_string_lossy().contains("-damaged-20260301T")).collect();
    found.sort();
    found
}

async fn names(store: &Store) -> Result<Vec<String>, StoreError> {
    let orders = store.unresolved_orders().await?;
    Ok(orders.into_iter().map(|order| order.intent.client_order_id.to_string()).collect())
}

fn first(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("j{number}")).collect()
}

/// The new file works, what was there is kept byte for byte, and every start hears of it until it is known.
async fn is_begun_anew(store: Store, loss: &str, files: &Files, folder: &Path, path: &Path) {
    assert!(loss.contains("damaged"), "{loss}");
    assert_eq!(names(&store).await.unwrap(), first(0));
    store.record_intent(&intent("anew", by_operator())).await.unwrap();
    drop(store);
    let aside = moved_aside(folder);
    assert_eq!(std::fs::read(&aside[0]).unwrap(), files.db, "{aside:?}");
    let (store, again) = Store::open_or_begin_anew(path, Check::IfSmall, at(0)).unwrap();
    assert_eq!(again.as_deref(), Some(loss), "a start that died before it halted anything");
    assert_eq!(names(&store).await.unwrap(), ["anew"]);
    drop(store);
    Store::loss_is_known(folder).unwrap();
    let (_store, known) = Store::open_or_begin_anew(path, Check::IfSmall, at(0)).unwrap();
    assert_eq!(known, None);
}

#[tokio::test]
async fn a_log_damaged_anywhere_leaves_the_commits_before_the_damage() {
    let whole = files(false).await;
    for seed in 0..TRIES {
        let mut files = Files { db: whole.db.clone(), log: whole.log.clone() };
        damage(&mut files.log, seed);
        let (folder, path) = lay_down(&files);
        let (store, loss) = Store::open_or_begin_anew(&path, Check::Whole, at(0)).unwrap();
        match loss {
            None => {
                let found = names(&store).await.unwrap();
                assert_eq!(found, first(found.len()), "seed {seed}");
            }
            Some(loss) => is_begun_anew(store, &loss, &files, folder.path(), &path).await,
        }
    }
}

/// SQLite keeps no sum over what a row says: a flipped letter in a name is a name. Whatever it does notice is moved aside
/// or refused; nothing panics.
#[tokio::test]
async fn a_file_damaged_anywhere_is_read_refused_or_moved_aside() {
    let whole = files(true).await;
    let (mut read, mut aside) = (0, 0);
    for seed in 0..2 * TRIES {
        let mut files = Files { db: whole.db.clone(), log: Vec::new() };
        damage(&mut files.db, seed);
        let (folder, path) = lay_down(&files);
        match Store::open_or_begin_anew(&path, Check::Whole, at(0)) {
            Ok((store, None)) => {
                // Rows that cannot be read any more are an error, and an error opens nothing.
                drop(names(&store).await);
                read += 1;
            }
            Ok((store, Some(loss))) => {
                is_begun_anew(store, &loss, &files, folder.path(), &path).await;
                aside += 1;
            }
            Err(refusal) => assert!(moved_aside(folder.path()).is_empty(), "{refusal}"),
        }
    }
    assert!(read > 0 && aside > 0, "{read} read, {aside} moved aside");
}

#[tokio::test]
async fn a_header_that_is_none_is_moved_aside_whatever_the_end_of_the_run_before() {
    let mut files = files(true).await;
    files.db[..16].fill(b'x');
    let (folder, path) = lay_down(&files);
    let (store, loss) = Store::open_or_begin_anew(&path, Check::IfSmall, at(0)).unwrap();
    is_begun_anew(store, &loss.unwrap(), &files, folder.path(), &path).await;
}

#[tokio::test]
async fn a_second_damage_of_the_same_second_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    for text in ["first", "second"] {
        std::fs::write(&path, text.repeat(1000)).unwrap();
        let (_store, loss) = Store::open_or_begin_anew(&path, Check::IfSmall, at(0)).unwrap();
        assert!(loss.is_some());
    }
    let kept: Vec<_> =
        moved_aside(folder.path()).iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert_eq!(kept.len(), 2);
    assert!(kept.contains(&"first".repeat(1000)) && kept.contains(&"second".repeat(1000)));
}

#[test]
fn a_lock_or_a_newer_program_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    drop(Store::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Store::open_or_begin_anew(&path, Check::Whole, at(0));
    assert!(matches!(refused, Err(StoreError::Schema { .. })), "{refused:?}");
    assert_eq!(moved_aside(folder.path()), Vec::<PathBuf>::new());
}
