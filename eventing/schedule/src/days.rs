//! Which days a schedule has.

use jiff::civil::Date;

use crate::field::Set;

/// Months, days of the month and days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Days {
    pub months: Set,
    pub days: Set,
    pub weekdays: Set,
}

impl Days {
    pub fn has(&self, date: Date) -> bool {
        let number = |number: i8| u8::try_from(number).unwrap_or(u8::MAX);
        if !self.months.has(number(date.month())) {
            return false;
        }
        let day = self.days.has(number(date.day()));
        let weekday = self.weekdays.has(number(date.weekday().to_sunday_zero_offset()));
        // Given in both ways, either will do: the 13th, and every Friday.
        if self.days.any || self.weekdays.any {
            day && weekday
        } else {
            day || weekday
        }
    }
}
