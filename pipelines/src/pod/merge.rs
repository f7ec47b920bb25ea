//! Who wins where several say something: steps over their template, runs over steps and over the install.

use crds::tekton::{PodTemplate, Step, StepTemplate, TaskSpec};
use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements, VolumeMount};
use serde_json::{Map, Value};

mod resources;

pub(super) use resources::{divide, resources};

/// The task with its template merged into its steps.
pub(super) fn with_template(task: &TaskSpec) -> TaskSpec {
    let mut task = task.clone();
    if let Some(template) = task.step_template.take() {
        for step in &mut task.steps {
            merge(step, &template);
        }
    }
    task
}

fn merge(step: &mut Step, template: &StepTemplate) {
    let or = |own: &mut String, other: &String| {
        if own.is_empty() {
            own.clone_from(other);
        }
    };
    or(&mut step.image, &template.image);
    or(&mut step.working_dir, &template.working_dir);
    // A script is the step's command.
    if step.script.is_empty() && step.command.is_none() {
        step.command.clone_from(&template.command);
    }
    if step.args.is_none() {
        step.args.clone_from(&template.args);
    }
    step.env = by(&template.env, &step.env, |one, other| one.name == other.name);
    step.env_from = both(&template.env_from, &step.env_from);
    step.volume_mounts = by(
        &template.volume_mounts,
        &step.volume_mounts,
        |one: &VolumeMount, other| one.mount_path == other.mount_path,
    );
    step.volume_devices = by(&template.volume_devices, &step.volume_devices, |one, other| {
        one.device_path == other.device_path
    });
    if step.image_pull_policy.is_none() {
        step.image_pull_policy.clone_from(&template.image_pull_policy);
    }
    step.compute_resources = overlaid(&template.compute_resources, &step.compute_resources);
    step.security_context = overlaid(&template.security_context, &step.security_context);
}

/// The entries of both, where one of `over` takes the place of the one of `under` that is `same`.
fn by<T: Clone>(under: &Option<Vec<T>>, over: &Option<Vec<T>>, same: fn(&T, &T) -> bool) -> Option<Vec<T>> {
    let (Some(under), Some(over)) = (under, over) else {
        return over.clone().or_else(|| under.clone());
    };
    let mut merged: Vec<T> = under
        .iter()
        .map(|entry| {
            over.iter()
                .rev()
                .find(|other| same(entry, other))
                .unwrap_or(entry)
                .clone()
        })
        .collect();
    merged.extend(
        over.iter()
            .filter(|entry| !under.iter().any(|other| same(entry, other)))
            .cloned(),
    );
    Some(merged)
}

fn both<T: Clone>(first: &Option<Vec<T>>, second: &Option<Vec<T>>) -> Option<Vec<T>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.iter().chain(second).cloned().collect()),
        (one, other) => other.clone().or_else(|| one.clone()),
    }
}

/// `over` on top of `under`, field by field, as a merge patch does it.
fn overlaid<T>(under: &Option<T>, over: &Option<T>) -> Option<T>
where
    T: Clone + serde::Serialize + serde::de::DeserializeOwned,
{
    let (Some(under), Some(over)) = (under, over) else {
        return over.clone().or_else(|| under.clone());
    };
    let mut merged = serde_json::to_value(under).ok()?;
    overlay(&mut merged, serde_json::to_value(over).ok()?);
    serde_json::from_value(merged).ok()
}

fn overlay(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(known) => overlay(known, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (under, over) => *under = over,
    }
}

/// The variables of a step: those of the run's template win over its own.
pub(super) fn env(step: &Step, template: &PodTemplate, forbidden: &[String]) -> Option<Vec<EnvVar>> {
    let given: Vec<EnvVar> = template
        .env
        .iter()
        .filter(|variable| !forbidden.contains(&variable.name))
        .cloned()
        .collect();
    by(&step.env, &(!given.is_empty()).then_some(given), |one, other| {
        one.name == other.name
    })
}

/// The template of the run, with what only the install says.
pub(crate) fn pod_template(run: Option<&PodTemplate>, install: Option<&PodTemplate>) -> PodTemplate {
    let (Some(run), Some(install)) = (run, install) else {
        return run.or(install).cloned().unwrap_or_default();
    };
    let fields = |template: &PodTemplate| match serde_json::to_value(template) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut merged = fields(install);
    merged.extend(fields(run));
    let mut merged: PodTemplate =
        serde_json::from_value(Value::Object(merged)).unwrap_or_else(|_| run.clone());
    merged.env = by(
        &Some(install.env.clone()),
        &Some(run.env.clone()),
        |one, other| one.name == other.name,
    )
    .unwrap_or_default();
    merged
}

/// Nothing at all is as good as not being there.
fn unless_empty(resources: ResourceRequirements) -> Option<ResourceRequirements> {
    (resources != ResourceRequirements::default()).then_some(resources)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(value: Value) -> TaskSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn steps_win_over_their_template() {
        let merged = with_template(&task(json!({
            "stepTemplate": {
                "image": "base", "command": ["t"], "args": ["x"],
                "env": [{"name": "A", "value": "t"}, {"name": "B", "value": "t"}],
                "volumeMounts": [{"name": "v", "mountPath": "/a"}],
                "computeResources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "securityContext": {"runAsUser": 1, "runAsNonRoot": true},
            },
            "steps": [
                {"name": "plain"},
                {"name": "own", "image": "own", "script": "s", "args": [],
                 "env": [{"name": "C", "value": "s"}, {"name": "B", "value": "s"}],
                 "volumeMounts": [{"name": "w", "mountPath": "/a"}, {"name": "x", "mountPath": "/b"}],
                 "computeResources": {"limits": {"cpu": "2"}},
                 "securityContext": {"runAsUser": 2}},
            ],
        })));
        let expected = task(json!({"steps": [
            {"name": "plain", "image": "base", "command": ["t"], "args": ["x"],
             "env": [{"name": "A", "value": "t"}, {"name": "B", "value": "t"}],
             "volumeMounts": [{"name": "v", "mountPath": "/a"}],
             "computeResources": {"limits": {"cpu": "1", "memory": "1Gi"}},
             "securityContext": {"runAsUser": 1, "runAsNonRoot": true}},
            {"name": "own", "image": "own", "script": "s", "args": [],
             "env": [{"name": "A", "value": "t"}, {"name": "B", "value": "s"}, {"name": "C", "value": "s"}],
             "volumeMounts": [{"name": "w", "mountPath": "/a"}, {"name": "x", "mountPath": "/b"}],
             "computeResources": {"limits": {"cpu": "2", "memory": "1Gi"}},
             "securityContext": {"runAsUser": 2, "runAsNonRoot": true}},
        ]}));
        assert_eq!(merged, expected);
    }

    #[test]
    fn the_run_wins_over_the_install_and_both_over_the_step() {
        let template = |value: Value| -> PodTemplate { serde_json::from_value(value).unwrap() };
        let install = template(json!({
            "nodeSelector": {"a": "b"}, "schedulerName": "s",
            "env": [{"name": "A", "value": "install"}, {"name": "B", "value": "install"}],
        }));
        let run = template(json!({"schedulerName": "mine", "env": [{"name": "B", "value": "run"}]}));
        let merged = pod_template(Some(&run), Some(&install));
        assert_eq!(merged.scheduler_name, "mine");
        assert_eq!(merged.node_selector.get("a").map(String::as_str), Some("b"));
        let step: Step = serde_json::from_value(json!({
            "name": "s", "env": [{"name": "A", "value": "step"}, {"name": "Z", "value": "step"}],
        }))
        .unwrap();
        let env = env(&step, &merged, &["B".to_owned()]).unwrap();
        let pairs: Vec<_> = env
            .iter()
            .map(|one| (one.name.as_str(), one.value.as_deref().unwrap()))
            .collect();
        assert_eq!(pairs, [("A", "install"), ("Z", "step")]);
    }
}
