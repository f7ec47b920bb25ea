//! Variables that stand for nothing.
//!
//! Only specs that are stored by themselves are looked at: one that is embedded in a run may use what the run has, and
//! what nobody declares stays as written there.

use std::collections::{BTreeMap, BTreeSet};

use crds::resource::tekton::Resource;
use crds::tekton::{ParamType, ParamValue};
use crds::validation::{FieldError, FieldErrors};
use serde_json::Value;

use crate::substitution::{Field, Selector, Template, Variable, each_text, pipeline, step_action, task};

/// What is wrong with the variables of an object.
pub(super) fn problems(resource: Resource, object: &Value) -> FieldErrors {
    let Some(spec) = object.get("spec") else {
        return FieldErrors::default();
    };
    match resource {
        Resource::Task => of_task(spec),
        Resource::StepAction => of_step_action(spec),
        Resource::Pipeline => of_pipeline(spec),
        _ => FieldErrors::default(),
    }
    .via_field("spec")
}

/// What variables of workspaces ask for in a task.
const OF_WORKSPACES: &[&str] = &["path", "bound", "claim", "volume"];

fn of_task(spec: &Value) -> FieldErrors {
    let scope = Scope {
        params: Some(declared(spec)),
        results: Some(names(spec, "results")),
        workspaces: Some(names(spec, "workspaces")),
        of_workspaces: OF_WORKSPACES,
        contexts: &[
            ("taskRun", &["name", "namespace", "uid"]),
            ("task", &["name", "retry-count"]),
        ],
    };
    scope.problems(spec, &task::FIELDS)
}

fn of_step_action(spec: &Value) -> FieldErrors {
    let scope = Scope {
        params: Some(declared(spec)),
        results: None,
        workspaces: None,
        of_workspaces: &[],
        contexts: &[],
    };
    scope.problems(spec, step_action::FIELDS)
}

fn of_pipeline(spec: &Value) -> FieldErrors {
    let params = declared(spec);
    let scope = Scope {
        params: Some(params.clone()),
        results: None,
        workspaces: Some(names(spec, "workspaces")),
        // A path in a param's value is that of the workspace of the task.
        of_workspaces: &["bound"],
        contexts: &[
            ("pipelineRun", &["name", "namespace", "uid"]),
            ("pipeline", &["name"]),
            ("pipelineTask", &["retries"]),
        ],
    };
    let mut errors = FieldErrors::default();
    for tasks in ["tasks", "finally"] {
        for (index, task) in list(spec, tasks).iter().enumerate() {
            let mut found = scope.problems(task, pipeline::TASK);
            if let Some(embedded) = task.get("taskSpec").filter(|spec| spec.is_object()) {
                found.also(of_embedded(embedded, task, &params).via_field("taskSpec"));
            }
            errors.also(found.via_field_index(tasks, index));
        }
    }
    errors
}

/// A task that is embedded in a pipeline may use what that declares, and what it is given.
fn of_embedded(spec: &Value, task: &Value, of_pipeline: &BTreeMap<String, Param>) -> FieldErrors {
    let mut params = of_pipeline.clone();
    let matrix = task.get("matrix").unwrap_or(&Value::Null);
    let given = list(task, "params").iter().chain(list(matrix, "params"));
    let included = list(matrix, "include")
        .iter()
        .flat_map(|include| list(include, "params"));
    for param in given.chain(included) {
        // Whatever it is, a matrix makes texts of it.
        params.insert(text(param, "name").to_owned(), Param::default());
    }
    params.extend(declared(spec));
    let scope = Scope {
        params: Some(params),
        results: None,
        workspaces: None,
        of_workspaces: &[],
        contexts: &[
            ("taskRun", &["name", "namespace", "uid"]),
            ("task", &["name", "retry-count"]),
        ],
    };
    scope.problems(spec, &task::FIELDS)
}

/// What is known of a declared param; by default nothing but that there is one.
#[derive(Clone, Debug, Default)]
struct Param {
    type_: Option<ParamType>,
    keys: BTreeSet<String>,
}

fn declared(spec: &Value) -> BTreeMap<String, Param> {
    let params = list(spec, "params").iter().map(|param| {
        let typed: crds::tekton::ParamSpec = serde_json::from_value(param.clone()).unwrap_or_default();
        let mut keys: BTreeSet<String> = typed.properties.keys().cloned().collect();
        if let Some(ParamValue::Object(default)) = &typed.default {
            keys.extend(default.keys().cloned());
        }
        let type_ = Some(typed.type_or_inferred());
        (typed.name, Param { type_, keys })
    });
    params.collect()
}

/// What variables may stand for; what is `None` is not looked at.
struct Scope {
    params: Option<BTreeMap<String, Param>>,
    results: Option<BTreeSet<String>>,
    workspaces: Option<BTreeSet<String>>,
    /// What variables of workspaces may ask for; the others are replaced elsewhere.
    of_workspaces: &'static [&'static str],
    contexts: &'static [(&'static str, &'static [&'static str])],
}

impl Scope {
    fn problems(&self, spec: &Value, fields: &[Field]) -> FieldErrors {
        let mut errors = FieldErrors::default();
        each_text(spec, fields, &mut |text, in_list, field| {
            let template = Template::parse(text);
            let alone = template.whole().is_some();
            for variable in template.variables() {
                if let Some(problem) = self.problem(variable, alone, in_list) {
                    errors.also(FieldError::new(problem, field));
                }
                if self.is_unknown_workspace(variable) {
                    let problem = format!("non-existent variable in {:?}", variable.source);
                    errors.also(FieldError::new(problem, field).as_warning());
                }
            }
            for malformed in template.malformed() {
                errors.also(FieldError::new(malformed.to_string(), field).as_warning());
            }
        });
        errors
    }

    /// Tasks that many use have such variables in places that do not matter, so they are only warned about.
    fn is_unknown_workspace(&self, variable: &Variable<'_>) -> bool {
        match (variable.path.as_slice(), &self.workspaces) {
            (["workspaces", name, what], Some(known)) => {
                self.of_workspaces.contains(what) && !known.contains(*name)
            }
            _ => false,
        }
    }

    fn problem(&self, variable: &Variable<'_>, alone: bool, in_list: bool) -> Option<String> {
        let unknown = || Some(format!("non-existent variable in {:?}", variable.source));
        match variable.path.as_slice() {
            ["params", name @ ..] | ["inputs", "params", name @ ..] if !name.is_empty() => {
                let params = self.params.as_ref()?;
                let Some((param, keys)) = find(params, name) else {
                    return unknown();
                };
                use_problem(variable, param, keys, alone, in_list)
            }
            ["results", name, "path"] => {
                let known = self.results.as_ref()?.contains(*name);
                if known { None } else { unknown() }
            }
            ["context", of, what] => {
                let (_, known) = self.contexts.iter().find(|(context, _)| context == of)?;
                if known.contains(what) { None } else { unknown() }
            }
            _ => None,
        }
    }
}

/// The param that the words name, and the words behind its name. Names have dots, which need not be quoted.
fn find<'p, 'v>(
    params: &'p BTreeMap<String, Param>,
    words: &'v [&'v str],
) -> Option<(&'p Param, &'v [&'v str])> {
    (1..=words.len()).rev().find_map(|count| {
        let (name, rest) = words.split_at_checked(count)?;
        params.get(&name.join(".")).map(|param| (param, rest))
    })
}

/// Whether a param of its type can stand where it is.
fn use_problem(
    variable: &Variable<'_>,
    param: &Param,
    keys: &[&str],
    alone: bool,
    in_list: bool,
) -> Option<String> {
    let source = variable.source;
    match (param.type_?, keys) {
        (ParamType::Object, [key]) if param.keys.is_empty() || param.keys.contains(*key) => None,
        (ParamType::Object, [_, ..]) | (_, [_, ..]) => Some(format!("non-existent variable in {source:?}")),
        (ParamType::String, []) if variable.selector != Selector::None => Some(format!(
            "variable type invalid in {source:?}: a string has no elements"
        )),
        (ParamType::Array, []) if matches!(variable.selector, Selector::None | Selector::All) => {
            let fits = alone && in_list;
            (!fits).then(|| {
                format!("variable is not properly isolated in {source:?}: a list needs an element of its own")
            })
        }
        (ParamType::Object, []) if !(alone && in_list && variable.selector == Selector::All) => Some(
            format!("variable type invalid in {source:?}: name a key of the object"),
        ),
        _ => None,
    }
}

pub(super) fn list<'v>(holder: &'v Value, name: &str) -> &'v [Value] {
    holder
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn text<'v>(holder: &'v Value, name: &str) -> &'v str {
    holder.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn names(spec: &Value, field: &str) -> BTreeSet<String> {
    list(spec, field)
        .iter()
        .map(|entry| text(entry, "name").to_owned())
        .collect()
}
