use event_schedule::Schedule;
use proptest::prelude::*;

use super::*;
use crate::post::Sink;

/// A UID whose place in the spread is 0, so that ticks are due on their second.
const ON_TIME: &str = "u-119";

fn sink(url: &str) -> Sink {
    Sink {
        url: url.to_owned(),
        ..Sink::default()
    }
}

fn plan(name: &str, schedule: &str) -> Plan {
    Plan {
        key: Key::new("ns", name),
        uid: ON_TIME.to_owned(),
        generation: 1,
        schedule: Schedule::parse(schedule, "").unwrap(),
        sink: sink("http://sink"),
        content_type: None,
        data: None,
        extensions: Vec::new(),
    }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}Z").parse().unwrap()
}

fn due(agenda: &mut Agenda, now: &str) -> Vec<(String, Timestamp, bool)> {
    let ticks = agenda.due(at(now)).into_iter();
    ticks
        .map(|tick| (tick.plan.key.name.clone(), tick.time, tick.late))
        .collect()
}

#[test]
fn ticks_are_sent_at_their_time_and_once() {
    let mut agenda = Agenda::default();
    agenda
        .put(plan("minute", "* * * * *"), None, at("09:00:30"))
        .unwrap();
    agenda.put(plan("hour", "@hourly"), None, at("09:00:30")).unwrap();
    assert_eq!(agenda.next(), Some(at("09:01:00")));
    assert_eq!(due(&mut agenda, "09:00:59.999"), []);
    assert_eq!(
        due(&mut agenda, "09:01:00"),
        [("minute".to_owned(), at("09:01:00"), false)]
    );
    assert_eq!(due(&mut agenda, "09:01:00"), []);
    assert_eq!(agenda.next(), Some(at("09:02:00")));
    // A machine that slept: each source once, then on.
    let late = due(&mut agenda, "12:30:10");
    assert_eq!(
        late,
        [
            ("minute".to_owned(), at("09:02:00"), false),
            ("hour".to_owned(), at("10:00:00"), false)
        ]
    );
    assert_eq!(agenda.next(), Some(at("12:31:00")));
    // A clock that was set back.
    assert_eq!(due(&mut agenda, "12:31:00").len(), 1);
    assert_eq!(due(&mut agenda, "12:30:59"), []);
    assert_eq!(agenda.next(), Some(at("12:32:00")));
}

#[test]
fn at_most_one_tick_is_made_up_after_a_takeover() {
    let table = [
        // last, next
        (Some("09:00:00"), ("09:00:30", "09:01:00", false)),
        (Some("08:59:00"), ("09:00:30", "09:00:00", true)),
        (Some("03:00:00"), ("09:00:30", "03:01:00", true)),
        (None, ("09:00:30", "09:01:00", false)),
    ];
    for (last, (now, next, late)) in table {
        let mut agenda = Agenda::default();
        agenda.put(plan("a", "* * * * *"), last.map(at), at(now)).unwrap();
        assert_eq!(agenda.next(), Some(at(next)), "{last:?}");
        let now = if late { now } else { next };
        assert_eq!(due(&mut agenda, now), [("a".to_owned(), at(next), late)]);
        assert_eq!(due(&mut agenda, now), []);
    }
}

#[test]
fn changes_keep_the_place_unless_the_schedule_changes() {
    let mut agenda = Agenda::default();
    agenda
        .put(plan("a", "* * * * *"), Some(at("08:00:00")), at("09:00:30"))
        .unwrap();
    let mut moved = plan("a", "* * * * *");
    moved.sink = sink("http://other");
    agenda.put(moved, Some(at("09:00:30")), at("09:00:31")).unwrap();
    let ticks = agenda.due(at("09:00:31"));
    assert_eq!(
        (ticks[0].plan.sink.url.as_str(), ticks[0].late),
        ("http://other", true)
    );
    // A new schedule begins now, whatever the old one missed.
    agenda
        .put(plan("a", "*/10 * * * *"), Some(at("08:00:00")), at("09:05:00"))
        .unwrap();
    assert_eq!(agenda.next(), Some(at("09:10:00")));
    // So does another object of the same name.
    let mut other = plan("a", "*/10 * * * *");
    other.uid = "another".to_owned();
    agenda.put(other, None, at("09:10:30")).unwrap();
    assert_eq!(agenda.due(at("09:15:00")).len(), 0);
    assert!(agenda.remove(&Key::new("ns", "a")).is_some());
    assert_eq!(agenda.next(), None);
    assert!(agenda.remove(&Key::new("ns", "a")).is_none());
}

#[test]
fn ticks_are_spread_within_half_a_second() {
    assert_eq!(spread(ON_TIME), SignedDuration::ZERO);
    let places: BTreeSet<_> = (0..100).map(|number| spread(&format!("uid-{number}"))).collect();
    assert!(places.len() > 50);
    assert!(
        places
            .iter()
            .all(|place| *place < SignedDuration::from_millis(500))
    );
}

proptest! {
    /// Asked often enough, the agenda sends exactly what the schedule has, in order.
    #[test]
    fn nothing_is_lost_or_doubled(steps in prop::collection::vec(1i64..59_000, 1..200), uid in "[a-z]{8}") {
        let mut agenda = Agenda::default();
        let mut plan = plan("a", "* * * * *");
        plan.uid = uid;
        let start = at("09:00:00");
        agenda.put(plan.clone(), None, start).unwrap();
        let mut now = start;
        let mut sent = Vec::new();
        for step in steps {
            now += SignedDuration::from_millis(step);
            sent.extend(agenda.due(now).into_iter().map(|tick| tick.time));
        }
        let mut expected = Vec::new();
        let mut next = plan.schedule.next(start).unwrap();
        while next + spread(&plan.uid) <= now {
            expected.push(next);
            next = plan.schedule.next(next).unwrap();
        }
        prop_assert_eq!(sent, expected);
    }
}
