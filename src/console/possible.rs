//! Why an action cannot be done at the moment.

use super::keymap::Action;
use super::screens::{Screen, guards};
use super::state::{Panel, State};
use crate::domain::{HaltOrigin, HaltScope, Mode, RemarkWeight};

/// Whether an action asks something of the desk.
pub const fn commands(action: Action) -> bool {
    matches!(
        action,
        Action::ForceCycle
            | Action::ToggleDryRun
            | Action::ClosePosition
            | Action::MoveStop
            | Action::Pause
            | Action::NoEntries
            | Action::Freeze
            | Action::Flatten
            | Action::Resume
            | Action::ApplyPrompt
            | Action::RevertPrompt
            | Action::Acknowledge
            | Action::Note
            | Action::Arm
            | Action::Disarm
    )
}

/// Why an action cannot be done at the moment, with what to do about it.
pub fn why_not(action: Action, state: &State) -> Option<String> {
    let plain = |text: &str| Some(text.to_owned());
    if commands(action) {
        if state.read_only {
            return plain("this console is read-only");
        }
        if !state.connected {
            return plain("the desk has stopped");
        }
        if state.desk.is_none() {
            return plain("the desk is still starting");
        }
    }
    if action == Action::EditPrompt && state.read_only {
        return plain("this console is read-only; nothing written here could be used");
    }
    let nothing_held = state.positions().is_empty();
    match action {
        Action::ForceCycle if state.cycle_runs() => plain("a cycle is running; wait for its end"),
        Action::ClosePosition if nothing_held => plain("no open position to close"),
        Action::MoveStop if nothing_held => plain("no open position whose stop could be moved"),
        Action::Why if nothing_held => plain("no open position to look behind"),
        Action::ClosePosition | Action::MoveStop | Action::Flatten
            if state.desk.as_ref().is_some_and(|desk| desk.dry_run) =>
        {
            Some(format!(
                "dry-run is on and no order is sent; {} ends it",
                state.keys.key_of(Action::ToggleDryRun)
            ))
        }
        Action::Left | Action::Right if state.screen == Screen::Market && state.market.chart.is_none() => {
            plain("they turn the interval of a chart; enter opens one")
        }
        Action::Left | Action::Right if state.screen == Screen::Cycles && state.cycles.open.is_none() => {
            plain("they turn the parts of a cycle; enter opens one")
        }
        Action::Acknowledge if state.open_alarms().is_empty() => plain("no alarm waits to be acknowledged"),
        Action::Up | Action::Down
            if state.screen == Screen::Desk && state.focus == Panel::Accounts && nothing_held =>
        {
            plain("no positions to choose from")
        }
        Action::Arm | Action::Disarm if state.desk.is_some() && state.mode() != Some(Mode::Live) => {
            let mode = state.mode().map_or("paper", Mode::as_str);
            Some(format!("only a live desk is armed and disarmed; this one is in {mode} mode"))
        }
        Action::Disarm if state.desk.as_ref().is_some_and(|desk| desk.armed.is_empty()) => {
            plain("no account is armed")
        }
        Action::Flatten => match guards::selected(state)? {
            HaltScope::Coin(_) => plain("select an account or the whole desk to flatten"),
            HaltScope::Account(_) | HaltScope::Desk => None,
        },
        Action::Resume => {
            let scope = guards::selected(state)?;
            match guards::halt(state, &scope) {
                None => Some(format!("nothing halts {scope}")),
                Some(halt) if halt.origin == HaltOrigin::File => {
                    plain("the file HALT in the data folder halts it; remove the file")
                }
                Some(_) => None,
            }
        }
        Action::EditPrompt | Action::ApplyPrompt | Action::RevertPrompt | Action::CheckPrompt => {
            prompt(action, state)
        }
        Action::Themes | Action::NextTheme if state.themes.0.len() == 1 => plain("there is only one theme"),
        Action::Suspend if !state.suspendable => plain(
            "the desk lives in this process and would stand still; `jarvis serve` and `attach` part them",
        ),
        _ => None,
    }
}

fn prompt(action: Action, state: &State) -> Option<String> {
    let Some(page) = &state.prompt.page.page else {
        // The palette goes to the screen first, and knows then.
        let waits = state.screen == Screen::Prompt;
        return waits.then(|| "the prompt is not read yet; a moment".to_owned());
    };
    let draft = state.prompt.draft.as_ref();
    let replaced = page.files.iter().any(|file| file.name == page.name && file.is_override);
    match action {
        Action::EditPrompt => match draft {
            Some(draft) if draft.name != page.name => {
                Some(format!("a draft of {} waits; use it or throw it away first", draft.name))
            }
            _ => None,
        },
        Action::ApplyPrompt => match draft {
            None => Some("there is no draft; edit the text first".to_owned()),
            Some(_) if would_break(state) => {
                Some("the draft would break the next cycle; see what is wrong with it".to_owned())
            }
            Some(_) => None,
        },
        Action::CheckPrompt if draft.is_none() => Some("there is no draft to check".to_owned()),
        Action::RevertPrompt if draft.is_none() && !replaced => {
            Some("the built-in text is in force".to_owned())
        }
        _ => None,
    }
}

/// Whether the check of the draft found an error; warnings and notes keep nobody from using it.
fn would_break(state: &State) -> bool {
    let remarks = state.prompt.lint.page.iter().flatten();
    remarks.into_iter().any(|remark| remark.weight == RemarkWeight::Error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_before_the_desk_is_ready_says_so() {
        let state = State::starting();
        assert_eq!(why_not(Action::ForceCycle, &state).as_deref(), Some("the desk is still starting"));
        assert_eq!(why_not(Action::Quit, &state), None);
    }
}
