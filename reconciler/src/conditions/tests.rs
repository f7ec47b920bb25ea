use super::*;

use ConditionStatus::{False, True, Unknown};

#[derive(Default)]
struct Status {
    conditions: Vec<Condition>,
    observed_generation: i64,
}

impl ConditionedStatus for Status {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }
    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }
    fn observed_generation(&self) -> i64 {
        self.observed_generation
    }
    fn set_observed_generation(&mut self, generation: i64) {
        self.observed_generation = generation;
    }
}

const SET: ConditionSet = ConditionSet::new(&["A", "B"]);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

enum Step {
    True(&'static str),
    Unknown(&'static str),
    False(&'static str),
}

fn walk(steps: &[Step]) -> Status {
    let mut status = Status::default();
    SET.manage(&mut status, at(0)).initialize();
    for (second, step) in (1..).zip(steps) {
        let mut conditions = SET.manage(&mut status, at(second));
        match step {
            Step::True(type_) => conditions.mark_true(type_),
            Step::Unknown(type_) => conditions.mark_unknown(type_, &format!("Unknown{type_}"), "m"),
            Step::False(type_) => conditions.mark_false(type_, &format!("False{type_}"), "m"),
        }
    }
    status
}

#[test]
fn ready_follows_its_dependents() {
    let table: &[(&str, &[Step], ConditionStatus, Option<&str>)] = &[
        ("nothing known", &[], Unknown, None),
        ("one true", &[Step::True("A")], Unknown, None),
        ("all true", &[Step::True("A"), Step::True("B")], True, None),
        (
            "one false",
            &[Step::True("A"), Step::False("B")],
            False,
            Some("FalseB"),
        ),
        (
            "false wins over a later unknown",
            &[Step::False("A"), Step::Unknown("B")],
            False,
            Some("FalseA"),
        ),
        (
            "newest false wins",
            &[Step::False("A"), Step::False("B"), Step::True("Info")],
            False,
            Some("FalseB"),
        ),
        (
            "false healed, other false shows",
            &[Step::False("A"), Step::False("B"), Step::True("B")],
            False,
            Some("FalseA"),
        ),
        (
            "newest unknown wins",
            &[Step::Unknown("A"), Step::Unknown("B"), Step::True("Info")],
            Unknown,
            Some("UnknownB"),
        ),
        (
            "info never decides",
            &[Step::True("A"), Step::True("B"), Step::False("Info")],
            True,
            None,
        ),
        (
            "true again",
            &[Step::False("A"), Step::True("B"), Step::True("A")],
            True,
            None,
        ),
    ];
    for (case, steps, ready, reason) in table {
        let status = walk(steps);
        let found = status.condition(READY).unwrap();
        assert_eq!(
            (found.status, found.reason.as_deref()),
            (*ready, *reason),
            "{case}"
        );
    }
}

#[test]
fn conditions_are_sorted_and_only_others_are_informational() {
    let status = walk(&[Step::False("Info"), Step::True("B")]);
    let shape: Vec<_> = status
        .conditions
        .iter()
        .map(|c| (c.type_.as_str(), c.severity))
        .collect();
    assert_eq!(
        shape,
        [
            ("A", Severity::Error),
            ("B", Severity::Error),
            ("Info", Severity::Info),
            ("Ready", Severity::Error)
        ]
    );
}

#[test]
fn dependents_added_later_are_true_if_ready_already_is() {
    let mut status = Status {
        conditions: vec![Condition::new(READY, True)],
        ..Status::default()
    };
    SET.manage(&mut status, at(1)).initialize();
    assert!(status.condition("A").unwrap().is_true() && status.condition("B").unwrap().is_true());
}

#[test]
fn kinds_without_dependents_set_ready_directly() {
    const PLAIN: ConditionSet = ConditionSet::new(&[]);
    let mut status = Status::default();
    PLAIN.manage(&mut status, at(1)).mark_false(READY, "No", "m");
    assert!(status.condition(READY).unwrap().is_false());
    PLAIN.manage(&mut status, at(2)).mark_true(READY);
    assert!(status.condition(READY).unwrap().is_true());
}

#[test]
fn transition_time_moves_only_with_another_field() {
    let mut status = walk(&[Step::True("A"), Step::True("B")]);
    let ready_since = status.condition(READY).unwrap().last_transition_time.clone();
    SET.manage(&mut status, at(50)).mark_true("A");
    assert_eq!(status.condition(READY).unwrap().last_transition_time, ready_since);
    SET.manage(&mut status, at(60)).mark_unknown("A", "r", "m");
    SET.manage(&mut status, at(70)).mark_unknown("A", "r", "n");
    assert_eq!(
        status.condition("A").unwrap().last_transition_time,
        Some(Time(at(70)))
    );
}

#[test]
fn reconcile_that_comes_back_to_the_same_result_keeps_its_times() {
    let mut status = walk(&[Step::True("A"), Step::True("B")]);
    status.observed_generation = 1;
    let before = status.conditions.clone();
    SET.begin(&mut status, Some(2), at(100));
    assert_eq!(
        status.condition(READY).unwrap().reason.as_deref(),
        Some("NewObservedGenFailure")
    );
    SET.manage(&mut status, at(100)).mark_true("A");
    SET.finish(&mut status, &before, Some(2), at(100));
    assert_eq!(status.conditions, before);
    assert!(status.is_ready(Some(2)));
}

#[test]
fn failed_reconcile_of_a_new_generation_shows_it_but_counts_as_observed() {
    let mut status = walk(&[Step::True("A"), Step::True("B")]);
    let before = status.conditions.clone();
    SET.begin(&mut status, Some(7), at(100));
    SET.finish(&mut status, &before, Some(7), at(101));
    assert_eq!(status.observed_generation, 7);
    let ready = status.condition(READY).unwrap();
    assert!(ready.is_unknown());
    assert_eq!(ready.last_transition_time, Some(Time(at(101))));
}
