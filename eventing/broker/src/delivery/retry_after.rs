//! The `Retry-After` header (RFC 9110 §10.2.3).

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// The wait that a `Retry-After` header asks for: whole seconds, or until an HTTP date. A date that has passed asks for
/// none. `None` when it says neither.
pub fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits only, so what fails is too big to be waited for anyway.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = http_date(value)?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

/// IMF-fixdate, the one form that may be sent; the two obsolete ones are not understood.
fn http_date(value: &str) -> Option<Timestamp> {
    value.strip_suffix(" GMT")?;
    DateTimeParser::new().parse_timestamp(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let rows = [
            ("0", Some(0)),
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sat, 21 Nov 2026 10:00:30 GMT", Some(30)),
            ("Sat, 21 Nov 2026 09:59:30 GMT", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("2026-11-21T10:00:30Z", None),
        ];
        for (value, seconds) in rows {
            assert_eq!(
                parse_retry_after(value, now),
                seconds.map(Duration::from_secs),
                "{value:?}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_parser(value in "\\PC{0,40}") {
            let _ = parse_retry_after(&value, Timestamp::UNIX_EPOCH);
        }
    }
}
