//! What a whole answer is judged by: its rows one after another, what the exchange grants and charges, what an account
//! held when it was read last, and what the operator hears of it.

use crate::common::faults::{Call, Fate};
use crate::common::{Bench, Desk, Setup, rows_of, symbol};
use jarvis::config::{EquityMultiple, GuardSettings, Part};
use jarvis::domain::{Command, CycleReport, HaltLevel, HaltScope, Outcome, OutcomeKind, Rule, Side, Trigger};
use rust_decimal_macros::dec;

type Row = (usize, &'static str, &'static str, &'static str);

const COINS: &[&str] = &["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT", "ADAUSDT"];
const LONG: Row = (0, "BTCUSDT", "LONG", "0.9");

/// A bench with these guards and no others.
fn guarded(setup: &Setup, guards: impl FnOnce(&mut GuardSettings)) -> Bench {
    let mut bench = Bench::new(setup);
    guards(&mut bench.settings.risk.guards);
    bench
}

/// What became of an account's coin.
fn became(bench: &Bench, report: &CycleReport, account: usize, coin: &str) -> Outcome {
    let is_it = |row: &&jarvis::domain::DecisionRow| {
        row.proposal.account == bench.names[account] && row.proposal.symbol == symbol(coin)
    };
    report.decisions.iter().find(is_it).unwrap().outcome.clone()
}

fn asked(bench: &Bench, path: &str) -> usize {
    bench.faults.log().iter().filter(|entry| entry.call.is("GET", path)).count()
}

fn one_sided(desk: &Desk) -> Vec<String> {
    desk.alarms().into_iter().filter(|alarm| alarm.contains("one-sided")).collect()
}

#[test]
fn what_an_answer_opens_in_an_earlier_row_counts_in_the_later_ones() {
    let setup = Setup { accounts: 2, ..Setup::default() };
    let bench = guarded(&setup, |guards| guards.maximum_positions = Some(1));
    bench.live(async |bench| {
        let desk = bench.open().await;
        let report =
            desk.cycle(bench, &[LONG, (0, "ETHUSDT", "LONG", "0.9"), (1, "ETHUSDT", "LONG", "0.9")]).await;
        assert_eq!(became(bench, &report, 0, "BTCUSDT").kind, OutcomeKind::Opened, "{report:?}");
        assert_eq!(became(bench, &report, 0, "ETHUSDT").rule, Some(Rule::MaximumPositions), "{report:?}");
        assert_eq!(became(bench, &report, 1, "ETHUSDT").kind, OutcomeKind::Opened, "{report:?}");
        desk.end().await;
    });
}

#[test]
fn a_row_without_sense_spoils_its_own_pair_and_no_other() {
    let bench = Bench::new(&Setup { accounts: 2, ..Setup::default() });
    bench.live(async |bench| {
        let desk = bench.open().await;
        let rows = [
            LONG,
            (0, "ETHUSDT", "PERHAPS", "0.9"),
            (1, "BTCUSDT", "LONG", "0.9"),
            (1, "ETHUSDT", "LONG", "0.9"),
        ];
        let report = desk.cycle(bench, &rows).await;
        for (account, coin, ..) in rows {
            let expected =
                if (account, coin) == (0, "ETHUSDT") { OutcomeKind::Invalid } else { OutcomeKind::Opened };
            assert_eq!(became(bench, &report, account, coin).kind, expected, "{account} {coin}: {report:?}");
        }
        desk.end().await;
    });
}

#[test]
fn an_operator_hears_of_one_sided_openings_whether_they_are_let_through_or_refused() {
    let setup = Setup { coins: COINS, ..Setup::default() };
    // Told from the second of 20 on, and refused from the sixth on.
    let bench = guarded(&setup, |guards| guards.long_bias = Part::from_points(dec!(25)).ok());
    bench.live(async |bench| {
        let desk = bench.open().await;
        for coin in COINS {
            bench.shock(&symbol(coin), dec!(-0.04)).await;
        }
        desk.wait(60).await;
        let long = |coins: &[&'static str]| -> Vec<Row> {
            coins.iter().map(|coin| (0, *coin, "LONG", "0.9")).collect()
        };
        desk.cycle(bench, &long(&COINS[..1])).await;
        assert_eq!(one_sided(&desk), Vec::<String>::new(), "one of 20 is no habit");
        desk.cycle(bench, &long(&COINS[1..5])).await;
        let told = one_sided(&desk);
        assert_eq!(told.len(), 1, "once an answer: {told:?}");
        assert!(told[0].starts_with("one-sided: 5 of the last 20 openings would be LONG"), "{told:?}");
        // What another guard refuses is nobody's habit yet.
        let report = desk.cycle(bench, &long(&COINS[..1])).await;
        assert_eq!(became(bench, &report, 0, COINS[0]).rule, Some(Rule::AllowedAction));
        assert_eq!(one_sided(&desk).len(), 1, "{:?}", desk.alarms());
        let report = desk.cycle(bench, &long(&COINS[5..6])).await;
        assert_eq!(became(bench, &report, 0, COINS[5]).rule, Some(Rule::LongBias));
        let told = one_sided(&desk);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told.iter().any(|told| told.starts_with("one-sided: 6 of the last 20")), "{told:?}");
        desk.end().await;
    });
}

#[test]
fn while_an_account_is_frozen_the_model_is_not_offered_to_close_what_is_held() {
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        desk.cycle(bench, &[LONG]).await;
        let offered = async || {
            let prompt = desk.floor.draft_prompts().await.unwrap().user;
            !prompt.lines().any(|line| line.contains("not_offered_halted") && line.contains("CLOSE"))
        };
        assert!(offered().await);
        for (id, level, is_offered) in [(1, HaltLevel::NoEntries, true), (2, HaltLevel::Frozen, false)] {
            let scope = HaltScope::Account(bench.names[0].clone());
            desk.command(id, Command::Halt { scope, level, until: None, reason: String::new() }).await;
            desk.wait(1).await;
            assert_eq!(offered().await, is_offered, "{level:?}");
        }
        desk.end().await;
    });
}

#[test]
fn what_the_exchange_charges_an_account_decides_what_a_move_has_to_pay_for() {
    const DEAR: &str = r#"{"symbol":"BTCUSDT","makerCommissionRate":"0.02","takerCommissionRate":"0.04"}"#;
    for is_dear in [false, true] {
        let bench = guarded(&Setup::default(), |guards| guards.expected_move = Some(dec!(1)));
        if is_dear {
            bench
                .faults
                .rule(|call| call.is("GET", "/commissionRate").then(|| Fate::answer(false, 200, DEAR)));
        }
        bench.live(async |bench| {
            let desk = bench.open().await;
            let report = desk.cycle(bench, &[LONG]).await;
            let outcome = became(bench, &report, 0, "BTCUSDT");
            assert_eq!(outcome.rule, is_dear.then_some(Rule::ExpectedMove), "{outcome:?}");
            desk.end().await;
        });
    }
}

#[test]
fn what_the_exchange_keeps_of_a_margin_decides_whether_a_stop_protects() {
    const KEEPS_MUCH: &str = r#"[{"symbol":"BTCUSDT","brackets":[{"bracket":1,"initialLeverage":4,
        "notionalCap":1000000,"notionalFloor":0,"maintMarginRatio":0.24,"cum":0.0}]}]"#;
    for keeps_much in [false, true] {
        let bench = Bench::new(&Setup::default());
        if keeps_much {
            bench.faults.rule(|call| {
                call.is("GET", "/leverageBracket").then(|| Fate::answer(false, 200, KEEPS_MUCH))
            });
        }
        bench.live(async |bench| {
            let desk = bench.open().await;
            let report = desk.cycle(bench, &[LONG]).await;
            let outcome = became(bench, &report, 0, "BTCUSDT");
            assert_eq!(outcome.rule, keeps_much.then_some(Rule::Stop), "{outcome:?}");
            desk.end().await;
        });
    }
}

#[test]
fn what_the_exchange_grants_and_charges_is_asked_for_once_a_day() {
    const BOTH: [&str; 2] = ["/leverageBracket", "/commissionRate"];
    let bench = Bench::new(&Setup::default());
    bench.live(async |bench| {
        let desk = bench.open().await;
        for (seconds, times) in [(0, 1), (86_399, 1), (1, 2)] {
            bench.world.advance(seconds);
            desk.cycle(bench, &[]).await;
            assert_eq!(BOTH.map(|path| asked(bench, path)), [times; 2], "{seconds} s later");
        }
        desk.end().await;
    });
}

#[test]
fn what_an_account_held_when_it_was_read_last_counts_for_the_desk_while_it_cannot_be_read() {
    for is_lost in [false, true] {
        let setup = Setup { accounts: 2, ..Setup::default() };
        let bench = guarded(&setup, |guards| guards.exposure = EquityMultiple::from_points(dec!(60)).ok());
        bench.live(async |bench| {
            let desk = bench.open().await;
            let eth = symbol("ETHUSDT");
            let quantity = (dec!(11000) / bench.mark(&eth)).round_dp(2).to_string();
            bench.trade_by_hand(0, &eth, Side::Buy, &quantity).await;
            desk.wait(60).await;
            if is_lost {
                let is_of_the_first = |call: &Call| call.account == 0 && call.is("GET", "/v3/account");
                bench.faults.rule(move |call| {
                    is_of_the_first(call).then(|| Fate::answer(false, 502, "<html>bad gateway</html>"))
                });
                desk.wait(60).await;
            }
            bench.script.say(&rows_of(bench, &[(1, "BTCUSDT", "LONG", "0.9")]));
            let report = desk.floor.run_cycle(Trigger::Manual).await.unwrap();
            assert_eq!(
                report.errors.iter().any(|error| error.contains("account")),
                is_lost,
                "{:?}",
                report.errors
            );
            let outcome = became(bench, &report, 1, "BTCUSDT");
            assert_eq!(outcome.rule, Some(Rule::Exposure), "{outcome:?}");
            assert!(outcome.detail.contains("the whole desk"), "{outcome:?}");
            desk.end().await;
        });
    }
}
