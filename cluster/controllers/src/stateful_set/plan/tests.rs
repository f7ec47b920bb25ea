use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::*;

/// `12:00:00` plus these seconds.
fn at(seconds: i64) -> Timestamp {
    "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

pub(super) const ROLLING: Update = Update::Rolling {
    partition: 0,
    max_unavailable: 1,
};

/// A set of `replicas` whose update goes from revision `a` to revision `b`, ten seconds after twelve.
pub(super) fn facts(replicas: u64, pods: impl IntoIterator<Item = PodFacts>) -> Facts {
    Facts {
        ordinals: 0..replicas,
        parallel: false,
        update: ROLLING,
        min_ready: Duration::ZERO,
        current: "a".into(),
        new: "b".into(),
        pods: pods
            .into_iter()
            .map(|pod| (pod.ordinal, pod))
            .collect::<BTreeMap<_, _>>(),
        blocked: BTreeSet::new(),
        going: false,
        generation: Some(1),
        collisions: 0,
        status: StatefulSetStatus::default(),
        now: at(10),
    }
}

pub(super) fn pod(ordinal: u64, revision: &str) -> PodFacts {
    PodFacts {
        name: format!("web-{ordinal}"),
        uid: format!("{ordinal}-{revision}"),
        ordinal,
        revision: revision.into(),
        standing: Standing::Pending,
        terminating: false,
        ready_since: None,
        labelled: true,
        claims_fit: true,
    }
}

pub(super) fn ready(pod: PodFacts) -> PodFacts {
    PodFacts {
        standing: Standing::Running,
        ready_since: Some(at(0)),
        ..pod
    }
}

/// Pods as letters, by their ordinals: the revision (capital when ready), `!` after one that is over, `-` after one that
/// terminates; `.` where there is none.
fn pods(text: &str) -> Vec<PodFacts> {
    let mut pods: Vec<PodFacts> = Vec::new();
    let mut ordinal = 0;
    for letter in text.chars() {
        match letter {
            '!' => pods.last_mut().unwrap().standing = Standing::Ended,
            '-' => pods.last_mut().unwrap().terminating = true,
            '.' => ordinal += 1,
            letter => {
                let pod = pod(ordinal, &letter.to_ascii_lowercase().to_string());
                pods.push(if letter.is_ascii_uppercase() {
                    ready(pod)
                } else {
                    pod
                });
                ordinal += 1;
            }
        }
    }
    pods
}

/// What a plan does with pods, shortly: `+0a` makes one, `-0` deletes one.
fn told(plan: &Plan) -> String {
    let deleted = plan.delete.iter().map(|pod| format!("-{}", pod.ordinal));
    let made = plan
        .create
        .iter()
        .map(|new| format!("+{}{}", new.ordinal, new.revision));
    deleted.chain(made).collect::<Vec<_>>().join(" ")
}

#[test]
fn pods_come_and_go_in_their_order() {
    // (replicas, pods, in order, parallel)
    let table = [
        (3, "", "+0b", "+0b +1b +2b"),
        (3, "b", "", "+1b +2b"),
        (3, "B", "+1b", "+1b +2b"),
        (3, "BBB", "", ""),
        // A gap is filled first, from below.
        (3, "B.B", "+1b", "+1b"),
        (3, "bB", "", "+2b"),
        (3, "B-B", "", "+2b"),
        // What has ended makes room, and its successor waits until it is gone.
        (3, "Bb!B", "-1", "-1"),
        (3, "Bb!-B", "", ""),
        // Too many: the highest goes first, when all that are wanted are available.
        (1, "BBB", "-2", "-1 -2"),
        (1, "bBB", "", "-1 -2"),
        (1, "BBB-", "", "-1"),
        (0, "BB", "-1", "-0 -1"),
        // One that is unavailable goes only if none below it is.
        (1, "BBb", "-2", "-1 -2"),
        (1, "Bbb", "", "-1 -2"),
        (1, "BbB", "-2", "-1 -2"),
        (1, "BB-b", "", "-2"),
        (1, "B.b!", "-2", "-2"),
        (1, "Bb!b", "-2", "-1 -2"),
        (1, "Bb!b!", "-2", "-1 -2"),
    ];
    for (replicas, text, ordered, parallel) in table {
        let mut facts = facts(replicas, pods(text));
        let mut both = [ordered, parallel].into_iter();
        for mode in [false, true] {
            facts.parallel = mode;
            let mut done: Vec<String> = told(&plan(&facts)).split(' ').map(str::to_owned).collect();
            done.sort();
            assert_eq!(
                Some(done.join(" ").as_str()),
                both.next(),
                "{replicas} {text} {mode}"
            );
        }
    }
}

#[test]
fn updates_go_from_the_highest_ordinal_down() {
    // (pods, partition, max unavailable, in order, parallel)
    let table = [
        ("AAA", 0, 1, "-2", "-2"),
        ("AAA-", 0, 1, "", ""),
        ("AA", 0, 1, "+2b", "+2b"),
        ("AAb", 0, 1, "", ""),
        ("AAB", 0, 1, "-1", "-1"),
        ("ABB", 0, 1, "-0", "-0"),
        ("BBB", 0, 1, "", ""),
        // Below the partition nothing changes, and what is missing there comes back as it was.
        ("AAA", 2, 1, "-2", "-2"),
        ("AAB", 2, 1, "", ""),
        ("A.B", 2, 1, "+1a", "+1a"),
        ("AAA", 3, 1, "", ""),
        ("AAA", 9, 1, "", ""),
        // Several at a time.
        ("AAA", 0, 2, "-2 -1", "-2 -1"),
        ("AAb", 0, 2, "", "-1"),
        ("AA", 0, 2, "+2b", "-1 +2b"),
        ("AAA", 0, 9, "-2 -1 -0", "-2 -1 -0"),
        // One that is down anyway is replaced without making room for it, so that a mended template mends it.
        ("aAA", 0, 1, "", "-0"),
        ("AaA", 0, 1, "", "-1"),
        ("aaA", 0, 1, "", "-1"),
        // One of the new revision that does not come up stops the update.
        ("aAb", 0, 1, "", ""),
        ("aAb!", 0, 1, "", "-2"),
    ];
    for (text, partition, max_unavailable, ordered, parallel) in table {
        let mut facts = facts(3, pods(text));
        facts.update = Update::Rolling {
            partition,
            max_unavailable,
        };
        for (mode, expected) in [(false, ordered), (true, parallel)] {
            facts.parallel = mode;
            assert_eq!(
                told(&plan(&facts)),
                expected,
                "{text} {partition} {max_unavailable} {mode}"
            );
        }
        facts.update = Update::OnDelete;
        facts.parallel = true;
        assert!(
            plan(&facts)
                .delete
                .iter()
                .all(|pod| pod.standing == Standing::Ended),
            "{text} on delete"
        );
    }
}

#[test]
fn ordinals_start_where_the_set_says() {
    let mut facts = facts(0, [ready(pod(0, "b")), ready(pod(5, "b"))]);
    facts.ordinals = 5..7;
    assert_eq!(told(&plan(&facts)), "+6b");
    facts.pods.insert(6, ready(pod(6, "b")));
    // Below the first one is too many as well.
    assert_eq!(told(&plan(&facts)), "-0");
    // And a partition counts from there.
    facts.pods.remove(&0);
    facts.pods.remove(&5);
    facts.update = Update::Rolling {
        partition: 1,
        max_unavailable: 1,
    };
    assert_eq!(told(&plan(&facts)), "+5a");
}

#[test]
fn a_pod_is_available_when_it_has_been_ready_for_long_enough() {
    let mut facts = facts(3, pods("BB"));
    facts.min_ready = Duration::from_secs(13);
    let early = plan(&facts);
    assert_eq!(
        (told(&early).as_str(), early.recheck),
        ("", Some(Duration::from_secs(3)))
    );
    assert_eq!(early.status.ready_replicas, Some(2));
    assert_eq!(early.status.available_replicas, Some(0));
    facts.now = at(13);
    let late = plan(&facts);
    assert_eq!((told(&late).as_str(), late.recheck), ("+2b", None));
    assert_eq!(late.status.available_replicas, Some(2));
}

#[test]
fn a_new_pod_waits_for_a_claim_that_goes() {
    let mut facts = facts(3, pods("B.B"));
    facts.blocked = BTreeSet::from([1]);
    assert_eq!(told(&plan(&facts)), "");
    facts.parallel = true;
    facts.pods.remove(&2);
    assert_eq!(told(&plan(&facts)), "+2b");
}

#[test]
fn claims_and_labels_are_put_right_first() {
    let mut facts = facts(1, pods("BB-b!"));
    for pod in facts.pods.values_mut() {
        pod.claims_fit = false;
        pod.labelled = false;
    }
    let plan = plan(&facts);
    let ordinals = |pods: &[&PodFacts]| pods.iter().map(|pod| pod.ordinal).collect::<Vec<u64>>();
    assert_eq!(ordinals(&plan.claims), [0, 1]);
    assert_eq!(ordinals(&plan.label), [0, 1]);
}

#[test]
fn a_set_that_is_deleted_does_nothing_more() {
    let mut facts = facts(3, pods("Ba!"));
    facts.going = true;
    let plan = plan(&facts);
    assert_eq!(told(&plan), "");
    assert_eq!(plan.status.replicas, 2);
}

#[test]
fn the_number_of_pods_made_at_once_is_bounded() {
    let mut facts = facts(u64::from(u32::MAX), pods(""));
    facts.parallel = true;
    assert_eq!(plan(&facts).create.len(), BURST);
}

#[test]
fn an_update_is_over_when_all_pods_are_ready_at_the_new_revision() {
    // (replicas, pods, update, current revision, at the current, at the new)
    let table = [
        (2, "AA", ROLLING, "a", Some(2), None),
        (2, "AB", ROLLING, "a", Some(1), Some(1)),
        (2, "AB-", ROLLING, "a", Some(1), None),
        (2, "Bb", ROLLING, "a", None, Some(2)),
        (2, "BBB", ROLLING, "a", None, Some(3)),
        (2, "BB", ROLLING, "b", Some(2), Some(2)),
        (2, "BB", Update::OnDelete, "a", None, Some(2)),
        (0, "", ROLLING, "b", None, None),
    ];
    for (replicas, text, update, revision, current, updated) in table {
        let mut facts = facts(replicas, pods(text));
        facts.update = update;
        let status = plan(&facts).status;
        assert_eq!(status.current_revision.as_deref(), Some(revision), "{text}");
        assert_eq!(
            (status.current_replicas, status.updated_replicas),
            (current, updated),
            "{text}"
        );
        assert_eq!(status.update_revision.as_deref(), Some("b"), "{text}");
    }
}
