//! Room for stops: the exchange takes so many conditional orders of an account and no more.

use std::sync::{Mutex, PoisonError};

use super::AccountDesk;
use crate::domain::{Outcome, OutcomeKind, Rule};

/// So many conditional orders may rest in an account; one more is refused (-4045).
const MOST_CONDITIONAL: usize = 200;

/// What is known of an account's conditional orders.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// How many rest, by the last reading of all of them and what was placed since.
    resting: Option<usize>,
    /// Openings under way, each of which will place one.
    coming: usize,
}

/// Room for one stop, held until the opening it belongs to is over.
#[derive(Debug)]
pub(super) struct HeldRoom<'a>(&'a Room);

impl Room {
    /// All that rest were read.
    pub(super) fn saw(&self, resting: usize) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).resting = Some(resting);
    }

    fn is_known(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).resting.is_some()
    }

    /// Holds room for one more, or says how many are there already.
    fn hold(&self) -> Result<HeldRoom<'_>, usize> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = taken.resting.unwrap_or_default() + taken.coming;
        if there >= MOST_CONDITIONAL {
            return Err(there);
        }
        taken.coming += 1;
        Ok(HeldRoom(self))
    }
}

/// Whether its stop rests by now the next reading tells; until then it is counted.
impl Drop for HeldRoom<'_> {
    fn drop(&mut self) {
        let mut taken = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.coming = taken.coming.saturating_sub(1);
        taken.resting = taken.resting.map(|resting| resting + 1);
    }
}

impl AccountDesk {
    /// Room for the stop of an opening; without it nothing is opened, because the position could not be protected.
    pub(super) async fn hold_room(&self) -> Result<HeldRoom<'_>, Outcome> {
        if !self.room.is_known() {
            match self.client.open_algo_orders(None).await {
                Ok(resting) => self.room.saw(resting.len()),
                Err(error) => {
                    let detail = format!("nothing was sent: how many stops rest cannot be read: {error}");
                    return Err(super::failed(detail, Vec::new()));
                }
            }
        }
        self.room.hold().map_err(|there| Outcome {
            kind: OutcomeKind::Refused,
            rule: Some(Rule::Stop),
            detail: format!(
                "no room for its stop: {there} conditional orders rest in this account or are on their way, and the \
                 exchange takes {MOST_CONDITIONAL}"
            ),
            orders: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_once_and_comes_back_with_the_next_reading() {
        let room = Room::default();
        assert!(!room.is_known());
        room.saw(MOST_CONDITIONAL - 1);
        let last = room.hold().unwrap();
        assert_eq!(room.hold().err(), Some(MOST_CONDITIONAL), "one is on its way");
        drop(last);
        assert_eq!(room.hold().err(), Some(MOST_CONDITIONAL), "it may rest by now");
        room.saw(MOST_CONDITIONAL - 2);
        let both = (room.hold().unwrap(), room.hold().unwrap());
        // A reading in the middle does not forget what is on its way.
        room.saw(MOST_CONDITIONAL - 2);
        assert!(room.hold().is_err());
        drop(both);
        room.saw(MOST_CONDITIONAL);
        assert_eq!(room.hold().err(), Some(MOST_CONDITIONAL));
    }
}
