//! Request parameters and their signature.
//!
//! The exchange signs over the bytes as sent, percent-encoding included, so parameters are encoded once, here, and
//! never touched again.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use rust_decimal::Decimal;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Parameters in the order they are sent, already percent-encoded.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(String);

impl Params {
    /// None yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds a text.
    pub(super) fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        percent_encode(value.as_ref(), &mut self.0);
        self
    }

    /// Adds a text if there is one.
    pub(super) fn with_some(self, name: &str, value: Option<impl AsRef<str>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a decimal in plain notation: no exponent, no trailing zeros.
    pub(super) fn with_decimal(self, name: &str, value: Decimal) -> Self {
        self.with(name, value.normalize().to_string())
    }

    /// Adds a whole number.
    pub(super) fn with_number(self, name: &str, value: i64) -> Self {
        self.with(name, value.to_string())
    }

    /// Whether a parameter of this name is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.split('&').any(|pair| pair.split('=').next() == Some(name))
    }

    /// The encoded text without a signature.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Adds time and window, then the signature over everything before it. Returns the text and the bare signature.
    pub(super) fn signed(
        self,
        secret: &SecretString,
        timestamp_ms: i64,
        recv_window_ms: i64,
    ) -> (String, String) {
        let mut text =
            self.with_number("recvWindow", recv_window_ms).with_number("timestamp", timestamp_ms).0;
        let signature = sign(secret, text.as_bytes());
        text.push_str("&signature=");
        text.push_str(&signature);
        (text, signature)
    }
}

/// HMAC-SHA256 in lower-case hex, as signatures are sent.
pub(super) fn sign(secret: &SecretString, payload: &[u8]) -> String {
    // HMAC takes keys of any length, so the branch is never taken; were it, the exchange would refuse the request.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else {
        return String::new();
    };
    mac.update(payload);
    hex::encode(mac.finalize().into_bytes())
}

/// Leaves RFC 3986's unreserved characters and encodes every other byte.
fn percent_encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> SecretString {
        "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9".into()
    }

    #[test]
    fn the_published_example_has_the_published_signature() {
        let payload = b"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943";
        assert_eq!(
            sign(&secret(), payload),
            "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
        );
    }

    #[test]
    fn query_and_body_are_signed_without_anything_between_them() {
        let payload = b"symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTCquantity=1&price=9000&recvWindow=5000&timestamp=1591702613943";
        assert_eq!(
            sign(&secret(), payload),
            "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4"
        );
    }

    #[test]
    fn the_parameters_of_the_example_come_out_as_published() {
        let (text, signature) = Params::new()
            .with("symbol", "BTCUSDT")
            .with("side", "BUY")
            .with("type", "LIMIT")
            .with_decimal("quantity", Decimal::new(100, 2))
            .with_decimal("price", Decimal::new(9000, 0))
            .with("timeInForce", "GTC")
            .signed(&secret(), 1_591_702_613_943, 5000);
        assert_eq!(signature, "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9");
        assert!(text.ends_with(&format!("&timestamp=1591702613943&signature={signature}")), "{text}");
    }

    #[test]
    fn text_outside_ascii_is_percent_encoded_before_signing() {
        let text = Params::new().with("symbol", "测试USDT").with("id", "a/b:c d").into_string();
        assert_eq!(text, "symbol=%E6%B5%8B%E8%AF%95USDT&id=a%2Fb%3Ac%20d");
    }

    #[test]
    fn decimals_are_sent_plain_and_short() {
        let text = Params::new()
            .with_decimal("a", Decimal::new(1, 8))
            .with_decimal("b", Decimal::new(1_230_000, 4))
            .with_decimal("c", Decimal::new(5_000_000_000, 0))
            .into_string();
        assert_eq!(text, "a=0.00000001&b=123&c=5000000000");
    }
}
