//! What lies over the screen and takes the keys: questions, lines to be typed, the palette, the themes, the help.

use chrono::Duration;
use crossterm::event::KeyCode;
use rust_decimal::Decimal;

use super::format;
use super::keymap::{Action, BINDINGS, Binding, Key};
use super::pages::question;
use super::screens::{Screen, prompt};
use super::state::{Confirm, Entry, Overlay, Purpose, Question, State};
use super::update::{Effect, act, anchor, send, tell};
use super::view;
use crate::domain::{Command, Direction, HaltLevel, HaltScope, Price, Query, Severity};

/// Puts a question over the screen.
pub fn ask(state: &mut State, question: Question, word: Option<String>) {
    state.overlay =
        Some(Overlay::Confirm(Confirm { question, word, typed: String::new(), missed: false, over: None }));
}

/// Puts a line to be typed over the screen.
pub fn enter(state: &mut State, purpose: Purpose, typed: String) {
    state.overlay = Some(Overlay::Entry(Entry::begun(purpose, typed)));
}

/// Has the price of a stop typed, and asks meanwhile which prices there are.
pub fn move_stop(state: &mut State) -> Vec<Effect> {
    let Some((account, symbol)) = anchor(state) else { return Vec::new() };
    let (id, effect) = question(state, Query::PriceGrid { symbol: symbol.clone() });
    state.grid.wait_for(id);
    enter(state, Purpose::Stop { account, symbol }, String::new());
    vec![effect]
}

/// Gives a key to what lies over the screen.
pub fn press(state: &mut State, overlay: Overlay, key: Key) -> Vec<Effect> {
    match overlay {
        Overlay::Confirm(confirm) => answer_question(state, confirm, key),
        Overlay::Help(top) => read_help(state, top, key),
        Overlay::Entry(entry) => type_line(state, entry, key),
        Overlay::Palette { typed, selected } => search(state, typed, selected, key),
        Overlay::Themes { selected, before } => choose_theme(state, selected, before, key),
    }
}

// --- questions ------------------------------------------------------------------------------------------------------

/// In the question, ctrl-c and escape say no. It stays until it is answered: what is typed beside an answer must not be
/// taken for keys.
fn answer_question(state: &mut State, mut confirm: Confirm, key: Key) -> Vec<Effect> {
    let leaves = matches!(key, Key::Code(KeyCode::Esc | KeyCode::Enter) | Key::Ctrl('c'));
    if confirm.over.is_some() {
        if !leaves {
            state.overlay = Some(Overlay::Confirm(confirm));
        }
        return Vec::new();
    }
    let Some(word) = confirm.word.clone() else {
        match key {
            Key::Char('y' | 'Y') => return carry_out(state, confirm.question),
            _ if leaves || matches!(key, Key::Char('n' | 'N')) => {
                tell(state, Severity::Info, "left as it was".to_owned());
            }
            _ => state.overlay = Some(Overlay::Confirm(confirm)),
        }
        return Vec::new();
    };
    match key {
        Key::Ctrl('u') => confirm.typed.clear(),
        Key::Char(character) if confirm.typed.chars().count() < word.chars().count() => {
            confirm.typed.push(character);
        }
        Key::Code(KeyCode::Backspace) => {
            confirm.typed.pop();
        }
        Key::Code(KeyCode::Enter) if matches(&confirm.typed, &word) => {
            return carry_out(state, confirm.question);
        }
        // The question stays: what is typed next must not be taken for keys.
        Key::Code(KeyCode::Enter) if !confirm.typed.is_empty() => {
            confirm.typed.clear();
            confirm.missed = true;
        }
        Key::Code(KeyCode::Enter | KeyCode::Esc) | Key::Ctrl('c') => {
            tell(state, Severity::Info, "left as it was".to_owned());
            return Vec::new();
        }
        _ => {}
    }
    state.overlay = Some(Overlay::Confirm(confirm));
    Vec::new()
}

/// Whether the word was typed. Case does not matter, except in the word for everything at once.
fn matches(typed: &str, word: &str) -> bool {
    if word.contains(' ') { typed == word } else { typed.eq_ignore_ascii_case(word) }
}

fn carry_out(state: &mut State, question: Question) -> Vec<Effect> {
    let command = match question {
        Question::Close { account, symbol, direction, .. } => {
            Command::ClosePosition { account, symbol, direction }
        }
        Question::Halt { scope, level, until, reason } => Command::Halt { scope, level, until, reason },
        Question::Resume(scope) => Command::Resume { scope },
        Question::MoveStop { account, symbol, direction, trigger } => {
            Command::MoveStop { account, symbol, direction, trigger }
        }
        Question::Arm(account) => Command::Arm { account },
        Question::RevertPrompt(name) => Command::RevertPrompt { name },
        Question::ApplyPrompt(name) => match &state.prompt.draft {
            Some(draft) if draft.name == name => Command::ApplyPrompt { name, text: draft.text() },
            _ => return Vec::new(),
        },
        Question::DiscardDraft(_) => {
            prompt::discard(state);
            return Vec::new();
        }
        Question::Trade => Command::SetDryRun(false),
        Question::Quit { .. } => return vec![Effect::Quit],
    };
    send(state, command)
}

/// A command of this console was accepted; what it changed and is in sight is asked for again.
pub fn carried_out(state: &mut State, command: &Command) -> Vec<Effect> {
    match command {
        Command::ApplyPrompt { name, .. } => {
            if state.prompt.draft.as_ref().is_some_and(|draft| &draft.name == name && !draft.editing) {
                state.prompt.draft = None;
                state.prompt.lint = super::pages::Asked::default();
            }
        }
        Command::RevertPrompt { .. } => {}
        _ => return Vec::new(),
    }
    state.prompt.page.overtaken();
    if state.screen == Screen::Prompt { super::screens::ask(state) } else { Vec::new() }
}

// --- lines to be typed ----------------------------------------------------------------------------------------------

fn type_line(state: &mut State, mut entry: Entry, key: Key) -> Vec<Effect> {
    match key {
        Key::Code(KeyCode::Esc) | Key::Ctrl('c') => {
            match entry.purpose {
                Purpose::Filter { before } => set_filter(state, before),
                Purpose::Note => keep_note(state, entry.typed),
                Purpose::Stop { .. } | Purpose::Pause(_) => {}
            }
            return Vec::new();
        }
        Key::Code(KeyCode::Enter) => return accept(state, entry),
        key => entry.press(key),
    }
    edited(state, entry);
    Vec::new()
}

/// The note the next cycle reads, as far as one waits.
pub fn waiting_note(state: &State) -> &str {
    state.desk.as_ref().and_then(|desk| desk.note.as_deref()).unwrap_or_default()
}

/// A note that was left before it was sent is there again when the line is opened the next time.
fn keep_note(state: &mut State, typed: String) {
    let begun = !typed.trim().is_empty() && typed.trim() != waiting_note(state).trim();
    state.note_begun = begun.then_some(typed);
    if begun {
        let key = state.keys.key_of(Action::Note);
        tell(state, Severity::Info, format!("the note was not sent; {key} goes on with it"));
    }
}

/// Text pasted into a line to be typed.
pub fn paste(state: &mut State, text: &str) {
    let Some(Overlay::Entry(mut entry)) = state.overlay.take() else { return };
    entry.put(&crate::domain::Untrusted::new(text).line(usize::MAX));
    edited(state, entry);
}

fn edited(state: &mut State, mut entry: Entry) {
    entry.trouble = None;
    if matches!(entry.purpose, Purpose::Filter { .. }) {
        set_filter(state, entry.typed.clone());
    }
    state.overlay = Some(Overlay::Entry(entry));
}

/// The words the list in sight is narrowed by.
pub fn filter(state: &State) -> &str {
    match state.screen {
        Screen::Cycles => &state.cycles.filter,
        Screen::Log => &state.events.filter,
        _ => &state.table.filter,
    }
}

/// Narrows the list in sight.
pub fn set_filter(state: &mut State, words: String) {
    match state.screen {
        Screen::Cycles => state.cycles.filter = words,
        Screen::Log => {
            state.events.filter = words;
            state.events.top = None;
        }
        _ => {
            state.table.filter = words;
            state.decision = 0;
        }
    }
}

fn accept(state: &mut State, entry: Entry) -> Vec<Effect> {
    let done = match &entry.purpose {
        Purpose::Filter { .. } => return Vec::new(),
        Purpose::Note => {
            state.note_begun = None;
            return send(state, Command::NoteToModel { text: entry.typed.trim().to_owned() });
        }
        Purpose::Stop { account, symbol } => {
            stop_price(state, account, symbol, &entry.typed).map(|(direction, trigger)| {
                let (account, symbol) = (account.clone(), symbol.clone());
                let word = symbol.coin().to_owned();
                (Question::MoveStop { account, symbol, direction, trigger }, word)
            })
        }
        Purpose::Pause(scope) => {
            pause(state, scope, &entry.typed).map(|question| (question, "halt".to_owned()))
        }
    };
    match done {
        Ok((question, word)) => ask(state, question, Some(word)),
        Err(trouble) => state.overlay = Some(Overlay::Entry(Entry { trouble: Some(trouble), ..entry })),
    }
    Vec::new()
}

/// The price of a stop that would protect the position, and which way that points, or why it would not.
pub fn stop_price(
    state: &State,
    account: &crate::domain::AccountName,
    symbol: &crate::domain::Symbol,
    typed: &str,
) -> Result<(Direction, Price), String> {
    let trigger: Price =
        with_a_point(typed).parse().map_err(|_| "a price above zero, such as 61250.5".to_owned())?;
    let positions = state.positions();
    let held = positions.iter().find(|(owner, held)| &owner.name == account && &held.symbol == symbol);
    let Some((_, held)) = held else { return Err("the position is gone".to_owned()) };
    let mark = state.mark_of(held);
    if trigger.value() > mark.value() * Decimal::TEN {
        return Err(format!("more than ten times the mark price {}", format::price(mark)));
    }
    let grid = state.grid.page.as_ref().filter(|page| &page.symbol == symbol).and_then(|page| page.grid);
    if let Some(why) = grid.and_then(|grid| grid.refuses(trigger)) {
        return Err(why);
    }
    match held.direction {
        Direction::Long if trigger >= mark => Err("the stop of a LONG lies below the mark price".to_owned()),
        Direction::Short if trigger <= mark => {
            Err("the stop of a SHORT lies above the mark price".to_owned())
        }
        direction => {
            let is_beyond = |end: &Price| match direction {
                Direction::Long => trigger <= *end,
                Direction::Short => trigger >= *end,
            };
            match held.liquidation.filter(is_beyond) {
                Some(end) => Err(format!("liquidated at {} before it", format::price(end))),
                None => Ok((direction, trigger)),
            }
        }
    }
}

/// A price as it is typed: commas part thousands, as the console shows them, unless a single one stands where no thousands
/// could begin; then it is a decimal comma.
fn with_a_point(typed: &str) -> String {
    let typed = typed.trim();
    let is_decimal = typed.split_once(',').is_some_and(|(whole, rest)| {
        let of_thousands = rest.len() == 3 && !whole.is_empty() && !whole.starts_with('0');
        rest.chars().all(|letter| letter.is_ascii_digit()) && !of_thousands
    });
    if is_decimal { typed.replace(',', ".") } else { typed.replace(',', "") }
}

/// A pause from words such as `4h before the rate decision`.
fn pause(state: &State, scope: &HaltScope, typed: &str) -> Result<Question, String> {
    const ALLOWED: &str = "first how long (30m, 4h, 2d), then why";
    let (length, reason) = typed.trim().split_once(' ').unwrap_or((typed.trim(), ""));
    let unit = length.chars().last().ok_or(ALLOWED)?;
    let count: i32 = length.strip_suffix(unit).and_then(|count| count.parse().ok()).ok_or(ALLOWED)?;
    let minutes = match unit {
        'm' => 1,
        'h' => 60,
        'd' => 24 * 60,
        _ => return Err(ALLOWED.to_owned()),
    };
    if count < 1 || i64::from(count) * minutes > 60 * 24 * 365 {
        return Err("between 1m and 365d".to_owned());
    }
    let now = state.market_time().ok_or("the market's time is not known yet")?;
    let until = now.checked_add_signed(Duration::minutes(i64::from(count) * minutes));
    Ok(Question::Halt {
        scope: scope.clone(),
        level: HaltLevel::NoEntries,
        until,
        reason: reason.trim().to_owned(),
    })
}

// --- the palette ----------------------------------------------------------------------------------------------------

/// The actions whose name or help contains the typed letters in their order, the closest first.
pub fn found(typed: &str) -> Vec<&'static Binding> {
    let mut found: Vec<(usize, &Binding)> = BINDINGS
        .iter()
        .filter_map(|binding| {
            let by_name = closeness(typed, binding.name);
            let by_word = binding.help.to_lowercase().find(&typed.to_lowercase()).map(|at| at + 10);
            let by_help = closeness(typed, binding.help).map(|far| far + 100);
            Some((by_name.into_iter().chain(by_word).chain(by_help).min()?, binding))
        })
        .collect();
    found.sort_by_key(|(far, _)| *far);
    found.into_iter().map(|(_, binding)| binding).collect()
}

/// How far apart the letters of `typed` lie in `text`: 0 is side by side at its beginning; `None` when not all are there.
fn closeness(typed: &str, text: &str) -> Option<usize> {
    let text: Vec<char> = text.to_lowercase().chars().collect();
    let wanted: Vec<char> = typed.to_lowercase().chars().filter(|letter| !letter.is_whitespace()).collect();
    let Some((first, rest)) = wanted.split_first() else { return Some(0) };
    let starts = text.iter().enumerate().filter(|(_, letter)| *letter == first).map(|(place, _)| place);
    starts
        .filter_map(|start| {
            let mut at = start;
            let mut gaps = 0;
            for letter in rest {
                let next = text.iter().skip(at + 1).position(|candidate| candidate == letter)?;
                gaps += next;
                at += next + 1;
            }
            // A word's beginning is what one types first.
            let within = start > 0 && text.get(start - 1).is_some_and(|before| before.is_alphanumeric());
            Some(3 * gaps + start.min(9) + if within { 20 } else { 0 })
        })
        .min()
}

/// Whether an action is done to the prompt file in sight.
const fn on_prompt(action: Action) -> bool {
    matches!(action, Action::EditPrompt | Action::ApplyPrompt | Action::RevertPrompt | Action::CheckPrompt)
}

fn search(state: &mut State, mut typed: String, mut selected: Option<usize>, key: Key) -> Vec<Effect> {
    match key {
        Key::Code(KeyCode::Esc) | Key::Ctrl('c') => return Vec::new(),
        Key::Code(KeyCode::Enter) if selected.is_some() => {
            let found = found(&typed);
            let chosen = selected.and_then(|at| found.get(at)).map(|binding| (binding.action, binding.on));
            let Some((action, on)) = chosen else { return Vec::new() };
            let mut effects = Vec::new();
            if let (super::keymap::On::Only([screen, ..]), false) = (on, on.includes(state.screen)) {
                effects = super::screens::enter(state, *screen);
            }
            if state.screen == Screen::Prompt && state.prompt.page.waiting.is_some() {
                state.prompt.then = on_prompt(action).then_some(action);
            }
            if state.prompt.then.is_none() {
                effects.extend(act(state, action));
            }
            return effects;
        }
        Key::Code(KeyCode::Down | KeyCode::Tab) | Key::Ctrl('n') => {
            selected = Some(selected.map_or(0, |at| at + 1));
        }
        Key::Code(KeyCode::Up | KeyCode::BackTab) | Key::Ctrl('p') => {
            selected = selected.map(|at| at.saturating_sub(1));
        }
        Key::Code(KeyCode::Backspace) => {
            typed.pop();
            selected = (!typed.is_empty()).then_some(0);
        }
        Key::Char(character) if typed.chars().count() < 40 => {
            typed.push(character);
            selected = Some(0);
        }
        _ => {}
    }
    let last = found(&typed).len().saturating_sub(1);
    state.overlay = Some(Overlay::Palette { typed, selected: selected.map(|at| at.min(last)) });
    Vec::new()
}

// --- themes and help ------------------------------------------------------------------------------------------------

fn choose_theme(state: &mut State, selected: usize, before: String, key: Key) -> Vec<Effect> {
    let last = state.themes.0.len().saturating_sub(1);
    let selected = match state.keys.lookup(key, Screen::Desk) {
        _ if key == Key::Code(KeyCode::Enter) => return Vec::new(),
        Some(Action::Up) => selected.saturating_sub(1),
        Some(Action::Down | Action::NextTheme) => (selected + 1).min(last),
        Some(Action::First) => 0,
        Some(Action::Last) => last,
        _ => return vec![Effect::Theme(before)],
    };
    let Some(name) = state.themes.0.get(selected).cloned() else { return Vec::new() };
    state.overlay = Some(Overlay::Themes { selected, before });
    vec![Effect::Theme(name)]
}

fn read_help(state: &mut State, top: usize, key: Key) -> Vec<Effect> {
    let last = view::help::last_top(state);
    let page = usize::from(state.size.1 / 2).max(1);
    if key == Key::Ctrl('c') {
        return act(state, Action::Quit);
    }
    let top = match state.keys.lookup(key, state.screen) {
        Some(Action::Up) => top.saturating_sub(1),
        Some(Action::Down) => top + 1,
        Some(Action::PageUp) => top.saturating_sub(page),
        Some(Action::PageDown) => top + page,
        Some(Action::First) => 0,
        Some(Action::Last) => last,
        Some(Action::NextTheme) => {
            state.overlay = Some(Overlay::Help(top));
            return vec![Effect::NextTheme];
        }
        _ => return Vec::new(),
    };
    state.overlay = Some(Overlay::Help(top.min(last)));
    Vec::new()
}

/// Whether the prompt takes the keys.
pub fn types_prompt(state: &State) -> bool {
    state.overlay.is_none() && prompt::is_editing(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_in_their_order_find_an_action_and_the_closest_comes_first() {
        let first = |typed: &str| found(typed).first().map(|binding| binding.name);
        assert_eq!(first("flat"), Some("flatten"));
        assert_eq!(first("mvst"), Some("move-stop"));
        assert_eq!(first("dry"), Some("dry-run"));
        assert_eq!(first("sto"), Some("move-stop"));
        assert_eq!(first("zzzz"), None);
        assert_eq!(found("").len(), BINDINGS.len());
    }

    #[test]
    fn a_comma_parts_thousands_or_a_fraction_by_where_it_stands() {
        let read = |typed: &str| with_a_point(typed);
        assert_eq!([read("61,250.5"), read("61,250"), read("1,061,250")], ["61250.5", "61250", "1061250"]);
        assert_eq!(
            [read("0,53"), read("61250,5"), read("0,530"), read("12,5")],
            ["0.53", "61250.5", "0.530", "12.5"]
        );
        assert_eq!(read(" 61250.5 "), "61250.5");
    }

    #[test]
    fn the_word_for_everything_must_be_typed_exactly() {
        assert!(matches("btcusdt", "BTCUSDT") && !matches("btc", "BTCUSDT"));
        assert!(matches("FLATTEN ALL", "FLATTEN ALL") && !matches("flatten all", "FLATTEN ALL"));
    }
}
