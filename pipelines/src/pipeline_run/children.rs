//! The runs and claims that a PipelineRun makes. Equal inputs give equal objects.

mod metadata;
mod workspaces;

use crds::tekton::{
    CustomRun, CustomRunSpec, Duration, EmbeddedCustomRunSpec, PipelineRun, PipelineRunSpec, PipelineTask,
    PipelineTaskRunSpec, TaskRun, TaskRunSpec, TimeoutFields, WorkspaceBinding, annotations,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::SignedDuration;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::assistants;
use super::child::Kind;
use super::progress::Planned;
use super::timeouts::Clocks;

pub use workspaces::{claim_name, claims, template_name};

/// A child as it has to be made; its owner is added by whoever makes it.
#[derive(Clone, Debug, PartialEq)]
pub enum NewChild {
    TaskRun(Box<TaskRun>),
    CustomRun(Box<CustomRun>),
    PipelineRun(Box<PipelineRun>),
}

impl NewChild {
    pub fn kind(&self) -> Kind {
        match self {
            Self::TaskRun(_) => Kind::TaskRun,
            Self::CustomRun(_) => Kind::CustomRun,
            Self::PipelineRun(_) => Kind::PipelineRun,
        }
    }

    pub fn name(&self) -> &str {
        let meta = match self {
            Self::TaskRun(run) => &run.metadata,
            Self::CustomRun(run) => &run.metadata,
            Self::PipelineRun(run) => &run.metadata,
        };
        meta.name.as_deref().unwrap_or_default()
    }
}

/// The kind of child that a task has.
pub fn kind_of(task: &PipelineTask) -> Kind {
    if task.is_custom() {
        Kind::CustomRun
    } else if task.pipeline_ref.is_some() || task.pipeline_spec.is_some() {
        Kind::PipelineRun
    } else {
        Kind::TaskRun
    }
}

/// The child of `run` that was planned; `pipeline` is the name that labels give to its pipeline.
pub fn child(run: &PipelineRun, pipeline: &str, planned: &Planned, clocks: &Clocks) -> NewChild {
    let parts = Parts {
        run,
        task: &planned.task,
        own: run
            .spec
            .task_run_specs
            .iter()
            .find(|spec| spec.pipeline_task_name == planned.task.name),
        timeout: timeout(run, planned, clocks),
    };
    let meta = metadata::of_child(run, pipeline, planned, parts.own);
    match kind_of(&planned.task) {
        Kind::TaskRun => {
            let mut child = TaskRun::new(&planned.name, parts.task_run());
            child.metadata = meta;
            if planned.task.on_error == "continue" {
                let all = child.metadata.annotations.get_or_insert_default();
                all.insert(
                    annotations::PIPELINE_TASK_ON_ERROR.to_owned(),
                    "continue".to_owned(),
                );
            }
            note_assistant(&mut child.metadata, run, &child.spec.workspaces);
            NewChild::TaskRun(Box::new(child))
        }
        Kind::CustomRun => {
            let mut child = CustomRun::new(&planned.name, parts.custom_run());
            child.metadata = meta;
            // It may make pods that have to be there, too.
            note_assistant(&mut child.metadata, run, &child.spec.workspaces);
            NewChild::CustomRun(Box::new(child))
        }
        Kind::PipelineRun => {
            let mut child = PipelineRun::new(&planned.name, parts.pipeline_run());
            child.metadata = meta;
            NewChild::PipelineRun(Box::new(child))
        }
    }
}

/// Says what the pods of a child have to be near to.
fn note_assistant(meta: &mut ObjectMeta, run: &PipelineRun, workspaces: &[WorkspaceBinding]) {
    if let Some(assistant) = assistants::of_task(run, workspaces) {
        let all = meta.annotations.get_or_insert_default();
        all.insert(annotations::AFFINITY_ASSISTANT.to_owned(), assistant);
    }
}

/// How long a child may take: what is said about its run, about its task, or what is left of the whole.
fn timeout(run: &PipelineRun, planned: &Planned, clocks: &Clocks) -> Duration {
    let mut specs = run.spec.task_run_specs.iter();
    let own = specs
        .find(|spec| spec.pipeline_task_name == planned.task.name)
        .and_then(|spec| spec.timeout);
    own.or(planned.task.timeout).unwrap_or_else(|| {
        let left = clocks.left(planned.finally);
        // A timeout of zero would mean none at all. Whole seconds are enough, and easier to read; rounded up, so that
        // a child is not up before its parent.
        let seconds = |left: std::time::Duration| {
            left.as_millis()
                .div_ceil(1000)
                .max(1)
                .try_into()
                .unwrap_or(i64::MAX)
        };
        left.map_or(Duration::ZERO, |left| {
            Duration(SignedDuration::from_secs(seconds(left)))
        })
    })
}

struct Parts<'a> {
    run: &'a PipelineRun,
    task: &'a PipelineTask,
    /// What the run says about this task.
    own: Option<&'a PipelineTaskRunSpec>,
    timeout: Duration,
}

impl Parts<'_> {
    fn service_account(&self) -> String {
        let template = self.run.spec.task_run_template.as_ref();
        let of_run = template
            .map(|template| template.service_account_name.as_str())
            .unwrap_or_default();
        let own = self
            .own
            .map(|own| own.service_account_name.as_str())
            .unwrap_or_default();
        if own.is_empty() {
            of_run.to_owned()
        } else {
            own.to_owned()
        }
    }

    fn task_run(&self) -> TaskRunSpec {
        let template = self
            .run
            .spec
            .task_run_template
            .as_ref()
            .and_then(|all| all.pod_template.as_ref());
        let own = self.own;
        TaskRunSpec {
            params: self.task.params.clone(),
            service_account_name: self.service_account(),
            task_ref: self.task.task_ref.clone(),
            task_spec: workspaces::embedded(self.run, self.task),
            retries: self.task.retries,
            timeout: Some(self.timeout),
            pod_template: merged(template, own.and_then(|own| own.pod_template.as_ref())),
            workspaces: workspaces::of_task(self.run, self.task),
            step_specs: own.map(|own| own.step_specs.clone()).unwrap_or_default(),
            sidecar_specs: own.map(|own| own.sidecar_specs.clone()).unwrap_or_default(),
            compute_resources: own.and_then(|own| own.compute_resources.clone()),
            managed_by: self.run.spec.managed_by.clone(),
            ..TaskRunSpec::default()
        }
    }

    fn custom_run(&self) -> CustomRunSpec {
        let custom_spec = self
            .task
            .task_spec
            .as_ref()
            .map(|embedded| EmbeddedCustomRunSpec {
                api_version: embedded.api_version.clone(),
                kind: embedded.kind.clone(),
                metadata: embedded.metadata.clone(),
                spec: embedded.spec.clone(),
            });
        CustomRunSpec {
            custom_ref: self.task.task_ref.clone(),
            custom_spec,
            params: self.task.params.clone(),
            retries: self.task.retries,
            service_account_name: self.service_account(),
            timeout: Some(self.timeout),
            workspaces: workspaces::of_task(self.run, self.task),
            ..CustomRunSpec::default()
        }
    }

    fn pipeline_run(&self) -> PipelineRunSpec {
        PipelineRunSpec {
            pipeline_ref: self.task.pipeline_ref.clone(),
            pipeline_spec: self.task.pipeline_spec.as_deref().cloned(),
            params: self.task.params.clone(),
            timeouts: Some(TimeoutFields {
                pipeline: Some(self.timeout),
                ..TimeoutFields::default()
            }),
            task_run_template: self.run.spec.task_run_template.clone(),
            workspaces: workspaces::of_task(self.run, self.task),
            managed_by: self.run.spec.managed_by.clone(),
            ..PipelineRunSpec::default()
        }
    }
}

/// The fields of `over`, and those of `under` that it does not have.
fn merged<T: Serialize + DeserializeOwned + Clone>(under: Option<&T>, over: Option<&T>) -> Option<T> {
    let (Some(under), Some(over)) = (under, over) else {
        return over.or(under).cloned();
    };
    let merged = || {
        let (mut under, over) = (
            serde_json::to_value(under).ok()?,
            serde_json::to_value(over).ok()?,
        );
        if let (Value::Object(under), Value::Object(over)) = (&mut under, over) {
            under.extend(over);
        }
        serde_json::from_value(under).ok()
    };
    merged().or_else(|| Some(over.clone()))
}
