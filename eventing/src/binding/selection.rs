//! Which workloads a SinkBinding is for.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use crds::labels::{BINDING_EXCLUDE, BINDING_INCLUDE};
use crds::sources::SinkBinding;
use reconciler::Key;

use crate::selector;
use crate::shared::name_of;
use crate::tracker::Kind;

/// Which workloads may be bound at all (`SINK_BINDING_SELECTION_MODE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectionMode {
    /// All that are not labelled `bindings.knative.dev/exclude`, nor in a namespace that is.
    #[default]
    Exclusion,
    /// Of these, those that are labelled `bindings.knative.dev/include`, or in a namespace that is.
    Inclusion,
}

impl FromStr for SelectionMode {
    type Err = String;

    /// # Errors
    /// Says what may be written.
    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "" | "exclusion" => Ok(Self::Exclusion),
            "inclusion" => Ok(Self::Inclusion),
            _ => Err(format!("expected exclusion or inclusion, not {text:?}")),
        }
    }
}

type Labels = BTreeMap<String, String>;

impl SelectionMode {
    /// Whether something with these labels, in a namespace with those, may be bound.
    fn lets_in(self, own: Option<&Labels>, of_namespace: Option<&Labels>) -> bool {
        let says = |label: &str| {
            let mut all = [own, of_namespace].into_iter().flatten();
            all.any(|labels| labels.get(label).is_some_and(|value| value == "true"))
        };
        !says(BINDING_EXCLUDE) && (self == Self::Exclusion || says(BINDING_INCLUDE))
    }
}

/// Namespaces whose workloads are never bound: those of the cluster and of the platform itself.
pub(crate) fn is_system(namespace: &str, system_namespace: &str) -> bool {
    namespace.starts_with("kube-")
        || namespace == system_namespace
        || [crds::names::EVENTING_NAMESPACE, crds::names::SYSTEM_NAMESPACE].contains(&namespace)
}

/// Something that may be bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'a> {
    pub kind: &'a Kind,
    pub key: &'a Key,
    pub labels: Option<&'a Labels>,
    pub namespace_labels: Option<&'a Labels>,
}

impl Candidate<'_> {
    pub(crate) fn may_be_bound(&self, mode: SelectionMode, system_namespace: &str) -> bool {
        !is_system(&self.key.namespace, system_namespace) && mode.lets_in(self.labels, self.namespace_labels)
    }
}

/// Whether the subjects of a binding are of this group and kind, in whichever version.
pub(crate) fn is_of_kind(binding: &SinkBinding, kind: &Kind) -> bool {
    let subject = &binding.spec.subject;
    let of_subject = Kind::new(&subject.api_version, &subject.kind);
    of_subject.kind == kind.kind && of_subject.group_version().0 == kind.group_version().0
}

/// Whether a binding is for this candidate.
pub(crate) fn selects(binding: &SinkBinding, candidate: &Candidate<'_>) -> bool {
    let subject = &binding.spec.subject;
    let named = subject.name.is_empty() || subject.name == candidate.key.name;
    let labelled = match &subject.selector {
        Some(selector) => selector::matches(selector, candidate.labels),
        None => !subject.name.is_empty(),
    };
    binding.metadata.namespace.as_deref() == Some(candidate.key.namespace.as_str())
        && is_of_kind(binding, candidate.kind)
        && named
        && labelled
}

/// The binding that a candidate belongs to: of those that are for it and are not being deleted the oldest, so that two
/// of them do not take turns.
pub(crate) fn chosen(bindings: &[Arc<SinkBinding>], candidate: &Candidate<'_>) -> Option<Arc<SinkBinding>> {
    let all = bindings
        .iter()
        .filter(|binding| binding.metadata.deletion_timestamp.is_none() && selects(binding, candidate));
    let age = |binding: &&Arc<SinkBinding>| {
        let meta = &binding.metadata;
        let created = meta.creation_timestamp.as_ref().map(|time| time.0);
        (created, name_of(meta).to_owned())
    };
    all.min_by_key(age).cloned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let own = |text: &str| text.to_owned();
        pairs.iter().map(|(key, value)| (own(key), own(value))).collect()
    }

    fn binding(name: &str, created: &str, subject: Value) -> Arc<SinkBinding> {
        let read = serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1", "kind": "SinkBinding",
            "metadata": {"name": name, "namespace": "ns", "creationTimestamp": created}, "spec": {"subject": subject},
        }));
        Arc::new(read.unwrap())
    }

    #[test]
    fn modes_are_read_and_go_by_labels() {
        assert_eq!("".parse(), Ok(SelectionMode::Exclusion));
        assert_eq!("Inclusion".parse(), Ok(SelectionMode::Inclusion));
        let error = "both".parse::<SelectionMode>().unwrap_err();
        assert_eq!(error, "expected exclusion or inclusion, not \"both\"");
        let (none, include) = (labels(&[]), labels(&[(BINDING_INCLUDE, "true")]));
        let (exclude, false_exclude) = (
            labels(&[(BINDING_EXCLUDE, "true")]),
            labels(&[(BINDING_EXCLUDE, "false")]),
        );
        use SelectionMode::{Exclusion, Inclusion};
        for (mode, own, of_namespace, expected) in [
            (Exclusion, &none, &none, true),
            (Exclusion, &exclude, &none, false),
            (Exclusion, &none, &exclude, false),
            (Exclusion, &false_exclude, &none, true),
            (Inclusion, &none, &none, false),
            (Inclusion, &include, &none, true),
            (Inclusion, &none, &include, true),
            (Inclusion, &exclude, &include, false),
        ] {
            assert_eq!(
                mode.lets_in(Some(own), Some(of_namespace)),
                expected,
                "{mode:?} {own:?} {of_namespace:?}"
            );
        }
    }

    #[test]
    fn system_namespaces_are_left_alone() {
        for (namespace, expected) in [
            ("kube-system", true),
            ("knative-serving", true),
            ("knative-eventing", true),
            ("own", true),
            ("default", false),
            ("knative-samples", false),
            ("kubernetes", false),
        ] {
            assert_eq!(is_system(namespace, "own"), expected, "{namespace}");
        }
    }

    #[test]
    fn subjects_are_found_by_kind_name_and_labels() {
        let kind = Kind::new("apps/v1", "Deployment");
        let key = Key::new("ns", "web");
        let own = labels(&[("app", "a")]);
        let candidate = Candidate {
            kind: &kind,
            key: &key,
            labels: Some(&own),
            namespace_labels: None,
        };
        for (subject, expected) in [
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}),
                true,
            ),
            (
                json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "name": "web"}),
                true,
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}),
                false,
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}),
                false,
            ),
            (
                json!({"apiVersion": "v1", "kind": "Deployment", "name": "web"}),
                false,
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "selector": {"matchLabels": {"app": "a"}}}),
                true,
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "selector": {"matchLabels": {"app": "b"}}}),
                false,
            ),
            (
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "selector": {}}),
                true,
            ),
            (json!({"apiVersion": "apps/v1", "kind": "Deployment"}), false),
        ] {
            let binding = binding("b", "2026-01-01T00:00:00Z", subject.clone());
            assert_eq!(selects(&binding, &candidate), expected, "{subject}");
        }
        let elsewhere = Candidate {
            key: &Key::new("other", "web"),
            ..candidate
        };
        let named = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let young = binding("a", "2026-01-02T00:00:00Z", named.clone());
        assert!(!selects(&young, &elsewhere));
        let old = binding("b", "2026-01-01T00:00:00Z", named.clone());
        let mut dying = (*binding("c", "2025-01-01T00:00:00Z", named)).clone();
        dying.metadata.deletion_timestamp = old.metadata.creation_timestamp.clone();
        let all = [young.clone(), old.clone(), Arc::new(dying)];
        assert_eq!(chosen(&all, &candidate), Some(old), "the oldest that stays");
        assert_eq!(chosen(&all[..1], &candidate), Some(young));
        assert_eq!(chosen(&all, &elsewhere), None);
    }
}
