//! The screens beside the desk: for each, what it knows, what it asks, and what its keys do. All pure.

pub mod cycles;
pub mod guards;
pub mod log;
pub mod market;
pub mod money;
pub mod prompt;

use super::pages::question;
use super::state::State;
use super::update::{Effect, Step, act};
use crate::domain::{Event, OrderState, Page, QueryId};

/// The screens, in the order of their number keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Screen {
    /// Everything at a glance.
    #[default]
    Desk,
    /// The coins, and a chart of one.
    Market,
    /// Past cycles, and the exact words of one.
    Cycles,
    /// Gross, costs and net.
    Money,
    /// Limits and the halt ladder.
    Guards,
    /// The prompt files.
    Prompt,
    /// The events of record.
    Log,
}

impl Screen {
    /// All screens.
    pub const ALL: [Self; 7] =
        [Self::Desk, Self::Market, Self::Cycles, Self::Money, Self::Guards, Self::Prompt, Self::Log];

    /// Its name in the bar.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Desk => "Desk",
            Self::Market => "Market",
            Self::Cycles => "Cycles",
            Self::Money => "Money",
            Self::Guards => "Guards",
            Self::Prompt => "Prompt",
            Self::Log => "Log",
        }
    }

    /// Its number key.
    pub const fn number(self) -> char {
        match self {
            Self::Desk => '1',
            Self::Market => '2',
            Self::Cycles => '3',
            Self::Money => '4',
            Self::Guards => '5',
            Self::Prompt => '6',
            Self::Log => '7',
        }
    }
}

/// Shows a screen and asks for what it needs.
pub fn enter(state: &mut State, screen: Screen) -> Vec<Effect> {
    state.screen = screen;
    if screen == Screen::Log {
        state.events.unread = 0;
    }
    ask(state)
}

/// Asks for what the shown screen needs.
pub fn ask(state: &mut State) -> Vec<Effect> {
    if state.desk.is_none() || !state.connected {
        return Vec::new();
    }
    let Some(query) = (match state.screen {
        Screen::Desk | Screen::Guards => None,
        Screen::Market => market::query(state),
        Screen::Cycles => Some(cycles::query(state)),
        Screen::Money => money::query(state),
        Screen::Prompt => prompt::query(state),
        Screen::Log => Some(log::query()),
    }) else {
        return Vec::new();
    };
    let (id, effect) = question(state, query);
    match state.screen {
        Screen::Desk | Screen::Guards => {}
        Screen::Market => market::wait_for(state, id),
        Screen::Cycles => cycles::wait_for(state, id),
        Screen::Money => state.money.page.wait_for(id),
        Screen::Prompt => state.prompt.page.wait_for(id),
        Screen::Log => state.events.page.wait_for(id),
    }
    vec![effect]
}

/// Gives an answer to the screen that asked. What no screen waits for any more is dropped.
pub fn answer(state: &mut State, id: QueryId, page: Result<Box<Page>, String>) -> Vec<Effect> {
    let now = state.market_time();
    let page = match page {
        Ok(page) => *page,
        Err(why) => {
            refuse(state, id, &why);
            return Vec::new();
        }
    };
    match page {
        Page::Market(page) => {
            state.market.page.answer(id, page, now);
        }
        Page::Chart(page) => {
            if let Some(chart) = &mut state.market.chart {
                chart.page.answer(id, page, now);
            }
            market::follow(state);
        }
        Page::Cycles { lines } => return cycles::answer_list(state, id, lines, now),
        Page::Cycle(page) => return cycles::answer_cycle(state, id, *page, now),
        Page::Money(page) => {
            // What was booked while the answer was on its way is not in it.
            if state.money.page.answer(id, page, now)
                && state.money.page.stale
                && state.screen == Screen::Money
            {
                return ask(state);
            }
        }
        Page::Prompt(page) => {
            prompt::answer(state, id, page, now);
            let then = state.prompt.then.take().filter(|_| state.screen == Screen::Prompt);
            return then.map_or_else(Vec::new, |action| act(state, action));
        }
        Page::Lint { remarks } => prompt::answer_check(state, id, remarks, now),
        Page::PriceGrid(page) => {
            state.grid.answer(id, page, now);
        }
        Page::Log(page) => {
            log::answer(state, id, &page, now);
        }
    }
    Vec::new()
}

fn refuse(state: &mut State, id: QueryId, why: &str) {
    let _ = state.market.page.fail(id, why)
        || state.market.chart.as_mut().is_some_and(|chart| chart.page.fail(id, why))
        || state.cycles.list.fail(id, why)
        || state.cycles.open.as_mut().is_some_and(|open| open.page.fail(id, why))
        || state.money.page.fail(id, why)
        || state.prompt.page.fail(id, why)
        || state.grid.fail(id, why)
        || state.prompt.lint.fail(id, why)
        || state.events.page.fail(id, why)
        || cycles::refuse_older(state, id)
        || log::refuse_older(state, id);
}

/// Marks what an event overtakes, and asks again for what is in sight.
pub fn overtaken_by(state: &mut State, event: &Event) -> Vec<Effect> {
    let filled = matches!(event, Event::Order { state: OrderState::Filled, .. });
    let cycle = matches!(event, Event::CycleStarted { .. } | Event::CycleFinished { .. });
    let finished = matches!(event, Event::CycleFinished { .. });
    let mut touched: Vec<Screen> = Vec::new();
    if matches!(event, Event::Marks { .. }) && market::is_old(state) {
        touched.push(Screen::Market);
    }
    if finished {
        state.market.page.overtaken();
        touched.push(Screen::Market);
    }
    if money::is_overtaken_by(state, event) {
        state.money.page.overtaken();
        touched.push(Screen::Money);
    }
    if finished || filled {
        if let Some(chart) = &mut state.market.chart {
            chart.page.overtaken();
        }
        touched.push(Screen::Market);
    }
    // The running cycle, opened: every answer of its tool is more of it.
    if matches!(event, Event::ToolCallFinished { .. }) && state.cycle_runs() {
        let running = state.cycle().map(|cycle| cycle.id.clone());
        if let Some(open) = state.cycles.open.as_mut().filter(|open| Some(&open.id) == running.as_ref()) {
            open.page.overtaken();
            touched.push(Screen::Cycles);
        }
    }
    if cycle {
        state.cycles.list.overtaken();
        if let Some(open) = state.cycles.open.as_mut().filter(|_| finished) {
            open.page.overtaken();
        }
        touched.push(Screen::Cycles);
    }
    let waits = match state.screen {
        Screen::Market => match &state.market.chart {
            Some(chart) => chart.page.waiting.is_some(),
            None => state.market.page.waiting.is_some(),
        },
        Screen::Cycles => match &state.cycles.open {
            Some(open) => open.page.waiting.is_some(),
            None => state.cycles.list.waiting.is_some(),
        },
        Screen::Money => state.money.page.waiting.is_some(),
        _ => true,
    };
    if touched.contains(&state.screen) && !waits { ask(state) } else { Vec::new() }
}

/// Moves within the shown screen.
pub fn scroll(state: &mut State, step: Step) -> Vec<Effect> {
    match state.screen {
        Screen::Desk => {}
        Screen::Market => market::scroll(state, step),
        Screen::Cycles => return cycles::scroll(state, step),
        Screen::Money => money::scroll(state, step),
        Screen::Guards => guards::scroll(state, step),
        Screen::Prompt => prompt::scroll(state, step),
        Screen::Log => return log::scroll(state, step),
    }
    Vec::new()
}
