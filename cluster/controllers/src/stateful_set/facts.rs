//! What is known of a StatefulSet, its pods and their claims when a decision is made.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use super::{claims, names, pod};
use crate::pod::ready_since;

#[derive(Clone, Debug)]
pub struct Facts {
    /// The ordinals that the set wants.
    pub ordinals: Range<u64>,
    /// Pods come and go without waiting for each other.
    pub parallel: bool,
    pub update: Update,
    /// How long a pod is ready before it is available.
    pub min_ready: Duration,
    /// The revision that pods had before the update that is under way; without one, the same as `new`.
    pub current: String,
    /// The revision of the present template.
    pub new: String,
    /// By their ordinals, at most one of each.
    pub pods: BTreeMap<u64, PodFacts>,
    /// Ordinals that get no new pod yet, for a claim of theirs goes.
    pub blocked: BTreeSet<u64>,
    /// The set is deleted: nothing is done any more.
    pub going: bool,
    pub generation: Option<i64>,
    /// How often a name for a revision was taken.
    pub collisions: i32,
    /// As it is stored.
    pub status: StatefulSetStatus,
    pub now: Timestamp,
}

/// How pods come to a new revision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Update {
    /// When somebody deletes them.
    OnDelete,
    Rolling {
        /// So many of the lowest ordinals keep the current revision.
        partition: u64,
        /// Most pods that may be unavailable for the update's sake; at least one.
        max_unavailable: u64,
    },
}

/// The revisions that a set is at.
pub struct Revisions {
    pub current: String,
    pub new: String,
    pub collisions: i32,
}

#[derive(Clone, Debug)]
pub struct PodFacts {
    pub name: String,
    pub uid: String,
    pub ordinal: u64,
    pub revision: String,
    pub standing: Standing,
    /// Deleted, and not gone yet.
    pub terminating: bool,
    /// Since when it is ready; `None` while it is not.
    pub ready_since: Option<Timestamp>,
    /// Carries the labels of its ordinal.
    pub labelled: bool,
    /// Its claims are there, if it waits for them, and have the owners that they should have.
    pub claims_fit: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    Pending,
    Running,
    /// Succeeded or failed. Neither is what a set's pod is for: one that was stopped from outside may well have ended
    /// without an error.
    Ended,
}

impl Facts {
    /// `claims` are those of the set.
    pub fn gather(
        set: &StatefulSet,
        revisions: Revisions,
        pods: &[Arc<Pod>],
        claims: &[Arc<PersistentVolumeClaim>],
        now: Timestamp,
    ) -> Self {
        let spec = &set.spec;
        let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start);
        let (start, replicas) = (count(start), count(spec.replicas.or(Some(1))));
        let ordinals = start..start + replicas;
        let of_name: BTreeMap<String, &PersistentVolumeClaim> = claims
            .iter()
            .map(|claim| (claim.name_any(), claim.as_ref()))
            .collect();
        let pods = pods
            .iter()
            .filter_map(|pod| PodFacts::of(set, pod, &ordinals, &of_name))
            .map(|pod| (pod.ordinal, pod))
            .collect();
        let leaving = claims.iter().filter(|claim| claims::is_leaving(set, claim));
        Self {
            parallel: spec.pod_management_policy.as_deref() == Some("Parallel"),
            update: update(spec, replicas),
            min_ready: Duration::from_secs(count(spec.min_ready_seconds)),
            current: revisions.current,
            new: revisions.new,
            pods,
            blocked: leaving.filter_map(|claim| claims::ordinal(set, claim)).collect(),
            going: set.meta().deletion_timestamp.is_some(),
            generation: set.metadata.generation,
            collisions: revisions.collisions,
            status: set.status.clone().unwrap_or_default(),
            now,
            ordinals,
        }
    }

    /// Whether `pod` has been ready for long enough, and stays.
    pub fn is_available(&self, pod: &PodFacts) -> bool {
        !pod.terminating && self.available_in(pod) == Some(Duration::ZERO)
    }

    /// The time until `pod` has been ready for long enough; `None` while it is not ready.
    pub fn available_in(&self, pod: &PodFacts) -> Option<Duration> {
        let age = self.now.duration_since(pod.ready_since?);
        let age = Duration::try_from(age).unwrap_or(Duration::ZERO);
        Some(self.min_ready.saturating_sub(age))
    }
}

impl PodFacts {
    /// `None` for a pod whose name is not one that the set gives.
    fn of(
        set: &StatefulSet,
        pod: &Pod,
        ordinals: &Range<u64>,
        claims: &BTreeMap<String, &PersistentVolumeClaim>,
    ) -> Option<Self> {
        let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
        let ordinal = names::ordinal(&name, &set.name_any())?;
        let standing = match pod.status.as_ref().and_then(|status| status.phase.as_deref()) {
            Some("Succeeded" | "Failed") => Standing::Ended,
            Some("Running") => Standing::Running,
            _ => Standing::Pending,
        };
        let terminating = pod.meta().deletion_timestamp.is_some();
        let user = claims::User {
            name: &name,
            uid: &uid,
            condemned: !ordinals.contains(&ordinal),
        };
        let waits = standing == Standing::Pending && !terminating;
        let claims_fit = claims::templates(set).iter().all(|template| {
            let claim = claims.get(&names::claim(&template.name_any(), &set.name_any(), ordinal));
            claim.map_or(!waits, |claim| claims::owners(set, &user, claim).is_none())
        });
        Some(Self {
            ordinal,
            revision: pod.labels().get(names::POD_REVISION).cloned().unwrap_or_default(),
            standing,
            terminating,
            ready_since: ready_since(pod).filter(|_| standing == Standing::Running),
            labelled: pod::identity(&name, ordinal)
                .iter()
                .all(|(key, value)| pod.labels().get(key) == Some(value)),
            claims_fit,
            name,
            uid,
        })
    }
}

fn update(spec: &StatefulSetSpec, replicas: u64) -> Update {
    let strategy = spec.update_strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete") {
        return Update::OnDelete;
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let most = match rolling.and_then(|rolling| rolling.max_unavailable.as_ref()) {
        None => 1,
        Some(IntOrString::Int(number)) => count(Some(*number)),
        // Upstream rounds down here.
        Some(IntOrString::String(text)) => {
            let percent = text
                .strip_suffix('%')
                .and_then(|percent| percent.parse::<u64>().ok());
            replicas.saturating_mul(percent.unwrap_or(0)) / 100
        }
    };
    Update::Rolling {
        partition: count(rolling.and_then(|rolling| rolling.partition)),
        max_unavailable: most.max(1),
    }
}

fn count(number: Option<i32>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn gather(spec: Value, pods: Value, claims: Value) -> Facts {
        let mut all = json!({ "selector": {}, "template": {} });
        for (key, value) in spec.as_object().unwrap() {
            all[key] = value.clone();
        }
        let set = json!({ "metadata": { "name": "web", "uid": "u", "generation": 4 }, "spec": all });
        let revisions = Revisions {
            current: "web-1".to_owned(),
            new: "web-2".to_owned(),
            collisions: 0,
        };
        let pods: Vec<Pod> = serde_json::from_value(pods).unwrap();
        let claims: Vec<PersistentVolumeClaim> = serde_json::from_value(claims).unwrap();
        let pods: Vec<Arc<Pod>> = pods.into_iter().map(Arc::new).collect();
        let claims: Vec<_> = claims.into_iter().map(Arc::new).collect();
        let now = "2026-01-01T00:00:10Z".parse().unwrap();
        Facts::gather(
            &serde_json::from_value(set).unwrap(),
            revisions,
            &pods,
            &claims,
            now,
        )
    }

    #[test]
    fn the_spec_says_which_pods_and_how() {
        let rolling = |partition, max_unavailable| Update::Rolling {
            partition,
            max_unavailable,
        };
        let strategy = |rolling: Value| json!({ "replicas": 5, "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": rolling } });
        for (spec, ordinals, update) in [
            (json!({}), 0..1, rolling(0, 1)),
            (json!({ "replicas": 0 }), 0..0, rolling(0, 1)),
            (
                json!({ "replicas": 3, "ordinals": { "start": 7 } }),
                7..10,
                rolling(0, 1),
            ),
            (
                json!({ "updateStrategy": { "type": "OnDelete" } }),
                0..1,
                Update::OnDelete,
            ),
            (strategy(json!({ "partition": 2 })), 0..5, rolling(2, 1)),
            (strategy(json!({ "maxUnavailable": 3 })), 0..5, rolling(0, 3)),
            (strategy(json!({ "maxUnavailable": "50%" })), 0..5, rolling(0, 2)),
            (strategy(json!({ "maxUnavailable": "1%" })), 0..5, rolling(0, 1)),
        ] {
            let facts = gather(spec.clone(), json!([]), json!([]));
            assert_eq!((facts.ordinals, facts.update), (ordinals, update), "{spec}");
        }
    }

    #[test]
    fn pods_are_read_by_their_names_and_conditions() {
        let ready =
            json!([{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z" }]);
        let facts = gather(
            json!({ "replicas": 2, "minReadySeconds": 5 }),
            json!([
                {
                    "metadata": { "name": "web-0", "labels": {
                        "statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0",
                        "controller-revision-hash": "web-1",
                    }},
                    "status": { "phase": "Running", "conditions": ready },
                },
                { "metadata": { "name": "web-1" }, "status": { "phase": "Failed", "conditions": ready } },
                { "metadata": { "name": "web-x" } },
                { "metadata": { "name": "other-0" } },
            ]),
            json!([]),
        );
        assert_eq!(facts.pods.keys().copied().collect::<Vec<u64>>(), [0, 1]);
        let (first, second) = (&facts.pods[&0], &facts.pods[&1]);
        assert_eq!(first.revision, "web-1");
        assert!(first.labelled && !second.labelled);
        assert_eq!(facts.available_in(first), Some(Duration::from_secs(2)));
        assert!(!facts.is_available(first));
        assert_eq!((second.standing, second.ready_since), (Standing::Ended, None));
    }

    #[test]
    fn claims_fit_when_they_are_there_and_belong_to_whom_they_should() {
        let spec = json!({
            "replicas": 2,
            "persistentVolumeClaimRetentionPolicy": { "whenScaled": "Delete" },
            "volumeClaimTemplates": [{ "metadata": { "name": "data" } }],
        });
        let by_pod = |name: &str, uid: &str| json!([{ "apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid, "controller": true, "blockOwnerDeletion": true }]);
        let facts = gather(
            spec,
            json!([
                { "metadata": { "name": "web-0", "uid": "0" } },
                { "metadata": { "name": "web-2", "uid": "2" } },
                { "metadata": { "name": "web-3", "uid": "3" }, "status": { "phase": "Running" } },
                { "metadata": { "name": "web-4", "uid": "4" }, "status": { "phase": "Running" } },
            ]),
            json!([
                { "metadata": { "name": "data-web-1", "ownerReferences": by_pod("web-1", "gone") } },
                { "metadata": { "name": "data-web-2", "ownerReferences": by_pod("web-2", "2") } },
                { "metadata": { "name": "data-web-3" } },
            ]),
        );
        let fit: Vec<bool> = facts.pods.values().map(|pod| pod.claims_fit).collect();
        // Missing while its pod waits; right; without the owner that takes it along; missing while nobody waits.
        assert_eq!(fit, [false, true, false, true]);
        assert_eq!(facts.blocked, BTreeSet::from([1, 2]));
    }
}
