//! Durations as Go writes and reads them (`time.ParseDuration`, `Duration.String`): `300ms`, `-1.5h`, `1h2m0s`.
//!
//! Like there, a duration is a whole number of nanoseconds that fits into 63 bits, about 292 years either way.

use jiff::SignedDuration;

/// Units, longest text first where one begins with another, and their nanoseconds.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Why a text is not a duration. The texts are those of Go, which users see in many places.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a sequence of numbers with units, or too long.
    #[error("time: invalid duration {0:?}")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration {0:?}")]
    MissingUnit(String),
    /// A unit that is none of `ns`, `us`, `ms`, `s`, `m`, `h`.
    #[error("time: unknown unit {unit:?} in duration {text:?}")]
    UnknownUnit {
        /// What stands in the place of a unit.
        unit: String,
        /// The whole text.
        text: String,
    },
}

/// Reads a Go duration. A fraction of a nanosecond is cut off.
///
/// # Errors
/// When the text is not one, or the duration does not fit into 63 bits of nanoseconds.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if unsigned == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut rest = unsigned;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (nanoseconds, after) = parse_term(rest, text)?;
        total = total
            .checked_add(nanoseconds)
            .filter(|sum| *sum <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    let limit = if negative { 1 << 63 } else { i64::MAX as u64 };
    if total > limit {
        return Err(invalid());
    }
    let signed = if negative {
        0i64.wrapping_sub_unsigned(total)
    } else {
        total as i64
    };
    Ok(SignedDuration::from_nanos(signed))
}

/// Reads one number with its unit from the start of `rest`: its nanoseconds, and what follows.
fn parse_term<'a>(rest: &'a str, text: &str) -> Result<(u64, &'a str), DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (whole, after) = split_digits(rest);
    let (fraction, after) = after.strip_prefix('.').map_or(("", after), split_digits);
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let end = after
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(after.len());
    let (unit, after) = after.split_at(end);
    if unit.is_empty() {
        return Err(DurationError::MissingUnit(text.to_owned()));
    }
    let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(DurationError::UnknownUnit {
            unit: unit.to_owned(),
            text: text.to_owned(),
        });
    };
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| invalid())?
    };
    let nanoseconds = whole.checked_mul(*scale).ok_or_else(invalid)?;
    let nanoseconds = nanoseconds
        .checked_add(fraction_of(fraction, *scale))
        .ok_or_else(invalid)?;
    Ok((nanoseconds, after))
}

/// `0.<digits>` of `scale`, cut off. Digits that can no longer matter (below 10⁻¹⁸) are left out.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let (mut value, mut divisor) = (0u128, 1u128);
    for digit in digits.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        divisor *= 10;
    }
    (value * u128::from(scale) / divisor) as u64
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Writes a duration as Go does: `1h2m0.5s`, `1.5ms`, `0s`.
///
/// A duration that does not fit into 63 bits of nanoseconds is written as the longest one that does.
pub fn format(duration: SignedDuration) -> String {
    let nanoseconds = duration.as_nanos().clamp(i64::MIN.into(), i64::MAX.into());
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let amount = nanoseconds.unsigned_abs();
    let second = 1_000_000_000;
    match amount {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{amount}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", decimal(amount, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", decimal(amount, 1_000_000)),
        _ => {
            let (minutes, rest) = (amount / (60 * second), amount % (60 * second));
            let seconds = decimal(rest, second);
            match (minutes / 60, minutes % 60) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

/// `amount / unit` as a decimal number without trailing zeros; `unit` is a power of ten.
fn decimal(amount: u128, unit: u128) -> String {
    let (whole, fraction) = (amount / unit, amount % unit);
    if fraction == 0 {
        return whole.to_string();
    }
    let width = unit.ilog10() as usize;
    let digits = format!("{fraction:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("-0", 0),
            ("5s", 5_000_000_000),
            ("+5s", 5_000_000_000),
            ("-30s", -30_000_000_000),
            ("1478s", 1_478_000_000_000),
            ("5.s", 5_000_000_000),
            (".5s", 500_000_000),
            ("1.5h", 5_400_000_000_000),
            ("1h2m3.004s", 3_723_004_000_000),
            ("12µs", 12_000),
            ("12μs", 12_000),
            ("12us", 12_000),
            ("39h9m14.425s", 140_954_425_000_000),
            ("0.3333333333333333333h", 1_200_000_000_000 - 1),
            ("9223372036854775807ns", i64::MAX),
            ("-9223372036854775808ns", i64::MIN),
        ] {
            assert_eq!(parse(text), Ok(SignedDuration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn says_why_a_text_is_not_a_duration() {
        for (text, error) in [
            ("", r#"time: invalid duration """#),
            ("-", r#"time: invalid duration "-""#),
            (".", r#"time: invalid duration ".""#),
            ("s", r#"time: invalid duration "s""#),
            ("+-3s", r#"time: invalid duration "+-3s""#),
            ("3", r#"time: missing unit in duration "3""#),
            ("1h2", r#"time: missing unit in duration "1h2""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1 s", r#"time: unknown unit " s" in duration "1 s""#),
            (
                "9223372036854775808ns",
                r#"time: invalid duration "9223372036854775808ns""#,
            ),
            ("2562048h", r#"time: invalid duration "2562048h""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn writes_what_go_writes() {
        for (nanoseconds, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_100, "1.1µs"),
            (2_200_000, "2.2ms"),
            (3_300_000_000, "3.3s"),
            (60_000_000_000, "1m0s"),
            (245_000_000_000, "4m5s"),
            (18_367_001_000_000, "5h6m7.001s"),
            (-90_000_000_000, "-1m30s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(format(SignedDuration::from_nanos(nanoseconds)), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(nanoseconds: i64) {
            let duration = SignedDuration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn reading_never_panics(text in "[-+0-9.hmsuµn ]{0,40}|\\PC{0,20}") {
            let _ = parse(&text);
        }
    }
}
