//! Where each panel lies. The least important go first when room is short.

use ratatui::layout::{Constraint, Layout, Rect};

use super::screens::Screen;
use super::state::{Panel, State};
use super::view;

/// The smallest terminal that shows the desk: columns and rows.
pub const SMALLEST: (u16, u16) = (60, 20);

/// Rows an account panel needs beside its content: two borders and the column titles.
const FRAME_ROWS: u16 = 3;

/// Columns that hold a position with everything an operator acts on. No wider terminal gives the accounts less.
const POSITION: u16 = 80;

/// From this width on the accounts have a neighbour, which would be of no use with less than the rest.
const WIDE: u16 = 118;

/// From this width on there is room for the log.
const WIDEST: u16 = 182;

/// The places of everything on the desk screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Areas {
    /// Mode, badges, model, time.
    pub header: Rect,
    /// The names of the screens.
    pub bar: Rect,
    /// Everything between the bars: what a screen other than the desk fills.
    pub body: Rect,
    /// The strip of prices.
    pub prices: Option<Rect>,
    /// The newest alarm.
    pub alarm: Option<Rect>,
    /// The panels that have room.
    pub panels: Vec<(Panel, Rect)>,
    /// What happened lately.
    pub log: Option<Rect>,
    /// The last answer to the operator.
    pub status: Rect,
    /// The keys.
    pub footer: Rect,
}

impl Areas {
    /// The place of a panel, if it is shown.
    pub fn of(&self, panel: Panel) -> Option<Rect> {
        self.panels.iter().find(|(shown, _)| *shown == panel).map(|(_, area)| *area)
    }

    /// The panels that have no room at the moment.
    pub fn hidden(&self) -> impl Iterator<Item = Panel> {
        Panel::ALL.into_iter().filter(|panel| self.of(*panel).is_none())
    }
}

/// Divides a screen; `None` when it is smaller than [`SMALLEST`].
pub fn areas(screen: Rect, state: &State) -> Option<Areas> {
    if screen.width < SMALLEST.0 || screen.height < SMALLEST.1 {
        return None;
    }
    let alarm = view::alarms::rows(state, screen);
    let prices = u16::from(screen.height >= 24 && state.screen == Screen::Desk);
    let [header, bar, prices_row, alarm_row, body, status, footer] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(1),
        Constraint::Length(prices),
        Constraint::Length(alarm),
        Constraint::Fill(1),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(screen);
    let mut areas = Areas {
        header,
        bar,
        body,
        prices: (prices > 0).then_some(prices_row),
        alarm: (alarm > 0).then_some(alarm_row),
        status,
        footer,
        ..Areas::default()
    };
    if state.screen != Screen::Desk {
        return Some(areas);
    }
    match screen.width {
        ..80 => narrow(&mut areas, body, state),
        80..WIDE => medium(&mut areas, body, state),
        WIDE..WIDEST => wide(&mut areas, body, state),
        _ => widest(&mut areas, body, state),
    }
    Some(areas)
}

/// The body of the screen in sight; empty when the terminal is too small.
pub fn body(state: &State) -> Rect {
    areas(Rect::new(0, 0, state.size.0, state.size.1), state).map_or(Rect::ZERO, |areas| areas.body)
}

/// Rows all accounts and positions would like to have.
fn accounts_rows(state: &State) -> u16 {
    let rows = state.desk.as_ref().map_or(3, |desk| {
        desk.accounts.iter().map(|account| 1 + account.positions.len()).sum::<usize>().max(3)
    });
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(FRAME_ROWS)
}

/// Rows the tool calls get beside the analysis: what they need, and no more than four in ten.
fn tools_rows(state: &State, right: Rect) -> u16 {
    let calls = state.cycle().map_or(0, |cycle| cycle.tool_calls.len());
    let most = right.height * 42 / 100;
    if right.width >= 80 {
        // The log stands beside them and fills any number of rows.
        return most;
    }
    let rows = |calls: usize| u16::try_from(calls).unwrap_or(u16::MAX).saturating_add(2);
    let spacious = rows(2 * calls);
    let needed = if spacious <= most { spacious } else { rows(calls + 1) };
    needed.clamp(5.min(most), most)
}

/// Accounts over one other panel.
fn narrow(areas: &mut Areas, body: Rect, state: &State) {
    let most = if state.focus == Panel::Accounts { body.height * 6 / 10 } else { body.height * 45 / 100 };
    let (top, rest) = split_rows(body, accounts_rows(state).min(most));
    areas.panels = vec![(Panel::Accounts, top), (state.main, rest)];
}

/// Accounts over decisions and one neighbour.
fn medium(areas: &mut Areas, body: Rect, state: &State) {
    let most = if state.focus == Panel::Accounts { body.height * 6 / 10 } else { body.height / 2 };
    let (top, rest) = split_rows(body, accounts_rows(state).min(most));
    let [left, right] = Layout::horizontal([Constraint::Percentage(57), Constraint::Fill(1)]).areas(rest);
    areas.panels = vec![(Panel::Accounts, top), (Panel::Decisions, left), (state.side, right)];
}

/// Accounts over decisions on the left, analysis over tool calls on the right.
fn wide(areas: &mut Areas, body: Rect, state: &State) {
    let share = if body.width < WIDEST { 60 } else { 52 };
    let left = (body.width * share / 100).max(POSITION);
    let [left, right] = Layout::horizontal([Constraint::Length(left), Constraint::Fill(1)]).areas(body);
    let (accounts, decisions) = split_rows(left, accounts_rows(state).min(body.height * 55 / 100));
    let (analysis, tools) = split_rows(right, body.height - tools_rows(state, right));
    areas.panels = vec![
        (Panel::Accounts, accounts),
        (Panel::Decisions, decisions),
        (Panel::Analysis, analysis),
        (Panel::Tools, tools),
    ];
}

/// As [`wide`], with the log beside the tool calls.
fn widest(areas: &mut Areas, body: Rect, state: &State) {
    wide(areas, body, state);
    if let Some((_, tools)) = areas.panels.last_mut() {
        let [left, right] =
            Layout::horizontal([Constraint::Percentage(57), Constraint::Fill(1)]).areas(*tools);
        *tools = left;
        areas.log = Some(right);
    }
}

fn split_rows(area: Rect, first: u16) -> (Rect, Rect) {
    let [top, bottom] = Layout::vertical([Constraint::Length(first), Constraint::Fill(1)]).areas(area);
    (top, bottom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(width: u16, height: u16) -> Vec<Panel> {
        let areas = areas(Rect::new(0, 0, width, height), &State::starting()).unwrap();
        areas.panels.iter().map(|(panel, _)| *panel).collect()
    }

    #[test]
    fn the_least_important_panels_go_first() {
        assert_eq!(shown(200, 60), Panel::ALL);
        assert_eq!(shown(120, 40), Panel::ALL);
        assert_eq!(shown(80, 24), [Panel::Accounts, Panel::Decisions, Panel::Analysis]);
        assert_eq!(shown(60, 20), [Panel::Accounts, Panel::Decisions]);
        assert_eq!(areas(Rect::new(0, 0, 59, 20), &State::starting()), None);
    }

    #[test]
    fn no_panel_of_the_accounts_is_narrower_than_one_of_a_narrower_terminal_needs() {
        for width in 80..300 {
            let areas = areas(Rect::new(0, 0, width, 40), &State::starting()).unwrap();
            assert!(areas.of(Panel::Accounts).unwrap().width >= POSITION, "{width}");
        }
    }

    #[test]
    fn panels_never_overlap_nor_leave_the_screen() {
        for (width, height) in
            [(60, 20), (79, 50), (80, 24), (117, 30), (118, 20), (181, 45), (182, 50), (200, 60), (300, 100)]
        {
            let screen = Rect::new(0, 0, width, height);
            let areas = areas(screen, &State::starting()).unwrap();
            let mut all: Vec<Rect> = areas.panels.iter().map(|(_, area)| *area).collect();
            all.extend(areas.log.iter().chain(&areas.prices).chain([
                &areas.header,
                &areas.bar,
                &areas.status,
                &areas.footer,
            ]));
            for (index, one) in all.iter().enumerate() {
                assert!(one.area() > 0 && screen.intersection(*one) == *one, "{width}x{height} {one:?}");
                assert!(all.iter().skip(index + 1).all(|other| !one.intersects(*other)), "{width}x{height}");
            }
        }
    }
}
