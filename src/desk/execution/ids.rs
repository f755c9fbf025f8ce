//! Names for orders: a pure function of why the order exists.
//!
//! With the journal lost, the same reason yields the same name, so the exchange can be asked about it.

use sha2::{Digest, Sha256};

use crate::domain::{AccountName, ClientOrderId, OrderPurpose, Symbol};

/// Begins the name of every order of a jarvis.
const PREFIX: &str = "j2";
/// Begins the names earlier versions gave; they did not say which installation they came from.
const EARLIER_PREFIX: &str = "j1";
/// Every name has this many characters; the exchange allows 36.
const LENGTH: usize = 35;
/// Where the installation's tag stands in a name.
const TAG: std::ops::Range<usize> = 3..11;

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

/// The name: `j2`, a letter for the purpose, eight digits for the installation, and 96 bits of SHA-256 in hexadecimal,
/// 35 characters in all.
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
    let digest = hex::encode(&hash.finalize()[..12]);
    let tag = tag_of(reason.install);
    #[expect(clippy::expect_used, reason = "letters and digits, 35 characters: always a valid id")]
    ClientOrderId::new(format!("{PREFIX}{letter}{tag}{digest}")).expect("35 letters and digits")
}

/// What tells this installation's orders from another's: eight hexadecimal digits.
pub fn tag_of(install: &str) -> String {
    hex::encode(&Sha256::digest(install.as_bytes())[..4])
}

/// The tag of the installation that gave an order its name; `None` when no jarvis of this version did.
pub fn tag_in(client_order_id: &str) -> Option<&str> {
    let is_named = client_order_id.starts_with(PREFIX) && client_order_id.len() == LENGTH;
    client_order_id.get(TAG).filter(|_| is_named)
}

/// Whether an order with this name is one of this installation's.
pub fn is_ours(client_order_id: &str, install: &str) -> bool {
    tag_in(client_order_id).is_some_and(|tag| tag == tag_of(install))
        || (client_order_id.starts_with(EARLIER_PREFIX) && client_order_id.len() == LENGTH)
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
                    assert!(is_ours(client_order_id(&reason).as_str(), "i"));
                    assert!(!is_ours(client_order_id(&reason).as_str(), "another"));
                    assert_eq!(tag_in(client_order_id(&reason).as_str()), Some(tag_of("i").as_str()));
                    names.insert(client_order_id(&reason));
                }
            }
        }
        assert_eq!(names.len(), 8);
    }

    #[test]
    fn names_of_strangers_carry_no_tag() {
        for name in ["web_1", "autoclose-177", "j2", "j2o0123456", "x-cvBPrNm9aaaaaaaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(tag_in(name), None, "{name}");
            assert!(!is_ours(name, "i"), "{name}");
        }
    }

    #[test]
    fn a_name_is_ours_by_its_whole_length_and_by_an_earlier_versions_beginning() {
        let digits = "0".repeat(LENGTH - 2);
        assert!(is_ours(&format!("j1{digits}"), "i"), "earlier versions did not say which installation");
        for stranger in [format!("j1{digits}0"), format!("j0{digits}"), "j1".to_owned()] {
            assert!(!is_ours(&stranger, "i"), "{stranger}");
        }
        let longer = format!("j2o{}{}", tag_of("i"), "0".repeat(25));
        assert_eq!((tag_in(&longer), is_ours(&longer, "i")), (None, false));
    }
}
