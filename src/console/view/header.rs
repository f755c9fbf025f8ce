//! Which money, what is made up, which model, what time it is, and when the next cycle comes.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use rust_decimal::Decimal;

use super::super::format;
use super::super::layout::SMALLEST;
use super::super::state::State;
use super::super::theme::{Meaning, Theme};
use super::super::update::safe;
use crate::domain::{Mode, OutcomeKind, Phase};

/// Draws the two header rows.
pub fn draw(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme) {
    let live = state.mode() == Some(Mode::Live);
    let [first, second] = [0, 1].map(|row| Rect { y: area.y + row, height: 1, ..area });
    if live {
        frame.buffer_mut().set_style(first, theme.style(Meaning::Live));
    }
    let name = if live { Meaning::Live } else { Meaning::Title };
    let room = usize::from(area.width);
    let title = if first.width > SMALLEST.0 { " jarvis " } else { "jarvis " };
    let left = title_row(state, theme, Span::styled(title, theme.style(name)), room);
    let long = when(state, theme, live, true);
    if left.width() + long.width() < room {
        pair(frame, first, left, long);
        pair(frame, second, what(state, theme, room), last_cycle(state, theme));
    } else {
        frame.render_widget(left, first);
        let when = when(state, theme, false, room >= 80);
        let what = what(state, theme, room.saturating_sub(when.width()));
        pair(frame, second, when, what);
    }
}

/// The name of the program and the badges. Where not all of them fit the name goes first, then their long words, then
/// the last of them.
fn title_row(state: &State, theme: &Theme, title: Span<'static>, room: usize) -> Line<'static> {
    let whole = |mut spans: Vec<Span<'static>>, badges: Vec<Span<'static>>| {
        spans.extend(badges);
        Line::from(spans)
    };
    // The blank at the end of the last badge may be cut.
    let fits = |line: &Line<'_>| line.width() <= room + 1;
    let variants = [
        whole(vec![title], badges(state, theme)),
        whole(Vec::new(), badges(state, theme)),
        whole(Vec::new(), short_badges(state, theme)),
    ];
    let fitting = variants.into_iter().find(fits);
    fitting.unwrap_or_else(|| {
        let mut line = whole(Vec::new(), short_badges(state, theme));
        while !fits(&line) && line.spans.len() > 1 {
            line.spans.pop();
        }
        line
    })
}

/// Two texts on one row; the right one goes when there is no room for both.
fn pair(frame: &mut Frame<'_>, row: Rect, left: Line<'_>, right: Line<'_>) {
    let width = u16::try_from(right.width()).unwrap_or(u16::MAX);
    if left.width() + right.width() <= usize::from(row.width) {
        frame.render_widget(right, Rect { x: row.right() - width, width, ..row });
    }
    frame.render_widget(left, row);
}

/// The words that must be seen on every screen, the most important first: the money, a desk that does not answer, what
/// this console may do, dry-run, and what is made up.
pub fn badges(state: &State, theme: &Theme) -> Vec<Span<'static>> {
    worded(state, theme, false)
}

/// The same in fewer columns.
fn short_badges(state: &State, theme: &Theme) -> Vec<Span<'static>> {
    worded(state, theme, true)
}

fn worded(state: &State, theme: &Theme, short: bool) -> Vec<Span<'static>> {
    let Some(desk) = &state.desk else { return Vec::new() };
    let real_prices = desk.facts.is_paper_on_real_prices();
    let (word, meaning) = match desk.facts.mode {
        Mode::Live => (" LIVE ▪ REAL MONEY ", Meaning::Live),
        Mode::Testnet => (" TESTNET ", Meaning::Testnet),
        Mode::Paper if real_prices => (" PAPER ▪ REAL PRICES ", Meaning::Paper),
        Mode::Paper => (" PAPER ", Meaning::Paper),
    };
    let mut badges = vec![Span::styled(word, theme.style(meaning))];
    let mut add = |on: bool, word: &'static str, meaning: Meaning| {
        if on {
            badges.push(Span::raw(" "));
            badges.push(Span::styled(word, theme.style(meaning)));
        }
    };
    add(!state.connected, if short { " STOPPED " } else { " DESK STOPPED " }, Meaning::Danger);
    add(state.read_only, " READ-ONLY ", Meaning::BuiltIn);
    add(desk.dry_run, " DRY-RUN ", Meaning::DryRun);
    add(desk.facts.mode == Mode::Live && desk.armed.is_empty(), " NOT ARMED ", Meaning::DryRun);
    if short && desk.facts.built_in_market && desk.facts.built_in_analyst {
        add(true, " BUILT-IN ", Meaning::BuiltIn);
        return badges;
    }
    add(desk.facts.built_in_market, " BUILT-IN PRICES ", Meaning::BuiltIn);
    // Two in one, so that the narrowest screen has room for it; a dry-run fills nothing.
    let analyst = match (real_prices && !desk.dry_run, desk.facts.built_in_analyst) {
        (true, true) => Some(" BUILT-IN FILLS, ANALYST "),
        (true, false) => Some(" BUILT-IN FILLS "),
        (false, true) => Some(" BUILT-IN ANALYST "),
        (false, false) => None,
    };
    add(analyst.is_some(), analyst.unwrap_or_default(), Meaning::BuiltIn);
    badges
}

/// The running step or the time to the next cycle, and the time of day.
fn when(state: &State, theme: &Theme, on_live_row: bool, long: bool) -> Line<'static> {
    let Some(now) = state.market_time() else { return Line::default() };
    let pick = |meaning| theme.style(if on_live_row { Meaning::Live } else { meaning });
    let running = state
        .desk
        .as_ref()
        .and_then(|desk| desk.cycle.as_ref())
        .and_then(|cycle| cycle.phase.map(|phase| (phase, (now - cycle.started_at).num_seconds())));
    let next = state.desk.as_ref().and_then(|desk| desk.next_cycle);
    let mut spans = match (running, next) {
        // Nothing is known of what came after.
        _ if !state.connected => vec![Span::styled(" last heard", pick(Meaning::Warn))],
        (Some((phase, seconds)), _) => vec![
            Span::styled(" cycle: ", pick(Meaning::Muted)),
            Span::styled(step(phase), pick(Meaning::Focus)),
            Span::styled(format!(" {}", format::lasted(seconds)), pick(Meaning::Text)),
        ],
        (None, Some(at)) => vec![
            Span::styled(if long { " next cycle " } else { " next " }, pick(Meaning::Muted)),
            Span::styled(format::countdown((at - now).num_seconds()), pick(Meaning::Title)),
        ],
        (None, None) => vec![Span::styled(" no cycle scheduled", pick(Meaning::Muted))],
    };
    spans.push(Span::styled(format!("  {}", state.time(now)), pick(Meaning::Text)));
    let zone = if long { format!(" {} ", state.zone_name()) } else { " ".to_owned() };
    spans.push(Span::styled(zone, pick(Meaning::Muted)));
    Line::from(spans)
}

/// What a running cycle is doing.
pub fn step(phase: Phase) -> &'static str {
    match phase {
        Phase::Gathering => "gathering",
        Phase::Model => "analyst",
        Phase::Execution => "orders",
    }
}

/// The model, the profile and what the model cost today, as much of it as fits.
fn what(state: &State, theme: &Theme, room: usize) -> Line<'static> {
    let (text, muted) = (theme.style(Meaning::Text), theme.style(Meaning::Muted));
    let Some(desk) = &state.desk else { return Line::default() };
    let cost = desk.cost_today.cost_usd;
    let places = if cost > Decimal::ZERO && cost < Decimal::new(1, 2) { 4 } else { 2 };
    let cost = Span::styled(format!("${}", format::grouped(cost, places)), text);
    let estimate = if desk.facts.built_in_analyst { " est." } else { "" };
    // The built-in analyst must never be taken for the model its cost is estimated by.
    let model = if desk.facts.built_in_analyst { "rules, no model" } else { desk.facts.model.as_str() };
    let line = |model_columns: usize, profile: bool, today: &str| {
        let mut spans = vec![Span::raw(" ")];
        if model_columns > 0 {
            spans.push(Span::styled(safe(model, model_columns), text));
            spans.push(Span::styled(" · ", muted));
        }
        if profile {
            spans.push(Span::styled(format!("{} · ", desk.facts.profile.as_str()), muted));
        }
        spans.push(cost.clone());
        spans.push(Span::styled(format!("{today}{estimate} "), muted));
        Line::from(spans)
    };
    let variants = [
        line(28, true, " today"),
        line(28, true, ""),
        line(15, true, ""),
        line(15, false, ""),
        line(9, false, ""),
    ];
    variants.into_iter().find(|line| line.width() <= room).unwrap_or_else(|| line(0, false, ""))
}

/// What the last cycle came to.
fn last_cycle(state: &State, theme: &Theme) -> Line<'static> {
    let muted = theme.style(Meaning::Muted);
    let report =
        state.desk.as_ref().and_then(|desk| desk.cycle.as_ref()).and_then(|cycle| cycle.report.as_ref());
    let Some(report) = report else { return Line::default() };
    let kinds = [
        (OutcomeKind::Opened, "opened", Meaning::Text),
        (OutcomeKind::Closed, "closed", Meaning::Text),
        (OutcomeKind::DryRun, state.kept_back_now(), Meaning::Text),
        (OutcomeKind::Refused, "refused", Meaning::Text),
        (OutcomeKind::Invalid, "invalid", Meaning::Danger),
        (OutcomeKind::Failed, "failed", Meaning::Danger),
    ];
    let mut spans = vec![Span::styled(format!("{} ", state.clock(report.market_time, "%H:%M")), muted)];
    for (kind, word, meaning) in kinds {
        let count = report.decisions.iter().filter(|row| row.outcome.kind == kind).count();
        if count > 0 {
            spans.push(Span::styled(format!("  {count} {word}"), theme.style(meaning)));
        }
    }
    if spans.len() == 1 {
        spans.push(Span::styled("  nothing to do", muted));
    }
    spans.push(Span::raw(" "));
    Line::from(spans)
}
