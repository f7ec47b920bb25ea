//! One field: a set of small numbers.

use crate::error::ScheduleError;

/// What a field may hold.
pub(crate) struct Bounds {
    pub least: u8,
    pub most: u8,
    /// Three letters for each number, from the least on.
    pub names: &'static [&'static str],
}

pub(crate) const SECONDS: Bounds = Bounds::new(0, 59, &[]);
pub(crate) const MINUTES: Bounds = Bounds::new(0, 59, &[]);
pub(crate) const HOURS: Bounds = Bounds::new(0, 23, &[]);
pub(crate) const DAYS: Bounds = Bounds::new(1, 31, &[]);
pub(crate) const MONTHS: Bounds = Bounds::new(
    1,
    12,
    &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
);
pub(crate) const WEEKDAYS: Bounds = Bounds::new(0, 6, &["sun", "mon", "tue", "wed", "thu", "fri", "sat"]);

/// Numbers from 0 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    bits: u64,
    /// Written as `*` or `?`, which counts where days are given in two ways.
    pub any: bool,
}

impl Bounds {
    const fn new(least: u8, most: u8, names: &'static [&'static str]) -> Self {
        Self { least, most, names }
    }

    fn number(&self, text: &str) -> Result<u8, ScheduleError> {
        if let Some(index) = self.names.iter().position(|name| text.eq_ignore_ascii_case(name)) {
            return Ok(self.least + u8::try_from(index).unwrap_or_default());
        }
        number(text)
    }
}

impl Set {
    pub fn one(number: u8) -> Self {
        Self {
            bits: 1 << number,
            any: false,
        }
    }

    /// Reads a list of `*`, `?`, `n`, `n-m`, each with or without `/step`.
    pub fn parse(text: &str, bounds: &Bounds) -> Result<Self, ScheduleError> {
        let mut set = Self { bits: 0, any: false };
        // Empty members are passed over, as the peers do.
        for member in text.split(',').filter(|member| !member.is_empty()) {
            let one = part(member, bounds)?;
            set.bits |= one.bits;
            set.any |= one.any;
        }
        if set.bits == 0 {
            return Err(ScheduleError::Number {
                text: text.to_owned(),
            });
        }
        Ok(set)
    }

    pub fn has(self, number: u8) -> bool {
        number < 64 && self.bits & (1 << number) != 0
    }

    /// The least member that is not below `from`.
    pub fn from(self, from: u8) -> Option<u8> {
        let rest = self.bits.checked_shr(from.into())?;
        (rest != 0).then(|| from + u8::try_from(rest.trailing_zeros()).unwrap_or_default())
    }

    /// The least member.
    pub fn first(self) -> u8 {
        u8::try_from(self.bits.trailing_zeros()).unwrap_or_default()
    }
}

fn part(text: &str, bounds: &Bounds) -> Result<Set, ScheduleError> {
    let mut halves = text.split('/');
    let (span, step) = (halves.next().unwrap_or_default(), halves.next());
    if halves.next().is_some() {
        return Err(ScheduleError::Slashes(text.to_owned()));
    }
    let (from, to, any) = ends(span, step.is_some(), bounds)?;
    let step = step.map_or(Ok(1), number)?;
    let text = text.to_owned();
    if from < bounds.least {
        let least = bounds.least;
        return Err(ScheduleError::Below { from, least, text });
    }
    if to > bounds.most {
        let most = bounds.most;
        return Err(ScheduleError::Above { to, most, text });
    }
    if from > to {
        return Err(ScheduleError::Backwards { from, to, text });
    }
    if step == 0 {
        return Err(ScheduleError::Step(text));
    }
    Ok(Set {
        bits: range(from, to, step),
        any: any && step == 1,
    })
}

/// First and last number of a range, and whether it is `*`.
fn ends(span: &str, stepped: bool, bounds: &Bounds) -> Result<(u8, u8, bool), ScheduleError> {
    if span == "*" || span == "?" {
        return Ok((bounds.least, bounds.most, true));
    }
    let mut halves = span.split('-');
    let from = bounds.number(halves.next().unwrap_or_default())?;
    let to = match halves.next() {
        Some(to) => bounds.number(to)?,
        // `5/15` means from 5 to the end.
        None if stepped => bounds.most,
        None => from,
    };
    match halves.next() {
        Some(_) => Err(ScheduleError::Hyphens(span.to_owned())),
        None => Ok((from, to, false)),
    }
}

fn number(text: &str) -> Result<u8, ScheduleError> {
    text.parse().map_err(|_| ScheduleError::Number {
        text: text.to_owned(),
    })
}

fn range(from: u8, to: u8, step: u8) -> u64 {
    (from..=to)
        .step_by(step.into())
        .fold(0, |bits, number| bits | (1 << number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str, bounds: &Bounds) -> Result<Vec<u8>, String> {
        let set = Set::parse(text, bounds).map_err(|error| error.to_string())?;
        Ok((0..64).filter(|number| set.has(*number)).collect())
    }

    #[test]
    fn what_fields_mean() {
        let table: [(&str, &Bounds, &[u8]); 12] = [
            ("5", &MINUTES, &[5]),
            ("5,7,6", &MINUTES, &[5, 6, 7]),
            ("5-8", &MINUTES, &[5, 6, 7, 8]),
            ("5-9/2", &MINUTES, &[5, 7, 9]),
            ("50/4", &MINUTES, &[50, 54, 58]),
            ("*/20", &MINUTES, &[0, 20, 40]),
            ("*/15", &HOURS, &[0, 15]),
            ("*/10", &DAYS, &[1, 11, 21, 31]),
            ("jan,MAR-May", &MONTHS, &[1, 3, 4, 5]),
            ("Sun-Tue", &WEEKDAYS, &[0, 1, 2]),
            ("?", &WEEKDAYS, &[0, 1, 2, 3, 4, 5, 6]),
            ("1,,2", &WEEKDAYS, &[1, 2]),
        ];
        for (text, bounds, expected) in table {
            assert_eq!(members(text, bounds).unwrap(), expected, "{text}");
        }
        for (text, any) in [
            ("*", true),
            ("?", true),
            ("*/1", true),
            ("*/2", false),
            ("0-59", false),
            ("1,*", true),
        ] {
            assert_eq!(Set::parse(text, &MINUTES).unwrap().any, any, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_fields() {
        let table = [
            (
                "x",
                &MINUTES,
                "failed to parse int from x: it is neither a number nor one of the names",
            ),
            (
                "",
                &MINUTES,
                "failed to parse int from : it is neither a number nor one of the names",
            ),
            (
                "-1",
                &MINUTES,
                "failed to parse int from : it is neither a number nor one of the names",
            ),
            ("60", &MINUTES, "end of range (60) above maximum (59): 60"),
            ("0", &DAYS, "beginning of range (0) below minimum (1): 0"),
            ("7", &WEEKDAYS, "end of range (7) above maximum (6): 7"),
            (
                "5-3",
                &MINUTES,
                "beginning of range (5) beyond end of range (3): 5-3",
            ),
            ("5-6-7", &MINUTES, "too many hyphens: 5-6-7"),
            ("*/2/3", &MINUTES, "too many slashes: */2/3"),
            ("*/0", &MINUTES, "step of range should be a positive number: */0"),
            (
                "jan",
                &WEEKDAYS,
                "failed to parse int from jan: it is neither a number nor one of the names",
            ),
        ];
        for (text, bounds, expected) in table {
            assert_eq!(members(text, bounds).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn members_in_order() {
        let set = Set::parse("3,59", &MINUTES).unwrap();
        assert_eq!(
            (set.first(), set.from(3), set.from(4), set.from(60)),
            (3, Some(3), Some(59), None)
        );
        assert_eq!(set.from(64), None);
    }
}
