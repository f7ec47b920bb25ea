//! To be on the node of the affinity assistant.

use std::collections::BTreeMap;

use crds::tekton::{TaskRun, annotations, labels};
use k8s_openapi::api::core::v1::{Affinity, PodAffinityTerm};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use sha2::{Digest as _, Sha256};

/// What tells nodes apart.
pub(crate) const HOST: &str = "kubernetes.io/hostname";

/// The name of the assistant of a workspace of a PipelineRun; the one for all of a run is of the workspace without a
/// name.
pub(crate) fn assistant_name(workspace: &str, pipeline_run: &str) -> String {
    let hash = Sha256::digest(format!("{workspace}{pipeline_run}"));
    let hash: String = hash.iter().take(5).map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", labels::COMPONENT_AFFINITY_ASSISTANT)
}

/// The assistant that the pods of a run have to be beside.
pub(crate) fn assistant(run: &TaskRun) -> Option<&str> {
    let notes = run.metadata.annotations.as_ref()?;
    notes
        .get(annotations::AFFINITY_ASSISTANT)
        .map(String::as_str)
        .filter(|name| !name.is_empty())
}

/// What the user is told if what they said about affinity is not all that holds.
pub(crate) fn changed(run: &TaskRun, pod: &str) -> Option<String> {
    let said = run.spec.pod_template.as_ref()?.affinity.is_some();
    let assistant = assistant(run).filter(|_| said)?;
    Some(format!(
        "pod {pod:?} has to be on the node of the affinity assistant {assistant:?} besides what the affinity of its pod \
         template says"
    ))
}

/// The affinity of a template, and that to the assistant.
pub(super) fn beside(assistant: Option<&str>, affinity: Option<Affinity>) -> Option<Affinity> {
    let Some(assistant) = assistant else {
        return affinity;
    };
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([
                (labels::INSTANCE.to_owned(), assistant.to_owned()),
                (
                    labels::COMPONENT.to_owned(),
                    labels::COMPONENT_AFFINITY_ASSISTANT.to_owned(),
                ),
            ])),
            ..LabelSelector::default()
        }),
        topology_key: HOST.to_owned(),
        ..PodAffinityTerm::default()
    };
    let mut affinity = affinity.unwrap_or_default();
    affinity
        .pod_affinity
        .get_or_insert_default()
        .required_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .push(term);
    Some(affinity)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn term(assistant: &str) -> Value {
        json!({
            "labelSelector": {"matchLabels": {
                "app.kubernetes.io/component": "affinity-assistant", "app.kubernetes.io/instance": assistant,
            }},
            "topologyKey": "kubernetes.io/hostname",
        })
    }

    #[test]
    fn the_assistant_comes_to_what_the_template_says() {
        let nodes = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}});
        let required = |terms: Value| json!({"requiredDuringSchedulingIgnoredDuringExecution": terms});
        let other = json!({"topologyKey": "zone"});
        for (assistant, before, after) in [
            (None, Value::Null, Value::Null),
            (None, nodes.clone(), nodes.clone()),
            (
                Some("a"),
                Value::Null,
                json!({"podAffinity": required(json!([term("a")]))}),
            ),
            (
                Some("a"),
                nodes.clone(),
                json!({
                    "nodeAffinity": nodes["nodeAffinity"], "podAffinity": required(json!([term("a")])),
                }),
            ),
            (
                Some("a"),
                json!({"podAffinity": required(json!([other]))}),
                json!({"podAffinity": required(json!([other, term("a")]))}),
            ),
        ] {
            let before: Option<Affinity> = serde_json::from_value(before).unwrap();
            let made = beside(assistant, before.clone());
            assert_eq!(
                serde_json::to_value(made).unwrap(),
                after,
                "{assistant:?} {before:?}"
            );
        }
    }

    #[test]
    fn users_are_told_if_it_is_not_only_their_affinity_that_holds() {
        let run = |notes: Value, affinity: Value| -> TaskRun {
            serde_json::from_value(json!({
                "metadata": {"name": "r", "annotations": notes}, "spec": {"podTemplate": {"affinity": affinity}},
            }))
            .unwrap()
        };
        let note = json!({"pipeline.tekton.dev/affinity-assistant": "a"});
        for (notes, affinity, expected) in [
            (note.clone(), json!({}), true),
            (note, Value::Null, false),
            (
                json!({"pipeline.tekton.dev/affinity-assistant": ""}),
                json!({}),
                false,
            ),
            (json!({}), json!({}), false),
        ] {
            let told = changed(&run(notes.clone(), affinity), "r-pod");
            assert_eq!(told.is_some(), expected, "{notes} {told:?}");
        }
    }
}
