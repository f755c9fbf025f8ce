//! How an operator is answered whose command was carried out.

use crate::domain::ToldElsewhere;

/// What was done for an operator.
pub(super) struct Done {
    pub(super) text: String,
    pub(super) elsewhere: ToldElsewhere,
}

impl Done {
    /// What the events of the action tell as well.
    pub(super) fn told(text: String) -> Self {
        Self { text, elsewhere: ToldElsewhere::All }
    }
}

impl From<String> for Done {
    fn from(text: String) -> Self {
        Self { text, elsewhere: ToldElsewhere::Nothing }
    }
}
