//! The PersistentVolumeClaims of a StatefulSet: one for each template and ordinal.
//!
//! They outlive their pods, so that the next pod of an ordinal finds the data of the one before. Where the set asks for
//! it (`persistentVolumeClaimRetentionPolicy`), owner references let the garbage collector remove them: the set owns
//! what goes when the set is deleted, a pod that is one too many owns what goes when the set is scaled down.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};

use super::names;

/// The pod that uses claims, as far as they care.
pub struct User<'a> {
    pub name: &'a str,
    pub uid: &'a str,
    /// Its ordinal is not among those that the set wants.
    pub condemned: bool,
}

pub fn templates(set: &StatefulSet) -> &[PersistentVolumeClaim] {
    set.spec.volume_claim_templates.as_deref().unwrap_or_default()
}

/// The claims of the pod with `ordinal`, as they are made for a pod that stays.
pub fn wanted(set: &StatefulSet, ordinal: u64) -> Vec<PersistentVolumeClaim> {
    let selected = set.spec.selector.match_labels.as_ref();
    let make = |template: &PersistentVolumeClaim| {
        let mut claim = PersistentVolumeClaim {
            spec: template.spec.clone(),
            ..PersistentVolumeClaim::default()
        };
        claim.metadata.name = Some(names::claim(&template.name_any(), &set.name_any(), ordinal));
        claim.metadata.namespace = set.namespace();
        claim.metadata.annotations = template.metadata.annotations.clone();
        claim.metadata.finalizers = template.metadata.finalizers.clone();
        let mut labels = template.metadata.labels.clone().unwrap_or_default();
        labels.extend(selected.cloned().unwrap_or_default());
        claim.metadata.labels = Some(labels).filter(|labels| !labels.is_empty());
        // Nothing of a pod is in it: the pod is not there yet, and stays.
        let user = User {
            name: "",
            uid: "",
            condemned: false,
        };
        claim.metadata.owner_references = owners(set, &user, &claim);
        claim
    };
    templates(set).iter().map(make).collect()
}

/// The ordinal whose pod uses `claim`, if it is one of the set's.
pub fn ordinal(set: &StatefulSet, claim: &PersistentVolumeClaim) -> Option<u64> {
    let name = claim.metadata.name.as_deref()?;
    let (stem, ordinal) = names::split(name)?;
    let template = stem.strip_suffix(&set.name_any())?.strip_suffix('-')?;
    templates(set)
        .iter()
        .any(|known| known.metadata.name.as_deref() == Some(template))
        .then_some(ordinal)
}

/// Whether `claim` goes: it is deleted, or a pod of its ordinal that is gone takes it along. A new pod waits for that,
/// for it would lose its data.
pub fn is_leaving(set: &StatefulSet, claim: &PersistentVolumeClaim) -> bool {
    let pod = ordinal(set, claim).map(|ordinal| names::pod(&set.name_any(), ordinal));
    claim.metadata.deletion_timestamp.is_some()
        || claim
            .owner_references()
            .iter()
            .any(|owner| is_pod(owner) && Some(&owner.name) == pod.as_ref())
}

/// The owners that `claim` should have instead of those it has; `None` if they are right.
///
/// What belongs to a namesake of the set or the pod, or to another controller, is left alone.
pub fn owners(set: &StatefulSet, user: &User, claim: &PersistentVolumeClaim) -> Option<Vec<OwnerReference>> {
    let has = claim.owner_references();
    let (name, uid) = (set.name_any(), set.uid().unwrap_or_default());
    let names_set = |owner: &OwnerReference| is_set(owner) && owner.name == name;
    let names_pod = |owner: &OwnerReference| is_pod(owner) && owner.name == user.name;
    let of_namesake = |owner: &&OwnerReference| {
        (names_set(owner) && owner.uid != uid) || (names_pod(owner) && owner.uid != user.uid)
    };
    if has.iter().any(|owner| of_namesake(&owner)) {
        return None;
    }
    let (deleted, scaled) = policy(set);
    let mut wanted: Vec<OwnerReference> = has
        .iter()
        .filter(|owner| !names_set(owner) && !names_pod(owner))
        .cloned()
        .collect();
    if !wanted.iter().any(|owner| owner.controller == Some(true)) {
        if scaled && user.condemned {
            wanted.push(OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Pod".to_owned(),
                name: user.name.to_owned(),
                uid: user.uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            });
        } else if deleted {
            wanted.extend(informer::object::controller_reference(set));
        }
    }
    (wanted != has).then_some(wanted)
}

/// Whether claims go when the set is deleted, and when it is scaled down.
fn policy(set: &StatefulSet) -> (bool, bool) {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    let goes = |when: Option<&String>| when.is_some_and(|what| what == "Delete");
    (
        goes(policy.and_then(|policy| policy.when_deleted.as_ref())),
        goes(policy.and_then(|policy| policy.when_scaled.as_ref())),
    )
}

fn is_set(owner: &OwnerReference) -> bool {
    owner.api_version == StatefulSet::api_version(&()) && owner.kind == "StatefulSet"
}

fn is_pod(owner: &OwnerReference) -> bool {
    owner.api_version == "v1" && owner.kind == "Pod"
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(deleted: &str, scaled: &str) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "n", "uid": "s" },
            "spec": {
                "selector": { "matchLabels": { "app": "web" } }, "template": {},
                "persistentVolumeClaimRetentionPolicy": { "whenDeleted": deleted, "whenScaled": scaled },
                "volumeClaimTemplates": [{
                    "metadata": { "name": "data", "labels": { "app": "other", "tier": "db" }, "annotations": { "a": "b" } },
                    "spec": { "accessModes": ["ReadWriteOnce"] }, "status": { "phase": "Pending" },
                }],
            },
        }))
        .unwrap()
    }

    fn owner(kind: &str, name: &str, uid: &str, controller: bool) -> Value {
        let version = if kind == "StatefulSet" { "apps/v1" } else { "v1" };
        let mut owner = json!({ "apiVersion": version, "kind": kind, "name": name, "uid": uid });
        if controller {
            owner["controller"] = json!(true);
            owner["blockOwnerDeletion"] = json!(true);
        }
        owner
    }

    fn claim(name: &str, owners: Value) -> PersistentVolumeClaim {
        serde_json::from_value(json!({ "metadata": { "name": name, "ownerReferences": owners } })).unwrap()
    }

    #[test]
    fn claims_are_made_of_their_templates() {
        let made = wanted(&set("Retain", "Retain"), 3);
        assert_eq!(made.len(), 1);
        assert_eq!(
            serde_json::to_value(&made[0]).unwrap(),
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": "data-web-3", "namespace": "n", "annotations": { "a": "b" },
                    "labels": { "app": "web", "tier": "db" },
                },
                "spec": { "accessModes": ["ReadWriteOnce"] },
            })
        );
        let owned = wanted(&set("Delete", "Delete"), 0).remove(0);
        assert_eq!(owned.owner_references()[0].uid, "s");
    }

    #[test]
    fn a_claim_is_known_by_its_name() {
        for (name, expected) in [
            ("data-web-2", Some(2)),
            ("logs-web-2", None),
            ("data-other-2", None),
            ("data-web", None),
            ("dataweb-2", None),
        ] {
            assert_eq!(
                ordinal(&set("Retain", "Retain"), &claim(name, json!([]))),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn owners_follow_the_policy() {
        let by_set = || owner("StatefulSet", "web", "s", true);
        let by_pod = || owner("Pod", "web-1", "p", true);
        let other = || owner("Backup", "b", "b", false);
        let foreign = || owner("Backup", "b", "b", true);
        // (policy, condemned, owners before, owners after if they change)
        let table = [
            ("Retain", "Retain", false, json!([]), None),
            ("Retain", "Retain", true, json!([]), None),
            ("Retain", "Retain", false, json!([by_set()]), Some(json!([]))),
            ("Retain", "Retain", false, json!([foreign()]), None),
            ("Delete", "Retain", false, json!([]), Some(json!([by_set()]))),
            ("Delete", "Retain", true, json!([by_set()]), None),
            ("Retain", "Delete", false, json!([]), None),
            ("Retain", "Delete", true, json!([]), Some(json!([by_pod()]))),
            // Scaled up again before the pod was gone: the data stays.
            ("Retain", "Delete", false, json!([by_pod()]), Some(json!([]))),
            (
                "Delete",
                "Delete",
                false,
                json!([by_pod()]),
                Some(json!([by_set()])),
            ),
            (
                "Delete",
                "Delete",
                true,
                json!([by_set()]),
                Some(json!([by_pod()])),
            ),
            // Others stay, and an owner that does not control is replaced.
            (
                "Delete",
                "Retain",
                false,
                json!([other()]),
                Some(json!([other(), by_set()])),
            ),
            (
                "Delete",
                "Retain",
                false,
                json!([owner("StatefulSet", "web", "s", false)]),
                Some(json!([by_set()])),
            ),
            // Another controller: nothing of ours is added, and what there is goes.
            ("Delete", "Delete", true, json!([foreign()]), None),
            (
                "Delete",
                "Delete",
                false,
                json!([foreign(), owner("StatefulSet", "web", "s", false)]),
                Some(json!([foreign()])),
            ),
            // Of a namesake that is gone: the garbage collector knows.
            (
                "Delete",
                "Delete",
                false,
                json!([owner("StatefulSet", "web", "old", true)]),
                None,
            ),
            (
                "Delete",
                "Delete",
                true,
                json!([owner("Pod", "web-1", "old", true)]),
                None,
            ),
        ];
        for (deleted, scaled, condemned, before, after) in table {
            let user = User {
                name: "web-1",
                uid: "p",
                condemned,
            };
            let found = owners(&set(deleted, scaled), &user, &claim("data-web-1", before.clone()));
            assert_eq!(
                found.map(|owners| serde_json::to_value(owners).unwrap()),
                after,
                "{deleted} {scaled} {condemned} {before}"
            );
        }
    }

    #[test]
    fn a_claim_leaves_with_the_pod_that_owns_it() {
        let set = set("Retain", "Delete");
        for (owners, leaving) in [
            (json!([]), false),
            (json!([owner("Pod", "web-1", "p", true)]), true),
            (json!([owner("Pod", "web-2", "p", true)]), false),
            (json!([owner("StatefulSet", "web", "s", true)]), false),
        ] {
            assert_eq!(
                is_leaving(&set, &claim("data-web-1", owners.clone())),
                leaving,
                "{owners}"
            );
        }
        let mut deleted = claim("data-web-1", json!([]));
        deleted.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::UNIX_EPOCH,
        ));
        assert!(is_leaving(&set, &deleted));
    }
}
