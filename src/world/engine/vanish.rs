//! What no honest exchange does: a conditional order that is gone without a word.

use super::{AccountId, Engine};

impl Engine {
    /// Forgets a waiting conditional order and tells nobody; false when it does not wait.
    pub fn forget_algo(&mut self, id: AccountId, algo_id: i64) -> bool {
        if !self.account(id).open_algos.contains(&algo_id) {
            return false;
        }
        self.unwait(id, algo_id);
        self.account_mut(id).algos.remove(algo_id);
        self.index_names(id);
        // A delta has no word for what was never there.
        self.whole = true;
        true
    }
}
