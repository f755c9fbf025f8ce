//! Decisions as a table of accounts against coins.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use super::accounts::highlighted;
use super::decisions::{Level, distinct, level, outcome_mark, outcome_style, word_style};
use super::{mark_part, window};
use crate::domain::{CycleView, DecisionWord, Outcome, Proposal};

/// Columns of the coin's name.
const LABEL: u16 = 7;

/// The least a cell needs: a mark, the word, the confidence, what became of it, and a blank.
const LEAST_WIDTH: usize = 9;

/// Accounts against coins: the word in two letters, and a mark for what became of it.
pub fn draw(
    frame: &mut Frame<'_>,
    (area, around): (Rect, Rect),
    state: &State,
    theme: &Theme,
    cycle: &CycleView,
    (shown, selected): (&[usize], usize),
) {
    let muted = theme.style(Meaning::Muted);
    let chosen = cycle.decisions.get(selected).map(|(proposal, _)| (&proposal.account, &proposal.symbol));
    let mut accounts: Vec<_> = Vec::new();
    let mut coins: Vec<_> = Vec::new();
    // In the order of the list, and only what passes its filter.
    for (proposal, _) in shown.iter().filter_map(|place| cycle.decisions.get(*place)) {
        if !accounts.contains(&&proposal.account) {
            accounts.push(&proposal.account);
        }
        if !coins.contains(&&proposal.symbol) {
            coins.push(&proposal.symbol);
        }
    }
    // Coins go down, accounts across: there are more of the first, and names are wide. Where not all accounts have room,
    // that of the selected decision has.
    let room = usize::from(area.width.saturating_sub(LABEL));
    let fitting = (room / LEAST_WIDTH).clamp(1, accounts.len().max(1));
    let width = (room / fitting).clamp(LEAST_WIDTH, 20);
    let all = accounts.len();
    let at = chosen.and_then(|(chosen, _)| accounts.iter().position(|account| *account == chosen));
    let left = window(at.unwrap_or(0), all, fitting);
    let names: Vec<&str> = accounts.iter().map(|account| account.as_str()).collect();
    let accounts: Vec<_> = accounts.into_iter().skip(left).take(fitting).collect();
    let part = if fitting < all { format!("{}–{}/{all}", left + 1, left + fitting) } else { String::new() };
    let mut head = Line::styled(format!("{part:<width$}", width = usize::from(LABEL)), muted);
    for account in &accounts {
        let name = distinct(account.as_str(), &names, width - 1);
        head.push_span(Span::styled(format!("{name:<width$}"), muted));
    }
    let rows = usize::from(area.height.saturating_sub(1));
    let at = chosen.and_then(|(_, symbol)| coins.iter().position(|coin| *coin == symbol)).unwrap_or(0);
    let first = window(at, coins.len(), rows);
    let mut lines = vec![head];
    for coin in coins.iter().skip(first).take(rows) {
        let mut line = Line::styled(format!(" {:<6}", safe(coin.coin(), 5)), theme.style(Meaning::Text));
        for account in &accounts {
            let found = shown
                .iter()
                .filter_map(|place| cycle.decisions.get(*place))
                .find(|(proposal, _)| &proposal.account == *account && &proposal.symbol == *coin);
            let here = chosen == Some((*account, *coin));
            line.spans.extend(grid_cell(found, state, theme, width, here));
        }
        lines.push(line);
    }
    frame.render_widget(Paragraph::new(lines), area);
    mark_part(frame, around, theme, first, rows, coins.len());
}

/// One account and coin: word, confidence, and a mark for its end.
fn grid_cell(
    found: Option<&(Proposal, Option<Outcome>)>,
    state: &State,
    theme: &Theme,
    width: usize,
    here: bool,
) -> Vec<Span<'static>> {
    let Some((proposal, outcome)) = found else { return vec![Span::raw(" ".repeat(width))] };
    let word = match proposal.decision {
        Some(DecisionWord::Long) => "L",
        Some(DecisionWord::Short) => "S",
        Some(DecisionWord::Hold) => "H",
        Some(DecisionWord::Close) => "C",
        Some(DecisionWord::NoTrade) => "–",
        None => "?",
    };
    let end = outcome_mark(outcome.as_ref().map(|outcome| outcome.kind), state.kept_back_now());
    let sure = proposal.confidence.map_or_else(|| "–".to_owned(), |value| value.to_string());
    let threshold = state.desk.as_ref().map(|desk| desk.facts.threshold);
    let level = proposal.confidence.zip(threshold).map(|(value, threshold)| level(value, threshold));
    let level = level.map_or(Meaning::Muted, Level::meaning);
    let word_look = proposal.decision.map_or(theme.style(Meaning::Danger), |word| word_style(word, theme));
    let end_look = outcome.as_ref().map_or(theme.style(Meaning::Muted), |end| outcome_style(end.kind, theme));
    let spans = vec![
        Span::styled(if here { "▸" } else { " " }, theme.style(Meaning::Focus)),
        Span::styled(word, word_look),
        Span::styled(format!(" {sure:<4}"), theme.style(level)),
        Span::styled(end, end_look),
        Span::raw(" ".repeat(width.saturating_sub(8))),
    ];
    if here { highlighted(Line::from(spans), theme).spans } else { spans }
}
