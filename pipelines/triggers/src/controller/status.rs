//! What is shown of a listener.

use std::sync::Arc;

use crds::Addressable;
use crds::conditions::{ConditionStatus, ConditionedStatus as _, READY};
use crds::serving;
use crds::triggers::{EventListener, EventListenerConfig, EventListenerStatus, generated_name};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;
use reconciler::error::chain;
use reconciler::{Applied, ConditionSet, Conditions, Error};

use super::children;

const SERVICE: &str = "Service";
const DEPLOYMENT: &str = "Deployment";
const AVAILABLE: &str = "Available";
const PROGRESSING: &str = "Progressing";
const CONDITIONS: ConditionSet = ConditionSet::new(&[SERVICE, DEPLOYMENT, AVAILABLE]);

/// What became of a child.
#[derive(Debug, Default)]
pub(super) enum Child<K> {
    /// There need not be any, or it has not come to that.
    #[default]
    None,
    There(Arc<K>),
    Failed(String),
}

impl<K> Child<K> {
    /// Keeps the first error in `result`.
    pub(super) fn of(applied: Result<Applied<K>, Error>, result: &mut Result<(), Error>) -> Self {
        match applied {
            Ok(applied) => Self::There(applied.into_object()),
            Err(error) => {
                let text = chain(&error);
                if result.is_ok() {
                    *result = Err(error);
                }
                Self::Failed(text)
            }
        }
    }
}

/// What one look at a listener's surroundings found.
#[derive(Debug, Default)]
pub(super) struct Observed {
    pub deployment: Child<Deployment>,
    pub service: Child<Service>,
    pub knative: Child<serving::Service>,
}

pub(super) fn listener_status(
    listener: &EventListener,
    observed: &Observed,
    cluster_domain: &str,
    now: Timestamp,
) -> EventListenerStatus {
    let mut status = listener.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = listener.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    let name = listener.metadata.name.as_deref().unwrap_or_default();
    let namespace = listener.metadata.namespace.as_deref().unwrap_or_default();
    let generated = generated_name(name);
    status.configuration = EventListenerConfig {
        generated_name: generated.clone(),
    };
    let mut conditions = CONDITIONS.manage(&mut status, now);
    let url = if listener.spec.resources.custom_resource.is_some() {
        mark_knative(&mut conditions, &observed.knative)
    } else {
        let port = children::service_port(listener);
        mark_deployment(&mut conditions, &observed.deployment);
        mark_service(&mut conditions, &observed.service)
            .then(|| format!("http://{generated}.{namespace}.svc.{cluster_domain}:{port}"))
    };
    if let Some(url) = url {
        status.address = Some(Addressable {
            url: Some(url),
            ..Addressable::default()
        });
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

fn mark_service(conditions: &mut Conditions<'_>, service: &Child<Service>) -> bool {
    match service {
        Child::There(_) => {
            conditions.mark_true_with(SERVICE, "", "Service exists");
            true
        }
        Child::None => {
            conditions.mark_unknown(SERVICE, "Creating", "");
            false
        }
        Child::Failed(problem) => {
            conditions.mark_false(SERVICE, "CreationFailed", problem);
            false
        }
    }
}

fn mark_deployment(conditions: &mut Conditions<'_>, deployment: &Child<Deployment>) {
    let deployment = match deployment {
        Child::There(deployment) => deployment,
        Child::None => {
            conditions.mark_unknown(DEPLOYMENT, "Creating", "");
            return conditions.mark_unknown(AVAILABLE, "Creating", "");
        }
        Child::Failed(problem) => {
            conditions.mark_false(AVAILABLE, "DeploymentMissing", "there is no Deployment");
            return conditions.mark_false(DEPLOYMENT, "CreationFailed", problem);
        }
    };
    conditions.mark_true_with(DEPLOYMENT, "", "Deployment exists");
    let status = deployment.status.as_ref();
    let current = status.is_some_and(|status| status.observed_generation >= deployment.metadata.generation);
    let found = |type_: &str| -> Option<&DeploymentCondition> {
        let all = status?.conditions.as_ref()?;
        all.iter()
            .find(|condition| condition.type_.as_deref() == Some(type_))
    };
    for type_ in [PROGRESSING, AVAILABLE] {
        let Some(condition) = found(type_).filter(|_| current) else {
            conditions.mark_unknown(
                type_,
                "DeploymentUpdating",
                "The Deployment has not been looked at yet.",
            );
            continue;
        };
        let reason = condition.reason.as_deref().unwrap_or_default();
        let message = condition.message.as_deref().unwrap_or_default();
        match condition.status.as_deref() {
            Some("True") => conditions.mark_true_with(type_, reason, message),
            Some("False") => conditions.mark_false(type_, reason, message),
            _ => conditions.mark_unknown(type_, reason, message),
        }
    }
}

/// A Knative Service is both, and tells itself whether it is available.
fn mark_knative(conditions: &mut Conditions<'_>, service: &Child<serving::Service>) -> Option<String> {
    let service = match service {
        Child::There(service) => service,
        Child::None => {
            conditions.mark_unknown(SERVICE, "Creating", "");
            return None;
        }
        Child::Failed(problem) => {
            conditions.mark_false(SERVICE, "CreationFailed", problem);
            return None;
        }
    };
    conditions.mark_true_with(SERVICE, "", "Service exists");
    conditions.mark_true_with(DEPLOYMENT, "", "The Knative Service has its own");
    let status = service.status.as_ref();
    let ready = status
        .filter(|status| Some(status.observed_generation()) == service.metadata.generation)
        .and_then(|status| status.condition(READY));
    match ready {
        Some(ready) if ready.status == ConditionStatus::True => conditions.mark_true(AVAILABLE),
        Some(ready) => conditions.copy(AVAILABLE, ready),
        None => conditions.mark_unknown(
            AVAILABLE,
            "ServiceUpdating",
            "The Service has not been looked at yet.",
        ),
    }
    status.and_then(|status| status.url.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn listener(spec: Value) -> EventListener {
        serde_json::from_value(json!({
            "metadata": {"name": "x", "namespace": "ns", "generation": 1}, "spec": spec,
        }))
        .unwrap()
    }

    fn summary(status: &EventListenerStatus) -> String {
        let texts = status
            .conditions
            .iter()
            .map(|one| format!("{}={}", one.type_, one.status.as_str()));
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_listener_is_ready_when_its_deployment_is_available() {
        let listener = listener(json!({}));
        let deployment = |available: &str| -> Child<Deployment> {
            let deployment = json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": [
                {"type": "Available", "status": available, "reason": "R"},
                {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
            ]}});
            Child::There(Arc::new(serde_json::from_value(deployment).unwrap()))
        };
        for (observed, expected) in [
            (
                Observed {
                    deployment: deployment("True"),
                    service: Child::There(Arc::default()),
                    ..Observed::default()
                },
                "Available=True Deployment=True Progressing=True Ready=True Service=True",
            ),
            (
                Observed {
                    deployment: deployment("False"),
                    service: Child::There(Arc::default()),
                    ..Observed::default()
                },
                "Available=False Deployment=True Progressing=True Ready=False Service=True",
            ),
            (
                Observed {
                    deployment: Child::Failed("no".to_owned()),
                    service: Child::There(Arc::default()),
                    ..Observed::default()
                },
                "Available=False Deployment=False Ready=False Service=True",
            ),
        ] {
            let status = listener_status(&listener, &observed, "d", Timestamp::UNIX_EPOCH);
            assert_eq!(summary(&status), expected);
            assert_eq!(
                status.address.unwrap().url.as_deref(),
                Some("http://el-x.ns.svc.d:8080")
            );
            assert_eq!(status.configuration.generated_name, "el-x");
        }
    }

    #[test]
    fn a_knative_service_tells_whether_it_is_ready() {
        let listener = listener(json!({"resources": {"customResource": {"kind": "Service"}}}));
        let service = json!({"metadata": {"generation": 1}, "spec": {}, "status": {
            "observedGeneration": 1, "url": "http://el-x.ns.example", "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let observed = Observed {
            knative: Child::There(Arc::new(serde_json::from_value(service).unwrap())),
            ..Observed::default()
        };
        let status = listener_status(&listener, &observed, "d", Timestamp::UNIX_EPOCH);
        assert_eq!(
            summary(&status),
            "Available=True Deployment=True Ready=True Service=True"
        );
        assert_eq!(
            status.address.unwrap().url.as_deref(),
            Some("http://el-x.ns.example")
        );
    }
}
