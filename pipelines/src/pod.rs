//! The pod of a TaskRun: one container per step, put in order by the entrypoint.
//!
//! [`desired`] is a pure function, so what a TaskRun becomes can be read in tests. Sidecars are init containers that
//! keep running (`restartPolicy: Always`): Kubernetes stops them when the steps are over, on any cluster, without a
//! second image.

mod affinity;
mod debug;
mod init;
mod merge;
mod metadata;
pub(crate) mod requirements;
mod script;
mod sidecar;
mod step;
mod volumes;
pub mod workspaces;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crds::tekton::{PodTemplate, TaskRun, TaskSpec};
use k8s_openapi::api::core::v1::{Pod, PodSpec, Volume};

pub(crate) use affinity::{HOST, assistant, assistant_name, changed as changed_affinity};
use debug::Breakpoints;
pub(crate) use init::without_rights;
pub(crate) use merge::pod_template as template;
use registries::Command;
use volumes::Implicit;
use workspaces::Workspaces;

/// What the install says about pods.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The image of the entrypoint.
    pub entrypoint_image: String,
    /// Fields of the pods of runs that do not say otherwise.
    pub pod_template: Option<PodTemplate>,
    /// Value of the label that says who looks after the pod.
    pub managed_by: String,
    /// Does the first step wait until the sidecars are ready?
    pub await_sidecars: bool,
    /// May others put sidecars into the pod?
    pub injected_sidecars: bool,
    /// Do the containers that are not the user's drop all rights?
    pub secure_init: bool,
    /// Is their root file system read-only, too?
    pub read_only_init: bool,
    /// Do pods stay when their runs are cancelled?
    pub keep_cancelled: bool,
    /// Do steps tell what went in and came out?
    pub artifacts: bool,
    /// Variables that templates may not set.
    pub forbidden_env: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            entrypoint_image: String::new(),
            pod_template: None,
            managed_by: crds::tekton::labels::MANAGED_BY_VALUE.to_owned(),
            await_sidecars: true,
            injected_sidecars: true,
            secure_init: false,
            read_only_init: false,
            keep_cancelled: false,
            artifacts: false,
            forbidden_env: Vec::new(),
        }
    }
}

/// One attempt of a run.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub run: &'a TaskRun,
    /// With its variables replaced.
    pub spec: &'a TaskSpec,
    pub settings: &'a Settings,
    /// Attempts before this one.
    pub retry: usize,
    /// `None` is no limit.
    pub timeout: Option<Duration>,
    /// What the service account brings for git, ssh and registries.
    pub credentials: &'a Credentials,
    /// What images do that steps do not say, by image.
    pub images: &'a BTreeMap<String, ImageCommand>,
}

/// Secrets that the entrypoint makes files of, for git, ssh and docker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Flags of the entrypoint.
    pub flags: Vec<String>,
    /// The secrets that they name, each once.
    pub secrets: Vec<String>,
}

impl Credentials {
    fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }
}

/// What an image does by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageCommand {
    /// The image by digest: what was looked at is what runs.
    pub pinned: String,
    /// By platform, `os/architecture[/variant]`.
    pub commands: BTreeMap<String, Command>,
}

/// Why there can be no pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    #[error("step {step:?} has neither command nor script, and its image {image:?} says nothing either")]
    NoCommand { step: String, image: String },
    #[error("{0}")]
    Workspace(String),
    #[error("step {step:?}: {source}")]
    When {
        step: String,
        source: crate::when::Error,
    },
    #[error("debug.breakpoints.beforeSteps: the task has no step {step:?}, its steps are: {steps}")]
    Breakpoint { step: String, steps: String },
    #[error("sidecar {0:?} has both a command and a script")]
    CommandAndScript(String),
}

/// The pod of `attempt`. Equal inputs give equal pods.
///
/// # Errors
/// [`PodError`], which only another run or task can mend.
pub fn desired(attempt: &Attempt<'_>) -> Result<Pod, PodError> {
    let Attempt { run, settings, .. } = attempt;
    let task = &merge::with_template(attempt.spec);
    let workspaces = Workspaces::of(run, task).map_err(PodError::Workspace)?;
    let mut template = merge::pod_template(run.spec.pod_template.as_ref(), settings.pod_template.as_ref());
    let sidecars = sidecar::containers(attempt, task, &workspaces)?;
    let breakpoints = Breakpoints::of(run, task)?;
    let own = init::containers(task, settings, breakpoints);
    let limit = message_limit(task.steps.len() + sidecars.len() + own.len());
    let implicit = Implicit {
        task,
        credentials: attempt.credentials,
        cancellable: settings.keep_cancelled,
        breakpoints,
    };
    let mut containers = Vec::with_capacity(task.steps.len());
    for index in 0..task.steps.len() {
        containers.push(step::container(
            attempt,
            &implicit,
            index,
            &workspaces,
            &template,
            limit,
        )?);
    }
    let mut pod_volumes = implicit.volumes();
    pod_volumes.extend(workspaces.volumes().cloned());
    pod_volumes.extend(task.volumes.iter().cloned());
    let known: Vec<String> = pod_volumes.iter().map(|volume| volume.name.clone()).collect();
    pod_volumes.extend(
        template
            .volumes
            .iter()
            .filter(|volume| !known.contains(&volume.name))
            .cloned(),
    );
    Ok(Pod {
        metadata: metadata::of(attempt, task),
        spec: Some(PodSpec {
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: Some(deadline(attempt.timeout)),
            service_account_name: (!run.spec.service_account_name.is_empty())
                .then(|| run.spec.service_account_name.clone()),
            init_containers: Some(own.into_iter().chain(sidecars).collect()),
            containers,
            volumes: Some(pod_volumes),
            affinity: affinity::beside(affinity::assistant(run), template.affinity.take()),
            ..from_template(template)
        }),
        status: None,
    })
}

/// The images whose own commands the steps of `task` leave it to; [`Attempt::images`] has to have them.
pub fn silent_images(task: &TaskSpec) -> BTreeSet<String> {
    let task = merge::with_template(task);
    let silent = task.steps.into_iter().filter(|step| {
        step.script.is_empty() && step.command.as_ref().is_none_or(|command| command.is_empty())
    });
    silent.map(|step| step.image).collect()
}

/// Bytes that the termination message of each container may have: Kubernetes cuts what is longer.
fn message_limit(containers: usize) -> usize {
    use entrypoint::message::{LIMIT, LIMIT_OF_POD};
    LIMIT.min(LIMIT_OF_POD / containers.max(1))
}

/// Seconds after which Kubernetes ends the pod by itself, should nobody else do so: half as much again as the run may
/// take, or the most that there is.
fn deadline(timeout: Option<Duration>) -> i64 {
    let most = i64::from(i32::MAX);
    match timeout {
        None => most,
        Some(timeout) => i64::try_from(timeout.as_millis().saturating_mul(3).div_ceil(2000))
            .unwrap_or(most)
            .min(most),
    }
}

/// The fields that templates have in common with pods.
fn from_template(template: PodTemplate) -> PodSpec {
    fn unless_empty<T>(list: Vec<T>) -> Option<Vec<T>> {
        (!list.is_empty()).then_some(list)
    }
    PodSpec {
        node_selector: (!template.node_selector.is_empty()).then_some(template.node_selector),
        tolerations: unless_empty(template.tolerations),
        security_context: template.security_context,
        runtime_class_name: template.runtime_class_name,
        automount_service_account_token: template.automount_service_account_token,
        dns_policy: template.dns_policy,
        dns_config: template.dns_config,
        enable_service_links: template.enable_service_links,
        priority_class_name: template.priority_class_name,
        scheduler_name: (!template.scheduler_name.is_empty()).then_some(template.scheduler_name),
        image_pull_secrets: unless_empty(template.image_pull_secrets),
        host_aliases: unless_empty(template.host_aliases),
        host_network: template.host_network.then_some(true),
        host_users: template.host_users,
        topology_spread_constraints: unless_empty(template.topology_spread_constraints),
        ..PodSpec::default()
    }
}

/// An empty directory that lives as long as the pod.
fn empty_dir(name: impl Into<String>, medium: Option<&str>) -> Volume {
    Volume {
        name: name.into(),
        empty_dir: Some(k8s_openapi::api::core::v1::EmptyDirVolumeSource {
            medium: medium.map(str::to_owned),
            ..Default::default()
        }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests;
