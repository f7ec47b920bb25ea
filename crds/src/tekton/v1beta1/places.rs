//! The parts of an object in which the versions differ, and where they are.

use serde_json::Value;

use super::Fields;
use crate::resource::tekton::Resource;

/// A part that may differ between the versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Step,
    StepTemplate,
    Sidecar,
    /// A step or sidecar as a run wants it.
    OverriddenContainer,
    TaskReference,
    PipelineReference,
    TaskRun,
    PipelineRun,
    /// What a PipelineRun says about one of its tasks.
    OfPipelineTask,
    TaskRunStatus,
    PipelineRunStatus,
}

/// Where a part is: names of fields as v1 has them, and of elements of lists.
pub(super) type Place = Vec<String>;

/// Told each part with its place, a part before those in it.
type Visit<'a> = dyn FnMut(Part, &Place, &mut Fields) + 'a;

/// Shows all parts of an object, in the same order in both versions.
pub(super) fn visit(resource: Resource, object: &mut Value, visit: &mut Visit<'_>) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let mut walk = Walk {
        place: Place::new(),
        visit,
    };
    walk.field(object, "spec", |walk, spec| match resource {
        Resource::Task => walk.task(spec),
        Resource::TaskRun => walk.task_run(spec),
        Resource::Pipeline => walk.pipeline(spec),
        Resource::PipelineRun => walk.pipeline_run(spec),
        Resource::StepAction | Resource::CustomRun | Resource::ResolutionRequest => {}
    });
    walk.field(object, "status", |walk, status| match resource {
        Resource::TaskRun => walk.task_run_status(status),
        Resource::PipelineRun => walk.pipeline_run_status(status),
        _ => {}
    });
}

struct Walk<'a, 'v> {
    place: Place,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    fn task(&mut self, spec: &mut Fields) {
        self.each(spec, "steps", |walk, step| walk.show(Part::Step, step));
        self.each(spec, "sidecars", |walk, sidecar| {
            walk.show(Part::Sidecar, sidecar)
        });
        self.field(spec, "stepTemplate", |walk, template| {
            walk.show(Part::StepTemplate, template);
        });
    }

    fn task_run(&mut self, spec: &mut Fields) {
        self.show(Part::TaskRun, spec);
        self.overrides(spec);
        self.task_of(spec);
    }

    fn pipeline(&mut self, spec: &mut Fields) {
        for list in ["tasks", "finally"] {
            self.each(spec, list, |walk, task| {
                walk.task_of(task);
                walk.pipeline_of(task);
            });
        }
    }

    fn pipeline_run(&mut self, spec: &mut Fields) {
        self.show(Part::PipelineRun, spec);
        self.pipeline_of(spec);
        self.each(spec, "taskRunSpecs", |walk, of_task| {
            walk.show(Part::OfPipelineTask, of_task);
            walk.overrides(of_task);
        });
    }

    fn task_run_status(&mut self, status: &mut Fields) {
        self.show(Part::TaskRunStatus, status);
        self.field(status, "taskSpec", Self::task);
        self.each(status, "retriesStatus", Self::task_run_status);
    }

    fn pipeline_run_status(&mut self, status: &mut Fields) {
        self.show(Part::PipelineRunStatus, status);
        self.field(status, "pipelineSpec", Self::pipeline);
    }

    fn task_of(&mut self, holder: &mut Fields) {
        self.field(holder, "taskRef", |walk, task| {
            walk.show(Part::TaskReference, task)
        });
        self.field(holder, "taskSpec", Self::task);
    }

    fn pipeline_of(&mut self, holder: &mut Fields) {
        self.field(holder, "pipelineRef", |walk, pipeline| {
            walk.show(Part::PipelineReference, pipeline);
        });
        self.field(holder, "pipelineSpec", Self::pipeline);
    }

    fn overrides(&mut self, holder: &mut Fields) {
        for list in ["stepSpecs", "stepOverrides", "sidecarSpecs", "sidecarOverrides"] {
            self.each(holder, list, |walk, container| {
                walk.show(Part::OverriddenContainer, container);
            });
        }
    }

    fn show(&mut self, part: Part, fields: &mut Fields) {
        (self.visit)(part, &self.place, fields);
    }

    fn field(&mut self, holder: &mut Fields, name: &str, visit: impl FnOnce(&mut Self, &mut Fields)) {
        if let Some(Value::Object(found)) = holder.get_mut(name) {
            self.place.push(name.to_owned());
            visit(self, found);
            self.place.pop();
        }
    }

    fn each(&mut self, holder: &mut Fields, list: &str, visit: impl Fn(&mut Self, &mut Fields)) {
        let Some(Value::Array(elements)) = holder.get_mut(list) else {
            return;
        };
        let names = element_names(elements);
        self.place.push(list.to_owned());
        for (element, name) in elements.iter_mut().zip(names) {
            if let Value::Object(element) = element {
                self.place.push(name);
                visit(self, element);
                self.place.pop();
            }
        }
        self.place.pop();
    }
}

/// What elements are called: by their names as long as no two have the same, so that they are found after others came
/// or went, else by their numbers.
fn element_names(elements: &[Value]) -> Vec<String> {
    let name = |element: &Value| element["name"].as_str().map(|name| format!("={name}"));
    let mut seen = std::collections::BTreeSet::new();
    let unique = elements.iter().filter_map(name).all(|name| seen.insert(name));
    let called = |(number, element): (usize, &Value)| match name(element) {
        Some(name) if unique => name,
        _ => number.to_string(),
    };
    elements.iter().enumerate().map(called).collect()
}
