//! Signatures of bodies, compared in constant time.

use ring::hmac;

/// How a body is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-1, for hosts that know nothing better.
    Sha1,
}

/// Was `message` signed with `secret`? `signature` is hexadecimal, of either case.
pub fn fits(algorithm: Algorithm, secret: &[u8], message: &[u8], signature: &str) -> bool {
    let algorithm = match algorithm {
        Algorithm::Sha256 => hmac::HMAC_SHA256,
        Algorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
    };
    let Some(signature) = bytes(signature) else {
        return false;
    };
    hmac::verify(&hmac::Key::new(algorithm, secret), message, &signature).is_ok()
}

/// Are both the same? Takes as long for any two texts of equal length.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    use subtle::ConstantTimeEq as _;
    one.ct_eq(other).into()
}

/// Bytes from hexadecimal digits; none if there are more than any signature has.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if text.len() > 128 || !text.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    text.chunks_exact(2)
        .map(|pair| {
            let [high, low] = pair else { return None };
            u8::try_from(digit(high)? << 4 | digit(low)?).ok()
        })
        .collect()
}
