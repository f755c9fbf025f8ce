//! One action, one line: what an answer or an alarm says that the event of its action does not.

/// Answers that say no more than the event that is told with each of them.
const SAID: [&str; 6] = [
    "alarms acknowledged",
    "a cycle starts now",
    "dry-run is on: no order is sent",
    "dry-run is off: orders are sent",
    "the next cycle reads the note",
    "no note waits",
];

/// How an answer goes on whose action is told whole by its event.
const BEGINNINGS: [&str; 1] = ["nothing is armed: nothing is opened"];

/// What stands within an answer whose action is told whole by its event.
const WITHIN: [&str; 4] = [
    " is armed: its orders are sent with real money",
    " is halted (nothing is opened)",
    " is halted (all orders are frozen)",
    " is halted (everything is closed and nothing is opened)",
];

/// What an answer about a halt says that no event does: that it is not the one that counts, or that it may be forgotten.
const ONLY_HERE: [&str; 2] =
    ["; until an operator resumes it, this counts beside it: ", "; it could not be stored"];

/// What an answer says that the event of its action does not. Words nobody knows are kept whole.
pub fn beyond_its_event(answer: &str) -> Option<&str> {
    if let Some(rest) = answer.strip_prefix("dry-run is off; ") {
        return Some(rest);
    }
    let is_said = SAID.contains(&answer)
        || answer.ends_with(" trades again")
        || BEGINNINGS.iter().any(|beginning| answer.starts_with(beginning))
        || WITHIN.iter().any(|part| answer.contains(part));
    (!is_said || ONLY_HERE.iter().any(|part| answer.contains(part))).then_some(answer)
}

/// Whether an alarm tells of a halt, which has a line of its own.
pub fn is_of_a_halt(alarm: &str) -> bool {
    [" is halted (no_entries)", " is halted (frozen)", " is halted (flattened)"]
        .iter()
        .any(|part| alarm.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_left_out_only_where_its_event_says_the_same() {
        for said in [
            "alarms acknowledged",
            "mirat is armed: its orders are sent with real money",
            "the whole desk trades again",
            "mirat is halted (nothing is opened) until 2026-03-02 14:00:00Z: lunch",
            "nothing is armed: nothing is opened; stops stay at the exchange and are looked after",
        ] {
            assert_eq!(beyond_its_event(said), None, "{said}");
        }
        for kept in [
            "mirat BTC is closed",
            "mirat is halted (nothing is opened); it could not be stored and does not outlive this run",
        ] {
            assert_eq!(beyond_its_event(kept), Some(kept));
        }
        let rest =
            beyond_its_event("dry-run is off; nothing is opened until an account is armed by its name");
        assert_eq!(rest, Some("nothing is opened until an account is armed by its name"));
    }
}
