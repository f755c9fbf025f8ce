//! What no honest exchange does: a conditional order that is gone without a word.

use super::{AccountId, Engine};

impl Engine {
    /// Forgets a waiting conditional order and tells nobody; false when it does not wait.
    pub fn forget_algo(&mut self, id: AccountId, algo_id: i64) -> bool {
        let account = self.account_mut(id);
        account.open_algos.remove(&algo_id) && account.algos.remove(&algo_id).is_some()
    }
}
