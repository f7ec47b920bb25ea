//! The webhook that binds workloads as they are written, before their first pod starts.
//!
//! It decides from what is known of SinkBindings already and waits for nothing: what it does not know yet is let
//! through, and bound by the reconciler. Only Jobs cannot be bound later.

use std::collections::BTreeSet;

use crds::sources::SinkBinding;
use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::GroupVersionKind;
use kube::core::ApiResource;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use reconciler::admission::{rule, to_json};
use reconciler::{Cache, Caches, Key};
use serde_json::Value;

use super::Review;
use crate::binding::{self, Candidate, Injection, SelectionMode, is_system};
use crate::shared::namespace_of;
use crate::tracker::Kind;

/// What the webhook goes by. Cheap to clone.
#[derive(Clone)]
pub struct Bindings {
    bindings: Cache<SinkBinding>,
    namespaces: Cache<Namespace>,
    mode: SelectionMode,
    system_namespace: String,
}

/// Which requests the webhook has to be asked about at the moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// The kinds of the subjects of all bindings.
    pub rules: Vec<RuleWithOperations>,
    /// The namespaces that have bindings, sorted.
    pub namespaces: Vec<String>,
}

impl Bindings {
    /// The name of the webhook.
    pub const NAME: &'static str = "sinkbindings.webhook.sources.knative.dev";
    /// The path it is asked at over HTTP.
    pub const PATH: &'static str = "/eventing/sinkbindings";

    /// Follows SinkBindings and namespaces. `system_namespace` is left alone, as those of the cluster are.
    pub fn new(caches: &Caches, mode: SelectionMode, system_namespace: &str) -> Self {
        Self {
            bindings: caches.cache(),
            namespaces: caches.cache(),
            mode,
            system_namespace: system_namespace.to_owned(),
        }
    }

    /// Calls `handler` when [`Bindings::reach`] may have changed; it must not wait.
    pub fn on_change(&self, handler: impl Fn() + Send + Sync + 'static) {
        self.bindings.on_change(move |_| handler());
    }

    /// Narrow, so that nothing else depends on the webhook: only kinds that are subjects, where there are bindings.
    pub fn reach(&self) -> Reach {
        let (mut kinds, mut namespaces) = (BTreeSet::new(), BTreeSet::new());
        for binding in self.bindings.list() {
            let namespace = namespace_of(&binding.metadata);
            if !is_system(namespace, &self.system_namespace) {
                kinds.insert(kind_of(&binding));
                namespaces.insert(namespace.to_owned());
            }
        }
        let rules = kinds.iter().map(|kind| {
            let (group, version) = kind.group_version();
            rule(&["CREATE", "UPDATE"], group, version, vec![plural(kind)])
        });
        Reach {
            rules: rules.collect(),
            namespaces: namespaces.into_iter().collect(),
        }
    }

    /// Whether a write of this resource may concern a binding; a cheap look for those who ask about each write.
    pub fn concern(&self, group: &str, resource: &str, namespace: &str) -> bool {
        let of_group = |binding: &SinkBinding| {
            let kind = kind_of(binding);
            kind.group_version().0 == group && plural(&kind) == resource
        };
        !self.bindings.is_empty() && !self.bindings.in_namespace(namespace, of_group).is_empty()
    }

    /// Answers a review while nothing is known of bindings: the workload may be written as it is.
    pub fn pass(review: Review) -> Review {
        answer(review, |_| None)
    }

    /// Answers a review: the workload may be written in any case.
    pub fn handle(&self, review: Review) -> Review {
        answer(review, |request| self.patch(request))
    }

    /// What binds the workload of a request, if it belongs to a binding whose sink is known and is not bound yet.
    fn patch(&self, request: &AdmissionRequest<DynamicObject>) -> Option<json_patch::Patch> {
        if !matches!(request.operation, Operation::Create | Operation::Update)
            || request.sub_resource.is_some()
        {
            return None;
        }
        let object = to_json(request.object.as_ref()).ok()??;
        let is_deleting = object
            .pointer("/metadata/deletionTimestamp")
            .is_some_and(|time| !time.is_null());
        let bound = self.bound(request, &object).filter(|_| !is_deleting)?;
        let patch = json_patch::diff(&object, &bound);
        (!patch.0.is_empty()).then_some(patch)
    }

    fn bound(&self, request: &AdmissionRequest<DynamicObject>, object: &Value) -> Option<Value> {
        let group = &request.kind.group;
        let version = &request.kind.version;
        let api_version = if group.is_empty() {
            version.clone()
        } else {
            format!("{group}/{version}")
        };
        let kind = Kind::new(api_version, &request.kind.kind);
        let namespace = request.namespace.as_deref()?;
        let meta = &request.object.as_ref()?.metadata;
        let of_namespace = self.namespaces.named("", namespace);
        let candidate = Candidate {
            kind: &kind,
            // One whose name the API server makes up can only be found by its labels.
            key: &Key::new(namespace, meta.name.as_deref().unwrap_or_default()),
            labels: meta.labels.as_ref(),
            namespace_labels: of_namespace
                .as_ref()
                .and_then(|found| found.metadata.labels.as_ref()),
        };
        if !candidate.may_be_bound(self.mode, &self.system_namespace) {
            return None;
        }
        let all = self.bindings.in_namespace(namespace, |_| true);
        let binding = binding::chosen(&all, &candidate)?;
        let injection = Injection::of(&binding)?;
        let unchangeable = request.operation == Operation::Update && kind.kind == "Job" && group == "batch";
        if unchangeable {
            return None;
        }
        let mut bound = object.clone();
        binding::bind(&mut bound, binding.metadata.name.as_deref()?, &injection);
        Some(bound)
    }
}

fn answer(
    review: Review,
    patch: impl FnOnce(&AdmissionRequest<DynamicObject>) -> Option<json_patch::Patch>,
) -> Review {
    let request: Result<AdmissionRequest<DynamicObject>, _> = review.try_into();
    let Ok(request) = request else {
        return AdmissionResponse::invalid("the review has no request").into_review();
    };
    let response = AdmissionResponse::from(&request);
    let patched = patch(&request).and_then(|patch| response.clone().with_patch(patch).ok());
    patched.unwrap_or(response).into_review()
}

fn kind_of(binding: &SinkBinding) -> Kind {
    let subject = &binding.spec.subject;
    Kind::new(&subject.api_version, &subject.kind)
}

/// The resource of a kind, by the rule that names them.
fn plural(kind: &Kind) -> String {
    let (group, version) = kind.group_version();
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, &kind.kind)).plural
}

#[cfg(test)]
mod tests {
    use kube::core::admission::AdmissionReview;
    use serde_json::json;

    use super::*;

    fn binding(namespace: &str, subject: Value, sink: Option<&str>) -> SinkBinding {
        serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding",
            "metadata": {"name": "hook", "namespace": namespace, "uid": namespace, "resourceVersion": "1"},
            "spec": {"subject": subject, "ceOverrides": {"extensions": {"a": "b"}}},
            "status": {"sinkUri": sink},
        }))
        .unwrap()
    }

    fn bindings(all: Vec<SinkBinding>) -> Bindings {
        let bindings = Bindings {
            bindings: Cache::empty(),
            namespaces: Cache::empty(),
            mode: SelectionMode::Exclusion,
            system_namespace: "system".to_owned(),
        };
        for one in all {
            bindings.bindings.record(one);
        }
        bindings
    }

    fn deployment() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"})
    }

    fn answer(bindings: &Bindings, operation: &str, kind: &str, labels: Value) -> AdmissionResponse {
        let object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web", "namespace": "ns", "labels": labels},
            "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i"}]}}},
        });
        let group = if kind == "Job" { "batch" } else { "apps" };
        let old = if operation == "UPDATE" {
            object.clone()
        } else {
            Value::Null
        };
        let review: AdmissionReview<DynamicObject> = serde_json::from_value(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u", "name": "web", "namespace": "ns", "operation": operation,
                "kind": {"group": group, "version": "v1", "kind": kind},
                "resource": {"group": group, "version": "v1", "resource": "r"},
                "userInfo": {}, "dryRun": false, "object": object, "oldObject": old,
            },
        }))
        .unwrap();
        bindings.handle(review).response.unwrap()
    }

    fn is_bound(response: &AdmissionResponse) -> bool {
        assert!(response.allowed);
        response.patch.as_ref().is_some_and(|patch| {
            let patch = String::from_utf8_lossy(patch);
            patch.contains("K_SINK")
                && patch.contains("http://sink")
                && patch.contains(r#"{\"extensions\":{\"a\":\"b\"}}"#)
        })
    }

    #[test]
    fn workloads_of_a_binding_are_bound_as_they_are_written() {
        let known = bindings(vec![binding("ns", deployment(), Some("http://sink"))]);
        assert!(is_bound(&answer(&known, "CREATE", "Deployment", json!({}))));
        assert!(is_bound(&answer(&known, "UPDATE", "Deployment", json!({}))));
        assert!(!is_bound(&answer(&known, "CREATE", "StatefulSet", json!({}))));
        let excluded = json!({"bindings.knative.dev/exclude": "true"});
        assert!(!is_bound(&answer(&known, "CREATE", "Deployment", excluded)));
        for other in [
            vec![],
            vec![binding("ns", deployment(), None)],
            vec![binding("elsewhere", deployment(), Some("http://sink"))],
        ] {
            assert!(!is_bound(&answer(
                &bindings(other),
                "CREATE",
                "Deployment",
                json!({})
            )));
        }
    }

    #[test]
    fn jobs_are_bound_as_they_are_created_and_never_later() {
        let subject =
            json!({"apiVersion": "batch/v1", "kind": "Job", "selector": {"matchLabels": {"app": "a"}}});
        let known = bindings(vec![binding("ns", subject, Some("http://sink"))]);
        assert!(is_bound(&answer(&known, "CREATE", "Job", json!({"app": "a"}))));
        assert!(!is_bound(&answer(&known, "CREATE", "Job", json!({"app": "b"}))));
        assert!(!is_bound(&answer(&known, "UPDATE", "Job", json!({"app": "a"}))));
    }

    #[test]
    fn only_kinds_and_namespaces_with_bindings_are_asked_about() {
        assert_eq!(bindings(vec![]).reach(), Reach::default());
        let service = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "s"});
        let known = bindings(vec![
            binding("ns", deployment(), None),
            binding("other", service, None),
            binding(
                "system",
                json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d"}),
                None,
            ),
        ]);
        let reach = known.reach();
        assert_eq!(reach.namespaces, ["ns", "other"]);
        assert_eq!(
            serde_json::to_value(&reach.rules).unwrap(),
            json!([
                {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"], "scope": "*"},
                {"apiGroups": ["serving.knative.dev"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"], "scope": "*"},
            ])
        );
        for (group, resource, namespace, expected) in [
            ("apps", "deployments", "ns", true),
            ("apps", "deployments", "other", false),
            ("apps", "replicasets", "ns", false),
            ("", "services", "other", false),
            ("serving.knative.dev", "services", "other", true),
        ] {
            assert_eq!(
                known.concern(group, resource, namespace),
                expected,
                "{group} {resource} {namespace}"
            );
        }
    }
}
