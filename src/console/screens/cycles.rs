//! Past cycles, and one of them down to the exact words.

use super::super::pages::{Asked, question};
use super::super::stamps::localize_report;
use super::super::state::{State, holds_words};
use super::super::telling::begun_by;
use super::super::update::{Effect, Step};
use super::super::view;
use crate::domain::{
    AccountName, CycleId, CycleLine, CyclePage, Outcome, OutcomeKind, Proposal, Query, QueryId, Symbol,
    Timestamp, Untrusted,
};

/// How many cycles are asked for at once.
const LIMIT: u32 = 500;

/// How many cycles are looked into in search of the one behind a position.
const SEARCHED: usize = 20;

/// What the screen knows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Cycles {
    /// The list, newest first.
    pub list: Asked<Vec<CycleLine>>,
    /// The question for older cycles that is not answered yet.
    pub older: Option<QueryId>,
    /// Whether the list holds the oldest cycle.
    pub whole: bool,
    /// Only lines that contain this.
    pub filter: String,
    /// The selected cycle, and its row should it vanish.
    pub selected: (usize, Option<CycleId>),
    /// The cycle that lies over the list.
    pub open: Option<OpenCycle>,
    /// A position whose cycle is looked for.
    pub wanted: Option<Wanted>,
}

/// A position whose cycle is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whose.
    pub account: AccountName,
    /// Which.
    pub symbol: Symbol,
    /// When it was opened, if that is known.
    pub opened_at: Option<Timestamp>,
}

/// The parts of a cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "the titles say what each holds")]
pub enum Section {
    #[default]
    Decisions,
    Analysis,
    Prompts,
    Turns,
    Tools,
    Orders,
    Cost,
}

impl Section {
    /// All parts, in their order.
    pub const ALL: [Self; 7] =
        [Self::Decisions, Self::Analysis, Self::Prompts, Self::Turns, Self::Tools, Self::Orders, Self::Cost];

    /// Its name.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Decisions => "Decisions",
            Self::Analysis => "Analysis",
            Self::Prompts => "Prompts",
            Self::Turns => "Streams",
            Self::Tools => "Tool calls",
            Self::Orders => "Orders",
            Self::Cost => "Cost",
        }
    }
}

/// One cycle, opened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenCycle {
    /// Which.
    pub id: CycleId,
    /// The answer.
    pub page: Asked<CyclePage>,
    /// The part in sight.
    pub section: Section,
    /// The first line in sight.
    pub top: usize,
    /// The account and coin it was opened for.
    pub behind: Option<(AccountName, Symbol)>,
    /// What is looked for in it, and how many cycles were looked into before.
    pub searching: Option<(Wanted, usize)>,
    /// The tool call it was opened for.
    pub call: Option<SoughtCall>,
}

/// A tool call among those of a cycle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoughtCall {
    /// The path asked for.
    pub endpoint: Untrusted,
    /// Its parameters.
    pub params: Untrusted,
    /// How many of the same came before it.
    pub before: usize,
    /// Whether it was found and shown; from then on the lines stay where the operator puts them.
    pub found: bool,
}

/// What the shown part needs.
pub fn query(state: &State) -> Query {
    match &state.cycles.open {
        Some(open) => Query::Cycle { id: open.id.clone() },
        None => Query::Cycles { before: None, limit: LIMIT },
    }
}

/// The question is on its way.
pub fn wait_for(state: &mut State, id: QueryId) {
    match &mut state.cycles.open {
        Some(open) => open.page.wait_for(id),
        None => state.cycles.list.wait_for(id),
    }
}

/// The cycles that pass the filter.
pub fn shown(state: &State) -> Vec<&CycleLine> {
    let lines = state.cycles.list.page.as_deref().unwrap_or_default();
    lines.iter().filter(|line| holds_words(&searched(line, state), &state.cycles.filter)).collect()
}

/// What a filter looks at.
fn searched(line: &CycleLine, state: &State) -> String {
    let counts = &line.outcomes;
    let kinds = [
        ("opened", counts.opened),
        ("closed", counts.closed),
        ("refused", counts.refused),
        ("invalid", counts.invalid),
        ("failed", counts.failed),
        ("dry-run", counts.dry_run),
    ];
    let mut text = format!(
        "{} {} {} {} {}",
        line.id,
        begun_by(Some(&line.id), line.trigger),
        state.clock(line.market_time, "%Y-%m-%d %d %b %H:%M"),
        line.state,
        line.failure.as_deref().unwrap_or_default()
    );
    let found = kinds.into_iter().filter(|(_, count)| *count > 0).map(|(word, _)| word);
    let dry = line.dry_run.then_some("dry-run");
    for word in found.chain(dry).chain(line.coins.iter().map(Symbol::as_str)) {
        text.push(' ');
        text.push_str(word);
    }
    text.to_lowercase()
}

/// The row of the selected cycle among those that pass the filter.
pub fn selected(state: &State) -> usize {
    let shown = shown(state);
    let (row, id) = &state.cycles.selected;
    let by_id = id.as_ref().and_then(|id| shown.iter().position(|line| &line.id == id));
    by_id.unwrap_or(*row).min(shown.len().saturating_sub(1))
}

/// Opens the selected cycle.
pub fn open_selected(state: &mut State) -> Vec<Effect> {
    let Some(id) = shown(state).get(selected(state)).map(|line| line.id.clone()) else { return Vec::new() };
    open(state, id, None)
}

fn open(state: &mut State, id: CycleId, behind: Option<(AccountName, Symbol)>) -> Vec<Effect> {
    state.cycles.selected.1 = Some(id.clone());
    state.cycles.open = Some(OpenCycle {
        id,
        page: Asked::default(),
        section: Section::default(),
        top: 0,
        behind,
        searching: None,
        call: None,
    });
    super::enter(state, super::Screen::Cycles)
}

/// Opens the running cycle or the last one at a part of it.
pub fn open_present(state: &mut State, section: Section) -> Vec<Effect> {
    let Some(id) = state.cycle().map(|cycle| cycle.id.clone()) else { return Vec::new() };
    let effects = open(state, id, None);
    if let Some(open) = &mut state.cycles.open {
        open.section = section;
    }
    effects
}

/// Opens the running cycle or the last one at the selected tool call.
pub fn open_call(state: &mut State) -> Vec<Effect> {
    let calls = state.cycle().map_or(&[][..], |cycle| &cycle.tool_calls);
    let at = state.call.unwrap_or(usize::MAX).min(calls.len().saturating_sub(1));
    let sought = calls.get(at).map(|call| SoughtCall {
        endpoint: call.endpoint.clone(),
        params: call.params.clone(),
        before: calls
            .iter()
            .take(at)
            .filter(|other| other.endpoint == call.endpoint && other.params == call.params)
            .count(),
        found: false,
    });
    let effects = open_present(state, Section::Tools);
    if let Some(open) = &mut state.cycles.open {
        open.call = sought;
    }
    effects
}

/// Puts the call the cycle was opened for to the top, once it is on record.
fn show_call(state: &mut State) {
    let line = view::cycle::line_of_call(state);
    let Some(open) = &mut state.cycles.open else { return };
    if let (Some(call), Some(line)) = (&mut open.call, line) {
        call.found = true;
        open.top = line;
    }
}

/// Leaves the opened cycle.
pub fn back(state: &mut State) -> Vec<Effect> {
    state.cycles.open = None;
    if state.cycles.list.page.is_none() || state.cycles.list.stale { super::ask(state) } else { Vec::new() }
}

/// The next or the previous part of the opened cycle.
pub fn turn(state: &mut State, forward: bool) {
    let Some(open) = &mut state.cycles.open else { return };
    let here = Section::ALL.iter().position(|section| *section == open.section).unwrap_or(0);
    let count = Section::ALL.len();
    let next = if forward { here + 1 } else { here + count - 1 } % count;
    open.section = Section::ALL.get(next).copied().unwrap_or_default();
    open.top = 0;
}

/// Another cycle, or in the opened one other lines.
pub fn scroll(state: &mut State, step: Step) -> Vec<Effect> {
    if state.cycles.open.is_some() {
        let (lines, rows) = view::cycle::extent(state);
        if let Some(open) = &mut state.cycles.open {
            open.top = step.from(open.top, lines.saturating_sub(rows) + 1, rows);
        }
        return Vec::new();
    }
    let rows = view::cycles::rows(state);
    let at = step.from(selected(state), shown(state).len(), rows);
    let id = shown(state).get(at).map(|line| line.id.clone());
    state.cycles.selected = (at, id);
    if at + rows >= shown(state).len() { ask_older(state) } else { Vec::new() }
}

/// Asks for the cycles before those that are known, unless there are none or they are on their way.
fn ask_older(state: &mut State) -> Vec<Effect> {
    let oldest = state.cycles.list.page.as_ref().and_then(|lines| lines.last()).map(|line| line.started_at);
    let (Some(before), false, None) = (oldest, state.cycles.whole, state.cycles.older) else {
        return Vec::new();
    };
    let (id, effect) = question(state, Query::Cycles { before: Some(before), limit: LIMIT });
    state.cycles.older = Some(id);
    vec![effect]
}

/// Notes that there is no answer to the question for older cycles. True when it was one.
pub fn refuse_older(state: &mut State, id: QueryId) -> bool {
    let is_it = state.cycles.older == Some(id);
    if is_it {
        state.cycles.older = None;
    }
    is_it
}

/// The newest cycles, and behind them what was known of older ones.
fn joined(mut newest: Vec<CycleLine>, known: Option<Vec<CycleLine>>) -> Vec<CycleLine> {
    if let Some(oldest) = newest.last().map(|line| line.started_at) {
        newest.extend(known.into_iter().flatten().filter(|line| line.started_at < oldest));
    }
    newest
}

/// Looks for the cycle that opened a position: asks for the list, then opens the newest cycle that opened something no
/// later than the position is old.
pub fn look_behind(state: &mut State, wanted: Wanted) -> Vec<Effect> {
    // The cycle in sight may be the one; then nothing needs to be searched for.
    let here = state.desk.as_ref().and_then(|desk| desk.cycle.as_ref()).filter(|cycle| {
        cycle.decisions.iter().any(|(proposal, outcome)| opened(proposal, outcome.as_ref(), &wanted))
    });
    if let Some(id) = here.map(|cycle| cycle.id.clone()) {
        return open(state, id, Some((wanted.account, wanted.symbol)));
    }
    state.cycles.open = None;
    state.cycles.wanted = Some(wanted);
    super::enter(state, super::Screen::Cycles)
}

/// Takes the list, and goes on looking for a wanted cycle.
pub fn answer_list(
    state: &mut State,
    id: QueryId,
    lines: Vec<CycleLine>,
    now: Option<Timestamp>,
) -> Vec<Effect> {
    let full = lines.len() >= LIMIT as usize;
    if state.cycles.older == Some(id) {
        state.cycles.older = None;
        state.cycles.whole = !full;
        state.cycles.list.page.get_or_insert_default().extend(lines);
        return Vec::new();
    }
    if state.cycles.list.waiting != Some(id) {
        return Vec::new();
    }
    let known = state.cycles.list.page.take();
    // A first answer that is not full holds everything.
    state.cycles.whole = !full || (known.is_some() && state.cycles.whole);
    state.cycles.list.answer(id, joined(lines, known), now);
    let Some(wanted) = state.cycles.wanted.take() else { return Vec::new() };
    open_candidate(state, wanted, 0)
}

/// Takes a cycle. Was it opened for a position it did not open, the next likely one is opened instead.
pub fn answer_cycle(
    state: &mut State,
    id: QueryId,
    mut page: CyclePage,
    now: Option<Timestamp>,
) -> Vec<Effect> {
    if let Some(report) = &mut page.report {
        localize_report(report, state.zone);
    }
    let Some(open) = &mut state.cycles.open else { return Vec::new() };
    if !open.page.answer(id, page, now) {
        return Vec::new();
    }
    let Some((wanted, tried)) = open.searching.take() else {
        show_call(state);
        return Vec::new();
    };
    let report = open.page.page.as_ref().and_then(|page| page.report.as_ref());
    let is_it = report.is_some_and(|report| {
        report.decisions.iter().any(|row| opened(&row.proposal, Some(&row.outcome), &wanted))
    });
    if is_it { Vec::new() } else { open_candidate(state, wanted, tried + 1) }
}

/// Opens the likely cycle at this place of the list, or says that there is none.
fn open_candidate(state: &mut State, wanted: Wanted, place: usize) -> Vec<Effect> {
    let lines = state.cycles.list.page.as_deref().unwrap_or_default();
    let found =
        candidates(lines, &wanted).nth(place).filter(|_| place < SEARCHED).map(|line| line.id.clone());
    let Some(id) = found else {
        state.cycles.open = None;
        let text = format!("no cycle on record opened {} {}", wanted.account, wanted.symbol.coin());
        super::super::update::tell(state, crate::domain::Severity::Warning, text);
        return Vec::new();
    };
    let behind = Some((wanted.account.clone(), wanted.symbol.clone()));
    let effects = open(state, id, behind);
    if let Some(open) = &mut state.cycles.open {
        open.searching = Some((wanted, place));
    }
    effects
}

/// Whether a decision opened a position.
fn opened(proposal: &Proposal, outcome: Option<&Outcome>, wanted: &Wanted) -> bool {
    proposal.account == wanted.account
        && proposal.symbol == wanted.symbol
        && outcome.is_some_and(|outcome| outcome.kind == OutcomeKind::Opened)
}

/// The cycles that may have opened a position, the likeliest first: those that opened something and began no later than
/// the position did (an opening takes some minutes at most).
fn candidates<'a>(lines: &'a [CycleLine], wanted: &'a Wanted) -> impl Iterator<Item = &'a CycleLine> {
    let no_later = |line: &&CycleLine| {
        wanted.opened_at.is_none_or(|opened| line.market_time <= opened + chrono::Duration::minutes(1))
    };
    lines.iter().filter(|line| line.outcomes.opened > 0).filter(no_later)
}
