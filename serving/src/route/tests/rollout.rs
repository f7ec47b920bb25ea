use std::time::Duration;

use proptest::prelude::*;

use crate::route::rollout::*;
use crate::route::traffic::{Entry, Share, Traffic};

const SECOND: i64 = 1_000_000_000;

fn latest(revision: &str, percent: i64, tag: Option<&str>) -> Entry {
    Entry {
        tag: tag.map(str::to_owned),
        configuration: Some("svc".to_owned()),
        revision: revision.to_owned(),
        percent: Some(percent),
        latest: true,
    }
}

fn goal_of(revision: &str, percent: i64) -> Rollout {
    goal(&Traffic {
        entries: vec![latest(revision, percent, None)],
    })
}

fn split(rollout: &Rollout) -> Vec<(&str, i64)> {
    rollout.configurations[0]
        .revisions
        .iter()
        .map(|r| (r.revision_name.as_str(), r.percent))
        .collect()
}

#[test]
fn new_revision_starts_with_one_percent_and_takes_equal_steps() {
    let start = 1000 * SECOND;
    let mut rollout = goal_of("two", 100).step(&goal_of("one", 100), start);
    assert_eq!(split(&rollout), [("one", 99), ("two", 1)]);
    assert!(
        !rollout.is_done() && rollout.next_step().is_none(),
        "the pace is not known before the ingress is ready"
    );

    // The ingress took 2 s, so 98 s are left for 49 steps of 2 s with 2 % each.
    let mut now = start + 2 * SECOND;
    rollout.observe_ready(now, Duration::from_secs(100));
    let params = rollout.configurations[0].step_params.clone();
    assert_eq!((params.step_duration, params.step_size), (2 * SECOND, 2));
    assert_eq!(rollout.next_step(), Some(now + 2 * SECOND));

    let mut steps = 0;
    while let Some(next) = rollout.next_step() {
        assert_eq!(
            goal_of("two", 100).step(&rollout, next - 1),
            rollout,
            "nothing happens before its time"
        );
        now = next;
        rollout = goal_of("two", 100).step(&rollout, now);
        steps += 1;
        assert!(steps < 100);
    }
    assert_eq!((steps, now), (50, start + 102 * SECOND));
    assert!(rollout.is_done());
    assert_eq!(rollout, goal_of("two", 100));
}

#[test]
fn short_rollouts_have_at_least_one_second() {
    let mut rollout = goal_of("two", 100).step(&goal_of("one", 100), 0);
    rollout.configurations[0].step_params.start_time = SECOND;
    rollout.observe_ready(31 * SECOND, Duration::from_secs(10));
    let params = &rollout.configurations[0].step_params;
    assert_eq!(
        (params.step_duration, params.step_size),
        (SECOND, 99),
        "one step, one second later"
    );
}

#[test]
fn third_revision_takes_its_percent_from_the_newest_of_the_older() {
    let mut stored = goal_of("two", 100).step(&goal_of("one", 100), 5);
    stored.configurations[0].revisions[0].percent = 60;
    stored.configurations[0].revisions[1].percent = 40;
    let rollout = goal_of("three", 100).step(&stored, 9);
    assert_eq!(split(&rollout), [("one", 60), ("two", 39), ("three", 1)]);
    assert_eq!(
        rollout.configurations[0].step_params,
        StepParams {
            start_time: 9,
            ..StepParams::default()
        }
    );
}

#[test]
fn spec_changes_go_to_the_newest_and_come_from_the_oldest() {
    let mut stored = goal_of("two", 50).step(&goal_of("one", 50), 5);
    stored.configurations[0].revisions[0].percent = 30;
    stored.configurations[0].revisions[1].percent = 20;
    assert_eq!(
        split(&goal_of("two", 80).step(&stored, 6)),
        [("one", 30), ("two", 50)]
    );
    assert_eq!(
        split(&goal_of("two", 35).step(&stored, 6)),
        [("one", 15), ("two", 20)]
    );
    assert_eq!(split(&goal_of("two", 10).step(&stored, 6)), [("two", 10)]);
}

#[test]
fn one_percent_and_new_tags_take_effect_at_once() {
    assert!(goal_of("two", 1).step(&goal_of("one", 1), 5).is_done());
    let tagged = |revision| {
        goal(&Traffic {
            entries: vec![latest(revision, 100, Some("a"))],
        })
    };
    let before = goal_of("one", 100);
    let rollout = tagged("two").step(&before, 5);
    assert_eq!(
        rollout.tag_shares("a").unwrap(),
        [Share {
            revision: "two".to_owned(),
            percent: 100
        }]
    );
    assert!(!rollout.is_done(), "the untagged host goes on gradually");
}

#[test]
fn stored_state_is_the_peers_json_and_nonsense_is_forgotten() {
    let json = r#"{"configurations":[{"configurationName":"svc","percent":100,"revisions":[{"revisionName":"one","percent":99},{"revisionName":"two","percent":1}],"stepParams":{"starttime":7}}]}"#;
    let rollout = Rollout::parse(Some(json));
    assert_eq!(rollout, goal_of("two", 100).step(&goal_of("one", 100), 7));
    assert_eq!(rollout.to_json(), json);
    for broken in [
        "",
        "[]",
        r#"{"configurations":[{"configurationName":"svc","percent":100,"revisions":[{"revisionName":"a","percent":99}]}]}"#,
        r#"{"configurations":[{"configurationName":"svc","percent":200,"revisions":[{"revisionName":"a","percent":200}]}]}"#,
        r#"{"configurations":[{"configurationName":"svc","percent":1,"revisions":[{"revisionName":"a","percent":1}],"stepParams":{"stepSize":5}}]}"#,
    ] {
        assert_eq!(Rollout::parse(Some(broken)), Rollout::default(), "{broken}");
    }
}

#[test]
fn entries_of_one_configuration_share_its_revisions() {
    let traffic = Traffic {
        entries: vec![latest("two", 40, None), latest("two", 60, Some("a"))],
    };
    let stored = goal(&Traffic {
        entries: vec![latest("one", 40, None), latest("one", 60, Some("a"))],
    });
    let rollout = goal(&traffic).step(&stored, 5);
    let share = |revision: &str, percent| Share {
        revision: revision.to_owned(),
        percent,
    };
    assert_eq!(
        rollout.shares(&traffic),
        vec![vec![share("one", 40)], vec![share("one", 59), share("two", 1)]]
    );
}

#[test]
fn a_percentage_below_the_size_of_a_step_keeps_the_rollout() {
    let mut stored = goal_of("two", 100).step(&goal_of("one", 100), SECOND);
    stored.observe_ready(2 * SECOND, Duration::from_secs(10));
    let rollout = goal_of("two", 5).step(&stored, 2 * SECOND);
    assert!(!rollout.is_done());
    assert_eq!(Rollout::parse(Some(&rollout.to_json())), rollout);
}

proptest! {
    #[test]
    fn percentages_always_add_up(percents in prop::collection::vec((1i64..=100, 0i64..20, 0u8..4), 1..40)) {
        let mut stored = Rollout::default();
        let mut now = SECOND;
        for (percent, wait, revision) in percents {
            now += wait * SECOND;
            stored = goal_of(&format!("r{revision}"), percent).step(&stored, now);
            stored.observe_ready(now, Duration::from_secs(30));
            let sum: i64 = split(&stored).iter().map(|(_, percent)| percent).sum();
            prop_assert_eq!(sum, percent);
            prop_assert_eq!(Rollout::parse(Some(&stored.to_json())), stored.clone());
        }
    }
}
