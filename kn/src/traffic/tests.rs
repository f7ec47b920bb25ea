//! What flags make of present targets.

use super::*;

fn latest(percent: i64, tag: Option<&str>) -> Value {
    Target {
        revision: None,
        tag: tag.map(str::to_owned),
        percent,
    }
    .write()
}

fn pinned(revision: &str, percent: i64, tag: Option<&str>) -> Value {
    Target {
        revision: Some(revision.to_owned()),
        tag: tag.map(str::to_owned),
        percent,
    }
    .write()
}

fn flags(traffic: &[&str], tag: &[&str], untag: &[&str]) -> TrafficFlags {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    TrafficFlags {
        traffic: owned(traffic),
        tag: owned(tag),
        untag: owned(untag),
    }
}

fn known(routed: &[&str], makes_revision: bool) -> Known {
    Known {
        routed: routed.iter().map(|r| (*r).to_owned()).collect(),
        latest_ready: routed.last().map(|r| (*r).to_owned()),
        makes_revision,
    }
}

#[test]
fn targets() {
    let cases = [
        (
            "the readme's split",
            flags(&["w-1=90", "@latest=10"], &["@latest=next"], &[]),
            vec![latest(100, None)],
            known(&["w-1"], true),
            vec![latest(10, Some("next")), pinned("w-1", 90, None)],
        ),
        (
            "all to the latest",
            flags(&["@latest=100"], &[], &[]),
            vec![pinned("w-1", 90, None), latest(10, Some("next"))],
            known(&["w-1", "w-2"], false),
            vec![latest(100, Some("next"))],
        ),
        (
            "a percent sign, and the one left over",
            flags(&["w-1=30%"], &[], &[]),
            vec![pinned("w-1", 50, None), pinned("w-2", 50, None)],
            known(&["w-1", "w-2"], false),
            vec![pinned("w-1", 30, None), pinned("w-2", 70, None)],
        ),
        (
            "a new revision gets the rest",
            flags(&["w-1=80"], &[], &[]),
            vec![pinned("w-1", 100, None)],
            known(&["w-1"], true),
            vec![pinned("w-1", 80, None), latest(20, None)],
        ),
        (
            "by tag",
            flags(&["stable=60", "w-2=40"], &[], &[]),
            vec![pinned("w-1", 100, Some("stable"))],
            known(&["w-1"], false),
            vec![pinned("w-1", 60, Some("stable")), pinned("w-2", 40, None)],
        ),
        (
            "untag keeps traffic",
            flags(&[], &[], &["a"]),
            vec![pinned("w-1", 100, Some("a"))],
            known(&["w-1"], false),
            vec![pinned("w-1", 100, None)],
        ),
        (
            "untag without traffic drops",
            flags(&[], &[], &["a"]),
            vec![latest(100, None), pinned("w-1", 0, Some("a"))],
            known(&["w-1"], false),
            vec![latest(100, None)],
        ),
        (
            "move a tag",
            flags(&[], &["w-2=a"], &["a"]),
            vec![pinned("w-1", 100, Some("a"))],
            known(&["w-1"], false),
            vec![pinned("w-1", 100, None), pinned("w-2", 0, Some("a"))],
        ),
        (
            "a tag alone is the latest",
            flags(&[], &["a"], &[]),
            vec![latest(100, None)],
            known(&["w-1"], false),
            vec![latest(100, Some("a"))],
        ),
    ];
    for (name, flags, present, known, expected) in cases {
        assert_eq!(flags.apply(&present, &known).unwrap(), expected, "{name}");
    }
}

#[test]
fn refusals() {
    let present = vec![pinned("w-1", 100, Some("a")), latest(0, Some("b"))];
    let cases = [
        (flags(&["w-1=101"], &[], &[]), "invalid value"),
        (flags(&["w-1=x"], &[], &[]), "invalid value"),
        (flags(&["50%"], &[], &[]), "invalid value"),
        (flags(&["w-1=50%%"], &[], &[]), "invalid value"),
        (flags(&["w-1=60", "w-2=60"], &[], &[]), "want <=100"),
        (flags(&["w-1=10", "w-1=20"], &[], &[]), "repetition"),
        (
            flags(&["w-1=10"], &[], &[]),
            "unable to allocate the remaining traffic: 90%",
        ),
        (flags(&[], &["w-2=a"], &[]), "--untag a"),
        (flags(&[], &["c"], &[]), "--untag"),
        (flags(&[], &["@old=c"], &[]), "@latest"),
        (flags(&[], &[], &["c", "d"]), "tag(s) c, d not present"),
    ];
    for (flags, token) in cases {
        let error = flags.apply(&present, &known(&["w-1"], false)).unwrap_err();
        assert!(error.message.contains(token), "{} lacks {token}", error.message);
    }
}

#[test]
fn traffic_that_stops_following_the_latest_is_noticed() {
    let known = known(&["w-1", "w-2"], false);
    let named = [pinned("w-1", 30, None), pinned("w-2", 70, None)];
    let following = [pinned("w-1", 30, None), latest(70, None)];
    assert_eq!(no_longer_follows(&following, &named, &known), Some("w-2"));
    assert_eq!(no_longer_follows(&following, &following, &known), None);
    assert_eq!(no_longer_follows(&named, &named, &known), None);
    assert_eq!(
        no_longer_follows(&following, &[pinned("w-1", 100, None)], &known),
        None
    );
}

proptest::proptest! {
    #[test]
    fn targets_always_add_up(first in 0..=100i64, makes in proptest::bool::ANY, tag in proptest::bool::ANY) {
        let present = vec![pinned("w-1", 100 - first, tag.then_some("t")), latest(first, None)];
        let known = known(&["w-1", "w-2"], makes);
        let reference = if tag { "t" } else { "w-1" };
        let flags = flags(&[&format!("{reference}={first}")], &["@latest=n"], &[]);
        if let Ok(targets) = flags.apply(&present, &known) {
            let sum: i64 = targets.iter().map(|target| target["percent"].as_i64().unwrap()).sum();
            proptest::prop_assert_eq!(sum, 100);
            for target in &targets {
                proptest::prop_assert_ne!(target["latestRevision"] == true, target["revisionName"].is_string());
            }
        }
    }

    #[test]
    fn no_flag_is_too_odd(traffic in "\\PC{0,20}", tag in "\\PC{0,20}", untag in "\\PC{0,20}") {
        let flags = flags(&[&traffic], &[&tag], &[&untag]);
        let _ = flags.apply(&[latest(100, Some("a"))], &known(&["w-1"], true));
    }
}
