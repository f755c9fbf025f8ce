//! Which starts ended in order.

use crate::store::testing::at;
use crate::store::*;

/// A desk that is killed: nothing of it runs any more.
fn crash(folder: &std::path::Path, second: i64) {
    std::mem::forget(Start::note(folder, at(second), false).unwrap());
}

fn looped(folder: &std::path::Path, second: i64) -> Option<usize> {
    Start::note(folder, at(second), false).unwrap().crash_loop().unwrap()
}

#[test]
fn five_crashes_within_ten_minutes_are_a_loop_and_fewer_or_slower_ones_are_not() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        assert_eq!(
            looped(folder.path(), number),
            None,
            "{number} crashed, and starts that ended do not count"
        );
        crash(folder.path(), number);
    }
    assert_eq!(looped(folder.path(), 599), Some(5));
    assert_eq!(looped(folder.path(), 600), None, "the first was ten minutes ago");
}

#[test]
fn an_orderly_end_is_known_and_a_crash_is_known_however_long_ago() {
    let folder = tempfile::tempdir().unwrap();
    let follows = |second| {
        let start = Start::note(folder.path(), at(second), false).unwrap();
        start.follows_an_orderly_end()
    };
    assert!(follows(0), "the first start of a folder");
    assert!(follows(1));
    crash(folder.path(), 2);
    assert!(!follows(1_000_000));
    assert!(follows(1_000_001), "the start in between ended in order");
    std::fs::write(folder.path().join("starts"), "no time\n").unwrap();
    assert!(!follows(3), "what cannot be read is no orderly end");
}

#[test]
fn a_desk_that_died_in_a_program_that_ended_in_order_has_crashed() {
    let folder = tempfile::tempdir().unwrap();
    let start = Start::note(folder.path(), at(0), false).unwrap();
    start.desk_died();
    drop(start);
    assert!(!Start::note(folder.path(), at(1), false).unwrap().follows_an_orderly_end());
}

#[test]
fn dry_runs_are_no_part_of_a_loop() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..9 {
        std::mem::forget(Start::note(folder.path(), at(number), true).unwrap());
    }
    assert_eq!(looped(folder.path(), 10), None);
}

#[test]
fn an_operator_who_looked_begins_the_count_anew_and_the_running_desk_stays_noted() {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..5 {
        crash(folder.path(), number);
    }
    let running = Start::note(folder.path(), at(10), false).unwrap();
    assert_eq!(running.crash_loop().unwrap(), Some(5));
    Start::forget_crashes(folder.path()).unwrap();
    assert_eq!(running.crash_loop().unwrap(), None);
    std::mem::forget(running);
    assert!(!Start::note(folder.path(), at(11), false).unwrap().follows_an_orderly_end());
    let other = tempfile::tempdir().unwrap();
    Start::forget_crashes(other.path()).unwrap();
}
