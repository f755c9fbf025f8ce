//! What was asked of the desk: the answer, whether one is awaited, and whether it may have been overtaken.

use super::state::State;
use super::update::Effect;
use crate::domain::{Query, QueryId, Timestamp};

/// A question with its latest answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked<T> {
    /// The latest answer.
    pub page: Option<T>,
    /// Market time it came.
    pub read_at: Option<Timestamp>,
    /// The question that is not answered yet.
    pub waiting: Option<QueryId>,
    /// Why the latest question has no answer.
    pub trouble: Option<String>,
    /// Whether something happened since that the answer does not know.
    pub stale: bool,
}

impl<T> Default for Asked<T> {
    fn default() -> Self {
        Self { page: None, read_at: None, waiting: None, trouble: None, stale: false }
    }
}

impl<T> Asked<T> {
    /// Notes that a question is on its way.
    pub fn wait_for(&mut self, id: QueryId) {
        self.waiting = Some(id);
        self.stale = false;
    }

    /// Takes the answer to its own question; an answer to an earlier one is dropped.
    pub fn answer(&mut self, id: QueryId, page: T, now: Option<Timestamp>) -> bool {
        if self.waiting != Some(id) {
            return false;
        }
        *self = Self { page: Some(page), read_at: now, waiting: None, trouble: None, stale: self.stale };
        true
    }

    /// Takes a refusal of its own question; what was known before stays, marked as old.
    pub fn fail(&mut self, id: QueryId, why: &str) -> bool {
        if self.waiting != Some(id) {
            return false;
        }
        self.waiting = None;
        self.trouble = Some(why.to_owned());
        self.stale = self.page.is_some();
        true
    }

    /// Something happened that the answer does not know.
    pub fn overtaken(&mut self) {
        self.stale = self.page.is_some() || self.waiting.is_some();
    }
}

/// A fresh id with the effect that asks.
pub fn question(state: &mut State, query: Query) -> (QueryId, Effect) {
    let id = state.next_query;
    state.next_query += 1;
    (id, Effect::Ask(id, query))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_an_earlier_question_is_dropped() {
        let mut asked = Asked::default();
        asked.wait_for(1);
        asked.wait_for(2);
        assert!(!asked.answer(1, "old", None));
        assert!(asked.answer(2, "new", None));
        assert_eq!((asked.page, asked.waiting), (Some("new"), None));
    }

    #[test]
    fn a_refusal_keeps_what_was_known_and_marks_it() {
        let mut asked = Asked { page: Some("known"), ..Asked::default() };
        asked.wait_for(1);
        assert!(asked.fail(1, "busy"));
        assert_eq!((asked.page, asked.stale, asked.trouble.as_deref()), (Some("known"), true, Some("busy")));
    }

    #[test]
    fn what_happens_while_an_answer_is_awaited_makes_it_old_at_once() {
        let mut asked = Asked::default();
        asked.wait_for(1);
        asked.overtaken();
        asked.answer(1, "page", None);
        assert!(asked.stale);
    }
}
