//! A question before something that moves money or ends the desk.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use rust_decimal::Decimal;

use super::super::format;
use super::super::screens::guards;
use super::super::state::{Confirm, Question, State, Unsaved};
use super::super::telling;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::super::wrap::wrap;
use super::boxed;
use super::guards::{estimate, held_words};
use crate::domain::{
    AccountName, Direction, HaltLevel, HaltScope, Mode, Price, Quantity, Symbol, Timestamp, Usdt,
};

/// Taker fee of one side, a share of the notional: 0.05 %.
pub const TAKER_FEE: Decimal = Decimal::from_parts(5, 0, 0, false, 4);

/// Columns of the box.
const WIDTH: u16 = 62;

const APPLY: &str = "The model reads the new text from the next cycle on.";
const KEEP: &str = "This desk's prompts are in the other language: no cycle reads the file until [model] prompt names its own.";
const DISCARD: &str = "What was written is gone; the text in force stays as it is.";
const REVERT: &str =
    "The file of the settings folder is put aside; the model reads the built-in text from the next cycle on.";

/// Draws the question over the screen.
pub fn draw(frame: &mut Frame<'_>, screen: Rect, confirm: &Confirm, state: &State, theme: &Theme) {
    let (title, mut lines) = match &confirm.question {
        Question::Close { account, symbol, direction, quantity } => {
            ("Close this position?", close(state, theme, account, symbol, *direction, *quantity))
        }
        Question::Halt { scope, level, until, reason } => (
            match level {
                HaltLevel::NoEntries => "Open nothing?",
                HaltLevel::Frozen => "Freeze?",
                HaltLevel::Flattened => "Close everything?",
            },
            halt(state, theme, scope, *level, *until, reason),
        ),
        Question::Resume(scope) => ("Take the halt back?", resume(state, theme, scope)),
        Question::MoveStop { account, symbol, trigger, .. } => {
            ("Move the stop?", move_stop(state, theme, account, symbol, *trigger))
        }
        Question::Arm(account) => ("Arm this account?", arm(state, theme, account)),
        Question::ApplyPrompt(name) if !is_used(state, name) => {
            ("Keep this draft?", prompt(state, theme, name, KEEP))
        }
        Question::ApplyPrompt(name) => ("Use this draft?", prompt(state, theme, name, APPLY)),
        Question::RevertPrompt(name) => ("Go back to the built-in text?", prompt(state, theme, name, REVERT)),
        Question::DiscardDraft(name) => ("Throw the draft away?", prompt(state, theme, name, DISCARD)),
        Question::Trade => ("Send orders again?", trade(state, theme)),
        Question::Quit { ends_live, unsaved } => ("Leave?", quit(state, theme, *ends_live, unsaved)),
    };
    let lines_before_answer = lines.len();
    lines.truncate(usize::from(screen.height).saturating_sub(4).min(lines_before_answer));
    lines.push(missed(confirm, theme));
    lines.push(answer(confirm, theme));
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let area = screen
        .centered(Constraint::Length(WIDTH.min(screen.width)), Constraint::Length(height.min(screen.height)));
    let inner = boxed(frame, area, state, theme, title, "");
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The question in one sentence, for a terminal too small for the box.
pub fn sentence(confirm: &Confirm) -> String {
    let what = match &confirm.question {
        Question::Close { account, symbol, direction, quantity } => {
            format!("Close {account} {symbol} {} {}?", direction.as_str(), format::quantity(*quantity))
        }
        Question::Halt { scope, level: HaltLevel::Flattened, .. } => format!("Close everything: {scope}?"),
        Question::Halt { scope, level, .. } => format!("Halt {scope} ({})?", level.words()),
        Question::Resume(scope) => format!("Take the halt of {scope} back?"),
        Question::MoveStop { account, symbol, trigger, .. } => {
            format!("Move the stop of {account} {symbol} to {}?", format::exact_price(*trigger))
        }
        Question::Arm(account) => format!("Arm {account} with real money?"),
        Question::ApplyPrompt(name) => format!("Use the draft of {name}?"),
        Question::RevertPrompt(name) => format!("Revert {name}?"),
        Question::DiscardDraft(name) => format!("Throw the draft of {name} away?"),
        Question::Trade => "Send orders again?".to_owned(),
        Question::Quit { ends_live: true, .. } => "Leave the live desk?".to_owned(),
        Question::Quit { .. } => "Leave what was not saved?".to_owned(),
    };
    match &confirm.word {
        _ if confirm.over.is_some() => confirm.over.clone().unwrap_or_default(),
        Some(word) if confirm.missed && confirm.typed.is_empty() => {
            format!("{what} That is another word; type {word}:")
        }
        Some(word) => format!("{what} Type {word}: {}", confirm.typed),
        None => format!("{what} [y/N]"),
    }
}

/// That another word was answered, on the row that parts the question from the answer.
fn missed(confirm: &Confirm, theme: &Theme) -> Line<'static> {
    if let Some(over) = &confirm.over {
        return Line::styled(
            format!(" ▲ {}", safe(over, usize::from(WIDTH) - 5)),
            theme.style(Meaning::Warn),
        );
    }
    if confirm.missed && confirm.typed.is_empty() {
        return Line::styled(" ▲ that is another word; nothing was done", theme.style(Meaning::Warn));
    }
    Line::default()
}

fn answer(confirm: &Confirm, theme: &Theme) -> Line<'static> {
    let (text, key) = (theme.style(Meaning::Text), theme.style(Meaning::Key));
    match &confirm.word {
        _ if confirm.over.is_some() => {
            Line::from(vec![Span::styled(" esc", key), Span::styled(" closes this", text)])
        }
        Some(word) => Line::from(vec![
            Span::styled(" type ", text),
            Span::styled(word.clone(), key),
            Span::styled(" and press enter, or esc: ", text),
            Span::styled(format!("{}▏", confirm.typed), key),
        ]),
        None => Line::from(vec![
            Span::styled(" y", key),
            Span::styled(" yes    ", text),
            Span::styled("n", key),
            Span::styled(" or ", text),
            Span::styled("esc", key),
            Span::styled(" no    [y/N]", text),
        ]),
    }
}

fn field(theme: &Theme, name: &str, value: Span<'static>) -> Line<'static> {
    Line::from(vec![Span::styled(format!(" {name:<10}"), theme.style(Meaning::Muted)), value])
}

fn mode_field(state: &State, theme: &Theme) -> Line<'static> {
    let real_prices = state.desk.as_ref().is_some_and(|desk| desk.facts.is_paper_on_real_prices());
    let (word, meaning) = match state.mode() {
        Some(Mode::Live) => (" LIVE ▪ REAL MONEY ", Meaning::Live),
        Some(Mode::Testnet) => (" TESTNET ", Meaning::Testnet),
        Some(Mode::Paper) if real_prices => (" PAPER ▪ REAL PRICES ", Meaning::Paper),
        Some(Mode::Paper) | None => (" PAPER ", Meaning::Paper),
    };
    let mut line = field(theme, "mode", Span::styled(word, theme.style(meaning)));
    if state.desk.as_ref().is_some_and(|desk| desk.dry_run) {
        line.push_span(Span::raw(" "));
        line.push_span(Span::styled(" DRY-RUN ", theme.style(Meaning::DryRun)));
    }
    line
}

fn close(
    state: &State,
    theme: &Theme,
    account: &AccountName,
    symbol: &Symbol,
    direction: Direction,
    quantity: Quantity,
) -> Vec<Line<'static>> {
    let text = theme.style(Meaning::Text);
    let title = theme.style(Meaning::Title);
    let positions = state.positions();
    let held = positions.iter().find(|(owner, held)| &owner.name == account && &held.symbol == symbol);
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "account", Span::styled(account.to_string(), title)),
        field(theme, "position", Span::styled(format!("{symbol} {}", direction.as_str()), title)),
        field(
            theme,
            "quantity",
            Span::styled(
                format!(
                    "{} {}, {} at market, reduce-only",
                    format::quantity(quantity),
                    symbol.coin(),
                    direction.closing_side().as_str()
                ),
                text,
            ),
        ),
    ];
    if let Some((_, held)) = held {
        let notional = state.mark_of(held).notional(quantity).value();
        let fee = Usdt::of(notional.checked_mul(TAKER_FEE).unwrap_or_default());
        let profit = state.live_profit(held);
        lines.push(field(
            theme,
            "notional",
            Span::styled(format!("{} USDT at the mark price", format::grouped(notional, 2)), text),
        ));
        lines.push(field(
            theme,
            "fee",
            Span::styled(format!("about {} USDT (taker 0.05 %)", format::usdt(fee)), text),
        ));
        lines.push(field(
            theme,
            "open PnL",
            Span::styled(
                format!("{} USDT before the fee", format::signed_usdt(profit)),
                theme.style(if profit < Usdt::ZERO { Meaning::Loss } else { Meaning::Gain }),
            ),
        ));
    }
    lines.push(field(theme, "stop", Span::styled("removed after the close", text)));
    lines
}

/// A sentence, broken to the width of the box.
fn say(state: &State, theme: &Theme, lines: &mut Vec<Line<'static>>, meaning: Meaning, sentence: &str) {
    for line in wrap(sentence, usize::from(WIDTH.min(state.size.0)).saturating_sub(4)) {
        lines.push(Line::styled(format!(" {line}"), theme.style(meaning)));
    }
}

fn halt(
    state: &State,
    theme: &Theme,
    scope: &HaltScope,
    level: HaltLevel,
    until: Option<Timestamp>,
    reason: &str,
) -> Vec<Line<'static>> {
    let (text, title) = (theme.style(Meaning::Text), theme.style(Meaning::Title));
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "halts", Span::styled(scope.to_string(), title)),
    ];
    let (count, notional, fee) = estimate(state, scope);
    let held = match count {
        0 => "nothing is open there".to_owned(),
        1 => format!("1 position, {} USDT", format::usdt(notional)),
        count => format!("{count} positions, {} USDT", format::usdt(notional)),
    };
    lines.push(field(theme, "holds", Span::styled(held, text)));
    let words = match level {
        HaltLevel::NoEntries => "Nothing is opened. The model may still close; stops stay.",
        HaltLevel::Frozen => "The model changes nothing at all. Stops stay, and you may still close by hand.",
        HaltLevel::Flattened => {
            "Everything held is closed at market, reduce-only, and nothing is opened afterwards."
        }
    };
    if level == HaltLevel::Flattened {
        if count > 0 {
            say(state, theme, &mut lines, Meaning::Text, &held_words(state, scope, 6));
        }
        let cost = format!("about {} USDT (taker 0.05 %) and slippage", format::usdt(fee));
        lines.push(field(theme, "cost", Span::styled(cost, text)));
    }
    let end = until.map_or_else(
        || "until it is resumed".to_owned(),
        |at| format!("until {} {}", state.clock(at, "%d %b %H:%M"), state.zone_name()),
    );
    lines.push(field(theme, "lasts", Span::styled(end, text)));
    if !reason.is_empty() {
        lines.push(field(theme, "reason", Span::styled(safe(reason, 46), text)));
    }
    lines.push(Line::default());
    say(state, theme, &mut lines, Meaning::Text, words);
    lines
}

fn resume(state: &State, theme: &Theme, scope: &HaltScope) -> Vec<Line<'static>> {
    let title = theme.style(Meaning::Title);
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "resumes", Span::styled(scope.to_string(), title)),
    ];
    if let Some(halt) = guards::halt(state, scope) {
        say(state, theme, &mut lines, Meaning::Muted, &safe(&telling::halted(halt, state.zone), 300));
    }
    let (meaning, words) = match kept_from_trading(state, scope) {
        Some(why) => (Meaning::Warn, format!("Nothing is opened there all the same: {why}.")),
        None => {
            (Meaning::Text, "The model may open positions there again from the next cycle on.".to_owned())
        }
    };
    say(state, theme, &mut lines, meaning, &words);
    lines
}

/// What keeps a scope from opening anything once its own halt is gone.
fn kept_from_trading(state: &State, scope: &HaltScope) -> Option<String> {
    let desk = state.desk.as_ref()?;
    if *scope != HaltScope::Desk && guards::halt(state, &HaltScope::Desk).is_some() {
        return Some(format!("{} is halted", HaltScope::Desk));
    }
    if desk.dry_run {
        return Some("dry-run is on".to_owned());
    }
    let armed = match scope {
        HaltScope::Account(account) => state.is_armed(account),
        HaltScope::Desk | HaltScope::Coin(_) => !desk.armed.is_empty(),
    };
    (desk.facts.mode == Mode::Live && !armed).then(|| "no account there is armed".to_owned())
}

fn move_stop(
    state: &State,
    theme: &Theme,
    account: &AccountName,
    symbol: &Symbol,
    trigger: Price,
) -> Vec<Line<'static>> {
    let (text, title) = (theme.style(Meaning::Text), theme.style(Meaning::Title));
    let positions = state.positions();
    let held = positions.iter().find(|(owner, held)| &owner.name == account && &held.symbol == symbol);
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "account", Span::styled(account.to_string(), title)),
    ];
    if let Some((_, held)) = held {
        let size = format!("{symbol} {} {}", held.direction.as_str(), format::quantity(held.quantity));
        lines.push(field(theme, "position", Span::styled(size, title)));
        let now = held.stop.as_ref().map_or_else(|| "■ none".to_owned(), |stop| format::price(stop.trigger));
        let moved = format!("{now} to {}", format::exact_price(trigger));
        lines.push(field(theme, "stop", Span::styled(moved, title)));
        let result = held.unrealised_at(trigger);
        let words = format!("{} USDT if it triggers there", format::signed_usdt(result));
        let meaning = if result < Usdt::ZERO { Meaning::Loss } else { Meaning::Gain };
        lines.push(field(theme, "result", Span::styled(words, theme.style(meaning))));
        let notional = trigger.notional(held.quantity).value();
        let fee = Usdt::of(notional.checked_mul(TAKER_FEE).unwrap_or_default());
        let cost = format!("about {} USDT then (taker 0.05 %), slippage", format::usdt(fee));
        lines.push(field(theme, "cost", Span::styled(cost, text)));
    }
    lines.push(field(theme, "order", Span::styled("the new stop rests before the old one goes", text)));
    lines
}

fn arm(state: &State, theme: &Theme, account: &AccountName) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "account", Span::styled(account.to_string(), theme.style(Meaning::Title))),
    ];
    let equity = state.desk.iter().flat_map(|desk| &desk.accounts).find(|known| &known.name == account);
    if let Some(known) = equity {
        let worth =
            format!("{} USDT, {}x", format::usdt(known.wallet + state.account_profit(known)), known.leverage);
        lines.push(field(theme, "equity", Span::styled(worth, theme.style(Meaning::Text))));
    }
    say(
        state,
        theme,
        &mut lines,
        Meaning::Warn,
        "From the next cycle on, the desk sends orders for it with real money.",
    );
    lines
}

/// Whether the prompts of the desk are made of a file; what is not known is taken to be.
fn is_used(state: &State, name: &str) -> bool {
    let files = state.prompt.page.page.iter().flat_map(|page| &page.files);
    files.into_iter().find(|file| file.name == name).is_none_or(|file| file.is_used)
}

fn prompt(state: &State, theme: &Theme, name: &str, sentence: &str) -> Vec<Line<'static>> {
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        field(theme, "file", Span::styled(safe(name, 46), theme.style(Meaning::Title))),
    ];
    say(state, theme, &mut lines, Meaning::Text, sentence);
    lines
}

fn trade(state: &State, theme: &Theme) -> Vec<Line<'static>> {
    let text = theme.style(Meaning::Text);
    let mut lines = vec![
        Line::default(),
        mode_field(state, theme),
        Line::styled(" Dry-run ends: from the next cycle on, orders are sent.", text),
    ];
    // What was flattened under the dry-run waits for its end.
    for (scope, waiting) in guards::to_be_closed(state) {
        let plural = if waiting == 1 { "" } else { "s" };
        let words = format!("At once, {waiting} position{plural} of {scope} closed at market: flattened.");
        say(state, theme, &mut lines, Meaning::Danger, &words);
    }
    lines
}

fn quit(state: &State, theme: &Theme, ends_live: bool, unsaved: &Unsaved) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    if ends_live {
        let words =
            "This ends the live desk: no cycle runs until it is started again. Stops stay at the exchange.";
        say(state, theme, &mut lines, Meaning::Text, words);
    }
    if let Some(name) = &unsaved.draft {
        let words = format!("The draft of {} is not in use, and is lost.", safe(name, 40));
        say(state, theme, &mut lines, Meaning::Warn, &words);
    }
    if unsaved.note {
        say(state, theme, &mut lines, Meaning::Warn, "The note to the model was not sent, and is lost.");
    }
    lines
}
