use proptest::prelude::*;

use super::*;
use crate::ScheduleError;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn next_ticks() {
    // schedule, zone, after, next
    let table = [
        ("* * * * *", "", "2026-11-21T09:00:00Z", "2026-11-21T09:01:00Z"),
        ("* * * * *", "", "2026-11-21T09:00:00.5Z", "2026-11-21T09:01:00Z"),
        (
            "* * * * *",
            "",
            "2026-11-21T08:59:59.999999999Z",
            "2026-11-21T09:00:00Z",
        ),
        ("* * * * * *", "", "2026-11-21T09:00:00Z", "2026-11-21T09:00:01Z"),
        ("*/15 * * * *", "", "2026-11-21T09:46:00Z", "2026-11-21T10:00:00Z"),
        (
            "15/35 20-35/15 * * * *",
            "",
            "2026-11-21T09:20:51Z",
            "2026-11-21T09:35:15Z",
        ),
        ("0 0 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        (
            "59 59 23 31 12 *",
            "",
            "2026-12-31T23:59:59Z",
            "2027-12-31T23:59:59Z",
        ),
        // Both kinds of days: either will do. One of them: it alone counts.
        ("0 0 13 * FRI", "", "2026-11-07T00:00:00Z", "2026-11-13T00:00:00Z"),
        ("0 0 13 * FRI", "", "2026-11-13T00:00:00Z", "2026-11-20T00:00:00Z"),
        ("0 0 * * MON", "", "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z"),
        ("0 0 1 * ?", "", "2026-11-21T00:00:00Z", "2026-12-01T00:00:00Z"),
        (
            "0 0 */40 * MON",
            "",
            "2026-11-21T00:00:00Z",
            "2026-11-23T00:00:00Z",
        ),
        ("@hourly", "", "2026-11-21T09:00:00Z", "2026-11-21T10:00:00Z"),
        ("@daily", "", "2026-11-21T09:00:00Z", "2026-11-22T00:00:00Z"),
        (
            "@midnight",
            "Asia/Tokyo",
            "2026-11-21T09:00:00Z",
            "2026-11-21T15:00:00Z",
        ),
        ("@weekly", "", "2026-11-21T09:00:00Z", "2026-11-22T00:00:00Z"),
        ("@monthly", "", "2026-11-21T09:00:00Z", "2026-12-01T00:00:00Z"),
        ("@yearly", "", "2026-11-21T09:00:00Z", "2027-01-01T00:00:00Z"),
        (
            "30 8 * * *",
            "Asia/Kolkata",
            "2026-11-21T03:00:00Z",
            "2026-11-22T03:00:00Z",
        ),
        (
            "CRON_TZ=Asia/Tokyo 30 8 * * *",
            "",
            "2026-11-21T00:00:00Z",
            "2026-11-21T23:30:00Z",
        ),
        (
            "TZ=Asia/Tokyo @daily",
            "",
            "2026-11-21T09:00:00Z",
            "2026-11-21T15:00:00Z",
        ),
        ("* * * * *", "", "1969-12-31T23:58:59.5Z", "1969-12-31T23:59:00Z"),
        // New York, 2026: clocks go from 2:00 to 3:00 on March 8, and from 2:00 back to 1:00 on November 1.
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00-05:00",
            "2026-03-09T02:30:00-04:00",
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-03-08T01:00:00-05:00",
            "2026-03-08T03:00:00-04:00",
        ),
        (
            "*/30 * * * *",
            "America/New_York",
            "2026-03-08T01:30:00-05:00",
            "2026-03-08T03:00:00-04:00",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00-04:00",
            "2026-11-01T01:30:00-04:00",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T01:30:00-04:00",
            "2026-11-01T01:30:00-05:00",
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T01:30:00-05:00",
            "2026-11-02T01:30:00-05:00",
        ),
        (
            "0 * * * *",
            "America/New_York",
            "2026-11-01T01:00:00-04:00",
            "2026-11-01T01:00:00-05:00",
        ),
        (
            "0 2 * * *",
            "America/New_York",
            "2026-11-01T00:00:00-04:00",
            "2026-11-01T02:00:00-05:00",
        ),
        // Clocks that move by half an hour, and at midnight.
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-05T01:45:00+11:00",
            "2026-04-05T01:45:00+10:30",
        ),
        (
            "0 0 * * *",
            "America/Havana",
            "2026-03-07T12:00:00-05:00",
            "2026-03-09T00:00:00-04:00",
        ),
    ];
    for (text, zone, after, expected) in table {
        let schedule = Schedule::parse(text, zone).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            schedule.next(at(after)),
            Some(at(expected)),
            "{text} {zone} after {after}"
        );
    }
}

#[test]
fn what_is_no_schedule() {
    let table = [
        ("", "", "empty spec string"),
        ("* * * *", "", "expected 5 to 6 fields, found 4: [* * * *]"),
        (
            "* * * * * * *",
            "",
            "expected 5 to 6 fields, found 7: [* * * * * * *]",
        ),
        ("@every 5s", "", "unsupported descriptor @every"),
        ("@never", "", "unrecognized descriptor: @never"),
        ("60 * * * *", "", "end of range (60) above maximum (59): 60"),
        (
            "* * * * *",
            "Knative/Land",
            "provided bad location Knative/Land: unknown time zone Knative/Land",
        ),
        (
            "TZ=Nowhere * * * * *",
            "",
            "provided bad location Nowhere: unknown time zone Nowhere",
        ),
        (
            "TZ=UTC * * * * *",
            "Asia/Tokyo",
            "the time zone is given twice: \"UTC\" in the schedule, \"Asia/Tokyo\" beside it",
        ),
        ("0 0 30 2 *", "", "no time within five years fits the schedule"),
    ];
    for (text, zone, expected) in table {
        assert_eq!(
            Schedule::parse(text, zone).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
    assert!(ScheduleError::Zone(String::new()).is_zone());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_text_is_read_or_refused(text in "[-0-9a-zA-Z*/?,@= ]{0,30}", zone in "[A-Za-z/_+0-9]{0,12}") {
        let _ = Schedule::parse(&text, &zone);
    }

    /// A tick's local time is in the set, and no second between is: looked at one by one.
    #[test]
    fn nothing_is_skipped(
        second in 0..60u8, minute in prop::sample::select(vec!["*", "*/7", "0", "30", "59"]),
        hour in prop::sample::select(vec!["*", "*/5", "1", "2"]),
        zone in prop::sample::select(vec!["", "America/New_York", "Australia/Lord_Howe", "Europe/Berlin"]),
        // Around the transitions of 2026 in all of these.
        start in prop::sample::select(vec!["2026-03-08T05:00:00Z", "2026-11-01T04:00:00Z", "2026-04-04T13:00:00Z", "2026-10-24T23:30:00Z"]),
        skipped in 0..7200i64,
    ) {
        let schedule = Schedule::parse(&format!("{second} {minute} {hour} * * *"), zone).unwrap();
        let after = Timestamp::from_second(at(start).as_second() + skipped).unwrap();
        let next = schedule.next(after).unwrap();
        let fits = |time: Timestamp| {
            let local = schedule.zone.to_datetime(time);
            schedule.days.has(local.date()) && schedule.times.from(local.time()) == Some(local.time())
        };
        prop_assert!(next > after && fits(next));
        let last = next.as_second().min(after.as_second() + 20_000);
        for between in after.as_second() + 1..last {
            prop_assert!(!fits(Timestamp::from_second(between).unwrap()), "{} between {} and {}", between, after, next);
        }
    }
}
