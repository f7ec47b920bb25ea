//! The variables of a Task, in the passes in which they are replaced.
//!
//! params, context, paths of results, artifacts, paths of exit codes, workspaces, path of credentials: each pass reads
//! what the one before has written, so a workspace's path within a param's value is replaced, and a param within a
//! param's value is not.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::fields::{self, Field, apply};
use super::scope::Scope;
use crds::tekton::ParamValue;

/// What containers have.
macro_rules! container {
    ($at:literal) => {
        [
            Field::Text(concat!($at, ".name")),
            Field::Text(concat!($at, ".image")),
            Field::Text(concat!($at, ".imagePullPolicy")),
            Field::Text(concat!($at, ".command")),
            Field::Text(concat!($at, ".args")),
            Field::Text(concat!($at, ".script")),
            Field::Text(concat!($at, ".workingDir")),
            Field::Text(concat!($at, ".onError")),
            Field::Text(concat!($at, ".env[].value")),
            Field::Text(concat!($at, ".env[].valueFrom.secretKeyRef.name")),
            Field::Text(concat!($at, ".env[].valueFrom.secretKeyRef.key")),
            Field::Text(concat!($at, ".env[].valueFrom.configMapKeyRef.name")),
            Field::Text(concat!($at, ".env[].valueFrom.configMapKeyRef.key")),
            Field::Text(concat!($at, ".envFrom[].**")),
            Field::Text(concat!($at, ".volumeMounts[].name")),
            Field::Text(concat!($at, ".volumeMounts[].mountPath")),
            Field::Text(concat!($at, ".volumeMounts[].subPath")),
        ]
    };
}

const STEPS: [Field; 17] = container!("steps[]");
const SIDECARS: [Field; 17] = container!("sidecars[]");
const TEMPLATE: [Field; 17] = container!("stepTemplate");
const OTHER: [Field; 8] = [
    Field::Value("steps[].params[].value"),
    Field::Text("steps[].ref.name"),
    Field::Value("steps[].ref.params[].value"),
    Field::Text("steps[].when[].input"),
    Field::Text("steps[].when[].values"),
    Field::Cel("steps[].when[].cel"),
    Field::Text("volumes[].**"),
    Field::Text("workspaces[].mountPath"),
];

/// The fields of a TaskSpec that may have variables.
pub static FIELDS: std::sync::LazyLock<Vec<Field>> =
    std::sync::LazyLock::new(|| [&STEPS[..], &SIDECARS, &TEMPLATE, &OTHER].concat());

/// What the variables of a Task stand for in one run of it.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// The values of the params, defaults included.
    pub params: BTreeMap<String, ParamValue>,
    pub task_run: Run,
    /// Name of the Task, empty if it is embedded in the run.
    pub task: String,
    /// How often the run has been tried again.
    pub retries: u32,
    /// The declared workspaces by name; an optional one without a binding too.
    pub workspaces: BTreeMap<String, Workspace>,
}

/// The run, as `context` names it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub name: String,
    pub namespace: String,
    pub uid: String,
}

/// A declared workspace.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    /// Where it is mounted; empty if it is not bound.
    pub path: String,
    pub bound: bool,
    /// Name of the claim, empty if it is none.
    pub claim: String,
    /// Name of the volume in the pod.
    pub volume: String,
}

/// Why a spec with its variables replaced is none.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Substitution(#[from] fields::Error),
    /// A value is not what its field takes.
    #[error("the spec cannot be read once its variables are replaced: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// The spec of a Task with all its variables replaced. `T` has the fields of a TaskSpec.
///
/// # Errors
/// If an index is out of bounds, or a field does not take its value.
pub fn substitute<T: Serialize + DeserializeOwned>(spec: &T, variables: &Variables) -> Result<T, Error> {
    substitute_others(&substitute_params(spec, variables)?, variables)
}

/// The first of the passes: params. What StepActions do comes in after it, as their params are not the Task's.
///
/// # Errors
/// As [`substitute`].
pub fn substitute_params<T: Serialize + DeserializeOwned>(
    spec: &T,
    variables: &Variables,
) -> Result<T, Error> {
    let mut json = serde_json::to_value(spec)?;
    apply(&mut json, &FIELDS, &scope_of_params(&variables.params))?;
    Ok(serde_json::from_value(json)?)
}

/// The passes after [`substitute_params`].
///
/// # Errors
/// As [`substitute`].
pub fn substitute_others<T: Serialize + DeserializeOwned>(
    spec: &T,
    variables: &Variables,
) -> Result<T, Error> {
    let mut json = serde_json::to_value(spec)?;
    for pass in variables.passes(&json) {
        apply(&mut json, &FIELDS, &pass)?;
    }
    step_paths(&mut json)?;
    let mut credentials = Scope::new();
    credentials.set(&["credentials", "path"], "/tekton/creds".to_owned());
    apply(&mut json, &FIELDS, &credentials)?;
    Ok(serde_json::from_value(json)?)
}

/// The params, under both names that they have: the older one is still written.
pub(crate) fn scope_of_params(params: &BTreeMap<String, ParamValue>) -> Scope {
    let mut scope = Scope::new();
    for (name, value) in params {
        scope.set_named(&["params"], name, value);
        scope.set_named(&["inputs", "params"], name, value);
    }
    scope
}

impl Variables {
    fn passes(&self, spec: &Value) -> [Scope; 5] {
        [
            self.context(),
            result_paths(spec),
            artifact_paths(),
            exit_code_paths(spec),
            self.workspaces(),
        ]
    }

    fn context(&self) -> Scope {
        let mut scope = Scope::new();
        scope.set(&["context", "taskRun", "name"], self.task_run.name.clone());
        scope.set(
            &["context", "taskRun", "namespace"],
            self.task_run.namespace.clone(),
        );
        scope.set(&["context", "taskRun", "uid"], self.task_run.uid.clone());
        scope.set(&["context", "task", "name"], self.task.clone());
        scope.set(&["context", "task", "retry-count"], self.retries.to_string());
        scope
    }

    fn workspaces(&self) -> Scope {
        let mut scope = Scope::new();
        for (name, workspace) in &self.workspaces {
            let mut set = |what: &str, value: String| scope.set(&["workspaces", name, what], value);
            set("path", workspace.path.clone());
            set("bound", workspace.bound.to_string());
            set("claim", workspace.claim.clone());
            set("volume", workspace.volume.clone());
        }
        scope
    }
}

fn result_paths(spec: &Value) -> Scope {
    let mut scope = Scope::new();
    for name in names(spec.get("results")) {
        scope.set(&["results", name, "path"], format!("/tekton/results/{name}"));
    }
    scope
}

fn artifact_paths() -> Scope {
    let mut scope = Scope::new();
    scope.set(
        &["artifacts", "path"],
        "/tekton/artifacts/provenance.json".to_owned(),
    );
    scope
}

fn exit_code_paths(spec: &Value) -> Scope {
    let mut scope = Scope::new();
    for name in names(spec.get("steps")) {
        let container = format!("step-{name}");
        scope.set(
            &["steps", &container, "exitCode", "path"],
            format!("/tekton/steps/{container}/exitCode"),
        );
    }
    scope
}

/// Replaces the paths that are different in each step. They come last: nothing that is put in here is a variable of
/// another pass, and nothing but a param's value could have put them there.
fn step_paths(spec: &mut Value) -> Result<(), fields::Error> {
    for (index, step) in spec
        .get_mut("steps")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .enumerate()
    {
        let container = match step.get("name").and_then(Value::as_str) {
            Some(name) if !name.is_empty() => format!("step-{name}"),
            _ => format!("step-unnamed-{index}"),
        };
        let mut scope = Scope::new();
        let at = |rest: &str| format!("/tekton/steps/{container}/{rest}");
        scope.set(&["step", "artifacts", "path"], at("artifacts/provenance.json"));
        for name in names(step.get("results")) {
            scope.set(&["step", "results", name, "path"], at(&format!("results/{name}")));
        }
        let mut alone = serde_json::json!({ "steps": [step.take()] });
        let applied = apply(&mut alone, &FIELDS, &scope);
        if let Some(filled) = alone.pointer_mut("/steps/0") {
            *step = filled.take();
        }
        applied?;
    }
    Ok(())
}

fn names(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let elements = list.and_then(Value::as_array).into_iter().flatten();
    elements.filter_map(|element| element.get("name")?.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn variables() -> Variables {
        let text = |text: &str| ParamValue::String(text.to_owned());
        let workspace = Workspace {
            path: "/workspace/src".to_owned(),
            bound: true,
            claim: "pvc".to_owned(),
            volume: "ws-12345".to_owned(),
        };
        Variables {
            params: [
                ("url".to_owned(), text("u")),
                (
                    "where".to_owned(),
                    text("$(workspaces.src.path)/$(params.url)/$$(params.url)"),
                ),
                (
                    "flags".to_owned(),
                    ParamValue::Array(vec!["-a".to_owned(), "-b".to_owned()]),
                ),
            ]
            .into(),
            task_run: Run {
                name: "run".to_owned(),
                namespace: "ns".to_owned(),
                uid: "1".to_owned(),
            },
            task: "build".to_owned(),
            retries: 2,
            workspaces: [
                ("src".to_owned(), workspace),
                ("none".to_owned(), Workspace::default()),
            ]
            .into(),
        }
    }

    #[test]
    fn every_pass_reads_what_the_one_before_wrote() {
        for (text, expected) in [
            ("$(params.where)", "/workspace/src/$(params.url)/$$(params.url)"),
            ("$(inputs.params.url)", "u"),
            (
                "$(context.taskRun.name) $(context.taskRun.namespace) $(context.taskRun.uid)",
                "run ns 1",
            ),
            ("$(context.task.name) $(context.task.retry-count)", "build 2"),
            (
                "$(results.digest.path) $(results.other.path)",
                "/tekton/results/digest $(results.other.path)",
            ),
            ("$(results['digest'].path)", "/tekton/results/digest"),
            (
                "$(steps.step-one.exitCode.path)",
                "/tekton/steps/step-one/exitCode",
            ),
            ("$(workspaces.none.path)|$(workspaces.none.bound)", "|false"),
            (
                "$(workspaces.src.claim) $(workspaces.src.volume) $(workspaces.src.bound)",
                "pvc ws-12345 true",
            ),
            ("$(credentials.path)", "/tekton/creds"),
            ("$(step.results.r.path)", "/tekton/steps/step-one/results/r"),
            (
                "$(step.artifacts.path)",
                "/tekton/steps/step-one/artifacts/provenance.json",
            ),
            ("$(steps.one.results.r)", "$(steps.one.results.r)"),
            ("$$(params.url) $(HOME) $(date)", "$$(params.url) $(HOME) $(date)"),
        ] {
            let spec = json!({
                "results": [{"name": "digest"}],
                "steps": [{"name": "one", "script": text, "results": [{"name": "r"}]}],
            });
            let done: Value = substitute(&spec, &variables()).unwrap();
            assert_eq!(done.pointer("/steps/0/script"), Some(&json!(expected)), "{text}");
        }
    }

    #[test]
    fn lists_spread_and_other_fields_stay() {
        let spec = json!({
            "description": "$(params.url)",
            "stepTemplate": {"image": "$(params.url)"},
            "sidecars": [{"image": "$(params.url)"}],
            "steps": [{"args": ["$(params.flags[*])", "$(params.flags[1])"], "timeout": "$(params.url)"}],
            "volumes": [{"name": "v", "secret": {"secretName": "$(params.url)"}}],
        });
        let done: Value = substitute(&spec, &variables()).unwrap();
        let expected = json!({
            "description": "$(params.url)",
            "stepTemplate": {"image": "u"},
            "sidecars": [{"image": "u"}],
            "steps": [{"args": ["-a", "-b", "-b"], "timeout": "$(params.url)"}],
            "volumes": [{"name": "v", "secret": {"secretName": "u"}}],
        });
        assert_eq!(done, expected);
    }

    #[test]
    fn an_index_out_of_bounds_names_the_field() {
        let spec = json!({"steps": [{"env": [{"name": "A", "value": "$(params.flags[7])"}]}]});
        let error = substitute::<Value>(&spec, &variables()).unwrap_err();
        assert!(
            error.to_string().starts_with("steps[0].env[0].value: "),
            "{error}"
        );
    }
}
