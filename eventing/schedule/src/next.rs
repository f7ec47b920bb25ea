//! The next tick: a pure function of the time.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::days::Days;
use crate::field::Set;

/// How far ahead a tick is looked for, as the peers do: enough for the next 29 February.
pub const HORIZON_YEARS: i16 = 5;

/// A set of local times in a time zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    pub(crate) times: Times,
    pub(crate) days: Days,
    pub(crate) zone: TimeZone,
}

/// Times of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Times {
    pub seconds: Set,
    pub minutes: Set,
    pub hours: Set,
}

impl Schedule {
    /// The first tick after `after`; `None` if there is none within [`HORIZON_YEARS`].
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let floor = after.as_nanosecond().div_euclid(1_000_000_000);
        let mut from = Timestamp::from_second(i64::try_from(floor).ok()?.checked_add(1)?).ok()?;
        let horizon = self.zone.to_datetime(after).year().checked_add(HORIZON_YEARS)?;
        loop {
            // Between two transitions of the zone local time runs evenly: there the next local time is the next tick.
            let offset = self.zone.to_offset(from);
            let end = self.zone.following(from).next().map(|next| next.timestamp());
            let local = self.from(offset.to_datetime(from), horizon)?;
            match (offset.to_timestamp(local).ok()?, end) {
                (tick, Some(end)) if tick >= end => from = end,
                (tick, _) => return Some(tick),
            }
        }
    }

    /// The first local time of the set that is not before `from`, up to the end of the year `horizon`.
    fn from(&self, from: DateTime, horizon: i16) -> Option<DateTime> {
        if self.days.has(from.date())
            && let Some(time) = self.times.from(from.time())
        {
            return Some(from.date().to_datetime(time));
        }
        let date = self.day_after(from.date(), horizon)?;
        Some(date.to_datetime(self.times.from(Time::midnight())?))
    }

    fn day_after(&self, mut date: Date, horizon: i16) -> Option<Date> {
        loop {
            date = date.checked_add(1.day()).ok()?;
            if date.year() > horizon {
                return None;
            }
            if self.days.has(date) {
                return Some(date);
            }
        }
    }
}

impl Times {
    /// The first time of the day that is not before `from`.
    fn from(&self, from: Time) -> Option<Time> {
        let [hour, minute, second] =
            [from.hour(), from.minute(), from.second()].map(|part| u8::try_from(part).unwrap_or_default());
        let (first_minute, first_second) = (self.minutes.first(), self.seconds.first());
        if self.hours.has(hour) {
            if self.minutes.has(minute)
                && let Some(second) = self.seconds.from(second)
            {
                return time(hour, minute, second);
            }
            if let Some(minute) = self.minutes.from(minute + 1) {
                return time(hour, minute, first_second);
            }
        }
        time(self.hours.from(hour + 1)?, first_minute, first_second)
    }
}

fn time(hour: u8, minute: u8, second: u8) -> Option<Time> {
    let [hour, minute, second] = [hour, minute, second].map(|part| i8::try_from(part).unwrap_or_default());
    Time::new(hour, minute, second, 0).ok()
}

#[cfg(test)]
mod tests;
