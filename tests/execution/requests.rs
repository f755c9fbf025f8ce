//! Halts asked for by file for a while, and what is told of a flattening while the exchange cannot be asked.

use crate::common::faults::Fate;
use crate::common::{Bench, Setup, symbol};
use chrono::TimeDelta;
use jarvis::desk::halts::mailbox::{self, HaltRequest, Request};
use jarvis::domain::{Clock, Command, HaltLevel, HaltScope, OutcomeKind};

#[test]
fn a_halt_asked_for_by_file_for_a_while_lasts_what_is_left_of_it_and_runs_out() {
    let mut bench = Bench::new(&Setup::default());
    bench.has_mailbox = true;
    let folder = bench.folder.path().to_owned();
    let ask = |bench: &Bench, coin: &str, made_before: TimeDelta| {
        let request = Request::Halt {
            scope: HaltScope::Coin(symbol(coin)),
            level: HaltLevel::NoEntries,
            seconds: Some(3_600),
            reason: "news".to_owned(),
        };
        mailbox::post(&folder, &HaltRequest { at: bench.clock.now() - made_before, request }).unwrap()
    };
    bench.live(async |bench| {
        let desk = bench.open().await;
        let taken = ask(bench, "BTCUSDT", TimeDelta::minutes(50));
        let late = ask(bench, "ETHUSDT", TimeDelta::minutes(61));
        desk.wait(1).await;
        assert_eq!(mailbox::fate(&taken), mailbox::Fate::Taken);
        assert!(
            matches!(mailbox::fate(&late), mailbox::Fate::Refused(why) if why.contains("its time was up"))
        );
        assert!(desk.told("was not carried out: its time was up"), "{:?}", desk.alarms());
        let halts = desk.halts();
        assert_eq!((halts.len(), &halts[0].scope), (1, &HaltScope::Coin(symbol("BTCUSDT"))));
        let left = halts[0].until.unwrap() - bench.world.clock().now();
        assert!(TimeDelta::seconds(590) < left && left <= TimeDelta::seconds(600), "{left}");
        bench.world.advance(590);
        desk.wait(1).await;
        assert_eq!(desk.halts().len(), 1);
        bench.world.advance(20);
        desk.wait(1).await;
        assert!(desk.halts().is_empty());
        desk.end().await;
    });
}

#[test]
fn while_the_exchange_cannot_be_asked_what_was_held_last_counts_as_not_flattened() {
    let bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        let rows =
            [(0, "BTCUSDT", "LONG", "0.9"), (0, "ETHUSDT", "LONG", "0.9"), (1, "ETHUSDT", "SHORT", "0.9")];
        let report = desk.cycle(bench, &rows).await;
        let opened = report.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Opened).count();
        assert_eq!(opened, rows.len());
        desk.wait(30).await;
        bench.faults.rule(|call| {
            call.is("GET", "/positionRisk").then(|| Fate::answer(false, 502, "<html>bad gateway</html>"))
        });
        let (scope, level) = (HaltScope::Coin(symbol("BTCUSDT")), HaltLevel::Flattened);
        desk.command(1, Command::Halt { scope, level, until: None, reason: String::new() }).await;
        desk.wait(20).await;
        let told = desk.floor.bulletin().read(|present| present.flattenings.clone());
        let of = |account: usize| told.iter().find(|told| told.account == bench.names[account]).unwrap();
        assert_eq!(of(0).remaining, [symbol("BTCUSDT")], "{told:?}");
        assert!(of(1).remaining.is_empty(), "{told:?}");
        assert!(told.iter().all(|told| told.proven_at.is_none() && told.trouble.is_some()), "{told:?}");
        bench.faults.heal();
        desk.wait(30).await;
        let told = desk.floor.bulletin().read(|present| present.flattenings.clone());
        assert!(told.iter().all(|told| told.proven_at.is_some() && told.remaining.is_empty()), "{told:?}");
        assert_eq!(bench.truth(0).positions().await.unwrap().len(), 1, "only what the halt covers");
        desk.end().await;
    });
}
