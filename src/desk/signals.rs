//! From a checked proposal and the present position to what is to be done.

use crate::domain::{DecisionWord, Direction, Position};

/// What a usable proposal asks for, given what the account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Open a position.
    Open(Direction),
    /// Close the position there is.
    Close,
    /// Leave everything as it is.
    Nothing,
    /// The word does not fit what the account holds; the sentence says how.
    NotAllowed(&'static str),
}

/// The decisions that make sense for a coin, told to the model before the call and enforced after it.
pub fn allowed_decisions(position: Option<&Position>) -> &'static [DecisionWord] {
    match position {
        Some(_) => &[DecisionWord::Hold, DecisionWord::Close],
        None => &[DecisionWord::Long, DecisionWord::Short, DecisionWord::NoTrade],
    }
}

/// Reads a decision against the position. HOLD and NO_TRADE are the same nothing, whichever was written.
pub fn signal(decision: DecisionWord, position: Option<&Position>) -> Signal {
    match (decision, position) {
        (DecisionWord::Hold | DecisionWord::NoTrade, _) => Signal::Nothing,
        (DecisionWord::Close, Some(_)) => Signal::Close,
        (DecisionWord::Close, None) => Signal::NotAllowed("there is no position to close"),
        (DecisionWord::Long, None) => Signal::Open(Direction::Long),
        (DecisionWord::Short, None) => Signal::Open(Direction::Short),
        (DecisionWord::Long | DecisionWord::Short, Some(_)) => {
            Signal::NotAllowed("a position is open; it is never added to or reversed, only held or closed")
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::domain::{Quantity, Symbol, Usdt};

    /// A long position of 0.01 BTC from 60 000.
    pub(crate) fn long_position() -> Position {
        Position {
            symbol: Symbol::new("BTCUSDT").unwrap(),
            direction: Direction::Long,
            quantity: "0.01".parse::<Quantity>().unwrap(),
            entry: "60000".parse().unwrap(),
            mark: "60600".parse().unwrap(),
            unrealised: Usdt::of("6".parse().unwrap()),
            margin: None,
            liquidation: None,
            opened_at: None,
            stop: None,
        }
    }

    #[test]
    fn without_a_position_long_and_short_open_and_close_is_refused() {
        assert_eq!(signal(DecisionWord::Long, None), Signal::Open(Direction::Long));
        assert_eq!(signal(DecisionWord::Short, None), Signal::Open(Direction::Short));
        assert!(matches!(signal(DecisionWord::Close, None), Signal::NotAllowed(_)));
    }

    #[test]
    fn with_a_position_only_close_acts_and_nothing_reverses() {
        let position = long_position();
        assert_eq!(signal(DecisionWord::Close, Some(&position)), Signal::Close);
        assert!(matches!(signal(DecisionWord::Short, Some(&position)), Signal::NotAllowed(_)));
        assert!(matches!(signal(DecisionWord::Long, Some(&position)), Signal::NotAllowed(_)));
    }

    #[test]
    fn hold_and_no_trade_do_nothing_either_way() {
        let position = long_position();
        for word in [DecisionWord::Hold, DecisionWord::NoTrade] {
            assert_eq!(signal(word, None), Signal::Nothing);
            assert_eq!(signal(word, Some(&position)), Signal::Nothing);
        }
    }
}
