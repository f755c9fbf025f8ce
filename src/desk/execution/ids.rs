//! Names for orders: a pure function of why the order exists.
//!
//! With the journal lost, the same reason yields the same name, so the exchange can be asked about it.

use sha2::{Digest, Sha256};

use crate::domain::{AccountName, ClientOrderId, OrderPurpose, Symbol};

/// Begins the name of every order of ours.
pub const PREFIX: &str = "j1";

/// What an order's name is derived from.
#[derive(Debug, Clone)]
pub struct OrderReason<'a> {
    /// This installation; two desks never collide.
    pub install: &'a str,
    /// Whose order.
    pub account: &'a AccountName,
    /// Which coin.
    pub symbol: &'a Symbol,
    /// The cycle, the operator's command or the guardian's finding behind it.
    pub cause: &'a str,
    /// What it is for.
    pub purpose: OrderPurpose,
    /// 1 for the first; only closes are ever tried again under a new name.
    pub attempt: u32,
}

/// The name: `j1`, a letter for the purpose, and 128 bits of SHA-256 in hexadecimal, 35 characters in all.
pub fn client_order_id(reason: &OrderReason<'_>) -> ClientOrderId {
    let letter = match reason.purpose {
        OrderPurpose::Open => 'o',
        OrderPurpose::Close => 'c',
        OrderPurpose::Stop => 's',
        OrderPurpose::Emergency => 'e',
    };
    let mut hash = Sha256::new();
    for part in [
        reason.install,
        reason.account.as_str(),
        reason.symbol.as_str(),
        reason.cause,
        reason.purpose.as_str(),
        &reason.attempt.to_string(),
    ] {
        // The length before each part keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hex::encode(&hash.finalize()[..16]);
    #[expect(clippy::expect_used, reason = "letters and digits, 35 characters: always a valid id")]
    ClientOrderId::new(format!("{PREFIX}{letter}{digest}")).expect("35 letters and digits")
}

/// Whether an order with this name is one of ours.
pub fn is_ours(client_order_id: &str) -> bool {
    client_order_id.starts_with(PREFIX) && client_order_id.len() == 35
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_same_reason_has_the_same_name_and_another_reason_another() {
        let account = AccountName::new("mirat").unwrap();
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let mut names = BTreeSet::new();
        for cause in ["c1", "c2"] {
            for purpose in [OrderPurpose::Open, OrderPurpose::Stop] {
                for attempt in [1, 2] {
                    let reason = OrderReason {
                        install: "i",
                        account: &account,
                        symbol: &symbol,
                        cause,
                        purpose,
                        attempt,
                    };
                    assert_eq!(client_order_id(&reason), client_order_id(&reason));
                    assert!(is_ours(client_order_id(&reason).as_str()));
                    names.insert(client_order_id(&reason));
                }
            }
        }
        assert_eq!(names.len(), 8);
    }
}
