//! Whatever comes, in whatever order, at whatever size: no panic, no control character on the screen.

use std::time::Duration;

use jarvis::console::state::State;
use jarvis::console::update::{Effect, Msg, update};
use jarvis::domain::{Event, Feed, Outcome, OutcomeKind, Phase, Severity, Snapshot};
use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::fixture::{
    Desk, account_name, alarm, busy, draw, empty, finished, live, price, proposal, rows, streaming, symbol,
    theme, tool_call,
};

fn all_states() -> Vec<State> {
    let with = |mut desk: Desk, keys: &[KeyCode]| {
        for key in keys {
            desk.press(*key);
        }
        desk.state
    };
    vec![
        State::starting(),
        Desk::new(empty()).state,
        streaming().state,
        finished().state,
        live(finished()).state,
        with(Desk::new(busy()), &[KeyCode::Char('x')]),
        with(live(finished()), &[KeyCode::Char('x'), KeyCode::Char('b')]),
        with(finished(), &[KeyCode::Char('?'), KeyCode::End]),
        with(finished(), &[KeyCode::Tab, KeyCode::End]),
        with(finished(), &[KeyCode::Tab, KeyCode::Tab, KeyCode::Home]),
        with(finished(), &[KeyCode::BackTab, KeyCode::Home]),
    ]
}

#[test]
fn every_state_can_be_drawn_at_every_size() {
    let theme = theme();
    for state in all_states() {
        for width in [0, 1, 2, 5, 19, 20, 59, 60, 61, 79, 80, 109, 110, 120, 169, 170, 200, 300] {
            for height in [0, 1, 2, 4, 5, 19, 20, 23, 24, 40, 60, 100] {
                draw(&state, &theme, (width, height));
            }
        }
    }
}

const HOSTILE: &str = "a\u{1b}[2J\u{1b}]0;owned\u{7}b\u{9b}31m\u{202e}c\u{200b}\u{0}\r\n\td\u{e0041}é\u{301}\u{301}\u{301}日本 🚀";

/// A desk in which every text that can come from outside is hostile.
fn hostile() -> Desk {
    let mut snapshot: Snapshot = busy();
    snapshot.facts.model = HOSTILE.into();
    snapshot.accounts[2].trouble = Some(HOSTILE.into());
    let mut desk = Desk::new(snapshot);
    desk.start_cycle().tell(Event::PhaseEntered { phase: Phase::Model });
    desk.tell(tool_call(1, HOSTILE, &format!("{{\"q\":{:?}}}", "x\u{202e}y")))
        .tell(tool_call(2, HOSTILE, HOSTILE));
    desk.tell(Event::AnalysisDelta { text: HOSTILE.into() });
    let mut row = proposal("mirat", "BTC", None, None, HOSTILE);
    row.risk_note = Some(HOSTILE.into());
    desk.tell(Event::Decided { proposals: vec![row] });
    let outcome =
        Outcome { kind: OutcomeKind::Failed, rule: None, detail: HOSTILE.into(), orders: Vec::new() };
    desk.tell(Event::Settled { account: account_name("mirat"), symbol: symbol("BTC"), outcome });
    desk.tell(alarm(Severity::Critical, HOSTILE));
    desk.tell(Event::CycleRefused { reason: HOSTILE.into() });
    desk
}

fn assert_clean(state: &State) {
    for size in [(20, 5), (60, 20), (80, 24), (120, 40), (200, 60)] {
        for cell in draw(state, &theme(), size).content() {
            let steers = |c: char| {
                c.is_control()
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{e0000}'..='\u{e007f}')
            };
            assert!(!cell.symbol().chars().any(steers), "{size:?} {:?}", cell.symbol());
        }
    }
}

#[test]
fn text_from_outside_never_steers_the_terminal() {
    let mut desk = hostile();
    assert_clean(&desk.state);
    for _ in 0..3 {
        desk.press(KeyCode::Tab);
        assert_clean(&desk.state);
    }
    let mut starting = State::starting();
    update(&mut starting, Msg::Feed(Box::new(Feed::Starting { step: HOSTILE.into() })));
    assert_clean(&starting);
}

fn key() -> impl Strategy<Value = KeyEvent> {
    let code = prop_oneof![
        "[a-zA-Z?:/ ]".prop_map(|text| KeyCode::Char(text.chars().next().unwrap())),
        "[1-7]".prop_map(|text| KeyCode::Char(text.chars().next().unwrap())),
        any::<char>().prop_map(KeyCode::Char),
        prop_oneof![
            Just(KeyCode::Tab),
            Just(KeyCode::BackTab),
            Just(KeyCode::Up),
            Just(KeyCode::Down),
            Just(KeyCode::PageUp),
            Just(KeyCode::PageDown),
            Just(KeyCode::Home),
            Just(KeyCode::End),
            Just(KeyCode::Enter),
            Just(KeyCode::Esc),
            Just(KeyCode::Backspace),
        ],
    ];
    (code, prop_oneof![4 => Just(KeyModifiers::NONE), 1 => Just(KeyModifiers::CONTROL), 1 => Just(KeyModifiers::ALT)])
        .prop_map(|(code, modifiers)| KeyEvent::new(code, modifiers))
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        Just(Event::CycleStarted { trigger: jarvis::domain::Trigger::Manual }),
        Just(Event::PhaseEntered { phase: Phase::Model }),
        Just(Event::PhaseEntered { phase: Phase::Execution }),
        ".{0,80}".prop_map(|text| Event::AnalysisDelta { text: text.into() }),
        (0_u64..4, ".{0,60}").prop_map(|(call, params)| tool_call(call, "/price/BTCUSDT", &params)),
        (0_u64..4, any::<u16>(), any::<u64>(), any::<f64>())
            .prop_map(|(call, status, bytes, ms)| Event::ToolCallFinished { call, status, bytes, ms }),
        Just(Event::Decided { proposals: rows().into_iter().map(|row| row.proposal).collect() }),
        Just(Event::Decided { proposals: Vec::new() }),
        (0_usize..30).prop_map(|index| {
            let row = rows().swap_remove(index);
            Event::Settled {
                account: row.proposal.account,
                symbol: row.proposal.symbol,
                outcome: row.outcome,
            }
        }),
        (0_usize..3, 0_usize..4).prop_map(|(index, keep)| {
            let mut state = busy().accounts.swap_remove(index);
            state.positions.truncate(keep);
            Event::Account { state }
        }),
        (0_usize..10, 1_i64..10_000_000).prop_map(|(coin, mark)| {
            let (name, _) = crate::fixture::COINS[coin];
            Event::Marks { marks: vec![(symbol(name), price(&mark.to_string()))] }
        }),
        any::<bool>().prop_map(|on| Event::DryRun { on }),
        (0_u64..5).prop_map(|id| Event::CommandRefused { id, reason: "no".into() }),
        ".{0,80}".prop_map(|text| alarm(Severity::Warning, &text)),
        Just(Event::NextCycle { at: None }),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Key(KeyEvent),
    Event(Event),
    Resize(u16, u16),
    Clock(u64),
    Again,
    Ended,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => key().prop_map(Step::Key),
        8 => event().prop_map(Step::Event),
        2 => (0_u16..220, 0_u16..70).prop_map(|(width, height)| Step::Resize(width, height)),
        2 => (0_u64..100_000).prop_map(Step::Clock),
        1 => Just(Step::Again),
        1 => Just(Step::Ended),
    ]
}

/// Whether a command may change a position or what may be opened.
fn moves_money(command: &jarvis::domain::Command) -> bool {
    use jarvis::domain::Command;
    matches!(
        command,
        Command::ClosePosition { .. }
            | Command::SetDryRun(false)
            | Command::Halt { .. }
            | Command::Resume { .. }
            | Command::MoveStop { .. }
            | Command::Arm { .. }
            | Command::ApplyPrompt { .. }
            | Command::RevertPrompt { .. }
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_sequence_of_keys_and_events_breaks_the_console(
        is_live: bool,
        read_only: bool,
        answers: bool,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let mut desk = Desk::new(busy());
        if is_live {
            desk = live(desk);
        }
        desk.state.read_only = read_only;
        desk.start_cycle();
        for step in steps {
            let asked = desk.state.overlay.is_some();
            let effects = match step {
                Step::Key(key) => desk.apply(Msg::Key(key)),
                Step::Event(event) => {
                    desk.tell(event);
                    Vec::new()
                }
                Step::Resize(width, height) => desk.apply(Msg::Resize(width, height)),
                Step::Clock(seconds) => desk.apply(Msg::Clock(Duration::from_secs(seconds))),
                Step::Again => desk.apply(Msg::Feed(Box::new(Feed::Snapshot(Box::new(busy()))))),
                Step::Ended => desk.apply(Msg::FeedEnded),
            };
            for effect in &effects {
                if let Effect::Send(command) = effect {
                    prop_assert!(!read_only, "a read-only console sent {:?}", command);
                    prop_assert!(!moves_money(&command.command) || asked, "without a question: {:?}", command);
                }
            }
            if answers {
                crate::pages::answer(&mut desk, effects);
            }
            draw(&desk.state, &theme(), desk.state.size);
        }
    }
}
