//! Times of runs.

use formats::duration;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// What stands for a time that is not known.
const UNKNOWN: &str = "---";
/// Units in seconds, the largest first.
const UNITS: [(i64, &str); 6] = [
    (365 * 86_400, "year"),
    (7 * 86_400, "week"),
    (86_400, "day"),
    (3600, "hour"),
    (60, "minute"),
    (1, "second"),
];

/// `5 minutes ago`: the largest unit alone.
pub fn ago(time: &Value, now: Timestamp) -> String {
    match instant(time) {
        Some(then) => format!("{} ago", largest(now.duration_since(then))),
        None => UNKNOWN.to_owned(),
    }
}

/// `1m30s` from `start` to `end`.
pub fn lasted(start: &Value, end: &Value) -> String {
    match (instant(start), instant(end)) {
        (Some(start), Some(end)) => duration::format(end.duration_since(start)),
        _ => UNKNOWN.to_owned(),
    }
}

/// `1 hour 30 minutes` for `1h30m0s`; what cannot be read stays as it is.
pub fn words(text: &str) -> String {
    let Ok(length) = duration::parse(text) else {
        return text.to_owned();
    };
    let mut seconds = length.as_secs();
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        if seconds >= size {
            parts.push(counted(seconds / size, unit));
            seconds %= size;
        }
    }
    match parts.is_empty() {
        true => "0 seconds".to_owned(),
        false => parts.join(" "),
    }
}

/// A time of an object.
pub fn instant(time: &Value) -> Option<Timestamp> {
    time.as_str()?.parse().ok()
}

fn largest(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let unit = UNITS.iter().find(|(size, _)| seconds >= *size);
    match unit {
        Some((size, unit)) => counted(seconds / size, unit),
        // A clock that is behind counts as just now.
        None => counted(i64::from(length.subsec_millis().max(0)), "millisecond"),
    }
}

fn counted(count: i64, unit: &str) -> String {
    match count {
        1 => format!("1 {unit}"),
        _ => format!("{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_told_in_their_largest_unit() {
        let start = json!("2026-01-01T00:00:00Z");
        for (now, expected) in [
            ("2026-01-01T00:00:00.250Z", "250 milliseconds ago"),
            ("2026-01-01T00:00:01Z", "1 second ago"),
            ("2026-01-01T00:00:59Z", "59 seconds ago"),
            ("2026-01-01T00:01:59Z", "1 minute ago"),
            ("2026-01-01T05:00:00Z", "5 hours ago"),
            ("2026-01-03T00:00:00Z", "2 days ago"),
            ("2026-01-15T00:00:00Z", "2 weeks ago"),
            ("2027-06-01T00:00:00Z", "1 year ago"),
            ("2025-12-31T00:00:00Z", "0 milliseconds ago"),
        ] {
            assert_eq!(ago(&start, now.parse().unwrap()), expected, "{now}");
        }
        assert_eq!(ago(&json!(null), Timestamp::UNIX_EPOCH), "---");
    }

    #[test]
    fn durations_are_those_of_go() {
        let at = |time: &str| json!(format!("2026-01-01T{time}Z"));
        for (end, expected) in [
            ("00:00:00", "0s"),
            ("00:00:16", "16s"),
            ("00:01:00", "1m0s"),
            ("01:01:01", "1h1m1s"),
        ] {
            assert_eq!(lasted(&at("00:00:00"), &at(end)), expected);
        }
        assert_eq!(lasted(&at("00:00:00"), &json!(null)), "---");
        assert_eq!(lasted(&json!(null), &at("00:00:00")), "---");
    }

    #[test]
    fn timeouts_are_told_in_words() {
        for (text, expected) in [
            ("1h0m0s", "1 hour"),
            ("1h30m0s", "1 hour 30 minutes"),
            ("90s", "1 minute 30 seconds"),
            ("0s", "0 seconds"),
            ("soon", "soon"),
        ] {
            assert_eq!(words(text), expected);
        }
    }
}
