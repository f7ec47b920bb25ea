//! Tells through the status of an ingress that this gateway serves it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use activator::ObjectKey;
use crds::conditions::{Condition, ConditionStatus};
use crds::networking::{Ingress, IngressStatus, LoadBalancerIngressStatus, LoadBalancerStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Notify;

use crate::backend::Backends;
use crate::route::Backend;
use crate::table::{Standing, Table};

const MANAGER: &str = "spindrift-gateway";
/// Pause before an ingress whose backends are unknown, or whose status could not be written, is looked at again.
const RETRY: Duration = Duration::from_millis(100);

/// Ingresses whose status must be looked at; each once, so the number of ingresses bounds it.
#[derive(Default)]
pub(crate) struct Pending {
    keys: Mutex<BTreeSet<ObjectKey>>,
    added: Notify,
}

impl Pending {
    pub(crate) fn add(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        self.keys.lock().extend(keys);
        self.added.notify_one();
    }

    async fn take(&self) -> BTreeSet<ObjectKey> {
        loop {
            let keys = std::mem::take(&mut *self.keys.lock());
            if !keys.is_empty() {
                return keys;
            }
            self.added.notified().await;
        }
    }
}

/// Writes statuses, for ever.
pub(crate) struct StatusWriter {
    pub(crate) client: Client,
    pub(crate) table: Arc<Table>,
    pub(crate) backends: Arc<Backends>,
    pub(crate) activator: Arc<activator::Activator>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) external_domain: String,
    pub(crate) internal_domain: String,
}

impl StatusWriter {
    pub(crate) async fn run(self) {
        loop {
            let mut again = BTreeSet::new();
            for key in self.pending.take().await {
                let Some(standing) = self.table.standing(&key) else {
                    continue;
                };
                if !self.reconcile(&key, &standing).await {
                    again.insert(key);
                }
            }
            if !again.is_empty() {
                tokio::time::sleep(RETRY).await;
                self.pending.add(again);
            }
        }
    }

    /// Whether the status says all there is to say.
    async fn reconcile(&self, key: &ObjectKey, standing: &Standing) -> bool {
        let known = standing.backends.iter().all(|backend| match backend {
            Backend::Revision(revision) => self.activator.model().revision(revision).is_some(),
            Backend::Service(service, _) => self.backends.knows(service),
        });
        let verdict = match (standing.conflict, known) {
            (true, _) => Verdict::Conflict,
            (false, false) => Verdict::Waiting,
            (false, true) => Verdict::Serving,
        };
        let now = Time(jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default());
        let wanted = self.wanted(&standing.object, verdict, now);
        let settled = verdict != Verdict::Waiting;
        if standing.object.status.as_ref() == Some(&wanted) {
            return settled;
        }
        let api: Api<Ingress> = Api::namespaced(self.client.clone(), &key.namespace);
        let patch = Patch::Merge(json!({"status": wanted}));
        match api
            .patch_status(&key.name, &PatchParams::apply(MANAGER), &patch)
            .await
        {
            Ok(_) => settled,
            Err(kube::Error::Api(error)) if error.code == 404 => true,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, name = %key, "Ingress status was not written");
                false
            }
        }
    }

    fn wanted(&self, ingress: &Ingress, verdict: Verdict, now: Time) -> IngressStatus {
        let before = ingress.status.clone().unwrap_or_default();
        let at = |domain: &str| {
            Some(LoadBalancerStatus {
                ingress: vec![LoadBalancerIngressStatus {
                    domain_internal: Some(domain.to_owned()),
                    ..LoadBalancerIngressStatus::default()
                }],
            })
        };
        IngressStatus {
            conditions: conditions(&before.conditions, verdict, &now),
            observed_generation: ingress.metadata.generation,
            annotations: before.annotations,
            public_load_balancer: at(&self.external_domain),
            private_load_balancer: at(&self.internal_domain),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Serving,
    /// Something that the routes name is not known yet.
    Waiting,
    /// Another ingress has one of the hosts.
    Conflict,
}

fn conditions(before: &[Condition], verdict: Verdict, now: &Time) -> Vec<Condition> {
    let ready = match verdict {
        Verdict::Serving => (ConditionStatus::True, None),
        Verdict::Waiting => (
            ConditionStatus::Unknown,
            Some(("Uninitialized", "Waiting for load balancer to be ready")),
        ),
        Verdict::Conflict => (
            ConditionStatus::False,
            Some((
                "DomainConflict",
                "Ingress rejected: ingress has a conflicting domain with another ingress",
            )),
        ),
    };
    [
        ("LoadBalancerReady", ready),
        ("NetworkConfigured", (ConditionStatus::True, None)),
        ("Ready", ready),
    ]
    .into_iter()
    .map(|(type_, (status, because))| {
        let mut condition = Condition::new(type_, status);
        condition.reason = because.map(|(reason, _)| reason.to_owned());
        condition.message = because.map(|(_, message)| message.to_owned());
        // The time moves only when something else does.
        let old = before.iter().find(|old| old.type_ == type_);
        condition.last_transition_time = old.and_then(|old| old.last_transition_time.clone());
        if old != Some(&condition) || condition.last_transition_time.is_none() {
            condition.last_transition_time = Some(now.clone());
        }
        condition
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Time {
        Time(jiff::Timestamp::from_second(second).unwrap())
    }

    #[test]
    fn transition_times_move_only_with_their_condition() {
        let waiting = conditions(&[], Verdict::Waiting, &at(1));
        assert!(
            waiting
                .iter()
                .all(|condition| condition.last_transition_time == Some(at(1)))
        );
        let serving = conditions(&waiting, Verdict::Serving, &at(2));
        let times: Vec<_> = serving
            .iter()
            .map(|condition| condition.last_transition_time.clone().unwrap())
            .collect();
        assert_eq!(times, [at(2), at(1), at(2)]);
        assert_eq!(conditions(&serving, Verdict::Serving, &at(3)), serving);
        let conflict = conditions(&serving, Verdict::Conflict, &at(4));
        assert_eq!(conflict[2].reason.as_deref(), Some("DomainConflict"));
    }
}
