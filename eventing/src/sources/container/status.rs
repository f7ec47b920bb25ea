//! The status of a ContainerSource from those of its children.

use std::sync::Arc;

use crds::conditions::READY;
use crds::sources::{ContainerSource, ContainerSourceStatus, SinkBinding};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::jiff::Timestamp;
use reconciler::error::chain;
use reconciler::{ConditionSet, Conditions, Error};

use crate::shared::name_of;

const BINDING_READY: &str = "SinkBindingReady";
const ADAPTER_READY: &str = "ReceiveAdapterReady";
const CONDITIONS: ConditionSet = ConditionSet::new(&[BINDING_READY, ADAPTER_READY]);

/// What became of a child.
#[derive(Debug)]
pub(super) enum Child<K> {
    There(Arc<K>),
    /// It is not made yet.
    Waiting,
    /// The name belongs to somebody else's.
    NotOwned(String),
    Failed(String),
}

impl<K> Child<K> {
    /// Keeps the first error in `result`; a name that is taken is no fault.
    pub(super) fn of(applied: Result<Option<Arc<K>>, Error>, result: &mut Result<(), Error>) -> Self {
        match applied {
            Ok(Some(object)) => Self::There(object),
            Ok(None) => Self::Waiting,
            Err(error) => {
                let text = chain(&error);
                let not_owned = matches!(error, Error::NotOwned { .. });
                if result.is_ok() {
                    *result = Err(error);
                }
                if not_owned {
                    Self::NotOwned(text)
                } else {
                    Self::Failed(text)
                }
            }
        }
    }

    pub(super) fn object(&self) -> Option<&Arc<K>> {
        match self {
            Self::There(object) => Some(object),
            Self::Waiting | Self::NotOwned(_) | Self::Failed(_) => None,
        }
    }
}

/// What one look at a source's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub binding: Child<SinkBinding>,
    pub deployment: Child<Deployment>,
}

pub(super) fn container_status(
    source: &ContainerSource,
    observed: &Observed,
    now: Timestamp,
) -> ContainerSourceStatus {
    let mut status = source.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = source.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    let of_binding = observed
        .binding
        .object()
        .and_then(|binding| binding.status.clone());
    let of_binding = of_binding.unwrap_or_default();
    status.sink_uri = of_binding.sink_uri;
    status.sink_ca_certs = of_binding.sink_ca_certs;
    status.sink_audience = of_binding.sink_audience;
    status.ce_attributes = of_binding.ce_attributes;
    status.auth = of_binding.auth;
    let mut conditions = CONDITIONS.manage(&mut status, now);
    mark_adapter(&mut conditions, &observed.deployment);
    // Last, as it tells why there is no Deployment.
    mark_binding(&mut conditions, &observed.binding);
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

fn mark_binding(conditions: &mut Conditions<'_>, binding: &Child<SinkBinding>) {
    let binding = match binding {
        Child::There(binding) => binding,
        Child::Waiting => return conditions.mark_unknown(BINDING_READY, "Creating", ""),
        Child::NotOwned(text) => return conditions.mark_false(BINDING_READY, "NotOwned", text),
        Child::Failed(text) => return conditions.mark_false(BINDING_READY, "CreationFailed", text),
    };
    let status = binding.status.as_ref();
    let current = status.filter(|status| status.observed_generation == binding.metadata.generation);
    let mut all = current.into_iter().flat_map(|status| &status.conditions);
    match all.find(|condition| condition.type_ == READY) {
        Some(ready) => conditions.copy(BINDING_READY, ready),
        None => {
            let message = format!(
                "SinkBinding {:?} has not been looked at yet.",
                name_of(&binding.metadata)
            );
            conditions.mark_unknown(BINDING_READY, "SinkBindingNotObserved", &message);
        }
    }
}

fn mark_adapter(conditions: &mut Conditions<'_>, deployment: &Child<Deployment>) {
    let deployment = match deployment {
        Child::There(deployment) => deployment,
        Child::Waiting => {
            let message = "The containers are started when the sink is known.";
            return conditions.mark_unknown(ADAPTER_READY, "SinkUnknown", message);
        }
        Child::NotOwned(text) => return conditions.mark_false(ADAPTER_READY, "NotOwned", text),
        Child::Failed(text) => return conditions.mark_false(ADAPTER_READY, "CreationFailed", text),
    };
    let name = name_of(&deployment.metadata);
    let status = deployment.status.as_ref();
    let found = |type_: &str| -> Option<&DeploymentCondition> {
        let all = status?.conditions.as_ref()?;
        all.iter()
            .find(|condition| condition.type_.as_deref() == Some(type_))
    };
    let current = status.is_some_and(|status| status.observed_generation >= deployment.metadata.generation);
    if !current {
        let message = format!("The Deployment '{name}' has not been looked at yet.");
        return conditions.mark_unknown(ADAPTER_READY, "DeploymentUpdating", &message);
    }
    // Why no pod can be made, and why none gets ready, say more than that none is available.
    let failed = [
        ("ReplicaFailure", "True"),
        ("Progressing", "False"),
        ("Available", "False"),
    ];
    let failed = failed
        .into_iter()
        .find_map(|(type_, bad)| found(type_).filter(|found| found.status.as_deref() == Some(bad)));
    match (found("Available"), failed) {
        (Some(available), _) if available.status.as_deref() == Some("True") => {
            conditions.mark_true(ADAPTER_READY)
        }
        (_, Some(failed)) => {
            let reason = failed.reason.as_deref().unwrap_or("DeploymentUnavailable");
            let message = format!(
                "The Deployment '{name}' is unavailable: {}",
                failed.message.as_deref().unwrap_or_default()
            );
            conditions.mark_false(ADAPTER_READY, reason, &message);
        }
        _ => {
            let message = format!("The Deployment '{name}' is unavailable.");
            conditions.mark_unknown(ADAPTER_READY, "DeploymentUnavailable", &message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crds::conditions::ConditionedStatus;
    use serde_json::{Value, json};

    use super::*;

    fn source() -> ContainerSource {
        let source = json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "ContainerSource",
            "metadata": {"name": "s", "namespace": "ns", "generation": 1}, "spec": {},
        });
        serde_json::from_value(source).unwrap()
    }

    fn binding(ready: &str, observed: i64) -> Child<SinkBinding> {
        let binding = json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding",
            "metadata": {"name": "b", "generation": 1}, "spec": {},
            "status": {
                "observedGeneration": observed, "sinkUri": "http://sink",
                "conditions": [{"type": "Ready", "status": ready, "reason": if ready == "True" { "" } else { "SubjectMissing" }}],
            },
        });
        Child::There(Arc::new(serde_json::from_value(binding).unwrap()))
    }

    fn deployment(conditions: Value) -> Child<Deployment> {
        let deployment = json!({
            "metadata": {"name": "d", "generation": 1},
            "status": {"observedGeneration": 1, "conditions": conditions},
        });
        Child::There(Arc::new(serde_json::from_value(deployment).unwrap()))
    }

    fn told(binding: Child<SinkBinding>, deployment: Child<Deployment>) -> Vec<String> {
        let observed = Observed { binding, deployment };
        let status = container_status(&source(), &observed, Timestamp::UNIX_EPOCH);
        let text = |type_: &str| {
            let found = status.condition(type_).unwrap();
            let reason = found.reason.as_deref().unwrap_or_default();
            format!("{} {reason}", found.status.as_str())
                .trim_end()
                .to_owned()
        };
        [READY, BINDING_READY, ADAPTER_READY].map(text).into()
    }

    #[test]
    fn conditions_are_those_of_the_children() {
        let up = || deployment(json!([{"type": "Available", "status": "True"}]));
        let failing = json!([
            {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable"},
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"},
        ]);
        let not_owned =
            || Child::NotOwned("There is an existing Deployment \"d\" that we do not own.".to_owned());
        for (binding, deployment, expected) in [
            (binding("True", 1), up(), ["True", "True", "True"]),
            (
                binding("True", 0),
                up(),
                [
                    "Unknown SinkBindingNotObserved",
                    "Unknown SinkBindingNotObserved",
                    "True",
                ],
            ),
            (
                binding("False", 1),
                up(),
                ["False SubjectMissing", "False SubjectMissing", "True"],
            ),
            (
                binding("True", 1),
                deployment(failing),
                [
                    "False ProgressDeadlineExceeded",
                    "True",
                    "False ProgressDeadlineExceeded",
                ],
            ),
            (
                binding("True", 1),
                deployment(json!([])),
                [
                    "Unknown DeploymentUnavailable",
                    "True",
                    "Unknown DeploymentUnavailable",
                ],
            ),
            (
                binding("True", 1),
                not_owned(),
                ["False NotOwned", "True", "False NotOwned"],
            ),
            (
                binding("False", 1),
                Child::Waiting,
                [
                    "False SubjectMissing",
                    "False SubjectMissing",
                    "Unknown SinkUnknown",
                ],
            ),
            (
                Child::Failed("no".to_owned()),
                Child::Waiting,
                [
                    "False CreationFailed",
                    "False CreationFailed",
                    "Unknown SinkUnknown",
                ],
            ),
        ] {
            assert_eq!(told(binding, deployment), expected);
        }
    }

    #[test]
    fn the_sink_is_that_of_the_binding() {
        let observed = |binding| Observed {
            binding,
            deployment: Child::Waiting,
        };
        let mut source = source();
        let status = container_status(&source, &observed(binding("True", 1)), Timestamp::UNIX_EPOCH);
        assert_eq!(status.sink_uri.as_deref(), Some("http://sink"));
        source.status = Some(status);
        let status = container_status(&source, &observed(Child::Waiting), Timestamp::UNIX_EPOCH);
        assert_eq!(status.sink_uri, None);
    }
}
