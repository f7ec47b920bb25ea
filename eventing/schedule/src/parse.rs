//! From text to schedule.

use crate::days::Days;
use crate::error::ScheduleError;
use crate::field::{self, Set};
use crate::next::{Schedule, Times};
use crate::zone;

impl Schedule {
    /// Reads five fields (minute, hour, day of the month, month, day of the week), six with the second first, or a
    /// descriptor such as `@daily`. `zone` is a name of the IANA database; empty is UTC, or what a prefix `CRON_TZ=`
    /// of the schedule says.
    ///
    /// # Errors
    /// If any of it cannot be read, or no time fits.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        let (prefix, spec) = split_zone(text);
        let zone = match prefix {
            Some(prefix) if !zone.is_empty() => {
                return Err(ScheduleError::TwoZones(prefix.to_owned(), zone.to_owned()));
            }
            Some(prefix) => prefix,
            None => zone,
        };
        let zone = zone::find(zone)?;
        let (times, days) = if spec.starts_with('@') {
            descriptor(spec)?
        } else {
            fields(spec)?
        };
        let schedule = Self { times, days, zone };
        // The 30th of February: better told now than waited for.
        if schedule.next(jiff::Timestamp::UNIX_EPOCH).is_none() {
            return Err(ScheduleError::Never);
        }
        Ok(schedule)
    }
}

fn split_zone(text: &str) -> (Option<&str>, &str) {
    let text = text.trim();
    let rest = text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ="));
    match rest {
        None => (None, text),
        Some(rest) => {
            let (zone, spec) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            (Some(zone), spec.trim())
        }
    }
}

fn fields(spec: &str) -> Result<(Times, Days), ScheduleError> {
    if spec.is_empty() {
        return Err(ScheduleError::Empty);
    }
    let words: Vec<&str> = spec.split_whitespace().collect();
    let (second, rest) = match words.as_slice() {
        [second, rest @ ..] if rest.len() == 5 => (Set::parse(second, &field::SECONDS)?, rest),
        rest => (Set::one(0), rest),
    };
    let [minute, hour, day, month, weekday] = rest else {
        return Err(ScheduleError::Fields(
            words.iter().map(|word| (*word).to_owned()).collect(),
        ));
    };
    let times = Times {
        seconds: second,
        minutes: Set::parse(minute, &field::MINUTES)?,
        hours: Set::parse(hour, &field::HOURS)?,
    };
    let days = Days {
        days: Set::parse(day, &field::DAYS)?,
        months: Set::parse(month, &field::MONTHS)?,
        weekdays: Set::parse(weekday, &field::WEEKDAYS)?,
    };
    Ok((times, days))
}

fn descriptor(text: &str) -> Result<(Times, Days), ScheduleError> {
    match text {
        "@yearly" | "@annually" => fields("0 0 1 1 *"),
        "@monthly" => fields("0 0 1 * *"),
        "@weekly" => fields("0 0 * * 0"),
        "@daily" | "@midnight" => fields("0 0 * * *"),
        "@hourly" => fields("0 * * * *"),
        // Its ticks would depend on when the program started.
        _ if text.starts_with("@every") => Err(ScheduleError::Every),
        _ => Err(ScheduleError::Descriptor(text.to_owned())),
    }
}
