//! v1beta1 of the kinds that are stored as v1, and the way from one to the other and back.
//!
//! Most fields are the same in both versions and some have other names. What v1 has no place for, and how something was
//! said that v1 has one way to say, is kept in an annotation of the v1 object, by the place where it was: whoever reads
//! v1beta1 again finds it there, unless the place is gone or says something else by then. In v1beta1 there is no such annotation.

mod kept;
mod places;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::kept::Kept;
use self::places::{Part, Place};
use crate::resource::tekton::Resource;
use crate::tekton::GROUP;

pub use self::kept::ANNOTATION;

/// The version.
pub const VERSION: &str = "v1beta1";
/// The version that is stored.
pub const STORED: &str = "v1";

/// Fields of a step, or of the template of steps, that v1 has no place for.
const OF_STEPS: [&str; 10] = [
    "ports",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "stdin",
    "stdinOnce",
    "tty",
];
/// Parts of the status of a TaskRun that v1 has no place for.
const OF_TASK_RUNS: [&str; 2] = ["cloudEvents", "resourcesResult"];
/// Parts of the status of a PipelineRun that v1 has no place for.
const OF_PIPELINE_RUNS: [&str; 2] = ["taskRuns", "runs"];

/// What v1beta1 says about all TaskRuns of a PipelineRun beside other things, and v1 in a template.
const OF_TEMPLATE: [&str; 2] = ["serviceAccountName", "podTemplate"];

/// Fields that have another name in v1, by what they are part of.
fn names(part: Part) -> &'static [(&'static str, &'static str)] {
    match part {
        Part::Step | Part::StepTemplate | Part::Sidecar | Part::OverriddenContainer => {
            &[("resources", "computeResources")]
        }
        Part::TaskRun => &[
            ("stepOverrides", "stepSpecs"),
            ("sidecarOverrides", "sidecarSpecs"),
        ],
        Part::OfPipelineTask => &[
            ("taskServiceAccountName", "serviceAccountName"),
            ("taskPodTemplate", "podTemplate"),
            ("stepOverrides", "stepSpecs"),
            ("sidecarOverrides", "sidecarSpecs"),
        ],
        Part::TaskRunStatus => &[("taskResults", "results")],
        Part::PipelineRunStatus => &[("pipelineResults", "results")],
        Part::PipelineRun | Part::TaskReference | Part::PipelineReference => &[],
    }
}

type Fields = Map<String, Value>;

/// Whether a kind has both versions.
fn has_both(resource: Resource) -> bool {
    matches!(
        resource,
        Resource::Task | Resource::TaskRun | Resource::Pipeline | Resource::PipelineRun
    )
}

/// Turns an object of v1beta1 into one of v1. One that is of v1 in all but its name stays as it is; a field that has its
/// new name already, too.
pub fn to_stored(resource: Resource, object: &mut Value) {
    if !has_both(resource) || !object.is_object() {
        return;
    }
    let mut kept = Kept::default();
    Kept::take(object);
    places::visit(resource, object, &mut |part, place, fields| {
        upgrade(part, place, fields, &mut kept);
    });
    kept.write(object);
    object["apiVersion"] = json!(format!("{GROUP}/{STORED}"));
}

/// Turns an object of v1 into one of v1beta1: what [`to_stored`] undoes, and the other way round.
pub fn from_stored(resource: Resource, object: &mut Value) {
    if !has_both(resource) || !object.is_object() {
        return;
    }
    let kept = Kept::take(object);
    places::visit(resource, object, &mut |part, place, fields| {
        downgrade(part, place, fields, &kept);
    });
    object["apiVersion"] = json!(format!("{GROUP}/{VERSION}"));
}

fn upgrade(part: Part, place: &Place, fields: &mut Fields, kept: &mut Kept) {
    for (old, new) in names(part) {
        rename(fields, old, new);
    }
    let without_place: &[&str] = match part {
        Part::Step | Part::StepTemplate => &OF_STEPS,
        Part::TaskRunStatus => &OF_TASK_RUNS,
        Part::PipelineRunStatus => &OF_PIPELINE_RUNS,
        _ => &[],
    };
    let mut gone = Fields::new();
    for name in without_place {
        if let Some(value) = fields.remove(*name) {
            gone.insert((*name).to_owned(), value);
        }
    }
    match part {
        Part::TaskReference | Part::PipelineReference => {
            if let Some(resolved) = bundled(fields, part) {
                gone = std::mem::replace(fields, resolved);
            }
        }
        Part::PipelineRun => {
            for name in OF_TEMPLATE {
                into(fields, name, "taskRunTemplate", name);
            }
            if into(fields, "timeout", "timeouts", "pipeline") {
                gone.insert("timeout".to_owned(), json!(true));
            }
        }
        _ => {}
    }
    kept.keep(place, gone);
}

fn downgrade(part: Part, place: &Place, fields: &mut Fields, kept: &Kept) {
    for (old, new) in names(part) {
        rename(fields, new, old);
    }
    let gone = kept.at(place);
    match part {
        Part::TaskReference | Part::PipelineReference => {
            // As long as it still says the same.
            if let Some(gone) = gone
                && bundled(gone, part).as_ref() == Some(fields)
            {
                fields.clone_from(gone);
            }
        }
        Part::PipelineRun => {
            for name in OF_TEMPLATE {
                out_of(fields, "taskRunTemplate", name, name);
            }
            if gone.is_some_and(|gone| gone.contains_key("timeout")) {
                out_of(fields, "timeouts", "pipeline", "timeout");
            }
        }
        _ => {
            for (name, value) in gone.into_iter().flatten() {
                if !fields.contains_key(name) {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
    }
}

/// A reference into an image, as the resolver is told it; `None` if it is none.
fn bundled(reference: &Fields, part: Part) -> Option<Fields> {
    let image = reference.get("bundle")?.as_str()?;
    if image.is_empty() || reference.contains_key("resolver") {
        return None;
    }
    let kind = match part {
        Part::PipelineReference => "pipeline",
        _ => "task",
    };
    let name = reference.get("name").cloned().unwrap_or(Value::Null);
    let params = [("bundle", json!(image)), ("name", name), ("kind", json!(kind))];
    let params = params.map(|(name, value)| json!({"name": name, "value": value}));
    let mut resolved = reference.clone();
    for said in ["bundle", "name", "kind"] {
        resolved.remove(said);
    }
    resolved.insert("resolver".to_owned(), json!("bundles"));
    resolved.insert("params".to_owned(), json!(params));
    Some(resolved)
}

fn rename(holder: &mut Fields, old: &str, new: &str) {
    if !holder.contains_key(new)
        && let Some(value) = holder.remove(old)
    {
        holder.insert(new.to_owned(), value);
    }
}

/// Moves a field into an object beside it; returns whether it did.
fn into(holder: &mut Fields, old: &str, object: &str, new: &str) -> bool {
    let free = match holder.get(object) {
        None => true,
        Some(Value::Object(found)) => !found.contains_key(new),
        Some(_) => false,
    };
    if !free {
        return false;
    }
    let Some(value) = holder.remove(old) else {
        return false;
    };
    let object = holder.entry(object).or_insert_with(|| json!({}));
    if let Some(object) = object.as_object_mut() {
        object.insert(new.to_owned(), value);
    }
    true
}

/// Moves a field out of an object, which goes if nothing else is in it.
fn out_of(holder: &mut Fields, object: &str, old: &str, new: &str) {
    if holder.contains_key(new) {
        return;
    }
    let Some(found) = holder.get_mut(object).and_then(Value::as_object_mut) else {
        return;
    };
    let Some(value) = found.remove(old) else {
        return;
    };
    if found.is_empty() {
        holder.remove(object);
    }
    holder.insert(new.to_owned(), value);
}
