//! What the streams say at one moment, rendered once for all connections.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::local_book::{ShownBooks, ToldBook, difference};
use super::streams::Content;
use crate::domain::Symbol;
use crate::world::engine::Engine;

/// The step from a book told before, which is known by its place in memory and kept there, to the present one.
type Step = (Option<Arc<ToldBook>>, Option<Arc<str>>);

/// The messages of one moment. A hundred connections with the same streams cost little more than one.
#[derive(Debug, Default)]
pub(crate) struct Rendered {
    /// Market time, ms.
    now: i64,
    said: BTreeMap<(Content, i64), Vec<Arc<str>>>,
    books: BTreeMap<Symbol, Arc<ToldBook>>,
    steps: BTreeMap<(Symbol, usize), Step>,
}

impl Rendered {
    /// Forgets everything that was rendered at another moment.
    pub fn turn_to(&mut self, now: i64) {
        if self.now != now {
            *self = Self { now, ..Self::default() };
        }
    }

    /// Forgets the ways from book to book, of which every tick has its own. The rest is said again while time stands still
    /// and nothing changes.
    pub fn turn_to_next_tick(&mut self) {
        self.books.clear();
        self.steps.clear();
    }

    /// What `content` says since `since`: as it was said to somebody else, or as `say` says it.
    pub(super) fn said(
        &mut self,
        content: &Content,
        since: i64,
        say: impl FnOnce() -> Vec<Value>,
    ) -> Vec<Arc<str>> {
        let render = || say().iter().map(|message| message.to_string().into()).collect();
        self.said.entry((content.clone(), since)).or_insert_with(render).clone()
    }

    /// The next message of a stream of changes to a book, if there is one, and the book it leads to.
    pub(super) fn change(
        &mut self,
        engine: &Engine,
        shown: &ShownBooks,
        symbol: &Symbol,
        told: &mut Option<Arc<ToldBook>>,
    ) -> Option<Arc<str>> {
        let contract = engine.contracts().get(symbol)?;
        let present = if let Some(present) = self.books.get(symbol) {
            Arc::clone(present)
        } else {
            let present = Arc::new(ToldBook::present(engine, symbol)?);
            self.books.insert(symbol.clone(), Arc::clone(&present));
            present
        };
        let place = told.as_ref().map_or(0, |told| Arc::as_ptr(told).addr());
        let now = self.now;
        let (_, step) = self.steps.entry((symbol.clone(), place)).or_insert_with(|| {
            let step = difference(contract, shown, told.as_deref(), &present, now);
            (told.clone(), step.map(|step| step.to_string().into()))
        });
        if step.is_some() {
            *told = Some(present);
        }
        step.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::streams::{Route, Stream, render};
    use super::super::tests::client;
    use super::*;

    #[test]
    fn a_message_is_rendered_once_a_moment_for_all_who_heard_the_same_before() {
        let mut rendered = Rendered::default();
        let mut times = 0;
        for (now, since) in [(1, 0), (1, 0), (1, 1), (2, 0), (2, 0)] {
            rendered.turn_to(now);
            let said = rendered.said(&Content::AllBookTickers, since, || {
                times += 1;
                vec![json!({"E": now})]
            });
            assert_eq!(said, [Arc::from(format!("{{\"E\":{now}}}"))]);
        }
        assert_eq!(times, 3);
    }

    #[test]
    fn connections_that_follow_a_book_from_different_moments_on_come_to_share_it() {
        let client = client();
        let follower = || [Stream::new("btcusdt@depth", Route::Public)];
        let (mut early, mut late) = (follower(), follower());
        let told = |streams: &mut [Stream]| render(&client.world, streams, 0).0;
        told(&mut early);
        let mut second = || {
            client.wall.advance(chrono::Duration::seconds(30));
            client.world.step();
            (told(&mut early), told(&mut late))
        };
        let (changed, whole) = second();
        assert_ne!(changed, whole, "one is told the changes, the other the whole book");
        let (first, other) = second();
        assert_eq!(first, other);
        assert!(Arc::ptr_eq(&first[0].1, &other[0].1), "rendered once");
    }
}
