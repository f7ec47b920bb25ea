//! Durations as kubectl shows them: two units at most, coarser the longer (`apimachinery/pkg/util/duration`).

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::json::text;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

/// Formats a duration: `45s`, `3m20s`, `5h`, `12d`, `2y40d`.
pub fn human_duration(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        // Clocks may differ by a little.
        ..-1 => "<invalid>".to_owned(),
        -1..0 => "0s".to_owned(),
        0..120 => format!("{seconds}s"),
        120..600 => two(seconds, MINUTE, "m", 1, "s"),
        600..10_800 => format!("{}m", seconds / MINUTE),
        10_800..28_800 => two(seconds, HOUR, "h", MINUTE, "m"),
        28_800..172_800 => format!("{}h", seconds / HOUR),
        172_800..691_200 => two(seconds, DAY, "d", HOUR, "h"),
        691_200..63_072_000 => format!("{}d", seconds / DAY),
        63_072_000..252_288_000 => two(seconds, YEAR, "y", DAY, "d"),
        _ => format!("{}y", seconds / YEAR),
    }
}

fn two(seconds: i64, major: i64, major_unit: &str, minor: i64, minor_unit: &str) -> String {
    let rest = seconds % major / minor;
    match rest {
        0 => format!("{}{major_unit}", seconds / major),
        _ => format!("{}{major_unit}{rest}{minor_unit}", seconds / major),
    }
}

/// Formats the time since an RFC 3339 timestamp; `<unknown>` when there is none.
pub fn age_since(timestamp: &str, now: Timestamp) -> String {
    match timestamp.parse::<Timestamp>() {
        Ok(then) => human_duration(now.duration_since(then)),
        Err(_) => "<unknown>".to_owned(),
    }
}

/// The age of an object.
pub(super) fn created(object: &Value, now: Timestamp) -> String {
    age_since(text(object, &["metadata", "creationTimestamp"]), now)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::{age_since, human_duration};

    #[test]
    fn durations_get_coarser() {
        for (seconds, text) in [
            (-5, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_000, "3h3m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (180_000, "2d2h"),
            (691_200, "8d"),
            (63_071_999, "729d"),
            (63_072_000, "2y"),
            (63_072_000 + 86_400, "2y1d"),
            (252_288_000, "8y"),
        ] {
            assert_eq!(
                human_duration(SignedDuration::from_secs(seconds)),
                text,
                "{seconds}"
            );
        }
    }

    #[test]
    fn ages_need_a_timestamp() {
        let now = "2026-01-01T00:10:00Z".parse().unwrap();
        assert_eq!(age_since("2026-01-01T00:00:00Z", now), "10m");
        assert_eq!(age_since("2026-01-01T00:09:59.5Z", now), "0s");
        assert_eq!(age_since("", now), "<unknown>");
    }
}
