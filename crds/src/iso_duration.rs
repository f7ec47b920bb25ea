//! Durations as delivery specs write them: ISO 8601, with fractions and date parts.

use std::time::Duration;

use jiff::fmt::temporal::SpanParser;

/// Seconds of a year of the Gregorian calendar, on average.
const YEAR: f64 = 365.2425 * DAY;
const DAY: f64 = 86_400.0;

/// Why a text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IsoDurationError {
    /// It does not follow the grammar.
    #[error("{0}")]
    Syntax(String),
    /// Only durations of zero and more have a meaning here.
    #[error("a duration must not be negative: {0}")]
    Negative(String),
}

/// Reads `PT0.2S`, `PT1M30S`, `P1DT1H`. A month is a twelfth of an average year, as in the peers' libraries; Go's own
/// notation (`10s`) is none.
///
/// # Errors
/// Says what is wrong with the text.
pub fn parse(text: &str) -> Result<Duration, IsoDurationError> {
    let span = SpanParser::new()
        .parse_span(text)
        .map_err(|error| IsoDurationError::Syntax(error.to_string()))?;
    if span.is_negative() {
        return Err(IsoDurationError::Negative(text.to_owned()));
    }
    let calendar = f64::from(span.get_years()) * YEAR
        + f64::from(span.get_months()) * YEAR / 12.0
        + f64::from(span.get_weeks()) * 7.0 * DAY
        + f64::from(span.get_days()) * DAY;
    let whole = i64::from(span.get_hours()) * 3600 + span.get_minutes() * 60 + span.get_seconds();
    let parts = [
        Duration::try_from_secs_f64(calendar).map_err(|error| IsoDurationError::Syntax(error.to_string()))?,
        Duration::from_secs(whole.unsigned_abs()),
        Duration::from_millis(span.get_milliseconds().unsigned_abs()),
        Duration::from_micros(span.get_microseconds().unsigned_abs()),
        Duration::from_nanos(span.get_nanoseconds().unsigned_abs()),
    ];
    Ok(parts.into_iter().fold(Duration::ZERO, Duration::saturating_add))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_iso_durations_that_are_not_negative_are_read() {
        for (text, expected) in [
            ("PT0.2S", Some(Duration::from_millis(200))),
            ("PT0S", Some(Duration::ZERO)),
            ("PT1M30S", Some(Duration::from_secs(90))),
            ("P1DT1H", Some(Duration::from_secs(90_000))),
            ("P2W", Some(Duration::from_secs(14 * 86_400))),
            ("P1Y", Some(Duration::from_secs(31_556_952))),
            ("P1M", Some(Duration::from_secs(2_629_746))),
            ("PT0.0000005S", Some(Duration::from_nanos(500))),
            ("10s", None),
            ("1", None),
            ("", None),
            ("-PT1S", None),
            ("PT", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,24}", number in any::<i64>()) {
            let _ = parse(&text);
            let _ = parse(&format!("P{number}Y{number}M{number}DT{number}H{number}M{number}S"));
        }

        #[test]
        fn seconds_are_what_they_say(seconds in 0u32..1_000_000) {
            prop_assert_eq!(parse(&format!("PT{seconds}S")), Ok(Duration::from_secs(seconds.into())));
        }
    }
}
