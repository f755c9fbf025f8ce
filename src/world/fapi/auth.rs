//! Who asks, and did they sign it: over the raw bytes as they came.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::error::ApiError;
use super::params::Params;

/// Longest and usual validity of a signed request, ms.
const LONGEST_WINDOW: i64 = 60_000;
const USUAL_WINDOW: i64 = 5_000;
/// How far a client's clock may be ahead, ms.
const AHEAD: i64 = 1_000;

/// The bytes a signature covers: query and body as they came, without the signature itself.
fn signed_bytes(query: &str, body: &str) -> (String, Option<String>) {
    if let Some((rest, signature)) = cut_signature(query) {
        return (rest + body, Some(signature));
    }
    if let Some((rest, signature)) = cut_signature(body) {
        return (query.to_owned() + &rest, Some(signature));
    }
    (query.to_owned() + body, None)
}

fn cut_signature(text: &str) -> Option<(String, String)> {
    let mut start = 0;
    for pair in text.split('&') {
        let end = start + pair.len();
        if let Some(signature) = pair.strip_prefix("signature=") {
            let (before, after) = (text.get(..start.saturating_sub(1))?, text.get(end..)?);
            // At the very front the separator behind goes with it, elsewhere the one before.
            let after = if start == 0 { after.strip_prefix('&').unwrap_or(after) } else { after };
            return Some((format!("{before}{after}"), signature.to_owned()));
        }
        start = end + 1;
    }
    None
}

/// Checks timestamp and signature of a signed request. `wall_ms` is wall time: signing never follows market time.
pub(crate) fn check_signed(
    query: &str,
    body: &str,
    params: &Params,
    secret: &str,
    wall_ms: i64,
) -> Result<(), ApiError> {
    let timestamp = params.natural("timestamp")?.ok_or_else(|| ApiError::missing("timestamp"))?;
    let window = params.natural("recvWindow")?.unwrap_or(USUAL_WINDOW);
    if window > LONGEST_WINDOW {
        return Err(ApiError::new(-1131, "recvWindow must be less than 60000"));
    }
    let (signed, signature) = signed_bytes(query, body);
    let signature =
        signature.filter(|text| !text.is_empty()).ok_or_else(|| ApiError::missing("signature"))?;
    if timestamp >= wall_ms.saturating_add(AHEAD) || wall_ms.saturating_sub(timestamp) > window {
        return Err(ApiError::new(-1021, "Timestamp for this request is outside of the recvWindow."));
    }
    if is_signature(secret, signed.as_bytes(), &signature) {
        Ok(())
    } else {
        Err(ApiError::new(-1022, "Signature for this request is not valid."))
    }
}

fn is_signature(secret: &str, signed: &[u8], signature: &str) -> bool {
    let Ok(given) = hex::decode(signature) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(signed);
    mac.verify_slice(&given).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
    const NOW: i64 = 1_591_702_613_943;

    fn check(query: &str, body: &str, wall_ms: i64) -> Result<(), i32> {
        check_signed(query, body, &Params::parse(query, body), SECRET, wall_ms).map_err(|error| error.code)
    }

    #[test]
    fn the_published_example_verifies() {
        let query = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9";
        assert_eq!(check(query, "", NOW), Ok(()));
        assert_eq!(check(&query.replace("signature=3c66", "signature=3C66"), "", NOW), Ok(()));
        assert_eq!(check(&query.replace("quantity=1", "quantity=2"), "", NOW), Err(-1022));
    }

    #[test]
    fn query_and_body_are_signed_without_a_separator_and_the_signature_may_sit_in_either() {
        let query = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC";
        let body = "quantity=1&price=9000&recvWindow=5000&timestamp=1591702613943";
        let signature = "30baaf0fab549bbeda7f5ef201898b34122da25fd23c646cac2c529aebe670a4";
        assert_eq!(check(&format!("{query}&signature={signature}"), body, NOW), Ok(()));
        assert_eq!(check(query, &format!("{body}&signature={signature}"), NOW), Ok(()));
        assert_eq!(check(query, &format!("signature={signature}&{body}"), NOW), Ok(()));
    }

    #[test]
    fn the_timestamp_must_be_inside_the_window() {
        let query = "timestamp=1591702613943&recvWindow=5000&signature=00";
        assert_eq!(check(query, "", NOW + 5_000), Err(-1022));
        assert_eq!(check(query, "", NOW + 5_001), Err(-1021));
        assert_eq!(check(query, "", NOW - 999), Err(-1022));
        assert_eq!(check(query, "", NOW - 1_000), Err(-1021));
        assert_eq!(check("timestamp=1&recvWindow=60001&signature=00", "", NOW), Err(-1131));
        assert_eq!(check("timestamp=1&recvWindow=-1&signature=00", "", NOW), Err(-1100));
        assert_eq!(check("timestamp=1&recvWindow=abc&signature=00", "", NOW), Err(-1100));
        for stamp in ["x", "-1", "+1591702613943", "%2B1591702613943", "1591702613943+", "1.5e12"] {
            assert_eq!(check(&format!("timestamp={stamp}&signature=00"), "", NOW), Err(-1100), "{stamp}");
        }
        assert_eq!(check("timestamp=&signature=00", "", NOW), Err(-1102));
        assert_eq!(check("timestamp=1591702613943", "", NOW), Err(-1102));
        assert_eq!(check("timestamp=1591702613943&signature=zz", "", NOW), Err(-1022));
    }
}
