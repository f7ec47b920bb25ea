//! The order of a pipeline's tasks: what each waits for, and which results it needs.

use std::collections::{BTreeSet, HashMap};

use crds::tekton::PipelineTask;
use serde_json::Value;

use crate::substitution::{Selector, Variable, each_variable, pipeline, task};

/// Where the fields of an embedded spec are, in references.
const EMBEDDED: &str = "taskSpec.";

/// The tasks of a pipeline by their positions in its list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    /// What each task waits for.
    parents: Vec<Vec<usize>>,
    /// Every task after all that it waits for, and otherwise as in the list.
    order: Vec<usize>,
}

/// A reference to a result of another task, as in `$(tasks.build.results.digest)`, or to an artifact of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResultReference {
    /// The task's name within the pipeline.
    pub task: String,
    pub kind: ReferenceKind,
    /// Name of the result or artifact; empty for the first artifact.
    pub result: String,
    /// The key that is asked for, of an object.
    pub key: Option<String>,
    /// The position that is asked for, of a list.
    pub index: Option<usize>,
    /// The field that has the reference, for messages.
    pub field: String,
}

impl ResultReference {
    /// What messages call it.
    pub fn title(&self) -> String {
        let (noun, task) = (self.kind.noun(), &self.task);
        match self.result.as_str() {
            "" => format!("an {noun} of task {task}"),
            name => format!("{noun} {name} of task {task}"),
        }
    }

    /// May what it asks for be missing? Upstream leaves variables of artifacts that were not made as written where it
    /// replaces them at all, in embedded specs, and some look at that.
    pub fn is_optional(&self) -> bool {
        self.kind != ReferenceKind::Result && self.field.starts_with(EMBEDDED)
    }
}

/// What of a task is referred to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReferenceKind {
    #[default]
    Result,
    /// An artifact that went in.
    Input,
    /// An artifact that came out.
    Output,
}

impl ReferenceKind {
    /// What messages call one of them.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Input => "input",
            Self::Output => "output",
        }
    }

    /// The word that variables have for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Result => "results",
            Self::Input => "inputs",
            Self::Output => "outputs",
        }
    }
}

/// Why tasks have no order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("task {task} refers to task {unknown} in {field}, and there is no such task")]
    UnknownTask {
        task: String,
        unknown: String,
        field: String,
    },
    #[error("there is more than one task of the name {0}")]
    SameName(String),
    #[error("tasks wait for each other in a circle: {}", .0.join(" → "))]
    Circle(Vec<String>),
}

impl Graph {
    /// Orders `tasks`; `references` are those of each. Takes time in proportion to tasks and references.
    ///
    /// # Errors
    /// If a task waits for one that there is not, or for itself by way of others.
    pub fn of(tasks: &[PipelineTask], references: &[Vec<ResultReference>]) -> Result<Self, Error> {
        let mut positions = HashMap::with_capacity(tasks.len());
        for (position, task) in tasks.iter().enumerate() {
            if positions.insert(task.name.as_str(), position).is_some() {
                return Err(Error::SameName(task.name.clone()));
            }
        }
        let mut parents = Vec::with_capacity(tasks.len());
        for (task, references) in tasks.iter().zip(references) {
            let after = task.run_after.iter().map(|name| (name.as_str(), "runAfter"));
            let needed = references
                .iter()
                .map(|found| (found.task.as_str(), found.field.as_str()));
            let mut of_task = BTreeSet::new();
            for (name, field) in after.chain(needed) {
                let unknown = || Error::UnknownTask {
                    task: task.name.clone(),
                    unknown: name.to_owned(),
                    field: field.to_owned(),
                };
                of_task.insert(*positions.get(name).ok_or_else(unknown)?);
            }
            parents.push(of_task.into_iter().collect());
        }
        let order = order(&parents).map_err(|circle| {
            let name = |position: &usize| {
                tasks
                    .get(*position)
                    .map(|task| task.name.clone())
                    .unwrap_or_default()
            };
            Error::Circle(circle.iter().map(name).collect())
        })?;
        Ok(Self { parents, order })
    }

    /// What a task waits for.
    pub fn parents(&self, task: usize) -> &[usize] {
        self.parents.get(task).map(Vec::as_slice).unwrap_or_default()
    }

    /// Every task after all that it waits for.
    pub fn order(&self) -> &[usize] {
        &self.order
    }
}

/// The results of other tasks that a task needs: in its own fields, and in those of a spec that is embedded in it.
pub fn references(pipeline_task: &PipelineTask) -> Vec<ResultReference> {
    // What was read from JSON can be written as JSON.
    let json = serde_json::to_value(pipeline_task).unwrap_or_default();
    let mut found = references_in(&json, pipeline::TASK, "tasks");
    if let Some(spec) = json.get("taskSpec") {
        let within = references_in(spec, &task::FIELDS, "tasks");
        found.extend(within.into_iter().map(|reference| ResultReference {
            field: format!("{EMBEDDED}{}", reference.field),
            ..reference
        }));
    }
    found
}

/// The references in some fields, to `tasks` or to `finally`.
pub fn references_in(
    json: &Value,
    fields: &[crate::substitution::Field],
    list: &str,
) -> Vec<ResultReference> {
    let mut found = Vec::new();
    each_variable(json, fields, &mut |variable, field| {
        found.extend(reference(variable, field, list));
    });
    found
}

fn reference(variable: &Variable<'_>, field: &str, list: &str) -> Option<ResultReference> {
    let (task, kind, result, key) = match variable.path.as_slice() {
        [first, task, "results", result] if *first == list => (task, ReferenceKind::Result, result, None),
        [first, task, "results", result, key] if *first == list => {
            let key = Some((*key).to_owned());
            (task, ReferenceKind::Result, result, key)
        }
        [first, task, "inputs", artifact] if *first == list => (task, ReferenceKind::Input, artifact, None),
        [first, task, "outputs", artifact] if *first == list => (task, ReferenceKind::Output, artifact, None),
        [first, task, "inputs"] if *first == list => (task, ReferenceKind::Input, &"", None),
        [first, task, "outputs"] if *first == list => (task, ReferenceKind::Output, &"", None),
        _ => return None,
    };
    Some(ResultReference {
        task: (*task).to_owned(),
        kind,
        result: (*result).to_owned(),
        key,
        index: match variable.selector {
            Selector::At(index) => Some(index),
            Selector::None | Selector::All => None,
        },
        field: field.to_owned(),
    })
}

/// Positions with every parent before its children, or a circle.
fn order(parents: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = parents.iter().map(Vec::len).collect();
    let mut children = vec![Vec::new(); parents.len()];
    for (child, of_child) in parents.iter().enumerate() {
        for &parent in of_child {
            if let Some(of_parent) = children.get_mut(parent) {
                of_parent.push(child);
            }
        }
    }
    let mut order: Vec<usize> = (0..parents.len())
        .filter(|&task| parents.get(task).is_some_and(Vec::is_empty))
        .collect();
    let mut next = 0;
    while let Some(&task) = order.get(next) {
        next += 1;
        for &child in children.get(task).into_iter().flatten() {
            if let Some(left) = waiting.get_mut(child) {
                *left -= 1;
                if *left == 0 {
                    order.push(child);
                }
            }
        }
    }
    if order.len() == parents.len() {
        Ok(order)
    } else {
        Err(circle(parents, &waiting))
    }
}

/// A circle among the tasks that still wait: each of them waits for another one that does.
fn circle(parents: &[Vec<usize>], waiting: &[usize]) -> Vec<usize> {
    let waits = |task: usize| waiting.get(task).is_some_and(|left| *left > 0);
    let mut seen = vec![usize::MAX; parents.len()];
    let mut path: Vec<usize> = Vec::new();
    let mut at = (0..parents.len()).find(|&task| waits(task));
    while let Some(task) = at {
        let Some(seen) = seen.get_mut(task) else { break };
        if *seen != usize::MAX {
            let mut circle = path.split_off(*seen);
            circle.push(task);
            // From the one that comes first to the one that waits for it.
            circle.reverse();
            return circle;
        }
        *seen = path.len();
        path.push(task);
        at = parents
            .get(task)
            .and_then(|of_task| of_task.iter().copied().find(|&parent| waits(parent)));
    }
    path
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn built(tasks: Value) -> Result<(Vec<String>, Graph), Error> {
        let tasks: Vec<PipelineTask> = serde_json::from_value(tasks).unwrap();
        let references: Vec<_> = tasks.iter().map(references).collect();
        let graph = Graph::of(&tasks, &references)?;
        Ok((
            graph.order().iter().map(|&at| tasks[at].name.clone()).collect(),
            graph,
        ))
    }

    #[test]
    fn every_field_with_a_result_makes_an_edge() {
        let result = "$(tasks.a.results.r)";
        for fields in [
            json!({"runAfter": ["a"]}),
            json!({"params": [{"name": "p", "value": result}]}),
            json!({"params": [{"name": "p", "value": "$(tasks.a.outputs.image)"}]}),
            json!({"taskSpec": {"steps": [{"script": "$(tasks.a.inputs.source)"}]}}),
            json!({"taskSpec": {"steps": [{"script": "$(tasks.a.outputs)"}]}}),
            json!({"params": [{"name": "p", "value": ["x", "$(tasks.a.results.r[*])"]}]}),
            json!({"params": [{"name": "p", "value": {"k": "$(tasks.a.results['r'].key)"}}]}),
            json!({"matrix": {"params": [{"name": "p", "value": "$(tasks.a.results.r[*])"}]}}),
            json!({"matrix": {"include": [{"params": [{"name": "p", "value": result}]}]}}),
            json!({"when": [{"input": result, "operator": "in", "values": ["x"]}]}),
            json!({"when": [{"input": "x", "operator": "in", "values": [result]}]}),
            json!({"when": [{"cel": "'$(tasks.a.results.r)' == 'x'"}]}),
            json!({"taskRef": {"name": result}}),
            json!({"taskRef": {"resolver": "git", "params": [{"name": "url", "value": result}]}}),
            json!({"workspaces": [{"name": "w", "subPath": result}]}),
            json!({"displayName": result}),
            json!({"taskSpec": {"steps": [{"script": result}]}}),
        ] {
            let mut task = fields.clone();
            task["name"] = "b".into();
            let (order, graph) = built(json!([task, {"name": "a"}])).unwrap();
            assert_eq!(order, ["a", "b"], "{fields}");
            assert_eq!(graph.parents(0), [1], "{fields}");
        }
    }

    #[test]
    fn what_is_no_reference_makes_no_edge() {
        for text in [
            "$(tasks.a.status)",
            "$$(tasks.a.results.r)",
            "$(params.a.results.r)",
            "tasks.a.results.r",
        ] {
            let (order, _) =
                built(json!([{"name": "b", "params": [{"name": "p", "value": text}]}, {"name": "a"}]))
                    .unwrap();
            assert_eq!(order, ["b", "a"], "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (tasks, error) in [
            (
                json!([{"name": "a", "runAfter": ["x"]}]),
                "task a refers to task x in runAfter, and there is no such task",
            ),
            (
                json!([{"name": "a", "params": [{"name": "p", "value": "$(tasks.x.results.r)"}]}]),
                "task a refers to task x in params[0].value, and there is no such task",
            ),
            (
                json!([{"name": "a"}, {"name": "a"}]),
                "there is more than one task of the name a",
            ),
            (
                json!([{"name": "a", "runAfter": ["a"]}]),
                "tasks wait for each other in a circle: a → a",
            ),
            (
                json!([{"name": "z", "runAfter": ["b"]}, {"name": "a", "runAfter": ["c"]}, {"name": "b", "runAfter": ["a"]}, {"name": "c", "runAfter": ["b"]}]),
                "tasks wait for each other in a circle: b → c → a → b",
            ),
        ] {
            assert_eq!(built(tasks).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_wide_and_deep_graph_takes_no_time() {
        let tasks: Vec<Value> = (0..3000)
            .map(|n| {
                let after: Vec<String> = (n.max(3) - 3..n)
                    .map(|before: usize| format!("t{before}"))
                    .collect();
                json!({"name": format!("t{n}"), "runAfter": after})
            })
            .collect();
        let (order, _) = built(Value::Array(tasks)).unwrap();
        assert_eq!(order.len(), 3000);
        assert!(order.iter().enumerate().all(|(n, name)| *name == format!("t{n}")));
    }
}
