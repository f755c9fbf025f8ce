//! What may leave for an account: everything, only what reduces, or nothing.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::{AccountDesk, Cause};
use crate::domain::AccountName;

/// What may leave for an account; each allows what those before it allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Licence {
    /// No call that changes state: a dry run, or an account of a live desk that was never armed.
    Nothing,
    /// Stops, and closes that an operator, a halt or the guardian asks for: an account of a live desk that was armed
    /// once and is not now. What was opened with it stays guarded.
    Reductions,
    /// Openings too.
    Everything,
}

/// The accounts of a live desk that an operator armed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arming {
    /// Those that may open now.
    pub armed: BTreeSet<AccountName>,
    /// Those that were ever armed: they keep being guarded.
    pub guarded: BTreeSet<AccountName>,
}

impl Arming {
    fn licence(&self, account: &AccountName) -> Licence {
        if self.armed.contains(account) {
            Licence::Everything
        } else if self.guarded.contains(account) {
            Licence::Reductions
        } else {
            Licence::Nothing
        }
    }
}

impl AccountDesk {
    /// What may leave for this account now.
    pub fn licence(&self) -> Licence {
        if self.shared.is_dry_run() {
            return Licence::Nothing;
        }
        let arming = self.shared.arming.read().unwrap_or_else(PoisonError::into_inner);
        arming.as_ref().map_or(Licence::Everything, |arming| arming.licence(self.name()))
    }

    /// Whether nothing that changes state may leave for this account.
    pub fn is_dry(&self) -> bool {
        self.licence() == Licence::Nothing
    }

    /// Whether nothing that changes state could leave even without a dry run: an account of a live desk that was never
    /// armed.
    pub(in crate::desk) fn is_never_armed(&self) -> bool {
        let arming = self.shared.arming.read().unwrap_or_else(PoisonError::into_inner);
        arming.as_ref().is_some_and(|arming| arming.licence(self.name()) == Licence::Nothing)
    }

    /// Whether this account may open, and so be changed in any way.
    pub fn may_open(&self) -> bool {
        self.licence() == Licence::Everything
    }

    /// Whether a close asked for by this cause is kept back: the model's needs the licence an opening needs.
    pub(super) fn keeps_back(&self, cause: &Cause) -> bool {
        match cause {
            Cause::Cycle(_) => !self.may_open(),
            _ => self.is_dry(),
        }
    }
}
