//! Who gets the requests of a Service that also shows previews.
//!
//! A preview is a revision of the same Service, and the newest one when it is made; so that it gets no requests but
//! those for its own URL, the share of the Service goes to the revision of the branch by name while there are previews.

use crds::serving::TrafficTarget;

/// The targets when a build of the branch is deployed: the share that was pinned for the sake of previews goes to the
/// newest revision again. `None` if they stay as they are.
pub(crate) fn for_branch(traffic: &[TrafficTarget], pinned: Option<&str>) -> Option<Vec<TrafficTarget>> {
    let mut changed = false;
    let targets = traffic
        .iter()
        .map(|target| {
            // What somebody else has pinned stays there.
            let ours = pinned.is_some() && target.revision_name.as_deref() == pinned;
            if ours && target.tag.is_none() {
                changed = true;
                return TrafficTarget {
                    revision_name: None,
                    latest_revision: Some(true),
                    ..target.clone()
                };
            }
            target.clone()
        })
        .collect();
    changed.then_some(targets)
}

/// The targets before a preview is made: what goes to the newest revision goes to `ready`, which that is now. `None` if
/// they stay as they are.
pub(crate) fn pinned(traffic: &[TrafficTarget], ready: &str) -> Option<Vec<TrafficTarget>> {
    let mut targets: Vec<TrafficTarget> = if traffic.is_empty() {
        vec![whole()]
    } else {
        traffic.to_vec()
    };
    let mut changed = false;
    for target in &mut targets {
        if target.latest_revision == Some(true) {
            changed = true;
            target.latest_revision = Some(false);
            target.revision_name = Some(ready.to_owned());
        }
    }
    changed.then_some(targets)
}

/// The targets with `revision` under `tag`. `None` if it is there already.
pub(crate) fn with_preview(
    traffic: &[TrafficTarget],
    tag: &str,
    revision: &str,
) -> Option<Vec<TrafficTarget>> {
    let has_tag = |target: &TrafficTarget| target.tag.as_deref() == Some(tag);
    if traffic
        .iter()
        .any(|target| has_tag(target) && target.revision_name.as_deref() == Some(revision))
    {
        return None;
    }
    let others = traffic.iter().filter(|target| !has_tag(target)).cloned();
    let preview = TrafficTarget {
        tag: Some(tag.to_owned()),
        revision_name: Some(revision.to_owned()),
        latest_revision: Some(false),
        percent: Some(0),
        ..TrafficTarget::default()
    };
    Some(others.chain([preview]).collect())
}

/// The targets without those of these tags that get no share. `None` if there are none.
pub(crate) fn without(traffic: &[TrafficTarget], tags: &[String]) -> Option<Vec<TrafficTarget>> {
    let goes = |target: &TrafficTarget| {
        target.percent.unwrap_or_default() == 0 && target.tag.as_ref().is_some_and(|tag| tags.contains(tag))
    };
    let kept: Vec<TrafficTarget> = traffic.iter().filter(|target| !goes(target)).cloned().collect();
    (kept.len() < traffic.len()).then_some(kept)
}

/// All requests to the newest revision.
fn whole() -> TrafficTarget {
    TrafficTarget {
        latest_revision: Some(true),
        percent: Some(100),
        ..TrafficTarget::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn targets(wire: Value) -> Vec<TrafficTarget> {
        serde_json::from_value(wire).unwrap()
    }

    fn latest() -> Value {
        json!({"latestRevision": true, "percent": 100})
    }

    fn named(revision: &str) -> Value {
        json!({"revisionName": revision, "latestRevision": false, "percent": 100})
    }

    fn preview(tag: &str, revision: &str) -> Value {
        json!({"tag": tag, "revisionName": revision, "latestRevision": false, "percent": 0})
    }

    #[test]
    fn a_preview_takes_no_requests_from_the_branch() {
        for (before, after) in [
            (json!([]), Some(json!([named("main-1")]))),
            (json!([latest()]), Some(json!([named("main-1")]))),
            (json!([named("main-0"), preview("x", "x-1")]), None),
            // Somebody's own split.
            (
                json!([{"revisionName": "a", "percent": 90}, {"revisionName": "b", "percent": 10}]),
                None,
            ),
        ] {
            let found = pinned(&targets(before), "main-1");
            assert_eq!(found.map(|found| serde_json::to_value(found).unwrap()), after);
        }
    }

    #[test]
    fn a_branch_has_one_preview() {
        let before = targets(json!([named("main-1"), preview("x", "x-1"), preview("y", "y-1")]));
        let after = with_preview(&before, "x", "x-2").unwrap();
        assert_eq!(
            serde_json::to_value(&after).unwrap(),
            json!([named("main-1"), preview("y", "y-1"), preview("x", "x-2")])
        );
        assert_eq!(with_preview(&after, "x", "x-2"), None);
    }

    #[test]
    fn a_build_of_the_branch_gets_the_requests_of_the_one_before() {
        let before = targets(json!([named("main-1"), preview("x", "x-1")]));
        let after = for_branch(&before, Some("main-1")).unwrap();
        assert_eq!(
            serde_json::to_value(after).unwrap(),
            json!([latest(), preview("x", "x-1")])
        );
        assert_eq!(for_branch(&before, Some("main-2")), None);
        assert_eq!(for_branch(&targets(json!([latest()])), Some("main-1")), None);
        assert_eq!(for_branch(&before, None), None);
    }

    #[test]
    fn previews_go_by_their_tags() {
        let before = targets(json!([latest(), preview("x", "x-1"), preview("y", "y-1")]));
        let kept = without(&before, &["x".to_owned(), "z".to_owned()]).unwrap();
        assert_eq!(
            serde_json::to_value(kept).unwrap(),
            json!([latest(), preview("y", "y-1")])
        );
        assert_eq!(without(&before, &["z".to_owned()]), None);
    }
}
