//! What GitHub says about a delivery in its headers.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// Longest name of an event, and longest delivery id: GitHub's are half as long.
const LONGEST: usize = 64;

/// The head of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// GitHub's name of the event, such as `push`.
    pub event: String,
    /// The same when the delivery is made again.
    pub id: String,
    /// HMAC-SHA-256 of the body.
    pub signature: [u8; 32],
}

/// What is wrong with the head of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    #[error("the header X-GitHub-Event must name one event")]
    Event,
    #[error("the header X-GitHub-Delivery must have one id")]
    Delivery,
    #[error("the header X-Hub-Signature-256 is missing: the webhook needs a secret")]
    Unsigned,
    #[error("the header X-Hub-Signature-256 must be sha256= and 64 hexadecimal digits")]
    Signature,
    #[error("the content type of the webhook must be application/json")]
    ContentType,
}

impl Head {
    /// # Errors
    /// When the request is no delivery of GitHub's.
    pub fn read(headers: &HeaderMap) -> Result<Self, HeadError> {
        let event = one(headers, "x-github-event")
            .filter(|name| {
                is_short(name, |byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
                })
            })
            .ok_or(HeadError::Event)?;
        let id = one(headers, "x-github-delivery")
            .filter(|id| is_short(id, |byte| byte.is_ascii_alphanumeric() || byte == b'-'))
            .ok_or(HeadError::Delivery)?;
        if !headers.contains_key("x-hub-signature-256") {
            return Err(HeadError::Unsigned);
        }
        let signature = one(headers, "x-hub-signature-256")
            .and_then(|text| digits(text.strip_prefix("sha256=")?))
            .ok_or(HeadError::Signature)?;
        let json = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                let essence = value.split(';').next().unwrap_or_default();
                essence.trim().eq_ignore_ascii_case("application/json")
            });
        if !json {
            return Err(HeadError::ContentType);
        }
        Ok(Self {
            event: event.to_owned(),
            id: id.to_owned(),
            signature,
        })
    }
}

/// The value of a header that is there once.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}

fn is_short(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(allowed)
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
    use proptest::prelude::*;

    use super::*;

    fn headers(changes: &[(&'static str, Option<&str>)]) -> HeaderMap {
        let signature = format!("sha256={}", "0f".repeat(32));
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-github-event", "push"),
            ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
            ("x-hub-signature-256", &signature),
            ("content-type", "application/json"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        for (name, value) in changes {
            match value {
                Some(value) => headers.insert(*name, HeaderValue::from_str(value).unwrap()),
                None => headers.remove(*name),
            };
        }
        headers
    }

    #[test]
    fn heads_are_read_or_refused() {
        let head = Head::read(&headers(&[])).unwrap();
        assert_eq!((head.event.as_str(), head.signature), ("push", [0x0f; 32]));
        assert_eq!(head.id, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
        let upper = format!("sha256={}", "0F".repeat(32));
        assert_eq!(
            Head::read(&headers(&[("x-hub-signature-256", Some(&upper))])).unwrap(),
            head
        );
        assert!(
            Head::read(&headers(&[(
                "content-type",
                Some("Application/JSON; charset=utf-8")
            )]))
            .is_ok()
        );

        let long = "a".repeat(65);
        let (short, longer) = (
            format!("sha256={}", "0f".repeat(31)),
            format!("sha256={}", "0f".repeat(33)),
        );
        let (prefix, no_digits) = (
            format!("sha1={}", "0f".repeat(32)),
            format!("sha256={}", "0g".repeat(32)),
        );
        let (plus, case) = (
            format!("sha256=+{}", "0".repeat(63)),
            format!("SHA256={}", "0f".repeat(32)),
        );
        for (name, value, error) in [
            ("x-github-event", None, HeadError::Event),
            ("x-github-event", Some(""), HeadError::Event),
            ("x-github-event", Some("Push"), HeadError::Event),
            ("x-github-event", Some("push/x"), HeadError::Event),
            ("x-github-event", Some(long.as_str()), HeadError::Event),
            ("x-github-delivery", None, HeadError::Delivery),
            ("x-github-delivery", Some(""), HeadError::Delivery),
            ("x-github-delivery", Some("a b"), HeadError::Delivery),
            ("x-github-delivery", Some(long.as_str()), HeadError::Delivery),
            ("x-hub-signature-256", None, HeadError::Unsigned),
            ("x-hub-signature-256", Some(""), HeadError::Signature),
            ("x-hub-signature-256", Some("sha256="), HeadError::Signature),
            ("x-hub-signature-256", Some("s"), HeadError::Signature),
            ("x-hub-signature-256", Some(short.as_str()), HeadError::Signature),
            ("x-hub-signature-256", Some(longer.as_str()), HeadError::Signature),
            ("x-hub-signature-256", Some(prefix.as_str()), HeadError::Signature),
            (
                "x-hub-signature-256",
                Some(no_digits.as_str()),
                HeadError::Signature,
            ),
            ("x-hub-signature-256", Some(plus.as_str()), HeadError::Signature),
            ("x-hub-signature-256", Some(case.as_str()), HeadError::Signature),
            ("content-type", None, HeadError::ContentType),
            (
                "content-type",
                Some("application/x-www-form-urlencoded"),
                HeadError::ContentType,
            ),
        ] {
            assert_eq!(
                Head::read(&headers(&[(name, value)])),
                Err(error),
                "{name}: {value:?}"
            );
        }
        for name in ["x-github-event", "x-github-delivery", "x-hub-signature-256"] {
            let mut twice = headers(&[]);
            twice.append(name, twice[name].clone());
            assert!(Head::read(&twice).is_err(), "{name} twice");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            event in proptest::collection::vec(any::<u8>(), 0..80),
            id in proptest::collection::vec(any::<u8>(), 0..80),
            signature in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut headers = headers(&[]);
            for (name, value) in [("x-github-event", event), ("x-github-delivery", id), ("x-hub-signature-256", signature)] {
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    headers.insert(name, value);
                }
            }
            if let Ok(head) = Head::read(&headers) {
                prop_assert!(!head.id.is_empty() && head.id.len() <= LONGEST);
                prop_assert!(!head.event.is_empty() && head.event.len() <= LONGEST);
            }
        }

        #[test]
        fn signatures_read_back(bytes in any::<[u8; 32]>(), upper in any::<bool>()) {
            let text: String = bytes.iter().map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") }).collect();
            let head = Head::read(&headers(&[("x-hub-signature-256", Some(&format!("sha256={text}")))])).unwrap();
            prop_assert_eq!(head.signature, bytes);
        }
    }
}
