//! ISO 8601 durations.

use std::time::Duration;

use jiff::fmt::temporal::SpanParser;
use jiff::{SignedDuration, Span};

/// Gregorian means in seconds, as upstream counts the date parts.
const YEAR: i64 = 31_556_952;
const MONTH: i64 = 2_629_746;
const WEEK: i64 = 7 * DAY;
const DAY: i64 = 24 * 3600;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("{0:?} is no ISO 8601 duration; ten seconds are written PT10S")]
    Syntax(String),
    #[error("{0:?} is negative")]
    Negative(String),
    #[error("{0:?} is too long")]
    TooLong(String),
}

/// Reads an ISO 8601 duration: `PT0.2S`, `P1DT2H`. A year counts 365.2425 days and a month a twelfth of it.
///
/// # Errors
/// When it is something else (as a Go-style `10s`), negative, or longer than a [`SignedDuration`] can be.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    // Strict, unlike `Span::from_str`, which also takes `10s`.
    let span: Span = SpanParser::new()
        .parse_span(text)
        .map_err(|_| DurationError::Syntax(text.to_owned()))?;
    if span.is_negative() {
        return Err(DurationError::Negative(text.to_owned()));
    }
    let dates = i64::from(span.get_years()) * YEAR
        + i64::from(span.get_months()) * MONTH
        + i64::from(span.get_weeks()) * WEEK
        + i64::from(span.get_days()) * DAY;
    let clock = span.years(0).months(0).weeks(0).days(0);
    SignedDuration::try_from(clock)
        .ok()
        .and_then(|clock| clock.checked_add(SignedDuration::from_secs(dates)))
        .and_then(|total| Duration::try_from(total).ok())
        .ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_durations_are_read() {
        let rows = [
            ("PT0.2S", 200),
            ("PT0S", 0),
            ("PT10S", 10_000),
            ("PT1M30S", 90_000),
            ("PT2H", 7_200_000),
            ("P1D", 86_400_000),
            ("P1DT1S", 86_401_000),
            ("P1W", 604_800_000),
            ("P1M", 2_629_746_000),
            ("P1Y", 31_556_952_000),
            ("PT0.001S", 1),
        ];
        for (text, millis) in rows {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "10s", "10", "P", "PT", "0.2", "1 second", "PT1X", " PT1S", "PT1S ",
        ] {
            assert_eq!(
                parse_duration(text),
                Err(DurationError::Syntax(text.to_owned())),
                "{text:?}"
            );
        }
        assert_eq!(
            parse_duration("-PT1S"),
            Err(DurationError::Negative("-PT1S".to_owned()))
        );
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "\\PC{0,20}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn whole_seconds_come_back(seconds in 0u64..1_000_000) {
            proptest::prop_assert_eq!(parse_duration(&format!("PT{seconds}S")), Ok(Duration::from_secs(seconds)));
        }
    }
}
