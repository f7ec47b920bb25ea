//! The templates that a StatefulSet has had. Each is kept in a ControllerRevision, in the form in which
//! `kubectl rollout history` and `kubectl rollout undo` read it: a patch that puts the template back.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::names;
use crate::template;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What to do so that the present template has the newest revision.
#[derive(Debug, PartialEq)]
pub enum Newest<'a> {
    Keep(&'a ControllerRevision),
    /// An older revision has the template: it becomes the newest, under this number.
    Renumber(&'a ControllerRevision, i64),
    /// None has it; the new one has this number.
    Create(i64),
}

/// Puts `revisions` in the order in which they came.
pub fn sort(revisions: &mut [ControllerRevision]) {
    revisions.sort_by_cached_key(|revision| {
        let created = revision.metadata.creation_timestamp.as_ref().map(|time| time.0);
        (number(revision), created, revision.name_any())
    });
}

/// Looks for `template` among `revisions`, which are sorted.
pub fn newest<'a>(revisions: &'a [ControllerRevision], template: &PodTemplateSpec) -> Newest<'a> {
    let next = revisions.last().map_or(1, |last| number(last).saturating_add(1));
    let known = revisions
        .iter()
        .enumerate()
        .rfind(|(_, revision)| template_of(revision).as_ref() == Some(template));
    match known {
        Some((place, revision)) if place + 1 == revisions.len() => Newest::Keep(revision),
        Some((_, revision)) => Newest::Renumber(revision, next),
        None => Newest::Create(next),
    }
}

/// The revision of the present template; `collisions` counts how often its name was taken. `None` for a set that is
/// not stored.
pub fn desired(set: &StatefulSet, number: i64, collisions: i32) -> Option<ControllerRevision> {
    let owner = informer::object::controller_reference(set)?;
    let template = &set.spec.template;
    let hash = template::hash(template, collisions);
    let mut kept = serde_json::to_value(template).ok()?;
    kept.as_object_mut()?
        .insert("$patch".to_owned(), json!("replace"));
    let mut revision = ControllerRevision {
        data: RawExtension(json!({ "spec": { "template": kept } })),
        revision: Some(number),
        ..ControllerRevision::default()
    };
    revision.metadata.name = Some(names::revision(&set.name_any(), &hash));
    revision.metadata.namespace = set.namespace();
    revision.metadata.owner_references = Some(vec![owner]);
    let labels = template
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.labels.clone());
    let labels = revision.metadata.labels.insert(labels.unwrap_or_default());
    labels.insert(names::REVISION_HASH.to_owned(), hash);
    let annotations = set.annotations().iter().filter(|(key, _)| *key != LAST_APPLIED);
    revision.metadata.annotations = Some(
        annotations
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    );
    Some(revision)
}

/// The template that `revision` keeps; `None` if it keeps something else.
pub fn template_of(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let kept: &Value = revision.data.0.pointer("/spec/template")?;
    PodTemplateSpec::deserialize(kept).ok()
}

/// The oldest of the revisions that nobody is at: those beyond the `limit` that the set keeps.
pub fn surplus<'a>(
    revisions: &'a [ControllerRevision],
    in_use: &BTreeSet<&str>,
    limit: usize,
) -> Vec<&'a ControllerRevision> {
    let mut history: Vec<&ControllerRevision> = revisions
        .iter()
        .filter(|revision| !in_use.contains(revision.name_any().as_str()))
        .collect();
    history.truncate(history.len().saturating_sub(limit));
    history
}

fn number(revision: &ControllerRevision) -> i64 {
    revision.revision.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(image: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "n", "uid": "u", "annotations": { LAST_APPLIED: "{}", "why": "x" } },
            "spec": { "selector": {}, "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "c", "image": image }] },
            }},
        }))
        .unwrap()
    }

    fn template(image: &str) -> PodTemplateSpec {
        set(image).spec.template
    }

    /// What a server hands out again.
    fn revision(image: &str, number: i64) -> ControllerRevision {
        let made = serde_json::to_string(&desired(&set(image), number, 0).unwrap()).unwrap();
        serde_json::from_str(&made).unwrap()
    }

    #[test]
    fn a_revision_keeps_a_template() {
        let kept = revision("a:1", 3);
        assert_eq!(kept.data.0["spec"]["template"]["$patch"], "replace");
        assert_eq!(template_of(&kept), Some(template("a:1")));
        assert_eq!(kept.revision, Some(3));
        let hash = &kept.labels()[names::REVISION_HASH];
        assert_eq!(kept.name_any(), format!("web-{hash}"));
        assert_eq!(kept.labels()["app"], "web");
        assert_eq!(kept.annotations().len(), 1);
        assert_ne!(
            kept.name_any(),
            desired(&set("a:1"), 3, 1).unwrap().name_any(),
            "a collision"
        );
        assert_eq!(template_of(&ControllerRevision::default()), None);
    }

    #[test]
    fn the_present_template_has_the_newest_revision() {
        let (first, second) = (revision("a:1", 1), revision("a:2", 2));
        let both = [first.clone(), second.clone()];
        assert_eq!(newest(&[], &template("a:1")), Newest::Create(1));
        assert_eq!(newest(&both, &template("a:3")), Newest::Create(3));
        assert_eq!(newest(&both, &template("a:2")), Newest::Keep(&second));
        // Rolled back.
        assert_eq!(newest(&both, &template("a:1")), Newest::Renumber(&first, 3));

        let mut mixed = vec![second.clone(), first.clone()];
        sort(&mut mixed);
        assert_eq!(mixed, both);
    }

    #[test]
    fn the_oldest_that_nobody_is_at_go_first() {
        let all: Vec<ControllerRevision> = (1..=5).map(|n| revision(&format!("a:{n}"), n)).collect();
        let name = |n: usize| all[n - 1].name_any();
        let (second, fifth) = (name(2), name(5));
        let in_use = BTreeSet::from([second.as_str(), fifth.as_str()]);
        for (limit, expected) in [(10, vec![]), (2, vec![1]), (0, vec![1, 3, 4])] {
            let gone: Vec<i64> = surplus(&all, &in_use, limit)
                .into_iter()
                .filter_map(|revision| revision.revision)
                .collect();
            assert_eq!(gone, expected, "{limit}");
        }
    }
}
