//! Answers to what a console asks for: pages read from the store, never broadcast.

use super::floor::Floor;
use crate::domain::{Page, Query};

impl Floor {
    /// Answers a question, or says in a sentence why it cannot.
    pub async fn page(&self, query: Query) -> Result<Page, String> {
        Err(format!("this desk has no answer to {query:?}"))
    }
}
