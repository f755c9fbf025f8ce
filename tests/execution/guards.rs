//! The guards on the whole desk: a model that shouts for a day, losses that end it, and what the model is told.

use std::time::Duration;

use super::keeping::bought_by_hand;
use crate::common::{Bench, Desk, Setup, symbol};
use chrono::TimeDelta;
use jarvis::config::GuardSettings;
use jarvis::domain::{
    AccountName, CycleReport, Direction, Event, HaltLevel, HaltOrigin, HaltScope, OutcomeKind, Rule, Symbol,
    Timestamp,
};
use rust_decimal::Decimal;
use rust_decimal_macros::dec;

const COINS: &[&str] =
    &["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT", "PAXGUSDT"];

fn guarded(accounts: usize) -> Bench {
    let mut bench = Bench::new(&Setup { seed: 3, accounts, coins: COINS, ..Setup::default() });
    bench.settings.risk.guards = GuardSettings::default();
    bench
}

/// Time that passes at the exchange and on the wall while no desk runs.
fn pass(bench: &Bench, seconds: i64) {
    bench.clock.skip(TimeDelta::seconds(seconds));
    bench.world.advance(seconds);
}

fn market_time(bench: &Bench) -> Timestamp {
    bench.world.clock().now()
}

/// LONG 0.95 on everything, held or not.
async fn shout(desk: &Desk, bench: &Bench, word: &str) -> CycleReport {
    let rows: Vec<_> = (0..bench.names.len())
        .flat_map(|account| COINS.iter().map(move |coin| (account, *coin, word, "0.95")))
        .collect();
    desk.cycle(bench, &rows).await
}

fn opened(report: &CycleReport) -> Vec<(AccountName, Symbol)> {
    let rows = report.decisions.iter().filter(|row| row.outcome.kind == OutcomeKind::Opened);
    rows.map(|row| (row.proposal.account.clone(), row.proposal.symbol.clone())).collect()
}

fn rules(report: &CycleReport) -> Vec<Rule> {
    report.decisions.iter().filter_map(|row| row.outcome.rule).collect()
}

/// How full a limit is, at most, over all accounts and the desk.
fn fullest(desk: &Desk, rule: Rule) -> f64 {
    desk.floor.bulletin().read(|present| {
        let of_rule = present.guards.iter().filter(|reading| reading.rule == rule);
        of_rule.filter_map(|reading| reading.used).fold(0.0, f64::max)
    })
}

async fn every_limit_holds(
    bench: &Bench,
    desk: &Desk,
    report: &CycleReport,
    closed: &[(AccountName, Symbol, Timestamp)],
) {
    let now = market_time(bench);
    for (name, number) in bench.names.iter().zip(0..) {
        let truth = bench.truth(number);
        let (equity, positions) =
            (truth.account().await.unwrap().equity.value(), truth.positions().await.unwrap());
        assert!(positions.len() <= 6, "{name} holds {}", positions.len());
        let new = opened(report).into_iter().filter(|(account, _)| account == name).map(|(_, coin)| coin);
        let new: Vec<Symbol> = new.collect();
        for position in &positions {
            let notional = position.mark.notional(position.quantity).value();
            // 8 % of equity at 3x, and what the price moved since the fill.
            let most = if new.contains(&position.symbol) { dec!(0.245) } else { dec!(0.35) };
            assert!(notional <= equity * most, "{name} {}: {notional} of {equity}", position.symbol);
        }
        for coin in &new {
            let cooled = closed.iter().find(|(account, symbol, _)| account == name && symbol == coin);
            assert!(
                cooled.is_none_or(|(.., at)| now - *at >= TimeDelta::hours(4)),
                "{name} {coin} opened at {now} after {cooled:?}"
            );
        }
        let traded = desk.store.traded_since(now - TimeDelta::hours(24)).await.unwrap();
        let own = traded.iter().find(|(account, _)| account == name).map_or(Decimal::ZERO, |(_, sum)| *sum);
        assert!(new.is_empty() || own <= equity * dec!(3.01), "{name} traded {own} of {equity}");
    }
    if !opened(report).is_empty() {
        assert!(fullest(desk, Rule::Exposure) <= 1.03, "{}", fullest(desk, Rule::Exposure));
    }
}

#[test]
fn a_model_that_shouts_for_a_day_stays_within_every_limit() {
    let bench = guarded(3);
    let mut count = 0;
    let mut seen: Vec<Rule> = Vec::new();
    for hour in 0..24 {
        // A new life every hour: the guards know nothing but what the store and the exchange tell them.
        bench.live(async |bench| {
            let desk = bench.open().await;
            if hour == 5 {
                bench.shock(&symbol("ETHUSDT"), dec!(-0.12)).await;
                desk.wait(60).await;
            }
            let closed = desk.store.closes_since(market_time(bench) - TimeDelta::hours(12)).await.unwrap();
            assert!(hour != 5 || !closed.is_empty(), "nobody was stopped out");
            let report = shout(&desk, bench, if hour == 20 { "CLOSE" } else { "LONG" }).await;
            every_limit_holds(bench, &desk, &report, &closed).await;
            count += opened(&report).len();
            for rule in rules(&report) {
                if !seen.contains(&rule) {
                    seen.push(rule);
                }
            }
            desk.end().await;
        });
        pass(&bench, 3600);
    }
    assert!(count >= 6, "only {count} openings: {seen:?}");
    for rule in [Rule::AllowedAction, Rule::Exposure, Rule::Cooldown] {
        assert!(seen.contains(&rule), "{rule:?} was never needed: {seen:?}");
    }
}

#[test]
fn a_bad_day_ends_for_all_who_lost_and_is_told_to_the_model() {
    let bench = guarded(2);
    bench.live(async |bench| {
        // Far more than the guards would allow.
        let (desk, whales) = (bought_by_hand(bench).await, symbol("BTCUSDT"));
        bench.shock(&whales, dec!(-0.08)).await;
        desk.wait(60).await;
        let halts = desk.floor.bulletin().read(|present| present.halts.clone());
        assert_eq!(halts.len(), 1, "{halts:?}");
        assert_eq!(halts[0].scope, HaltScope::Account(bench.names[0].clone()));
        assert_eq!(
            (halts[0].level, &halts[0].origin),
            (HaltLevel::NoEntries, &HaltOrigin::Guard(Rule::DailyLoss))
        );
        assert_eq!(halts[0].until, Some("2026-03-03T00:00:00Z".parse().unwrap()));
        let report = shout(&desk, bench, "LONG").await;
        assert!(opened(&report).iter().all(|(account, _)| *account == bench.names[1]));
        let own = report.decisions.iter().filter(|row| row.proposal.account == bench.names[0]);
        for row in own.filter(|row| row.proposal.symbol != whales) {
            assert_eq!(row.outcome.rule, Some(Rule::Halted), "{:?}", row.outcome);
        }
        let prompt = desk.floor.draft_prompts().await.unwrap().user;
        assert!(prompt.contains("not_offered_halted"), "{prompt}");
        // Whoever resumes has seen the loss: the same one does not halt again.
        desk.command(1, jarvis::domain::Command::Resume { scope: halts[0].scope.clone() }).await;
        desk.wait(30).await;
        bench.world.advance(60);
        desk.wait(30).await;
        assert_eq!(desk.floor.bulletin().read(|present| present.halts.clone()), []);
        let report = shout(&desk, bench, "LONG").await;
        assert!(!rules(&report).contains(&Rule::DailyLoss), "{:?}", rules(&report));
        desk.end().await;
    });
}

#[test]
fn how_the_guards_stand_is_told_after_a_cycle_and_at_readings() {
    let bench = guarded(1);
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.wait(20).await;
        let first = desk.floor.bulletin().read(|present| present.guards.clone());
        let held = first.iter().find(|reading| reading.rule == Rule::MaximumPositions).unwrap();
        assert_eq!((held.value.as_str(), held.limit.as_str(), held.on), ("0", "6 positions", true));
        // Reading three accounts weighs something, and nothing was ordered.
        let budget = desk.floor.bulletin().read(|present| present.budget).unwrap();
        assert!(budget.weight.0 > 0 && budget.weight.1 == 2400, "{budget:?}");
        assert_eq!(budget.orders_10s, (0, 300));
        let report = shout(&desk, bench, "LONG").await;
        assert!(!opened(&report).is_empty(), "{:?}", rules(&report));
        desk.floor.bulletin().flush().await;
        let logged = desk.store.events_of(&report.cycle_id).await.unwrap();
        assert!(logged.iter().any(|told| matches!(told.event, Event::Guards { .. })));
        desk.wait(60).await;
        let later = desk.floor.bulletin().read(|present| present.guards.clone());
        let held = later.iter().find(|reading| reading.rule == Rule::MaximumPositions).unwrap();
        assert_eq!(held.value, opened(&report).len().to_string());
        // What is held is asked about as HOLD or CLOSE, and the limits are told.
        let prompt = desk.floor.draft_prompts().await.unwrap().user;
        assert!(prompt.contains("maximum_positions") && prompt.contains("150% of equity gross"), "{prompt}");
        desk.end().await;
    });
}

#[test]
fn closing_at_once_is_held_back_and_an_operator_is_not() {
    let bench = guarded(1);
    bench.live(async |bench| {
        let desk = bench.open().await;
        let report = shout(&desk, bench, "LONG").await;
        let (account, coin) = opened(&report).first().cloned().expect("nothing was opened");
        bench.shock(&coin, dec!(-0.01)).await;
        let report = shout(&desk, bench, "CLOSE").await;
        let row = report.decisions.iter().find(|row| row.proposal.symbol == coin).unwrap();
        assert_eq!(row.outcome.rule, Some(Rule::MinimumHold), "{:?}", row.outcome);
        let close = jarvis::domain::Command::ClosePosition {
            account,
            symbol: coin.clone(),
            direction: Direction::Long,
        };
        desk.command(1, close).await;
        desk.wait(30).await;
        assert!(bench.truth(0).positions().await.unwrap().iter().all(|position| position.symbol != coin));
        let report = shout(&desk, bench, "LONG").await;
        let row = report.decisions.iter().find(|row| row.proposal.symbol == coin).unwrap();
        assert_eq!(row.outcome.rule, Some(Rule::Cooldown), "{:?}", row.outcome);
        let prompt = desk.floor.draft_prompts().await.unwrap().user;
        assert!(prompt.contains("not_offered_cooldown") && prompt.contains("left alone until"), "{prompt}");
        desk.end().await;
    });
}

/// What became of a coin's last row.
fn became(report: &CycleReport, coin: &str) -> (OutcomeKind, String) {
    let row = report.decisions.iter().rfind(|row| row.proposal.symbol == symbol(coin)).unwrap();
    (row.outcome.kind, row.outcome.detail.clone())
}

#[test]
fn a_cycle_that_cannot_read_the_past_opens_nothing_and_closes_all_the_same() {
    const BTC: (usize, &str, &str, &str) = (0, "BTCUSDT", "LONG", "0.9");
    const ETH: (usize, &str, &str, &str) = (0, "ETHUSDT", "LONG", "0.9");
    let is_refused = |report: &CycleReport| {
        let (kind, why) = became(report, "ETHUSDT");
        assert_eq!(kind, OutcomeKind::Failed, "{why}");
        assert!(
            why.contains("what the accounts did before could not be read") && why.contains("no such table")
        );
    };
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        assert_eq!(became(&desk.cycle(bench, &[BTC]).await, "BTCUSDT").0, OutcomeKind::Opened);
        bench.take_table_away("equity");
        let report = desk.cycle(bench, &[(0, "BTCUSDT", "CLOSE", "0.9"), ETH]).await;
        is_refused(&report);
        assert_eq!(became(&report, "BTCUSDT").0, OutcomeKind::Closed, "{report:?}");
        assert!(report.errors.iter().any(|error| error.contains("could not be read")), "{:?}", report.errors);
        bench.bring_table_back("equity");
        // What was traded while the model thought belongs to the past as well.
        bench.script.think(Duration::from_secs(10));
        let (report, ()) = tokio::join!(desk.cycle(bench, &[ETH]), async {
            desk.wait(5).await;
            bench.take_table_away("fills");
        });
        is_refused(&report);
        bench.bring_table_back("fills");
        assert_eq!(became(&desk.cycle(bench, &[ETH]).await, "ETHUSDT").0, OutcomeKind::Opened);
        desk.end().await;
    });
}

#[test]
fn a_loss_that_cannot_be_checked_keeps_openings_back_until_it_can_and_halts_nothing() {
    let mut bench = Bench::new(&Setup { seed: 3, accounts: 2, ..Setup::default() });
    let daily_loss = GuardSettings::default().daily_loss;
    bench.settings.risk.guards = GuardSettings { daily_loss, ..GuardSettings::off() };
    bench.live(async |bench| {
        let (desk, btc) = (bought_by_hand(bench).await, symbol("BTCUSDT"));
        bench.take_table_away("equity");
        bench.shock(&btc, dec!(-0.08)).await;
        // Between two readings of the guardian, which would check the loss as soon as it can be.
        desk.wait(65).await;
        let alarms = desk.alarms();
        let told = alarms.iter().filter(|alarm| alarm.contains("losses could not be checked"));
        assert_eq!(told.count(), 1, "{alarms:?}");
        // The past can be read again, and nobody has checked the loss of the first account by it.
        bench.script.think(Duration::from_secs(3));
        let (report, ()) = tokio::join!(desk.cycle(bench, &[(1, "ETHUSDT", "LONG", "0.9")]), async {
            desk.wait(1).await;
            bench.bring_table_back("equity");
            desk.floor.draft_prompts().await.unwrap();
        });
        let (kind, why) = became(&report, "ETHUSDT");
        assert_eq!(kind, OutcomeKind::Failed, "{why}");
        assert!(why.contains("whether a loss calls for a halt could not be checked"), "{why}");
        bench.shock(&btc, dec!(0.087)).await;
        let report = desk.cycle(bench, &[(1, "ETHUSDT", "LONG", "0.9")]).await;
        assert_eq!(became(&report, "ETHUSDT").0, OutcomeKind::Opened, "{report:?}");
        assert_eq!(desk.halts(), []);
        desk.end().await;
    });
}
