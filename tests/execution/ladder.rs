//! Halts put in force and taken back: what is answered, what is written down, and what a flattening counts as left.

use crate::common::faults::{Call, Fate};
use crate::common::{Bench, Desk, Setup, epoch, symbol};
use jarvis::desk::halts::mailbox::{self, HaltRequest, Request};
use jarvis::domain::{
    Clock, Command, Event, Flattening, Halt, HaltLevel, HaltOrigin, HaltScope, OutcomeKind, Severity,
};
use jarvis::store::Start;

const LONG: &[(usize, &str, &str, &str)] = &[(0, "BTCUSDT", "LONG", "0.9")];
const SENSELESS: &str =
    r#"[{"symbol":"BTCUSDT","positionAmt":"0.01","entryPrice":"0","markPrice":"0","unRealizedProfit":"0"}]"#;

fn halt(scope: HaltScope, level: HaltLevel, reason: &str) -> Command {
    Command::Halt { scope, level, until: None, reason: reason.to_owned() }
}

fn coin() -> HaltScope {
    HaltScope::Coin(symbol("BTCUSDT"))
}

fn reason_of(halts: &[Halt]) -> &str {
    assert_eq!(halts.len(), 1, "{halts:?}");
    halts[0].reason.raw()
}

async fn left(desk: &Desk, seconds: u64) -> Flattening {
    desk.wait(seconds).await;
    desk.floor.bulletin().read(|present| present.flattenings[0].clone())
}

fn in_seconds(bench: &Bench, seconds: i64) -> jarvis::domain::Timestamp {
    bench.world.clock().now() + chrono::TimeDelta::seconds(seconds)
}

#[test]
fn who_resumes_the_whole_desk_has_looked_at_its_crashes_and_who_resumes_a_coin_has_not() {
    let mut bench = Bench::new(&Setup::default());
    bench.has_mailbox = true;
    let folder = bench.folder.path().to_owned();
    for _ in 0..5 {
        Start::note(&folder, bench.clock.now(), false).unwrap().desk_died();
    }
    let running = Start::note(&folder, bench.clock.now(), false).unwrap();
    bench.live(async |bench| {
        let desk = bench.open().await;
        for (id, scope, crashes) in [(1, coin(), Some(5)), (2, HaltScope::Desk, None)] {
            desk.answer(id, halt(scope.clone(), HaltLevel::NoEntries, "why")).await.unwrap();
            desk.answer(id + 10, Command::Resume { scope: scope.clone() }).await.unwrap();
            assert_eq!(running.crash_loop().unwrap(), crashes, "{scope}");
        }
        desk.end().await;
    });
}

#[test]
fn a_doubtful_start_says_once_why_and_what_was_said_before() {
    for (before, expected) in [
        (None, "a doubt"),
        (Some(""), "a doubt"),
        (Some("lunch"), "a doubt; and before it: lunch"),
        (Some("still a doubt"), "a doubt"),
    ] {
        let bench = Bench::new(&Setup::default());
        bench.live(async |bench| {
            let desk = bench.open().await;
            if let Some(reason) = before {
                desk.answer(1, halt(HaltScope::Desk, HaltLevel::NoEntries, reason)).await.unwrap();
            }
            assert!(desk.floor.begin_closing_only("a doubt").await);
            assert!(desk.told("nothing is opened until an operator resumes the whole desk: a doubt"));
            let stored = desk.store.halts().await.unwrap();
            let own = stored.iter().find(|halt| halt.origin == HaltOrigin::Desk).unwrap();
            assert_eq!(own.reason.raw(), expected, "{before:?}");
            desk.end().await;
        });
    }
}

#[test]
fn a_halt_that_cannot_be_stored_is_in_force_is_said_to_be_lost_with_the_run_and_is_stored_later() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        bench.refuse_writes("halts", "1");
        let told = desk.answer(1, halt(coin(), HaltLevel::Frozen, "news")).await.unwrap();
        let sentence = "BTCUSDT is halted (all orders are frozen): news";
        assert_eq!(told, format!("{sentence}; it could not be stored and does not outlive this run"));
        assert_eq!(reason_of(&desk.halts()), "news");
        assert!(!desk.floor.begin_closing_only("a doubt").await, "nor does this one");
        let is_alarm = |severity: Severity, words: &str| {
            desk.floor.bulletin().read(|present| {
                present.alarms.iter().any(|alarm| alarm.severity == severity && alarm.text.contains(words))
            })
        };
        assert!(is_alarm(Severity::Critical, &format!("{sentence}; but it could not be stored")));
        bench.allow_writes("halts");
        desk.wait(1).await;
        assert_eq!(desk.store.halts().await.unwrap().len(), 2);
        assert!(is_alarm(Severity::Info, &format!("{sentence}; it is stored now")), "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn an_answer_names_what_counts_beside_the_halt_that_was_asked_for() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let sentence = "the whole desk is halted (nothing is opened): lunch";
        let alone = desk.answer(1, halt(HaltScope::Desk, HaltLevel::NoEntries, "lunch")).await;
        assert_eq!(alone, Ok(sentence.to_owned()));
        let (scope, level, until) = (HaltScope::Desk, HaltLevel::Frozen, Some(in_seconds(bench, 0)));
        let over = desk.answer(9, Command::Halt { scope, level, until, reason: String::new() }).await;
        assert_eq!(over, Err("its time is up already".to_owned()));
        assert!(desk.floor.begin_closing_only("a doubt").await);
        let until = Some(in_seconds(bench, 60));
        let command = Command::Halt {
            scope: HaltScope::Desk,
            level: HaltLevel::NoEntries,
            until,
            reason: "tea".to_owned(),
        };
        let beside = desk.answer(2, command).await.unwrap();
        let (own, counts) =
            beside.split_once("; until an operator resumes it, this counts beside it: ").unwrap();
        assert!(
            own.starts_with("the whole desk is halted (nothing is opened) until ") && own.ends_with(": tea")
        );
        assert_eq!(counts, "the whole desk is halted (nothing is opened): a doubt; and before it: lunch");
        desk.end().await;
    });
}

#[test]
fn what_cannot_be_taken_back_stays_in_force_and_says_why() {
    let mut bench = Bench::new(&Setup::default());
    bench.has_mailbox = true;
    let file = bench.folder.path().join(mailbox::HALT_FILE);
    bench.live(async |bench| {
        let desk = bench.open().await;
        let resume = |scope: HaltScope| Command::Resume { scope };
        assert_eq!(desk.answer(1, resume(coin())).await, Err("BTCUSDT is not halted".to_owned()));
        desk.answer(2, halt(coin(), HaltLevel::Frozen, "news")).await.unwrap();
        assert_eq!(reason_of(&mailbox::published(bench.folder.path()).unwrap()), "news");
        bench.take_table_away("halts");
        assert!(desk.answer(3, resume(coin())).await.unwrap_err().contains("no such table"));
        assert_eq!(reason_of(&desk.halts()), "news", "it would come back at the next start");
        bench.bring_table_back("halts");
        std::fs::write(&file, "stop it").unwrap();
        desk.wait(1).await;
        let refused = desk.answer(4, resume(HaltScope::Desk)).await.unwrap_err();
        assert_eq!(refused, "the file HALT in the data folder halts the whole desk; remove it");
        desk.answer(5, resume(coin())).await.unwrap();
        assert_eq!(reason_of(&desk.halts()), "stop it", "the file halts no coin alone");
        let told = desk.floor.operator_actions_since(epoch()).await.unwrap();
        assert_eq!(
            told.iter().filter(|told| told.contains("the halt of BTCUSDT is taken back")).count(),
            1,
            "{told:?}"
        );
        std::fs::remove_file(&file).unwrap();
        desk.wait(1).await;
        assert_eq!(desk.halts(), []);
        assert_eq!(mailbox::published(bench.folder.path()).unwrap(), []);
        desk.end().await;
    });
}

#[test]
fn the_end_of_a_halt_is_told_once() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let (_, mut events) = desk.floor.bulletin().subscribe();
        let until = Some(in_seconds(bench, 60));
        let level = HaltLevel::NoEntries;
        desk.command(1, Command::Halt { scope: coin(), level, until, reason: String::new() }).await;
        desk.wait(1).await;
        bench.world.advance(61);
        desk.wait(5).await;
        let mut ends = Vec::new();
        while let Ok(told) = events.try_recv() {
            if let Event::Resumed { scope, reason } = &told.event {
                ends.push((scope.clone(), reason.clone()));
            }
        }
        assert_eq!(ends, [(coin(), "its time was up".to_owned())]);
        assert_eq!(desk.store.halts().await.unwrap(), []);
        desk.end().await;
    });
}

#[test]
fn a_row_that_nobody_can_read_is_left_of_a_flattening() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        bench
            .faults
            .rule(|call| call.is("GET", "/positionRisk").then(|| Fate::answer(false, 200, SENSELESS)));
        desk.command(1, halt(HaltScope::Desk, HaltLevel::Flattened, "")).await;
        let left_then = left(&desk, 20).await;
        assert_eq!(left_then.remaining, [symbol("BTCUSDT")], "{left_then:?}");
        assert!(left_then.trouble.is_some(), "{left_then:?}");
        bench.faults.heal();
        let left_then = left(&desk, 20).await;
        assert!(left_then.remaining.is_empty() && left_then.trouble.is_none(), "{left_then:?}");
        desk.end().await;
    });
}

#[test]
fn an_opening_of_unknown_fate_is_left_of_a_flattening_until_it_is_known() {
    for (scope, is_covered) in [(coin(), true), (HaltScope::Coin(symbol("ETHUSDT")), false)] {
        let bench = Bench::new(&Setup::default());
        bench.faults.first(1, Call::is_opening, Fate::DropBefore);
        bench.live(async |bench| {
            let desk = bench.open().await;
            let report = desk.cycle(bench, LONG).await;
            assert_eq!(report.decisions[0].outcome.kind, OutcomeKind::Failed, "{report:?}");
            desk.command(1, halt(scope, HaltLevel::Flattened, "")).await;
            let left_then = left(&desk, 20).await;
            assert_eq!(left_then.remaining.len(), usize::from(is_covered), "{left_then:?}");
            assert_eq!(left_then.trouble.is_some(), is_covered, "{left_then:?}");
            let left_then = left(&desk, 240).await;
            assert!(left_then.remaining.is_empty() && left_then.trouble.is_none(), "{left_then:?}");
            desk.end().await;
        });
    }
}

#[test]
fn a_flattening_begins_at_once_and_does_not_wait_for_the_next_look() {
    for seconds in 1..=4 {
        let bench = Bench::new(&Setup::default());
        bench.live(async |bench| {
            let desk = bench.open().await;
            desk.cycle(bench, LONG).await;
            desk.wait(20 + seconds).await;
            desk.command(1, halt(HaltScope::Desk, HaltLevel::Flattened, "")).await;
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            assert_eq!(bench.truth(0).positions().await.unwrap(), [], "after {seconds} s");
            desk.end().await;
        });
    }
}

/// How often a flattening stands in the log.
fn logged_flattenings(bench: &Bench) -> i64 {
    let journal = rusqlite::Connection::open(bench.store_file()).unwrap();
    let count = "SELECT count(*) FROM events WHERE kind = 'flattened'";
    journal.query_row(count, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_flattening_is_logged_when_it_changes_and_told_every_time() {
    let bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, LONG).await;
        desk.command(1, halt(HaltScope::Desk, HaltLevel::NoEntries, "")).await;
        desk.wait(20).await;
        assert_eq!(
            desk.floor.bulletin().read(|present| present.flattenings.clone()),
            [],
            "nothing is closed"
        );
        let (_, mut events) = desk.floor.bulletin().subscribe();
        desk.command(2, halt(HaltScope::Desk, HaltLevel::Flattened, "")).await;
        desk.wait(60).await;
        let mut told = 0;
        while let Ok(event) = events.try_recv() {
            told += usize::from(matches!(event.event, Event::Flattened { .. }));
        }
        assert!(told >= 20, "every five seconds for each account: {told}");
        desk.floor.bulletin().flush().await;
        assert_eq!(logged_flattenings(bench), 2, "flat and proven, once for each account");
        let noted = desk.floor.operator_actions_since(epoch()).await.unwrap();
        assert_eq!(noted.iter().filter(|noted| noted.contains(" flattened: ")).count(), 1, "{noted:?}");
        desk.end().await;
    });
}

#[test]
fn an_alarm_stays_over_restarts_until_it_is_acknowledged() {
    let mut bench = Bench::new(&Setup::default());
    bench.has_mailbox = true;
    let folder = bench.folder.path().to_owned();
    let unknown = Request::Halt {
        scope: HaltScope::Coin(symbol("NOSUCHUSDT")),
        level: HaltLevel::NoEntries,
        seconds: None,
        reason: String::new(),
    };
    mailbox::post(&folder, &HaltRequest { at: bench.clock.now(), request: unknown }).unwrap();
    let refused = "halt NOSUCHUSDT (no entries), asked for beside the desk, was not carried out: \
                   no account trades NOSUCHUSDT";
    let open = |desk: &Desk| -> Vec<(u64, String)> {
        desk.floor.bulletin().read(|present| {
            let open = present.alarms.iter().filter(|alarm| !alarm.acknowledged);
            open.map(|alarm| (alarm.id, alarm.text.clone())).collect()
        })
    };
    let known = bench.live(async |bench| {
        let desk = bench.open().await;
        let known = open(&desk);
        assert!(known.iter().any(|(_, text)| text == refused), "{known:?}");
        // Nobody says good-bye: the desk is gone from one moment to the next.
        desk.floor.bulletin().flush().await;
        known
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        let again = open(&desk);
        assert!(again.iter().any(|(_, text)| text == refused), "{again:?}");
        assert!(again.len() >= known.len());
        let up_to = again.iter().map(|(id, _)| *id).max().unwrap();
        desk.answer(1, Command::AcknowledgeAlarms { up_to }).await.unwrap();
        assert_eq!(open(&desk), []);
        desk.end().await;
    });
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert!(open(&desk).iter().all(|(_, text)| text != refused), "{:?}", open(&desk));
        desk.end().await;
    });
}
