//! What is known of a pod on this node. Plain data; every change is a method here, so that it can be tested.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PodSpec;

use super::backoff::Backoff;
use super::containers;

/// Wait before a failed step of the sandbox is tried again.
const STEP_RETRY: SignedDuration = SignedDuration::from_secs(2);

/// Something that has to be done once per sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Step {
    /// Not begun.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Done.
    Done,
    /// Failed; to be tried again.
    Failed {
        /// Why.
        message: String,
        /// When.
        retry_at: Timestamp,
    },
}

impl Step {
    /// Notes a failure.
    pub fn failed(message: String, now: Timestamp) -> Self {
        Self::Failed {
            message,
            retry_at: now + STEP_RETRY,
        }
    }
}

/// A container's image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ImageFacts {
    /// Not asked for yet.
    #[default]
    Unknown,
    /// Being fetched.
    Pulling,
    /// Here.
    Ready,
    /// Not to be had now.
    Failed {
        /// `ErrImagePull`, `InvalidImageName`, `ErrImageNeverPull`.
        reason: &'static str,
        /// What the registry said.
        message: String,
        /// When it failed.
        at: Timestamp,
    },
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// As a shell reports it.
    pub exit_code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, …
    pub reason: String,
    /// The termination message.
    pub message: Option<String>,
    /// Start of the run.
    pub started_at: Timestamp,
    /// Its end.
    pub finished_at: Timestamp,
    /// Which run.
    pub attempt: u32,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Run {
    /// Has not run in this sandbox.
    #[default]
    Waiting,
    /// Asked the shim to start it.
    Starting,
    /// Its process runs.
    Running {
        /// Since when.
        since: Timestamp,
    },
    /// It has ended.
    Ended(Ended),
}

/// A stop that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopping {
    /// Seconds it was given.
    pub grace: i64,
}

/// A container that cannot be configured now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `CreateContainerConfigError` or `CreateContainerError`.
    pub reason: &'static str,
    /// What is missing.
    pub message: String,
    /// When to look again.
    pub retry_at: Timestamp,
    /// How often in a row.
    pub times: u32,
}

/// What is known of one container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerFacts {
    /// Number of the current or next run; the restart count.
    pub attempt: u32,
    /// Its image.
    pub image: ImageFacts,
    /// Wait before the next pull.
    pub pull_backoff: Backoff,
    /// Reference by digest, for the status.
    pub image_id: String,
    /// What it does.
    pub run: Run,
    /// How the run before this one ended.
    pub last: Option<Ended>,
    /// Wait before the next restart.
    pub crash_backoff: Backoff,
    /// Why it cannot be made now.
    pub config_error: Option<ConfigError>,
    /// Whether its startup probe has passed.
    pub started: bool,
    /// Whether it is ready for traffic.
    pub ready: bool,
    /// A stop under way.
    pub stopping: Option<Stopping>,
    /// A probe or hook demands a restart, with its own grace period if it has one.
    pub restart_wanted: Option<Option<i64>>,
}

/// A pod's premature end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// `DeadlineExceeded` or `Evicted`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Seconds that its containers get; else as many as the pod says.
    pub grace: Option<i64>,
}

/// What is known of one pod.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// The shim and with it the sandbox's namespaces.
    pub shim: Step,
    /// The sandbox's address.
    pub network: Step,
    /// The address, once known; stays when the sandbox is gone.
    pub ip: Option<String>,
    /// The volumes.
    pub volumes: Step,
    /// Containers and init containers by name.
    pub containers: BTreeMap<String, ContainerFacts>,
    /// When the node took the pod.
    pub started_at: Option<Timestamp>,
    /// Why the node wants the pod to go, if it does.
    pub evicted: Option<String>,
    /// Premature end.
    pub ending: Option<Ending>,
    /// Removal of the sandbox.
    pub teardown: Step,
    /// Confirmation of the deletion to the API server.
    pub confirmation: Step,
}

impl Facts {
    /// A pod that was never seen.
    pub fn new(spec: &PodSpec, now: Timestamp) -> Self {
        let containers = containers(spec)
            .map(|container| (container.name.clone(), ContainerFacts::default()))
            .collect();
        Self {
            containers,
            started_at: Some(now),
            ..Self::default()
        }
    }

    /// Facts of one container; every name of the specification has some.
    pub fn container(&self, name: &str) -> Option<&ContainerFacts> {
        self.containers.get(name)
    }

    /// The sandbox is gone: whatever ran in it has ended with it. Init containers run again in the next one.
    pub fn sandbox_lost(&mut self, spec: &PodSpec, now: Timestamp) {
        self.shim = Step::Pending;
        self.network = Step::Pending;
        self.volumes = Step::Pending;
        let init: Vec<&str> = spec
            .init_containers
            .iter()
            .flatten()
            .map(|container| container.name.as_str())
            .collect();
        for (name, container) in &mut self.containers {
            let was = std::mem::take(&mut container.run);
            container.run = match was {
                Run::Running { since } => Run::Ended(container.lost(since, now)),
                Run::Starting => Run::Ended(container.lost(now, now)),
                other => other,
            };
            container.quiet();
            if init.contains(&name.as_str())
                && let Run::Ended(ended) = std::mem::take(&mut container.run)
            {
                container.last = Some(ended);
                container.attempt += 1;
            }
        }
    }
}

impl ContainerFacts {
    /// Whether a process exists or is about to.
    pub fn is_live(&self) -> bool {
        matches!(self.run, Run::Starting | Run::Running { .. })
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<&Ended> {
        match &self.run {
            Run::Ended(ended) => Some(ended),
            _ => None,
        }
    }

    /// The next run is being started.
    pub fn starting(&mut self) {
        if let Run::Ended(ended) = std::mem::take(&mut self.run) {
            self.last = Some(ended);
            self.attempt += 1;
            self.crash_backoff = self.crash_backoff.grown();
        }
        self.run = Run::Starting;
    }

    /// The run has begun.
    pub fn running(&mut self, since: Timestamp) {
        self.config_error = None;
        self.run = Run::Running { since };
    }

    /// The run is over.
    pub fn has_ended(&mut self, ended: Ended) {
        self.crash_backoff = self.crash_backoff.after_run(ended.started_at, ended.finished_at);
        self.run = Run::Ended(ended);
        self.quiet();
    }

    /// It could not even be made: not a run, so it counts as no restart.
    pub fn not_configured(&mut self, reason: &'static str, message: String, now: Timestamp) {
        let times = self.config_error.as_ref().map_or(0, |error| error.times) + 1;
        let wait = SignedDuration::from_secs(1_i64 << times.min(4).saturating_sub(1))
            .min(SignedDuration::from_secs(10));
        self.config_error = Some(ConfigError {
            reason,
            message,
            retry_at: now + wait,
            times,
        });
        self.run = match (self.attempt, self.last.take()) {
            // Give the run back that `starting` consumed.
            (attempt, Some(last)) if attempt > 0 => {
                self.attempt = attempt - 1;
                Run::Ended(last)
            }
            (_, last) => {
                self.last = last;
                Run::Waiting
            }
        };
    }

    /// A pull failed.
    pub fn pull_failed(&mut self, reason: &'static str, message: String, now: Timestamp) {
        self.pull_backoff = self.pull_backoff.grown();
        self.image = ImageFacts::Failed {
            reason,
            message,
            at: now,
        };
    }

    fn lost(&self, since: Timestamp, now: Timestamp) -> Ended {
        Ended {
            exit_code: 137,
            signal: None,
            reason: "ContainerStatusUnknown".to_owned(),
            message: Some("The container could not be located when the pod's sandbox was lost".to_owned()),
            started_at: since,
            finished_at: now,
            attempt: self.attempt,
        }
    }

    fn quiet(&mut self) {
        self.started = false;
        self.ready = false;
        self.stopping = None;
        self.restart_wanted = None;
    }
}
