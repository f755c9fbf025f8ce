//! Whether what an account is said to be worth is the truth. The exchange tells of empty balances now and then, and a
//! loss that never was must not end in a halt, nor in a gap of the equity's curve.

use std::sync::PoisonError;
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::time::Instant;

use super::AccountDesk;
use crate::domain::Usdt;
use crate::exchange::{AccountBalance, ExchangeError};

/// An account that lost more than this share from one reading to the next is not believed at once.
const SUDDEN_LOSS: Decimal = Decimal::from_parts(3, 0, 0, false, 1);
/// What is said again this much later is believed.
const SECOND_READING: Duration = Duration::from_secs(10);

/// What is known of an account's equity.
#[derive(Debug, Default)]
pub(super) struct Worth {
    believed: Option<Usdt>,
    /// A reading that is not believed yet: what it said, and since when the like of it is said.
    doubted: Option<(Usdt, Instant)>,
}

impl Worth {
    /// Takes a reading; says what speaks against it as long as it is not believed.
    fn take(&mut self, equity: Usdt, now: Instant) -> Option<String> {
        let is_sudden = self.believed.is_some_and(|believed| {
            believed > Usdt::ZERO && equity.value() < believed.value() * (Decimal::ONE - SUDDEN_LOSS)
        });
        let since = self.doubted.map_or(now, |(_, since)| since);
        if is_sudden && now.duration_since(since) < SECOND_READING {
            self.doubted = Some((equity, since));
            return self.doubt();
        }
        *self = Self { believed: Some(equity), doubted: None };
        None
    }

    fn doubt(&self) -> Option<String> {
        let (told, _) = self.doubted?;
        let believed = self.believed?;
        Some(format!(
            "its equity fell from {believed} to {told} USDT from one reading to the next; it counts once it is read so again"
        ))
    }
}

impl AccountDesk {
    /// The account's balance. One that fell by a large share since the last reading is an error until it is read so again
    /// a while later.
    pub async fn balance(&self) -> Result<AccountBalance, ExchangeError> {
        let balance = self.client.account().await?;
        let doubt =
            self.worth.lock().unwrap_or_else(PoisonError::into_inner).take(balance.equity, Instant::now());
        match doubt {
            Some(reason) => Err(ExchangeError::Implausible { endpoint: "balance".to_owned(), reason }),
            None => Ok(balance),
        }
    }

    /// What speaks against the newest reading of the account's equity, as long as it is not believed.
    pub(super) fn doubt_of_worth(&self) -> Option<String> {
        self.worth.lock().unwrap_or_else(PoisonError::into_inner).doubt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usdt(text: &str) -> Usdt {
        Usdt::of(text.parse().unwrap())
    }

    #[test]
    fn a_sudden_loss_counts_once_it_is_read_again_ten_seconds_later() {
        let began = Instant::now();
        let mut worth = Worth::default();
        let mut take = |equity: &str, millis: u64| {
            worth.take(usdt(equity), began + Duration::from_millis(millis)).is_none()
        };
        assert!(take("1000", 0), "the first reading is all there is");
        assert!(take("700", 1), "30 percent are no more than 30 percent");
        assert!(!take("489.99", 1_000));
        assert!(!take("0", 10_999), "said again, but not long enough after the first time");
        assert!(take("650", 11_500), "it was not true");
        assert!(!take("0", 12_000), "doubted anew");
        assert!(!take("0", 21_999));
        assert!(take("0", 22_000));
        assert!(take("0", 22_001), "what is believed is no loss any more");
        assert!(take("5000", 22_002), "a gain is believed at once");
    }

    #[test]
    fn a_doubt_names_both_readings_and_goes_with_the_next_plausible_one() {
        let mut worth = Worth::default();
        let now = Instant::now();
        assert_eq!(worth.take(usdt("1000"), now), None);
        let doubt = worth.take(usdt("12.5"), now).unwrap();
        assert!(doubt.contains("from 1000 to 12.5 USDT"), "{doubt}");
        assert_eq!(worth.doubt(), Some(doubt));
        assert_eq!(worth.take(usdt("990"), now), None);
        assert_eq!(worth.doubt(), None);
    }
}
