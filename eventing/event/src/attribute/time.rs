//! What is a timestamp.

/// Whether `text` is a `date-time` of RFC 3339. A parser of dates would allocate nothing either, but takes far more
/// notations, and other readers of the event do not.
pub(super) fn is_rfc3339(text: &str) -> bool {
    read(text.as_bytes()).is_some()
}

fn read(text: &[u8]) -> Option<()> {
    let (date, rest) = text.split_at_checked(10)?;
    let year = number(date.get(0..4)?)?;
    let month = number(date.get(5..7)?)?;
    let day = number(date.get(8..10)?)?;
    let (t, rest) = rest.split_first()?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let hour = number(clock.get(0..2)?)?;
    let minute = number(clock.get(3..5)?)?;
    let second = number(clock.get(6..8)?)?;
    let separated = date.get(4) == Some(&b'-')
        && date.get(7) == Some(&b'-')
        && matches!(t, b'T' | b't')
        && clock.get(2) == Some(&b':')
        && clock.get(5) == Some(&b':');
    // 60 is a leap second.
    let ranges = (1..=days(year, month)?).contains(&day) && hour <= 23 && minute <= 59 && second <= 60;
    (separated && ranges && is_offset(after_fraction(rest)?)).then_some(())
}

fn after_fraction(rest: &[u8]) -> Option<&[u8]> {
    let Some(digits) = rest.strip_prefix(b".") else {
        return Some(rest);
    };
    let end = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if end == 0 { None } else { digits.get(end..) }
}

fn is_offset(rest: &[u8]) -> bool {
    match rest {
        b"Z" | b"z" => true,
        [b'+' | b'-', hours @ .., b':', m0, m1] => {
            hours.len() == 2
                && number(hours).is_some_and(|hours| hours <= 23)
                && number(&[*m0, *m1]).is_some_and(|minutes| minutes <= 59)
        }
        _ => false,
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'))
    })
}

fn days(year: u32, month: u32) -> Option<u32> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_and_nothing_else() {
        for text in [
            "1985-04-12T23:20:50.52Z",
            "1996-12-19T16:39:57-08:00",
            "1990-12-31T23:59:60Z",
            "2024-02-29t00:00:00.123456789z",
            "2000-02-29T00:00:00+23:59",
        ] {
            assert!(is_rfc3339(text), "{text}");
        }
        for text in [
            "",
            "2020-01-01",
            "2020-01-01T00:00:00",
            "2020-01-01 00:00:00Z",
            "2020-01-01T00:00Z",
            "2020-13-01T00:00:00Z",
            "2020-00-01T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2020-01-00T00:00:00Z",
            "2020-01-01T24:00:00Z",
            "2020-01-01T00:60:00Z",
            "2020-01-01T00:00:61Z",
            "2020-01-01T00:00:00.Z",
            "2020-01-01T00:00:00+0100",
            "2020-01-01T00:00:00+1:00",
            "2020-01-01T00:00:00+24:00",
            "2020-01-01T00:00:00ZZ",
            "2020-01-01T00:00:0äZ",
            "+020-01-01T00:00:00Z",
        ] {
            assert!(!is_rfc3339(text), "{text}");
        }
    }
}
