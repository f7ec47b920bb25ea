//! How git hosts show that they know the secret.

use http::HeaderMap;
use ring::hmac;

use crate::delivery::Host;

/// What is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// HMAC-SHA-256 of the body.
    OfBody([u8; 32]),
    /// The secret itself.
    Token(String),
}

/// A signature that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the header {0} must be there once, with 64 hexadecimal digits of HMAC-SHA-256")]
pub struct SignatureError(&'static str);

/// The header, and what comes before the digits.
fn places(host: Host) -> &'static [(&'static str, &'static str)] {
    match host {
        Host::GitHub | Host::Plain => &[("x-hub-signature-256", "sha256=")],
        Host::Gitea => &[
            ("x-forgejo-signature", ""),
            ("x-gitea-signature", ""),
            ("x-hub-signature-256", "sha256="),
        ],
        Host::Bitbucket => &[("x-hub-signature-256", "sha256="), ("x-hub-signature", "sha256=")],
        Host::GitLab => &[],
    }
}

impl Signature {
    /// The signature of a delivery, if it has one.
    pub(super) fn read(host: Host, headers: &HeaderMap) -> Result<Option<Self>, SignatureError> {
        if host == Host::GitLab {
            let token = one(headers, "x-gitlab-token")?;
            return Ok(token
                .filter(|token| !token.is_empty())
                .map(|token| Self::Token(token.to_owned())));
        }
        for (name, prefix) in places(host) {
            let Some(text) = one(headers, name)? else {
                continue;
            };
            // Gitea sends an empty one where it has no secret.
            if text.is_empty() {
                continue;
            }
            let digits = text.strip_prefix(prefix).and_then(digits);
            return digits
                .map(|digits| Some(Self::OfBody(digits)))
                .ok_or(SignatureError(name));
        }
        Ok(None)
    }

    /// Was it made with this secret? The time it takes says nothing about the secret.
    pub(super) fn fits(&self, secret: &[u8], body: &[u8]) -> bool {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        match self {
            Self::OfBody(digest) => hmac::verify(&key, body, digest).is_ok(),
            Self::Token(token) => {
                let own = hmac::sign(&key, secret);
                hmac::verify(&key, token.as_bytes(), own.as_ref()).is_ok()
            }
        }
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, SignatureError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| SignatureError(name)),
        (Some(_), Some(_)) => Err(SignatureError(name)),
    }
}

/// 32 bytes from 64 hexadecimal digits, of either case.
fn digits(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn hex(secret: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let tag = hmac::sign(&key, body);
        tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn each_host_signs_in_its_way() {
        let digits = hex("secret", b"body");
        let long = format!("sha256={digits}");
        for (host, name, value, fits) in [
            (Host::GitHub, "x-hub-signature-256", long.as_str(), Some(true)),
            (Host::GitHub, "x-hub-signature", "sha1=0000", None),
            (Host::Plain, "x-hub-signature-256", &long, Some(true)),
            (Host::Gitea, "x-gitea-signature", &digits, Some(true)),
            (Host::Gitea, "x-forgejo-signature", &digits, Some(true)),
            (Host::Gitea, "x-hub-signature-256", &long, Some(true)),
            (Host::Gitea, "x-gitea-signature", "", None),
            (Host::Bitbucket, "x-hub-signature", &long, Some(true)),
            (Host::GitLab, "x-gitlab-token", "secret", Some(true)),
            (Host::GitLab, "x-gitlab-token", "secret ", Some(false)),
            (Host::GitLab, "x-gitlab-token", "", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
            let signature = Signature::read(host, &headers).unwrap();
            let found = signature.map(|signature| signature.fits(b"secret", b"body"));
            assert_eq!(found, fits, "{host:?} {name}: {value}");
        }
    }

    #[test]
    fn other_bodies_secrets_and_shapes_do_not_fit() {
        let mut headers = HeaderMap::new();
        let long = format!("sha256={}", hex("secret", b"body"));
        headers.insert("x-hub-signature-256", HeaderValue::from_str(&long).unwrap());
        let signature = Signature::read(Host::GitHub, &headers).unwrap().unwrap();
        assert!(!signature.fits(b"secret", b"Body") && !signature.fits(b"Secret", b"body"));
        for wrong in ["sha256=", "sha256=00", "sha1=0000", &long[7..]] {
            headers.insert("x-hub-signature-256", HeaderValue::from_str(wrong).unwrap());
            assert!(Signature::read(Host::GitHub, &headers).is_err(), "{wrong}");
        }
    }
}
