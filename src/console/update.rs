//! What a key, an event or a passing second does to the state. Pure: whatever must be done outside comes back as data.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::asking::{self, ask, enter};
use super::keymap::{Action, Key};
use super::layout;
use super::marked::Marked;
pub use super::moving::Step;
use super::moving::move_focus;
pub(super) use super::moving::{move_by, new_top};
use super::screens::{self, Screen, cycles, guards, log, market, money, prompt};
use super::state::{Notice, Overlay, Panel, Purpose, Question, State, Unsaved};
use super::{hear, mouse, possible, view};
use crate::domain::{
    Command, CommandId, Feed, HaltLevel, HaltScope, Mode, OperatorCommand, Query, QueryId, Severity,
    Untrusted,
};

/// How long an answer to the operator stays in sight.
const STATUS_STAYS: Duration = Duration::from_secs(20);

/// A stop that is not worth a word.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// What can happen to a console.
#[derive(Debug, Clone)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted.
    Paste(String),
    /// The wheel turned, one notch, at this column and row; true is down.
    Wheel(bool, u16, u16),
    /// The mouse was pressed at this column and row.
    Click(u16, u16),
    /// The pressed mouse moved to this column and row.
    Drag(u16, u16),
    /// The mouse was let go.
    Release,
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The desk said something.
    Feed(Box<Feed>),
    /// The desk says nothing more.
    FeedEnded,
    /// So much wall time has passed since the console began.
    Clock(Duration),
    /// The console was stopped by its operator and goes on now, so much wall time after it began.
    Continued(Duration),
    /// A command could not be handed to the desk.
    Undelivered(CommandId, String),
    /// Something the operator asked of the console itself was done, or not.
    Told(Severity, String),
}

/// What must be done outside the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Hand a command to the desk.
    Send(OperatorCommand),
    /// Ask the desk something; the answer comes back as a page with this id.
    Ask(QueryId, Query),
    /// Take the next theme.
    NextTheme,
    /// Take this theme.
    Theme(String),
    /// Ring the terminal's bell.
    Bell,
    /// Put a text into the terminal's clipboard.
    Copy(String),
    /// Put what is marked on the screen into the terminal's clipboard.
    CopyMarked(Marked),
    /// Stop, and go on when the shell says so.
    Suspend,
    /// Draw everything anew.
    Redraw,
    /// Leave.
    Quit,
}

/// Applies what happened.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(event) if event.kind == KeyEventKind::Release => Vec::new(),
        Msg::Key(event) => press(state, event),
        Msg::Paste(text) => {
            // Pasted text is never taken for keys: only into a text does it go.
            if asking::types_prompt(state) {
                prompt::paste(state, &text);
            } else if matches!(state.overlay, Some(Overlay::Entry(_))) {
                asking::paste(state, &text);
            }
            Vec::new()
        }
        Msg::Wheel(down, column, row) => mouse::wheel(state, down, column, row),
        Msg::Click(column, row) => mouse::press(state, column, row),
        Msg::Drag(column, row) => {
            mouse::drag(state, column, row);
            Vec::new()
        }
        Msg::Release => mouse::release(state),
        Msg::Resize(columns, rows) => {
            state.size = (columns, rows);
            Vec::new()
        }
        Msg::Feed(feed) => hear::take(state, *feed),
        Msg::FeedEnded => {
            state.connected = false;
            tell(state, Severity::Critical, "the desk has stopped; q leaves".to_owned());
            Vec::new()
        }
        Msg::Clock(now) => {
            state.now = state.now.max(now);
            let old = state.now.saturating_sub(state.status_since) >= STATUS_STAYS;
            if old && state.status.as_ref().is_some_and(|notice| notice.severity != Severity::Critical) {
                state.status = None;
            }
            Vec::new()
        }
        Msg::Continued(now) => {
            go_on(state, now);
            Vec::new()
        }
        Msg::Undelivered(id, why) => {
            state.asked.retain(|(asked, _)| *asked != id);
            tell(state, Severity::Warning, why);
            Vec::new()
        }
        Msg::Told(severity, text) => {
            tell(state, severity, text);
            Vec::new()
        }
    }
}

/// After a stop: says how long it was and where to read what happened.
fn go_on(state: &mut State, now: Duration) {
    let (before, slept) = (state.market_time(), now.saturating_sub(state.now));
    state.now = state.now.max(now);
    let (Some(before), Some(after)) = (before, state.market_time()) else { return };
    if slept < WORTH_TELLING {
        return;
    }
    log::stood_still(state, (before, after));
    let key = state.keys.key_of(Action::Show(Screen::Log));
    let lasted = super::format::lasted(i64::try_from(slept.as_secs()).unwrap_or(i64::MAX));
    tell(state, Severity::Info, format!("back after {lasted}; {key} lists what happened meanwhile"));
}

/// Answers the operator on the status line.
pub(super) fn tell(state: &mut State, severity: Severity, text: String) {
    state.status = Some(Notice { at: state.market_time(), severity, text });
    state.status_since = state.now;
}

// --- what the operator does -----------------------------------------------------------------------------------------

fn press(state: &mut State, event: KeyEvent) -> Vec<Effect> {
    state.marked = None;
    // Whoever presses another key does not wait for it any more.
    state.prompt.then = None;
    if let Some(second) = after_escape(state, event) {
        let mut effects = press(state, KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
        effects.extend(press(state, second));
        return effects;
    }
    if asking::types_prompt(state) {
        if let Some(Key::Code(KeyCode::Esc) | Key::Ctrl('c')) = Key::of(event) {
            return prompt::leave_editor(state);
        }
        prompt::type_key(state, event);
        return Vec::new();
    }
    let Some(key) = Key::of(event) else { return Vec::new() };
    // What was told about the last key is over with the next one.
    if state.status.as_ref().is_some_and(|notice| notice.severity != Severity::Critical) {
        state.status = None;
    }
    if let Some(overlay) = state.overlay.take() {
        return asking::press(state, overlay, key);
    }
    // Whatever keys the settings name, ctrl-c leaves unless they give it another meaning.
    let leaves = (key == Key::Ctrl('c')).then_some(Action::Quit);
    if let Some(action) = state.keys.lookup(key, state.screen).or(leaves) {
        return act(state, action);
    }
    if let Some(other) = state.keys.elsewhere(key, state.screen).filter(|_| !too_small(state))
        && let super::keymap::On::Only(screens) = other.on
    {
        let names: Vec<String> =
            screens.iter().map(|screen| format!("{} ({})", screen.title(), screen.number())).collect();
        let what = other.name.replace('-', " ");
        tell(state, Severity::Info, format!("{what} works on {}", names.join(", ")));
    }
    Vec::new()
}

/// The key behind an escape that came so close before it that the terminal calls both one key with alt. Where something
/// waits for an escape, that is what was meant; the editor has keys with alt of its own.
fn after_escape(state: &State, event: KeyEvent) -> Option<KeyEvent> {
    const OF_THE_EDITOR: &str = "bfdhnpv<>[]";
    let KeyCode::Char(letter) = event.code else { return None };
    let waits = match &state.overlay {
        Some(_) => true,
        None => asking::types_prompt(state) && !OF_THE_EDITOR.contains(letter),
    };
    let alone = event.modifiers.difference(KeyModifiers::SHIFT) == KeyModifiers::ALT;
    (waits && alone).then(|| KeyEvent::new(event.code, event.modifiers.difference(KeyModifiers::ALT)))
}

fn too_small(state: &State) -> bool {
    state.size.0 < layout::SMALLEST.0 || state.size.1 < layout::SMALLEST.1
}

/// Hands a command over and remembers that it was asked.
pub(super) fn send(state: &mut State, command: Command) -> Vec<Effect> {
    let id = state.next_command;
    state.next_command += 1;
    state.asked.push((id, command.clone()));
    tell(state, Severity::Info, asked(&command));
    vec![Effect::Send(OperatorCommand { id, command })]
}

fn asked(command: &Command) -> String {
    match command {
        Command::RunCycle => "asked for a cycle …".to_owned(),
        Command::SetDryRun(on) => format!("asked to switch dry-run {} …", if *on { "on" } else { "off" }),
        Command::ClosePosition { account, symbol, .. } => format!("asked to close {account} {symbol} …"),
        Command::Halt { scope, level: HaltLevel::Flattened, .. } => format!("asked to flatten {scope} …"),
        Command::Halt { scope, .. } => format!("asked to halt {scope} …"),
        Command::Resume { scope } => format!("asked to resume {scope} …"),
        Command::MoveStop { account, symbol, trigger, .. } => {
            format!("asked to move the stop of {account} {} to {trigger} …", symbol.coin())
        }
        Command::NoteToModel { text } if text.is_empty() => "asked to take the note back …".to_owned(),
        Command::NoteToModel { .. } => "asked to keep the note for the next cycle …".to_owned(),
        Command::AcknowledgeAlarms { .. } => "asked to acknowledge the alarms …".to_owned(),
        Command::Arm { account } => format!("asked to arm {account} …"),
        Command::Disarm => "asked to disarm …".to_owned(),
        Command::ApplyPrompt { name, .. } => format!("asked to use the draft of {name} …"),
        Command::RevertPrompt { name } => format!("asked to revert {name} …"),
    }
}

/// Does what a key or the palette asks for, or says why not.
pub(super) fn act(state: &mut State, action: Action) -> Vec<Effect> {
    if too_small(state) && action != Action::Quit {
        return Vec::new();
    }
    if let Some(why) = possible::why_not(action, state) {
        tell(state, Severity::Warning, why);
        return Vec::new();
    }
    match action {
        Action::ForceCycle => return send(state, Command::RunCycle),
        Action::ToggleDryRun => return toggle_dry_run(state),
        Action::ClosePosition => ask_to_close(state),
        Action::MoveStop => return asking::move_stop(state),
        Action::Why => return why(state),
        Action::Note => {
            let begun = state.note_begun.clone().unwrap_or_else(|| asking::waiting_note(state).to_owned());
            enter(state, Purpose::Note, begun);
        }
        Action::Acknowledge => {
            let up_to = state.open_alarms().iter().map(|alarm| alarm.id).max().unwrap_or(0);
            return send(state, Command::AcknowledgeAlarms { up_to });
        }
        Action::Arm => ask_to_arm(state),
        Action::Disarm => return send(state, Command::Disarm),
        Action::Pause => {
            if let Some(scope) = guards::selected(state) {
                enter(state, Purpose::Pause(scope), String::new());
            }
        }
        Action::NoEntries => ask_to_halt(state, HaltLevel::NoEntries),
        Action::Freeze => ask_to_halt(state, HaltLevel::Frozen),
        Action::Flatten => ask_to_halt(state, HaltLevel::Flattened),
        Action::Resume => {
            if let Some(scope) = guards::selected(state) {
                ask(state, Question::Resume(scope), Some("resume".to_owned()));
            }
        }
        Action::EditPrompt => prompt::edit(state),
        Action::CheckPrompt => return prompt::check(state),
        Action::ApplyPrompt => {
            if let Some(name) = state.prompt.draft.as_ref().map(|draft| draft.name.clone()) {
                ask(state, Question::ApplyPrompt(name), Some("use".to_owned()));
            }
        }
        Action::RevertPrompt => revert_prompt(state),
        Action::LeastSeverity => log::next_severity(state),
        Action::Left => return turn(state, false),
        Action::Right => return turn(state, true),
        Action::Open => return open(state),
        Action::Back => return back(state),
        Action::Sort => {
            state.table.order = state.table.order.next();
            state.decision = 0;
            tell(state, Severity::Info, format!("decisions {}", state.table.order.title()));
        }
        Action::Grid => {
            state.table.grid = !state.table.grid;
            state.focus = Panel::Decisions;
            state.main = Panel::Decisions;
        }
        Action::Filter => {
            let before = asking::filter(state).to_owned();
            enter(state, Purpose::Filter { before: before.clone() }, before);
        }
        Action::Copy => return copy(state),
        Action::Palette => state.overlay = Some(Overlay::Palette { typed: String::new(), selected: None }),
        Action::Themes => {
            let before = state.themes.1.clone();
            let selected = state.themes.0.iter().position(|name| *name == before).unwrap_or(0);
            state.overlay = Some(Overlay::Themes { selected, before });
        }
        Action::NextTheme => return vec![Effect::NextTheme],
        Action::Help => state.overlay = Some(Overlay::Help(0)),
        Action::Quit => return quit(state),
        Action::Show(screen) => {
            state.came_from_desk = false;
            return screens::enter(state, screen);
        }
        Action::FocusNext if state.screen == Screen::Prompt => return prompt::turn_file(state, 1),
        Action::FocusPrevious if state.screen == Screen::Prompt => {
            return prompt::turn_file(state, usize::MAX);
        }
        Action::FocusNext | Action::FocusPrevious if state.screen == Screen::Guards => {
            state.guards.reading = !state.guards.reading;
        }
        Action::FocusNext | Action::FocusPrevious if state.screen == Screen::Market => {
            state.market.reading = !state.market.reading && state.market.chart.is_none();
        }
        Action::FocusNext => move_focus(state, 1),
        Action::FocusPrevious => move_focus(state, Panel::ALL.len() - 1),
        Action::Up => return move_by(state, Step::Lines(-1)),
        Action::Down => return move_by(state, Step::Lines(1)),
        Action::PageUp => return move_by(state, Step::Pages(-1)),
        Action::PageDown => return move_by(state, Step::Pages(1)),
        Action::First => return move_by(state, Step::First),
        Action::Last => return move_by(state, Step::Last),
        Action::Suspend => return vec![Effect::Suspend],
        Action::Redraw => return vec![Effect::Redraw],
    }
    Vec::new()
}

fn quit(state: &mut State) -> Vec<Effect> {
    let ends_live = state.mode() == Some(Mode::Live) && state.connected && !state.suspendable;
    let unsaved = Unsaved { draft: prompt::unsaved(state), note: state.note_begun.is_some() };
    if !ends_live && !unsaved.is_any() {
        return vec![Effect::Quit];
    }
    ask(state, Question::Quit { ends_live, unsaved }, None);
    Vec::new()
}

fn toggle_dry_run(state: &mut State) -> Vec<Effect> {
    if state.desk.as_ref().is_some_and(|desk| desk.dry_run) {
        ask(state, Question::Trade, Some("trade".to_owned()));
        Vec::new()
    } else {
        send(state, Command::SetDryRun(true))
    }
}

/// Holds the selection on its position while something about it is asked.
pub(super) fn anchor(state: &mut State) -> Option<(crate::domain::AccountName, crate::domain::Symbol)> {
    let (index, account, position) = state.selected_position()?;
    let chosen = (account.name.clone(), position.symbol.clone());
    state.position = (index, Some(chosen.clone()));
    Some(chosen)
}

fn ask_to_close(state: &mut State) {
    let Some((account, symbol)) = anchor(state) else { return };
    let Some((_, _, position)) = state.selected_position() else { return };
    let (direction, quantity) = (position.direction, position.quantity);
    // Paper is given back by naming the coin; real money by the whole contract.
    let word = if state.mode() == Some(Mode::Live) { symbol.as_str() } else { symbol.coin() }.to_owned();
    ask(state, Question::Close { account, symbol, direction, quantity }, Some(word));
}

fn ask_to_halt(state: &mut State, level: HaltLevel) {
    if let Some((question, word)) = guards::ask(state, level) {
        ask(state, question, Some(word));
    }
}

/// The account of the selected position, or the first one that is not armed.
fn ask_to_arm(state: &mut State) {
    let selected = state.selected_position().map(|(_, account, _)| account.name.clone());
    let scope = match guards::selected(state) {
        Some(HaltScope::Account(name)) if state.screen == Screen::Guards => Some(name),
        _ => None,
    };
    let first = || {
        let accounts = &state.desk.as_ref()?.accounts;
        accounts.iter().find(|account| !state.is_armed(&account.name)).map(|account| account.name.clone())
    };
    let Some(account) = scope.or(selected).filter(|name| !state.is_armed(name)).or_else(first) else {
        tell(state, Severity::Info, "every account is armed".to_owned());
        return;
    };
    let word = account.to_string();
    ask(state, Question::Arm(account), Some(word));
}

fn revert_prompt(state: &mut State) {
    if let Some(draft) = &state.prompt.draft {
        let name = draft.name.clone();
        ask(state, Question::DiscardDraft(name), None);
    } else if let Some(page) = &state.prompt.page.page {
        let name = page.name.clone();
        ask(state, Question::RevertPrompt(name), Some("revert".to_owned()));
    }
}

/// The way from a position to the words behind it.
fn why(state: &mut State) -> Vec<Effect> {
    let Some((account, symbol)) = anchor(state) else { return Vec::new() };
    state.came_from_desk = true;
    let opened_at = state.selected_position().and_then(|(_, _, position)| position.opened_at);
    cycles::look_behind(state, cycles::Wanted { account, symbol, opened_at })
}

fn turn(state: &mut State, forward: bool) -> Vec<Effect> {
    match state.screen {
        Screen::Market => market::turn(state, forward),
        Screen::Money => money::turn(state, forward),
        Screen::Cycles => {
            cycles::turn(state, forward);
            Vec::new()
        }
        Screen::Prompt => {
            prompt::turn_view(state, forward);
            Vec::new()
        }
        Screen::Desk | Screen::Guards | Screen::Log => Vec::new(),
    }
}

fn open(state: &mut State) -> Vec<Effect> {
    match state.screen {
        Screen::Market if state.market.chart.is_none() => match market::selected(state) {
            Some(symbol) => market::open(state, symbol),
            None => Vec::new(),
        },
        Screen::Cycles if state.cycles.open.is_none() => cycles::open_selected(state),
        Screen::Desk => {
            state.came_from_desk = true;
            let section = match state.focus {
                Panel::Accounts => {
                    let symbol = state.selected_position().map(|(_, _, held)| held.symbol.clone());
                    return symbol.map_or_else(Vec::new, |symbol| market::open(state, symbol));
                }
                Panel::Decisions => cycles::Section::Decisions,
                Panel::Analysis => cycles::Section::Analysis,
                Panel::Tools => return cycles::open_call(state),
            };
            cycles::open_present(state, section)
        }
        _ => Vec::new(),
    }
}

/// Leaves what lies over a list: to the list, or to the desk if it was opened from there.
fn back(state: &mut State) -> Vec<Effect> {
    match state.screen {
        Screen::Market if state.market.chart.is_some() => {
            let effects = market::back(state);
            return back_to_the_desk(state).unwrap_or(effects);
        }
        Screen::Cycles if state.cycles.open.is_some() => {
            let effects = cycles::back(state);
            return back_to_the_desk(state).unwrap_or(effects);
        }
        // The cycle behind a position is still looked for, or there is none.
        Screen::Cycles if state.came_from_desk => return back_to_the_desk(state).unwrap_or_default(),
        Screen::Desk if state.table.grid => state.table.grid = false,
        Screen::Desk | Screen::Cycles | Screen::Log => asking::set_filter(state, String::new()),
        _ => {}
    }
    Vec::new()
}

fn back_to_the_desk(state: &mut State) -> Option<Vec<Effect>> {
    std::mem::take(&mut state.came_from_desk).then(|| screens::enter(state, Screen::Desk))
}

/// Puts what is selected into the clipboard.
fn copy(state: &mut State) -> Vec<Effect> {
    let text = view::copied(state);
    if text.is_empty() {
        tell(state, Severity::Warning, "nothing is selected that could be copied".to_owned());
        return Vec::new();
    }
    tell(state, Severity::Info, format!("copied: {}", Untrusted::new(text.as_str()).line(60)));
    vec![Effect::Copy(text)]
}

/// A sentence of ours or of the desk, made safe for a cell grid.
pub(super) fn safe(text: &str, columns: usize) -> String {
    Untrusted::new(text).line(columns)
}
