//! The guards between two cycles: how they stand is told as soon as it changes, and a loss halts what it should, once.

use crate::common::faults::Fate;
use crate::common::{Bench, Desk, Setup, symbol};
use jarvis::config::{EquityPercent, GuardSettings};
use jarvis::domain::{Command, Event, GuardReading, HaltLevel, HaltOrigin, HaltScope, Rule, Side, Timestamp};
use rust_decimal_macros::dec;

/// A desk whose first account bought bitcoin by hand for 60 % of its equity.
pub async fn bought_by_hand(bench: &Bench) -> Desk {
    let desk = bench.open().await;
    desk.wait(30).await;
    let btc = symbol("BTCUSDT");
    let quantity = (dec!(6000) / bench.mark(&btc)).round_dp(3).to_string();
    bench.trade_by_hand(0, &btc, Side::Buy, &quantity).await;
    desk.wait(30).await;
    bench.world.advance(60);
    desk
}

fn bench(guards: impl FnOnce(&mut GuardSettings)) -> Bench {
    let mut bench = Bench::new(&Setup { seed: 3, accounts: 2, ..Setup::default() });
    guards(&mut bench.settings.risk.guards);
    bench
}

fn percent(points: u32) -> Option<EquityPercent> {
    EquityPercent::from_points(points.into()).ok()
}

/// How a guard stands for the first account.
fn shown(bench: &Bench, desk: &Desk, rule: Rule) -> GuardReading {
    let is_it = |reading: &&GuardReading| {
        reading.rule == rule && reading.account.as_ref().is_none_or(|account| *account == bench.names[0])
    };
    desk.floor.bulletin().read(|present| present.guards.iter().find(is_it).unwrap().clone())
}

fn own(bench: &Bench) -> HaltScope {
    HaltScope::Account(bench.names[0].clone())
}

#[test]
fn a_fall_from_the_top_halts_without_an_end_until_an_operator_who_saw_it_resumes() {
    let bench = bench(|guards| (guards.daily_loss, guards.drawdown) = (percent(4), percent(4)));
    bench.live(async |bench| {
        let desk = bought_by_hand(bench).await;
        bench.shock(&symbol("BTCUSDT"), dec!(-0.08)).await;
        desk.wait(60).await;
        let halts = desk.halts();
        assert_eq!(halts.len(), 1, "the account's alone, and once: {halts:?}");
        assert_eq!((&halts[0].scope, halts[0].until), (&own(bench), None), "the one that lasts longer");
        assert_eq!(halts[0].origin, HaltOrigin::Guard(Rule::Drawdown));
        let alarms = desk.alarms();
        let told = alarms.iter().filter(|alarm| alarm.starts_with("account mirat is halted (no_entries): "));
        assert_eq!(told.count(), 1, "{alarms:?}");
        desk.command(1, Command::Resume { scope: own(bench) }).await;
        desk.wait(60).await;
        assert_eq!(desk.halts(), [], "neither of the two comes back for what was lost before");
        bench.shock(&symbol("BTCUSDT"), dec!(-0.08)).await;
        desk.wait(60).await;
        assert_eq!(desk.halts().len(), 1, "what is lost from there on counts anew");
        desk.end().await;
    });
}

#[test]
fn a_loss_of_the_only_account_halts_it_and_the_desk_at_once() {
    let mut bench = Bench::new(&Setup { seed: 3, ..Setup::default() });
    bench.settings.risk.guards.daily_loss = percent(4);
    bench.live(async |bench| {
        let desk = bought_by_hand(bench).await;
        bench.shock(&symbol("BTCUSDT"), dec!(-0.08)).await;
        for _ in 0..60 {
            desk.wait(1).await;
            if !desk.halts().is_empty() {
                break;
            }
        }
        let halts = desk.halts();
        let scopes: Vec<_> = halts.iter().map(|halt| &halt.scope).collect();
        assert_eq!(scopes, [&own(bench), &HaltScope::Desk], "{halts:?}");
        desk.end().await;
    });
}

#[test]
fn how_the_guards_stand_is_told_before_anything_happens() {
    let bench = bench(|guards| *guards = GuardSettings::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(1).await;
        assert_eq!(shown(bench, &desk, Rule::MaximumPositions).value, "0");
        desk.end().await;
    });
}

#[test]
fn the_end_of_a_bad_day_leaves_the_fall_from_the_top_as_it_was() {
    let bench = bench(|guards| (guards.daily_loss, guards.drawdown) = (percent(4), percent(12)));
    bench.live(async |bench| {
        let desk = bought_by_hand(bench).await;
        bench.shock(&symbol("BTCUSDT"), dec!(-0.08)).await;
        desk.wait(60).await;
        let fell = |desk: &Desk| shown(bench, desk, Rule::Drawdown).value;
        let before = fell(&desk);
        assert!(before.starts_with("-4."), "{before}");
        desk.command(1, Command::Resume { scope: own(bench) }).await;
        desk.wait(1).await;
        let lost = shown(bench, &desk, Rule::DailyLoss).value;
        assert!(!lost.starts_with("-4"), "counted anew at once: {lost}");
        desk.wait(60).await;
        assert_eq!(desk.halts(), []);
        assert_eq!(fell(&desk), before);
        desk.end().await;
    });
}

#[test]
fn a_resume_that_cannot_be_noted_says_that_the_halt_may_come_back() {
    let bench = bench(|guards| guards.daily_loss = percent(4));
    bench.live(async |bench| {
        let desk = bought_by_hand(bench).await;
        bench.shock(&symbol("BTCUSDT"), dec!(-0.08)).await;
        desk.wait(60).await;
        bench.take_table_away("meta");
        desk.command(1, Command::Resume { scope: own(bench) }).await;
        desk.wait(1).await;
        bench.bring_table_back("meta");
        assert!(desk.told("the halt of account mirat may come back"), "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn what_was_taken_out_of_a_wallet_is_no_loss_although_it_is_booked_only_now() {
    // As much as the price took, told as a transfer.
    let bench = bench(|guards| guards.daily_loss = percent(4));
    bench.live(async |bench| {
        let desk = bought_by_hand(bench).await;
        // Well before the guardian keeps its books again.
        desk.wait(20).await;
        let now: Timestamp = jarvis::domain::Clock::now(&*bench.world.clock());
        let row = format!(
            r#"[{{"symbol":"","incomeType":"TRANSFER","income":"-480","asset":"USDT","time":{},"tranId":9,"tradeId":""}}]"#,
            now.timestamp_millis()
        );
        let row: &'static str = row.leak();
        bench.faults.rule(move |call| {
            (call.account == 0 && call.is("GET", "/income")).then(|| Fate::answer(false, 200, row))
        });
        bench.shock(&symbol("BTCUSDT"), dec!(-0.08)).await;
        desk.wait(30).await;
        assert_eq!(desk.halts(), [], "{:?}", desk.alarms());
        desk.end().await;
    });
}

#[test]
fn another_day_is_counted_from_its_own_midnight_without_a_cycle() {
    let bench = bench(|guards| guards.daily_loss = percent(12));
    bench.live(async |bench| {
        let desk = bought_by_hand(bench).await;
        bench.shock(&symbol("BTCUSDT"), dec!(-0.05)).await;
        desk.wait(60).await;
        let lost = shown(bench, &desk, Rule::DailyLoss).value;
        assert!(lost.starts_with("-3"), "{lost}");
        // What it is worth since then is read before the day ends; the bench begins at 08:05.
        bench.world.advance(120);
        desk.wait(60).await;
        bench.world.advance(16 * 3_600);
        desk.wait(60).await;
        let lost = shown(bench, &desk, Rule::DailyLoss).value;
        desk.cycle(bench, &[]).await;
        assert_eq!(
            lost,
            shown(bench, &desk, Rule::DailyLoss).value,
            "as a cycle counts it, which reads all anew"
        );
        desk.end().await;
    });
}

#[test]
fn a_halt_is_shown_at_once_and_so_is_its_end() {
    let bench = bench(|_| ());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(30).await;
        let halted = |desk: &Desk| shown(bench, desk, Rule::Halted).value;
        assert_eq!(halted(&desk), "free");
        let level = HaltLevel::Frozen;
        desk.command(1, Command::Halt { scope: own(bench), level, until: None, reason: String::new() }).await;
        desk.wait(1).await;
        assert_eq!(halted(&desk), "frozen");
        desk.command(2, Command::Resume { scope: own(bench) }).await;
        desk.wait(1).await;
        assert_eq!(halted(&desk), "free");
        desk.end().await;
    });
}

#[test]
fn guards_that_stand_as_before_are_not_told_again() {
    let bench = bench(|guards| *guards = GuardSettings::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(60).await;
        let (_, mut events) = desk.floor.bulletin().subscribe();
        desk.wait(120).await;
        let (mut readings, mut guards) = (0, 0);
        while let Ok(told) = events.try_recv() {
            match told.event {
                Event::Account { .. } => readings += 1,
                Event::Guards { .. } => guards += 1,
                _ => {}
            }
        }
        assert!(readings > 0, "the accounts were read");
        assert_eq!(guards, 0, "and nothing had changed");
        let is_of_budget = |reading: &GuardReading| reading.rule == Rule::ModelBudget;
        let is_shown = desk.floor.bulletin().read(|present| present.guards.iter().any(is_of_budget));
        assert!(!is_shown, "a model that costs nothing has no budget");
        desk.end().await;
    });
}

#[test]
fn the_market_of_the_last_cycle_is_what_the_guards_are_shown_by() {
    let bench = bench(|guards| *guards = GuardSettings::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        let bias = |desk: &Desk| shown(bench, desk, Rule::LongBias).value;
        desk.wait(20).await;
        assert!(bias(&desk).ends_with("market flat"), "{}", bias(&desk));
        for coin in ["BTCUSDT", "ETHUSDT"] {
            bench.shock(&symbol(coin), dec!(-0.05)).await;
        }
        desk.cycle(bench, &[]).await;
        assert!(bias(&desk).ends_with("market falling"), "{}", bias(&desk));
        desk.end().await;
    });
}
