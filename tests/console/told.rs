//! What is told once, in the same words everywhere, and on no wider screen less of it.

use jarvis::domain::{
    ClientOrderId, Event, Halt, HaltLevel, HaltOrigin, HaltScope, OrderPurpose, OrderState, Outcome,
    OutcomeKind, Severity, Side, ToldElsewhere, Trigger,
};

use crate::fixture::{
    Desk, SIZES, account_name, alarm, busy, finished, live, price, report, rows, screen, status, symbol, time,
};
use crate::pages::{guarded, walk};

/// The rows of the log screen that hold one of these words.
fn logged<'a>(shown: &'a str, words: &[&str]) -> Vec<&'a str> {
    shown.lines().filter(|line| words.iter().any(|word| line.contains(word))).collect()
}

#[test]
fn a_wider_screen_shows_no_less_of_a_position_and_of_the_money() {
    let mut desk = finished();
    let wide = [(80, 24), (100, 30), (117, 40), (118, 40), (120, 40), (169, 45), (182, 50), (200, 60)];
    for size in wide {
        let shown = screen(&desk, size);
        for title in ["quantity", "entry", "mark", "PnL %", "stop", "held"] {
            assert!(shown.contains(title), "{size:?} {title}\n{shown}");
        }
    }
    walk(&mut desk, "4");
    for size in wide {
        let shown = screen(&desk, size);
        for title in ["gross", "commission", "funding", "model est.", "net", "trades"] {
            assert!(shown.contains(title), "{size:?} {title}\n{shown}");
        }
    }
}

#[test]
fn what_adds_up_to_the_net_stays_together() {
    let mut desk = finished();
    walk(&mut desk, "4");
    let shown = screen(&desk, (60, 20));
    assert!(shown.contains("commission funding") && !shown.contains("model est."), "{shown}");
    // With a model that is paid there is one part more, and no room for all of them.
    desk.state.desk.as_mut().unwrap().facts.built_in_analyst = false;
    let page = desk.state.money.page.page.as_mut().unwrap();
    page.total.gross = "-12345.60".parse().unwrap();
    page.total.funding = "-1234.60".parse().unwrap();
    let shown = screen(&desk, (60, 20));
    assert!(shown.contains("costs") && !shown.contains("funding"), "{shown}");
    // -6.12 commission, -1 234.60 funding, -1.22 for the model.
    assert!(shown.contains("-1,241.94"), "{shown}");
}

#[test]
fn money_says_what_its_net_leaves_out_and_what_stands_in_brackets() {
    let mut desk = finished();
    walk(&mut desk, "4");
    for size in SIZES {
        assert!(screen(&desk, size).contains("without open PnL"), "{size:?}");
    }
    assert!(screen(&desk, (120, 40)).contains("what a model would have cost; not paid, in no net"));
}

#[test]
fn every_end_of_a_decision_has_a_mark_beside_its_word() {
    let mut desk = finished();
    walk(&mut desk, "/avax\n");
    for size in SIZES {
        assert!(screen(&desk, size).contains("■ invalid"), "{size:?}\n{}", screen(&desk, size));
    }
    let shown = screen(&finished(), (200, 60));
    for end in ["✓ opened", "✓ closed", "✕ refused", "■ failed", "○ dry-run"] {
        assert!(shown.contains(end), "{end}\n{shown}");
    }
}

#[test]
fn the_list_of_cycles_counts_what_was_invalid_at_every_size() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "3");
    let lines = desk.state.cycles.list.page.as_mut().unwrap();
    lines[0].outcomes.invalid = 17;
    for size in SIZES {
        assert!(screen(&desk, size).contains("17"), "{size:?}\n{}", screen(&desk, size));
    }
    assert!(screen(&desk, (60, 20)).contains("■ 17 inv."), "{}", screen(&desk, (60, 20)));
}

#[test]
fn the_sentence_of_the_selected_action_is_whole_at_every_size() {
    for size in SIZES {
        let mut desk = Desk::new(guarded());
        desk.apply(jarvis::console::update::Msg::Resize(size.0, size.1));
        walk(&mut desk, ":disarm");
        let shown = screen(&desk, size);
        let flat = shown.replace(['│', '\n'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence = "not now: only a live desk is armed and disarmed; this one is in paper mode";
        assert!(flat.contains(sentence), "{size:?}\n{shown}");
    }
}

#[test]
fn an_account_nobody_armed_is_told_from_a_dry_run() {
    let mut desk = live(Desk::new(busy()));
    let mut decisions = rows();
    decisions.truncate(1);
    decisions[0].outcome =
        Outcome { kind: OutcomeKind::DryRun, rule: None, detail: "would open".into(), orders: Vec::new() };
    let told = |desk: &mut Desk| {
        desk.start_cycle();
        let report = Box::new(report(desk, decisions.clone()));
        desk.tell(Event::CycleFinished { report, cost_today: jarvis::domain::Usage::default() });
    };
    told(&mut desk);
    for size in SIZES {
        let shown = screen(&desk, size);
        assert!(shown.contains("△ not armed") && !shown.contains("○ dry-run"), "{size:?}\n{shown}");
    }
    desk.tell(Event::DryRun { on: true });
    assert!(screen(&desk, (120, 40)).contains("△ not armed"), "it was so when the cycle began");
    desk.wait(3_600);
    told(&mut desk);
    assert!(screen(&desk, (120, 40)).contains("○ dry-run"), "{}", screen(&desk, (120, 40)));
}

#[test]
fn one_action_has_one_line() {
    let mut desk = live(Desk::new(guarded()));
    walk(&mut desk, "7");
    let answered =
        |detail: &str, elsewhere| Event::CommandAccepted { id: 77, detail: detail.into(), elsewhere };
    let accepted = |detail: &str| answered(detail, ToldElsewhere::All);
    let halt = |scope, origin| Halt {
        scope,
        level: HaltLevel::NoEntries,
        origin,
        reason: "looks odd".into(),
        since: time("2026-03-02T12:00:00Z"),
        until: Some(time("2026-03-02T14:00:00Z")),
    };
    let sol = HaltScope::Coin(symbol("SOL"));
    let guard = HaltOrigin::Guard(jarvis::domain::Rule::DailyLoss);
    let but = "nothing is opened until an account is armed by its name";
    let actions: [(&[Event], &[&str]); 8] = [
        (&[answered("mirat BTC is closed", ToldElsewhere::Nothing)], &["mirat BTC is closed"]),
        (
            &[answered(&format!("dry-run is off; {but}"), ToldElsewhere::AllBut(but.into()))],
            &["12:04:59 · nothing is opened until"],
        ),
        (&[Event::AlarmsAcknowledged { up_to: 1 }, accepted("alarms acknowledged")], &["acknowledged"]),
        (
            &[accepted("a cycle starts now"), Event::CycleStarted { trigger: Trigger::Manual }],
            &["cycle start"],
        ),
        (
            &[
                Event::Armed { accounts: vec![account_name("tugrul")] },
                accepted("tugrul is armed: its orders are sent with real money"),
            ],
            &["12:04:59 ▲ armed: tugrul", "tugrul is armed"],
        ),
        (
            &[Event::DryRun { on: true }, accepted("dry-run is on: no order is sent")],
            &["12:04:59 · dry-run is on"],
        ),
        (
            &[
                Event::Halted { halt: halt(sol, HaltOrigin::Operator) },
                accepted("SOL is halted (nothing is opened) until 2026-03-02 14:00:00Z: looks odd"),
            ],
            &["SOL"],
        ),
        (
            &[
                Event::Halted { halt: halt(HaltScope::Account(account_name("tugrul")), guard) },
                alarm(Severity::Critical, "tugrul is halted (no_entries): looks odd"),
            ],
            &["■ tugrul", "tugrul is halted"],
        ),
    ];
    let before = screen(&desk, (120, 40));
    for (events, words) in actions {
        for event in events {
            desk.tell(event.clone());
        }
        let shown = screen(&desk, (120, 40));
        let came = logged(&shown, words).len() - logged(&before, words).len();
        assert_eq!(came, 1, "{words:?}\n{shown}");
    }
}

#[test]
fn a_fill_stands_before_the_stop_that_was_placed_behind_it() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "7");
    let order = |coin: &str, purpose, state, quantity: Option<&str>| Event::Order {
        account: account_name("mirat"),
        symbol: symbol(coin),
        purpose,
        side: Side::Sell,
        client_order_id: ClientOrderId::new("j-1").unwrap(),
        state,
        quantity: quantity.map(|text| text.parse().unwrap()),
        price: Some(price("0.519")),
    };
    desk.tell(order("ADA", OrderPurpose::Open, OrderState::Sent, Some("191")));
    desk.tell(order("ADA", OrderPurpose::Stop, OrderState::Sent, None));
    desk.tell(order("SOL", OrderPurpose::Stop, OrderState::Sent, None));
    desk.tell(order("ADA", OrderPurpose::Stop, OrderState::Accepted, None));
    desk.tell(order("ADA", OrderPurpose::Open, OrderState::Filled, Some("191")));
    let shown = screen(&desk, (120, 40));
    let ada: Vec<_> = logged(&shown, &["ADA"]).into_iter().map(|line| line.contains("stop")).collect();
    let end = ada.len() - 4;
    assert_eq!(ada[end..], [false, false, true, true], "{shown}");
}

#[test]
fn the_rung_of_the_ladder_has_one_name() {
    let mut snapshot = guarded();
    let mut reading = snapshot.guards[0].clone();
    reading.rule = jarvis::domain::Rule::Halted;
    (reading.value, reading.limit, reading.used) = ("no_entries".into(), "no halt".into(), None);
    snapshot.guards.push(reading);
    let mut desk = Desk::new(snapshot);
    walk(&mut desk, "5");
    for size in [(120, 40), (200, 60)] {
        let shown = screen(&desk, size);
        assert!(!shown.contains("no_entries") && shown.contains(" no entries "), "{shown}");
    }
}

#[test]
fn the_legend_of_the_chart_explains_every_mark_at_every_size() {
    for size in SIZES {
        let mut desk = Desk::new(busy());
        desk.apply(jarvis::console::update::Msg::Resize(size.0, size.1));
        walk(&mut desk, "2\n");
        let shown = screen(&desk, size);
        for words in ["decided", "· no trade", "closed"] {
            assert!(shown.contains(words), "{size:?} {words}\n{shown}");
        }
    }
}

#[test]
fn a_headline_of_an_earlier_day_has_its_day_and_not_a_time() {
    let mut desk = Desk::new(busy());
    walk(&mut desk, "2");
    let page = desk.state.market.page.page.as_mut().unwrap();
    page.headlines[0].0 = Some(time("2026-02-27T11:40:00Z"));
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("27 Feb coindesk") && !shown.contains("11:40"), "{shown}");
}

#[test]
fn a_live_list_of_cycles_does_not_call_every_order_that_was_kept_back_a_dry_run() {
    let mut desk = live(Desk::new(busy()));
    walk(&mut desk, "3");
    desk.state.cycles.list.page.as_mut().unwrap()[5].dry_run = true;
    for size in [(80, 24), (120, 40)] {
        let shown = screen(&desk, size);
        assert!(shown.contains(" unsent ") && shown.contains("not sent"), "{shown}");
    }
}

#[test]
fn a_dry_run_flattens_nothing_and_its_end_says_what_it_closes() {
    let mut desk = Desk::new(guarded());
    desk.state.desk.as_mut().unwrap().dry_run = true;
    walk(&mut desk, "5\u{2193}X");
    assert_eq!(desk.state.overlay, None);
    assert!(status(&desk).contains("dry-run is on and no order is sent"), "{}", status(&desk));
    let halt = Halt {
        scope: HaltScope::Account(account_name("mirat")),
        level: HaltLevel::Flattened,
        origin: HaltOrigin::Operator,
        reason: "by the command line".into(),
        since: time("2026-03-02T12:00:00Z"),
        until: None,
    };
    desk.tell(Event::Halted { halt });
    walk(&mut desk, "1d");
    let shown = screen(&desk, (120, 40));
    let count = desk.state.positions().iter().filter(|(owner, _)| owner.name.as_str() == "mirat").count();
    assert!(shown.contains(&format!("At once, {count} position")), "{shown}");
}

#[test]
fn an_account_that_cannot_be_read_keeps_what_it_was_seen_to_hold() {
    let mut desk = Desk::new(busy());
    let before = desk.state.desk.as_ref().unwrap().accounts[0].clone();
    assert!(!before.positions.is_empty());
    let unread = jarvis::domain::AccountState {
        positions: Vec::new(),
        equity: jarvis::domain::Usdt::ZERO,
        wallet: jarvis::domain::Usdt::ZERO,
        trouble: Some("no answer within 10 seconds".into()),
        ..before.clone()
    };
    desk.tell(Event::Account { state: unread });
    let now = &desk.state.desk.as_ref().unwrap().accounts[0];
    assert_eq!((&now.positions, now.equity), (&before.positions, before.equity));
    let shown = screen(&desk, (120, 40));
    assert!(shown.contains("no answer within 10 seconds"), "{shown}");
    let coin = before.positions[0].symbol.coin();
    assert!(
        shown
            .lines()
            .any(|line| line.contains(coin) && line.contains(before.positions[0].direction.as_str()))
    );
    desk.tell(Event::Account { state: before.clone() });
    assert_eq!(desk.state.desk.as_ref().unwrap().accounts[0], before);
}

#[test]
fn the_ladder_shows_the_strictest_halt_and_a_file_is_not_resumed_by_a_key() {
    let mut desk = Desk::new(guarded());
    desk.state.desk.as_mut().unwrap().halts.clear();
    let halt = |scope, level, origin| Event::Halted {
        halt: Halt {
            scope,
            level,
            origin,
            reason: String::new().into(),
            since: time("2026-03-02T12:00:00Z"),
            until: None,
        },
    };
    let mirat = HaltScope::Account(account_name("mirat"));
    desk.tell(halt(mirat, HaltLevel::NoEntries, HaltOrigin::Operator));
    walk(&mut desk, "5");
    let row = |desk: &Desk| {
        let shown = screen(desk, (120, 40));
        shown.lines().find(|line| line.contains("  mirat ")).unwrap().to_owned()
    };
    assert!(row(&desk).contains("no entries"), "{}", row(&desk));
    desk.tell(halt(HaltScope::Desk, HaltLevel::Frozen, HaltOrigin::File));
    assert!(row(&desk).contains("■ frozen"), "{}", row(&desk));
    walk(&mut desk, "r");
    assert!(status(&desk).contains("the file HALT in the data folder"), "{}", status(&desk));
}
