//! Artifacts: what the steps say went in and came out, by digests.

use crds::tekton::{Artifact, Artifacts, TaskSpec, names};
use entrypoint::message::{Kind, Record};
use k8s_openapi::api::core::v1::Pod;

use super::steps;

/// What a step says of itself; nothing if it says nothing, or what is no provenance.
pub(super) fn of_step(told: &[Record]) -> Artifacts {
    said(told, Kind::StepArtifacts)
        .and_then(Result::ok)
        .unwrap_or_default()
}

/// What went into the task and came out: what the steps say of the task, the last of them first of all, and what they
/// say of themselves. And what is wrong with what is no provenance.
pub(super) fn of_task(task: &TaskSpec, pod: &Pod) -> (Option<Artifacts>, Vec<String>) {
    let (mut of_task, mut of_steps, mut wrong) = (None, Vec::new(), Vec::new());
    for (index, step) in task.steps.iter().enumerate() {
        let name = names::step_container(&step.name, index);
        let shown = steps::container(pod, &name);
        let ended = shown.and_then(|shown| shown.state.as_ref()?.terminated.as_ref());
        let told = ended.map(steps::records).unwrap_or_default();
        let mut note = |of: &str, error: String| wrong.push(format!("that of {of}: {error}"));
        match said(&told, Kind::StepArtifacts) {
            Some(Ok(found)) => of_steps.push(found),
            Some(Err(error)) => note(&name, error),
            None => {}
        }
        match said(&told, Kind::TaskArtifacts) {
            Some(Ok(found)) => of_task = Some(found),
            // Each step tells what it finds there: one is enough to complain.
            Some(Err(error)) if index + 1 == task.steps.len() => note("the task", error),
            Some(Err(_)) | None => {}
        }
    }
    let mut merged = Artifacts::default();
    for found in of_task.into_iter().chain(of_steps) {
        merge(&mut merged.inputs, found.inputs);
        merge(&mut merged.outputs, found.outputs);
    }
    ((merged != Artifacts::default()).then_some(merged), wrong)
}

/// What the records say, if anything.
fn said(told: &[Record], kind: Kind) -> Option<Result<Artifacts, String>> {
    let found = told.iter().rev().find(|record| record.kind == kind)?;
    Some(serde_json::from_str(&found.value).map_err(|error| error.to_string()))
}

/// Artifacts of the same name are one, which has the values of both.
fn merge(known: &mut Vec<Artifact>, others: Vec<Artifact>) {
    for other in others {
        match known.iter_mut().find(|artifact| artifact.name == other.name) {
            None => known.push(other),
            Some(same) => {
                same.build_output |= other.build_output;
                for value in other.values {
                    if !same.values.contains(&value) {
                        same.values.push(value);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(messages: &[Value]) -> Pod {
        let statuses: Vec<Value> = (0..)
            .zip(messages)
            .map(|(index, records)| {
                json!({
                    "name": format!("step-{index}"), "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "message": records.to_string()}},
                })
            })
            .collect();
        serde_json::from_value(json!({"status": {"containerStatuses": statuses}})).unwrap()
    }

    fn task(steps: usize) -> TaskSpec {
        let steps: Vec<Value> = (0..steps)
            .map(|index| json!({"name": index.to_string()}))
            .collect();
        serde_json::from_value(json!({"steps": steps})).unwrap()
    }

    fn record(kind: u8, provenance: &str) -> Value {
        json!({"key": "provenance.json", "value": provenance, "type": kind})
    }

    fn output(name: &str, uri: &str, build_output: bool) -> Value {
        let mut artifact = json!({"name": name, "values": [{"uri": uri, "digest": {"sha256": "d"}}]});
        if build_output {
            artifact["buildOutput"] = json!(true);
        }
        artifact
    }

    #[test]
    fn a_task_has_its_own_artifacts_and_those_of_its_steps() {
        let said = |outputs: Value| json!({"outputs": outputs}).to_string();
        let first = json!([
            record(
                5,
                &said(json!([output("image", "a", true), output("log", "l", false)]))
            ),
            record(6, &said(json!([output("old", "o", false)]))),
        ]);
        let second = json!([
            record(5, r#"{"inputs": [{"name": "source"}], "more": 1}"#),
            record(
                6,
                &said(json!([output("image", "a", false), output("image", "b", false)]))
            ),
        ]);
        let (found, wrong) = of_task(&task(2), &pod(&[first.clone(), second]));
        let mut image = output("image", "a", true);
        image["values"] = json!([image["values"][0], output("", "b", false)["values"][0]]);
        // The task's own are those that the last step left, and each name is there once.
        let expected = json!({"inputs": [{"name": "source"}], "outputs": [image, output("log", "l", false)]});
        let expected: Artifacts = serde_json::from_value(expected).unwrap();
        assert_eq!((found, wrong), (Some(expected), Vec::new()));
        let of_first: Vec<Record> = serde_json::from_value(first).unwrap();
        let names: Vec<String> = of_step(&of_first)
            .outputs
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["image", "log"]);
    }

    #[test]
    fn nothing_is_no_artifact_and_no_provenance_is_told() {
        let none = (None, Vec::new());
        assert_eq!(of_task(&task(1), &pod(&[json!([])])), none);
        assert_eq!(of_task(&task(1), &pod(&[json!([record(6, "{}")])])), none);
        let broken = json!([record(5, "no JSON"), record(6, r#"{"outputs": 1}"#)]);
        let (found, wrong) = of_task(&task(1), &pod(std::slice::from_ref(&broken)));
        assert_eq!(found, None);
        assert!(wrong[0].starts_with("that of step-0: ") && wrong[1].starts_with("that of the task: "));
        let told: Vec<Record> = serde_json::from_value(broken).unwrap();
        assert_eq!(of_step(&told), Artifacts::default());
    }
}
