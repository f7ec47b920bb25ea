//! Results: from what the steps told to what the status shows.

use std::collections::BTreeMap;

use crds::tekton::{ParamType, ParamValue, Step, TaskRunResult, TaskSpec, names};
use entrypoint::message::{Kind, Record};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::steps;
use crate::substitution::Template;

/// The results of a step, of those that it declares.
pub(super) fn of_step(step: &Step, told: &[Record]) -> Vec<TaskRunResult> {
    let declared = step.results.iter();
    declared
        .filter_map(|declared| {
            let of_name = |record: &&Record| record.kind == Kind::StepResult && record.key == declared.name;
            let text = &told.iter().rev().find(of_name)?.value;
            typed(&declared.name, declared.type_.unwrap_or_default(), text)
        })
        .collect()
}

/// The results of the task in the order of their declarations, and what is wrong with those that cannot be shown.
pub(super) fn of_task(task: &TaskSpec, pod: &Pod) -> (Vec<TaskRunResult>, Vec<String>) {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut of_steps: BTreeMap<String, Vec<TaskRunResult>> = BTreeMap::new();
    for (index, step) in task.steps.iter().enumerate() {
        let container = names::step_container(&step.name, index);
        let shown = steps::container(pod, &container);
        let ended = shown.and_then(|shown| shown.state.as_ref()?.terminated.as_ref());
        let told = ended.map(steps::records).unwrap_or_default();
        of_steps.insert(step.name.clone(), of_step(step, &told));
        // What a later step wrote counts.
        let results = told.into_iter().filter(|record| record.kind == Kind::TaskResult);
        texts.extend(results.map(|record| (record.key, record.value)));
    }
    let (mut shown, mut wrong) = (Vec::new(), Vec::new());
    for declared in &task.results {
        let wanted = declared.type_.unwrap_or(match declared.properties.is_empty() {
            true => ParamType::String,
            false => ParamType::Object,
        });
        if let Some(value) = &declared.value {
            shown.extend(from_step(&declared.name, value, &of_steps));
        } else if let Some(text) = texts.get(&declared.name) {
            match typed(&declared.name, wanted, text) {
                Some(result) => shown.push(result),
                None => wrong.push(format!("{:?} is no {wanted} in JSON", declared.name)),
            }
        }
    }
    (shown, wrong)
}

/// Which result has more than `most` bytes, if any; as text, or as JSON.
pub(super) fn too_large(results: &[TaskRunResult], most: Option<usize>) -> Option<String> {
    let most = most?;
    results.iter().find_map(|result| {
        let size = match &result.value {
            ParamValue::String(text) => text.len(),
            other => serde_json::to_string(other).map_or(0, |text| text.len()),
        };
        (size > most).then(|| {
            format!(
                "result {:?} has {size} bytes, and \"max-result-size\" in feature-flags allows {most}",
                result.name
            )
        })
    })
}

/// A text as a result of this type; everything is a string.
fn typed(name: &str, wanted: ParamType, text: &str) -> Option<TaskRunResult> {
    let value = match wanted {
        ParamType::String => ParamValue::String(text.to_owned()),
        other => {
            let parsed: Value = serde_json::from_str(text).ok()?;
            Some(ParamValue::from_json(&parsed)).filter(|value| value.type_() == other)?
        }
    };
    Some(TaskRunResult {
        name: name.to_owned(),
        type_: Some(wanted),
        value,
    })
}

/// The result that is a step's: `$(steps.<step>.results.<result>)`.
fn from_step(
    name: &str,
    value: &ParamValue,
    of_steps: &BTreeMap<String, Vec<TaskRunResult>>,
) -> Option<TaskRunResult> {
    let template = Template::parse(value.as_str()?);
    let ["steps", step, "results", result] = template.whole()?.path.as_slice() else {
        return None;
    };
    let found = of_steps.get(*step)?.iter().find(|found| found.name == *result)?;
    Some(TaskRunResult {
        name: name.to_owned(),
        ..found.clone()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(messages: &[(&str, Value)]) -> Pod {
        let statuses: Vec<Value> = messages
            .iter()
            .map(|(step, message)| {
                json!({
                    "name": format!("step-{step}"), "image": "", "imageID": "", "ready": false, "restartCount": 0,
                    "state": {"terminated": {"exitCode": 0, "message": message.to_string()}},
                })
            })
            .collect();
        serde_json::from_value(json!({"status": {"containerStatuses": statuses}})).unwrap()
    }

    #[test]
    fn results_have_the_declared_type_and_the_last_word() {
        let task: TaskSpec = serde_json::from_value(json!({
            "steps": [{"name": "a", "results": [{"name": "x"}, {"name": "list", "type": "array"}]}, {"name": "b"}],
            "results": [
                {"name": "text"}, {"name": "list", "type": "array"}, {"name": "map", "properties": {"k": {}}},
                {"name": "bad", "type": "array"}, {"name": "absent"},
                {"name": "of-step", "value": "$(steps.a.results.list)"},
            ],
        }))
        .unwrap();
        let first = json!([
            {"key": "text", "value": "1", "type": 1},
            {"key": "list", "value": "[\"a\"]\n", "type": 1},
            {"key": "bad", "value": "[1, \"a\"]", "type": 1},
            {"key": "undeclared", "value": "1", "type": 1},
            {"key": "list", "value": "[\"s\"]", "type": 4},
        ]);
        let second = json!([
            {"key": "text", "value": "[\"stays text\"]\n", "type": 1},
            {"key": "map", "value": "{\"k\":\"v\"}", "type": 1},
        ]);
        let (shown, wrong) = of_task(&task, &pod(&[("a", first), ("b", second)]));
        assert_eq!(
            serde_json::to_value(shown).unwrap(),
            json!([
                {"name": "text", "type": "string", "value": "[\"stays text\"]\n"},
                {"name": "list", "type": "array", "value": ["a"]},
                {"name": "map", "type": "object", "value": {"k": "v"}},
                {"name": "of-step", "type": "array", "value": ["s"]},
            ])
        );
        assert_eq!(wrong, ["\"bad\" is no array in JSON"]);
    }

    #[test]
    fn each_result_may_be_as_large_as_is_set() {
        let result = |name: &str, value: Value| {
            serde_json::from_value::<TaskRunResult>(json!({"name": name, "value": value})).unwrap()
        };
        let results = [result("a", json!("1234")), result("b", json!(["x"]))];
        assert_eq!(too_large(&results, None), None);
        assert_eq!(too_large(&results, Some(5)), None);
        let problem = too_large(&results, Some(4)).unwrap();
        assert!(problem.starts_with("result \"b\" has 5 bytes"), "{problem}");
    }
}
