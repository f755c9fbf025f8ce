//! One cycle, down to the exact words.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::super::format;
use super::super::layout;
use super::super::prose;
use super::super::screens::cycles::{OpenCycle, Section};
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::wrap::wrap;
use super::decisions::spoken;
use super::{framed, page, stretch};
use crate::domain::{CyclePage, CycleReport, CycleView, OutcomeKind, ToolCallPage, Usage, parity};

/// The most bytes of one text that are laid out; a stream can be far longer than anyone reads on a screen.
const LONGEST: usize = 64 * 1024;

/// A text in the making: what each line means, and the line before it is broken.
type Text = Vec<(Meaning, String)>;

/// How many lines the part in sight has, and how many rows there are for them.
pub fn extent(state: &State) -> (usize, usize) {
    let area = layout::body(state);
    let Some(open) = &state.cycles.open else { return (0, 0) };
    let lines = broken(open, state, area.width).len();
    (lines, usize::from(area.height.saturating_sub(3)))
}

/// The line at which the tool call begins that the cycle was opened for; `None` when there is nothing to look for, or it
/// is not on record yet.
pub fn line_of_call(state: &State) -> Option<usize> {
    let open = state.cycles.open.as_ref().filter(|open| open.section == Section::Tools)?;
    open.call.as_ref().filter(|call| !call.found)?;
    let place = sought_call(open, open.page.page.as_ref()?)?;
    // Only headings are titles, and a heading is never so long that it is broken twice within a call.
    let lines = broken(open, state, layout::body(state).width);
    let begins = |(at, (meaning, _)): (usize, &(Meaning, String))| {
        let goes_on = at > 0 && lines.get(at - 1).is_some_and(|(before, _)| *before == Meaning::Title);
        (*meaning == Meaning::Title && !goes_on).then_some(at)
    };
    lines.iter().enumerate().filter_map(begins).nth(place)
}

/// The place of the tool call the cycle was opened for, once it is on record.
fn sought_call(open: &OpenCycle, page: &CyclePage) -> Option<usize> {
    let sought = open.call.as_ref()?;
    let same = |call: &ToolCallPage| call.endpoint == sought.endpoint && call.params == sought.params;
    let mut alike = page.tool_calls.iter().enumerate().filter(|(_, call)| same(call));
    alike.nth(sought.before).map(|(place, _)| place)
}

/// Draws the opened cycle.
pub fn draw(frame: &mut Frame<'_>, area: Rect, open: &OpenCycle, state: &State, theme: &Theme) {
    let time = open.page.page.as_ref().map(|page| state.clock(page.line.market_time, "%d %b %H:%M"));
    let title = format!("Cycle {}", time.unwrap_or_else(|| open.id.to_string()));
    let inner = framed(frame, area, state, theme, &title, &page::age(&open.page, state, theme), true);
    let head = Rect { height: 1, ..inner };
    frame.render_widget(sections(open, theme, inner.width), head);
    let body = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
    if page::awaited(frame, body, &open.page, state, theme) {
        return;
    }
    let lines = broken(open, state, area.width);
    stretch(frame, body, area, lines, open.top, theme);
}

/// The parts, the one in sight in brackets; where room is short only the neighbours.
fn sections(open: &OpenCycle, theme: &Theme, width: u16) -> Line<'static> {
    let mut line = Line::styled(" ← → ", theme.style(Meaning::Key));
    let here = Section::ALL.iter().position(|section| *section == open.section).unwrap_or(0);
    let whole: usize = Section::ALL.iter().map(|section| section.title().len() + 2).sum::<usize>() + 5;
    let short = whole > usize::from(width);
    for (index, section) in Section::ALL.into_iter().enumerate() {
        let name = section.title();
        if index == here {
            line.push_span(Span::styled(format!("[{name}]"), theme.style(Meaning::Focus)));
        } else if !short || index.abs_diff(here) <= 2 {
            line.push_span(Span::styled(format!(" {name} "), theme.style(Meaning::Muted)));
        }
    }
    line
}

/// The part in sight, broken to a width.
fn broken(open: &OpenCycle, state: &State, width: u16) -> Text {
    let Some(page) = &open.page.page else { return Vec::new() };
    let columns = usize::from(width.saturating_sub(4)).max(1);
    let text = match open.section {
        Section::Decisions => decisions(open, page, state),
        Section::Analysis => return analysis(page, columns),
        Section::Prompts => prompts(page),
        Section::Turns => turns(page),
        Section::Tools => tools(open, page, state),
        Section::Orders => orders(page, state),
        Section::Cost => cost(page, state),
    };
    text.into_iter()
        .flat_map(|(meaning, line)| wrap(&line, columns).into_iter().map(move |line| (meaning, line)))
        .collect()
}

fn heading(text: &mut Text, title: impl Into<String>) {
    if !text.is_empty() {
        text.push((Meaning::Text, String::new()));
    }
    text.push((Meaning::Title, title.into()));
}

fn nothing(sentence: &str) -> Text {
    vec![(Meaning::Muted, sentence.to_owned())]
}

/// Words of others, cut where nobody reads on.
fn quote(text: &mut Text, meaning: Meaning, words: &crate::domain::Untrusted) {
    let clean = words.lines();
    let mut end = clean.len().min(LONGEST);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    let (shown, rest) = clean.split_at(end);
    text.extend(shown.lines().map(|line| (meaning, line.to_owned())));
    if !rest.is_empty() {
        let more = format::bytes(rest.len() as u64);
        text.push((Meaning::Warn, format!("… and {more} more, kept in the store")));
    }
}

/// What became of a decision, with the reason where its order was computed and not sent.
const fn end_word(kind: OutcomeKind, kept_back: &'static str) -> &'static str {
    match kind {
        OutcomeKind::DryRun => kept_back,
        other => other.as_str(),
    }
}

fn decisions(open: &OpenCycle, page: &CyclePage, state: &State) -> Text {
    let Some(report) = &page.report else {
        let why = page.line.failure.clone().unwrap_or_else(|| "it is still running".to_owned());
        return nothing(&format!("There is no report: {why}"));
    };
    let kept_back = state.kept_back(&report.cycle_id, Some(report.dry_run));
    let mut text = Vec::new();
    // What the cycle was opened for stands first.
    let is_wanted = |row: &&crate::domain::DecisionRow| {
        open.behind.as_ref().is_some_and(|(account, symbol)| {
            &row.proposal.account == account && &row.proposal.symbol == symbol
        })
    };
    let first = report.decisions.iter().filter(is_wanted);
    let rest = report.decisions.iter().filter(|row| !is_wanted(row));
    for row in first.chain(rest) {
        let proposal = &row.proposal;
        let word = proposal.decision.map_or("?", crate::domain::DecisionWord::as_str);
        let sure = proposal.confidence.map_or_else(|| "–".to_owned(), |value| value.to_string());
        let rule = row.outcome.rule.map(|rule| format!(" ({})", spoken(rule))).unwrap_or_default();
        let mark = if is_wanted(&row) { "▸ " } else { "" };
        heading(
            &mut text,
            format!(
                "{mark}{} {}  {word} {sure}  {}{rule}",
                proposal.account,
                proposal.symbol.coin(),
                end_word(row.outcome.kind, kept_back)
            ),
        );
        let meaning = match row.outcome.kind {
            OutcomeKind::Opened | OutcomeKind::Closed => Meaning::Above,
            OutcomeKind::None => Meaning::Muted,
            OutcomeKind::Refused | OutcomeKind::DryRun => Meaning::Warn,
            OutcomeKind::Invalid | OutcomeKind::Failed => Meaning::Danger,
        };
        if !row.outcome.detail.is_empty() {
            text.push((meaning, super::super::update::safe(&row.outcome.detail, 1_000)));
        }
        if !proposal.reason.is_empty() {
            text.push((Meaning::Text, proposal.reason.line(2_000)));
        }
        if let Some(note) = proposal.risk_note.as_ref().filter(|note| !note.is_empty()) {
            text.push((Meaning::Warn, format!("Risk: {}", note.line(1_000))));
        }
        for order in &row.outcome.orders {
            text.push((Meaning::Muted, format!("order {order}")));
        }
    }
    if text.is_empty() { nothing("The cycle ended without a decision.") } else { text }
}

fn analysis(page: &CyclePage, columns: usize) -> Text {
    let Some(report) = &page.report else { return nothing("There is no report.") };
    let lines = prose::lines(&CycleView::from_report(report.clone()), columns);
    if lines.is_empty() {
        return nothing("The analyst wrote no analysis in this cycle.");
    }
    lines.into_iter().map(|line| (Meaning::Text, line)).collect()
}

fn prompts(page: &CyclePage) -> Text {
    let mut text = Vec::new();
    for (title, prompt) in [("System prompt", &page.system_prompt), ("User prompt", &page.user_prompt)] {
        if let Some(prompt) = prompt {
            heading(&mut text, format!("{title}, {}", format::bytes(prompt.raw().len() as u64)));
            quote(&mut text, Meaning::Text, prompt);
        }
    }
    if text.is_empty() { nothing("No prompt is on record for this cycle.") } else { text }
}

fn turns(page: &CyclePage) -> Text {
    let mut text = Vec::new();
    for turn in &page.turns {
        heading(
            &mut text,
            format!(
                "Turn {}  {}  {} sent  stopped: {}  {}",
                turn.iteration,
                format::millis(turn.ms),
                format::bytes(turn.request_bytes),
                turn.stop_reason.as_deref().unwrap_or("–"),
                tokens(&turn.usage, page.is_unpaid())
            ),
        );
        let limits = turn.rate_limits.as_ref().map(|limits| format!("left: {limits}"));
        let told: Vec<String> =
            turn.request_id.iter().map(|id| format!("request {id}")).chain(limits).collect();
        if !told.is_empty() {
            text.push((Meaning::Muted, super::super::update::safe(&told.join("  "), 1_000)));
        }
        if let Some(error) = &turn.error {
            text.push((Meaning::Danger, super::super::update::safe(error, 1_000)));
        }
        quote(&mut text, Meaning::Muted, &turn.response);
    }
    if text.is_empty() { nothing("No turn of the model is on record for this cycle.") } else { text }
}

fn tools(open: &OpenCycle, page: &CyclePage, state: &State) -> Text {
    let dollars = |tokens| {
        super::tools::dollars(tokens, state).map_or_else(String::new, |dollars| format!(" ≈${dollars}"))
    };
    let mut text = Vec::new();
    for (index, call) in page.tool_calls.iter().enumerate() {
        let status = if call.status == 0 { "failed".to_owned() } else { call.status.to_string() };
        let mark = if sought_call(open, page) == Some(index) { "▸ " } else { "" };
        let tokens = super::tools::tokens(call.bytes);
        heading(
            &mut text,
            format!(
                "{mark}{}  {status}  {}, ≈{} tokens{}  {}  in turn {}",
                call.endpoint.line(80),
                format::bytes(call.bytes),
                format::thousands(tokens),
                dollars(tokens),
                format::millis(call.ms),
                call.iteration
            ),
        );
        text.push((Meaning::Key, call.params.line(2_000)));
        let good = (200..300).contains(&call.status);
        quote(&mut text, if good { Meaning::Text } else { Meaning::Danger }, &call.body);
        // Behind the last call of a turn: what all of them cost the next one.
        let last = page.tool_calls.get(index + 1).is_none_or(|next| next.iteration != call.iteration);
        if let Some(added) = added_by_turn(page, call.iteration).filter(|_| last) {
            let count = page.tool_calls.iter().filter(|other| other.iteration == call.iteration).count();
            let answers =
                if count == 1 { "this answer".to_owned() } else { format!("these {count} answers together") };
            text.push((
                Meaning::Muted,
                format!(
                    "turn {} read {} tokens{} more than turn {} had read and written: {answers}, as counted",
                    call.iteration + 1,
                    format::thousands(added),
                    dollars(added),
                    call.iteration,
                ),
            ));
        }
    }
    if open.call.as_ref().is_some_and(|call| !call.found) {
        let sentence = "The call this was opened for is not on record yet; it appears when it is answered.";
        text.insert(0, (Meaning::Warn, sentence.to_owned()));
    }
    if text.is_empty() { nothing("The analyst asked for nothing beyond its brief.") } else { text }
}

/// Tokens the tool's answers of a turn added to the next: what that one read, less what this one read and wrote.
fn added_by_turn(page: &CyclePage, iteration: u32) -> Option<u64> {
    let usage = |wanted: u32| page.turns.iter().find(|turn| turn.iteration == wanted).map(|turn| &turn.usage);
    let read = |usage: &Usage| {
        usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
    };
    let (this, next) = (usage(iteration)?, usage(iteration + 1)?);
    read(next).checked_sub(read(this) + this.output_tokens)
}

fn orders(page: &CyclePage, state: &State) -> Text {
    let mut text = Vec::new();
    for order in &page.orders {
        let quantity = order.quantity.map_or_else(|| "whole position".to_owned(), format::quantity);
        heading(
            &mut text,
            format!(
                "{}  {} {}  {} {} {quantity}  {}",
                state.time(order.at),
                order.account,
                order.symbol.coin(),
                order.purpose.as_str(),
                order.side.as_str(),
                order.state.as_str()
            ),
        );
        let mut figures = format!("order {}", order.client_order_id);
        for (name, price) in [("trigger", order.trigger), ("average price", order.average_price)] {
            if let Some(price) = price {
                // Writing to a String cannot fail.
                let _ = write!(figures, ", {name} {}", format::price(price));
            }
        }
        text.push((Meaning::Muted, figures));
        if let Some(error) = &order.error {
            text.push((Meaning::Danger, super::super::update::safe(error, 1_000)));
        }
        for fill in &page.fills {
            if fill.client_order_id.as_ref() == Some(&order.client_order_id) {
                text.push((
                    Meaning::Text,
                    format!(
                        "filled {} at {}, {}: commission {} USDT, realised {} USDT",
                        format::quantity(fill.quantity),
                        format::price(fill.price),
                        state.time(fill.at),
                        format::grouped(fill.commission.value(), 4),
                        format::signed_usdt(fill.realised)
                    ),
                ));
            }
        }
    }
    if text.is_empty() {
        return nothing("The cycle caused no order.");
    }
    if let Some(report) = &page.report {
        side_by_side(&mut text, report, page, state);
    }
    text
}

/// One plan in several accounts: what each did with a coin, at which price, and why one stayed out.
fn side_by_side(text: &mut Text, report: &CycleReport, page: &CyclePage, state: &State) {
    let kept_back = state.kept_back(&report.cycle_id, Some(report.dry_run));
    for row in parity(report, &page.fills).into_iter().filter(|row| row.legs.len() > 1) {
        let plan = if row.is_same_decision { "same decision" } else { "decisions differ" };
        let gap = row.gap_bps.map(|gap| format!(", {gap} bp apart")).unwrap_or_default();
        heading(text, format!("{} in every account  {plan}{gap}", row.symbol.coin()));
        for leg in &row.legs {
            let price = leg.price.map(|price| format!(" at {}", format::price(price))).unwrap_or_default();
            let line = format!("{} {}{price}", leg.account, end_word(leg.kind, kept_back));
            match &leg.skipped_because {
                Some(why) => {
                    let line = format!("{line}: {}", super::super::update::safe(why, 200));
                    text.push((Meaning::Warn, line));
                }
                None => text.push((Meaning::Text, line)),
            }
        }
    }
}

fn tokens(usage: &Usage, is_estimate: bool) -> String {
    let estimate = if is_estimate || usage.is_estimate { " est." } else { "" };
    format!(
        "{} in, {} out, {} read from the cache, {} written to it, ${}{estimate}",
        format::thousands(usage.input_tokens),
        format::thousands(usage.output_tokens),
        format::thousands(usage.cache_read_input_tokens),
        format::thousands(usage.cache_creation_input_tokens),
        format::grouped(usage.cost_usd, 4)
    )
}

fn cost(page: &CyclePage, state: &State) -> Text {
    let mut text = Vec::new();
    let line = &page.line;
    heading(&mut text, format!("{}  {}", line.id, line.state));
    text.push((
        Meaning::Text,
        format!(
            "market time {}, started {} ({}){}",
            state.clock(line.market_time, "%Y-%m-%d %H:%M:%S"),
            state.clock(line.started_at, "%Y-%m-%d %H:%M:%S"),
            super::super::telling::begun_by(Some(&line.id), line.trigger),
            if line.dry_run {
                format!(", {}", state.kept_back(&line.id, Some(line.dry_run)))
            } else {
                String::new()
            }
        ),
    ));
    if let Some(report) = &page.report {
        let is_estimate = line.usage.is_some_and(|usage| usage.is_estimate);
        timings(&mut text, report, is_estimate || page.is_unpaid());
        for turn in &page.turns {
            let figures = tokens(&turn.usage, page.is_unpaid());
            text.push((Meaning::Muted, format!("turn {}: {figures}", turn.iteration)));
        }
        if !report.errors.is_empty() {
            heading(&mut text, "Errors");
        }
        for error in &report.errors {
            text.push((Meaning::Warn, super::super::update::safe(error, 1_000)));
        }
        let wrong = report.brief.sources.iter().filter(|source| source.stale || source.error.is_some());
        for (index, source) in wrong.enumerate() {
            if index == 0 {
                heading(&mut text, "Sources that failed or were stale");
            }
            let why = source.error.as_deref().unwrap_or("stale");
            text.push((Meaning::Warn, super::super::update::safe(&format!("{}: {why}", source.name), 400)));
        }
    }
    text
}

fn timings(text: &mut Text, report: &CycleReport, is_estimate: bool) {
    let model = &report.model;
    heading(text, format!("Model {} ({})", model.id, model.provider));
    text.push((Meaning::Text, tokens(&report.usage, is_estimate)));
    text.push((Meaning::Text, format!("{} requests, stopped: {}", model.iterations, model.stop_reason)));
    heading(text, "Time");
    let steps = [
        ("accounts", report.timings_ms.accounts),
        ("brief", report.timings_ms.brief),
        ("prompt", report.timings_ms.prompt),
        ("model", report.timings_ms.model),
        ("execution", report.timings_ms.execution),
        ("all of it", report.timings_ms.total),
    ];
    for (name, ms) in steps {
        text.push((Meaning::Text, format!("{name:<10} {:>9}", format::millis(ms))));
    }
}
