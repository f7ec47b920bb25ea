//! What a pod's task learns, and what it makes of it.

use cluster_images::Image;
use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::AbortHandle;

use super::{Shim, Worker};
use crate::event::Severity;
use crate::pod::facts::{Ended, Facts, Run, Step};
use crate::pod::start::StartFailure;
use crate::pod::{run_id, start, termination};
use crate::probe::ProbeReport;
use crate::resources;
use crate::shim::CONTAINERS_DIR;
use crate::shim::Exit;
use crate::shim_client::{ShimClient, ShimEvent};
use crate::volume::{Mounted, REFRESH_EVERY};

/// One thing that came of an effect, or of itself.
pub(super) enum Happening {
    Shim(Result<(ShimClient, UnboundedReceiver<ShimEvent>, i32), String>),
    Network(Result<String, String>),
    Volumes(Result<Mounted, String>),
    /// The refresh that this task did is over, whether it went well or not.
    Refreshed(tokio::task::Id, Option<Mounted>),
    Image(String, Box<Result<Image, PullFailure>>),
    Started(String, u32, Result<Timestamp, StartFailure>),
    HookFailed(String, u32, String),
    Probe(String, u32, ProbeReport),
    Exited(String, Exit),
    /// The shim with this process has ended.
    ShimGone(Option<i32>),
    TornDown(Result<(), String>),
    Confirmed(Result<(), String>),
}

/// Why an image is not here.
pub(super) struct PullFailure {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Worker {
    pub(super) fn happened(&mut self, happening: Happening) {
        let now = Timestamp::now();
        match happening {
            Happening::Shim(Ok((client, events, pid))) => {
                self.shim = Some(Shim { client, pid });
                // Not before it is known: the word of its end would be taken for that of an earlier one.
                self.listen(events);
                self.facts.shim = Step::Done;
            }
            Happening::Shim(Err(message)) => {
                self.warn_pod(
                    "FailedCreatePodSandBox",
                    format!("Failed to create pod sandbox: {message}"),
                );
                self.facts.shim = Step::failed(message, now);
            }
            Happening::Network(Ok(ip)) => {
                self.facts.ip = Some(ip);
                self.facts.network = Step::Done;
            }
            Happening::Network(Err(message)) => {
                self.warn_pod(
                    "FailedCreatePodSandBox",
                    format!("Failed to create pod sandbox: {message}"),
                );
                self.facts.network = Step::failed(message, now);
            }
            Happening::Volumes(Ok(mounted)) => {
                self.mounted = mounted;
                self.facts.volumes = Step::Done;
                if std::mem::take(&mut self.changed_while_mounting) {
                    self.refresh_volumes(std::time::Duration::ZERO);
                } else {
                    self.schedule_refresh();
                }
            }
            Happening::Volumes(Err(message)) => {
                self.warn_pod("FailedMount", message.clone());
                self.facts.volumes = Step::failed(message, now);
            }
            // Another one has begun since, for a newer version of the pod. It must not be taken for this one and put off.
            Happening::Refreshed(task, _) if self.refresh.as_ref().map(AbortHandle::id) != Some(task) => {}
            Happening::Refreshed(_, mounted) => {
                if let Some(mounted) = mounted {
                    self.mounted = mounted;
                }
                self.refresh_volumes(REFRESH_EVERY);
            }
            Happening::Image(name, result) => self.pulled(&name, *result, now),
            Happening::Started(name, attempt, result) => self.started(&name, attempt, result, now),
            Happening::HookFailed(name, attempt, message) => {
                self.warn(&name, "FailedPostStartHook", message);
                self.want_restart(&name, attempt, None);
            }
            Happening::Probe(name, attempt, report) => self.probed(&name, attempt, report),
            Happening::Exited(id, exit) => self.exited(&id, &exit),
            Happening::ShimGone(pid) => self.shim_gone(pid, now),
            Happening::TornDown(Ok(())) => self.facts.teardown = Step::Done,
            Happening::TornDown(Err(message)) => {
                self.warn_pod("FailedKillPod", format!("error killing pod: {message}"));
                self.facts.teardown = Step::failed(message, now);
            }
            Happening::Confirmed(Ok(())) => self.done = true,
            Happening::Confirmed(Err(message)) => self.facts.confirmation = Step::failed(message, now),
        }
    }

    fn pulled(&mut self, name: &str, result: Result<Image, PullFailure>, now: Timestamp) {
        let Some(known) = self.facts.containers.get_mut(name) else {
            return;
        };
        match result {
            Ok(image) => {
                known.image = crate::pod::facts::ImageFacts::Ready;
                known.image_id.clone_from(&image.repo_digest);
                self.images.insert(name.to_owned(), image);
            }
            Err(failure) => {
                known.pull_failed(failure.reason, failure.message.clone(), now);
                let image = start::named(&self.spec, name).and_then(|container| container.image.clone());
                let image = image.unwrap_or_default();
                let reason = if failure.reason == "InvalidImageName" {
                    "InspectFailed"
                } else {
                    "Failed"
                };
                self.warn(
                    name,
                    reason,
                    format!("Failed to pull image \"{image}\": {}", failure.message),
                );
                self.warn(name, "Failed", format!("Error: {}", failure.reason));
            }
        }
    }

    fn started(&mut self, name: &str, attempt: u32, result: Result<Timestamp, StartFailure>, now: Timestamp) {
        let Some(known) = self.facts.containers.get_mut(name) else {
            return;
        };
        if known.attempt != attempt || known.run != Run::Starting {
            return;
        }
        match result {
            Ok(since) => {
                known.running(since);
                self.note(name, "Created", "Container created");
                self.note(name, "Started", "Container started");
                self.tell_limits(name);
                self.watch_probes(name);
            }
            Err(StartFailure::Config(message)) => {
                known.not_configured("CreateContainerConfigError", message.clone(), now);
                self.warn(name, "Failed", format!("Error: {message}"));
            }
            Err(StartFailure::Create(message)) => {
                known.not_configured("CreateContainerError", message.clone(), now);
                self.warn(name, "Failed", format!("Error: {message}"));
            }
            Err(StartFailure::Run(message)) => {
                known.has_ended(Ended {
                    exit_code: 128,
                    signal: None,
                    reason: "StartError".to_owned(),
                    message: Some(message.clone()),
                    started_at: now,
                    finished_at: now,
                    attempt,
                });
                self.warn(name, "Failed", format!("Error: {message}"));
            }
            // The loss of the sandbox is told separately and notes the end of this run too.
            Err(StartFailure::Gone) => {}
        }
    }

    fn probed(&mut self, name: &str, attempt: u32, report: ProbeReport) {
        let deleted = self.pod.metadata.deletion_timestamp.is_some();
        let Some(known) = self.facts.containers.get_mut(name) else {
            return;
        };
        if known.attempt != attempt || !known.is_live() {
            return;
        }
        match report {
            ProbeReport::Started => known.started = true,
            ProbeReport::Ready(ready) => known.ready = ready,
            ProbeReport::Unhealthy(kind, message) => {
                self.warn(
                    name,
                    "Unhealthy",
                    format!("{} probe failed: {message}", kind.name()),
                );
            }
            ProbeReport::Restart(kind, grace) if !deleted => {
                let what = kind.name().to_lowercase();
                self.note(
                    name,
                    "Killing",
                    format!("Container {name} failed {what} probe, will be restarted"),
                );
                self.want_restart(name, attempt, grace);
            }
            ProbeReport::Restart(..) => {}
        }
    }

    fn want_restart(&mut self, name: &str, attempt: u32, grace: Option<i64>) {
        if let Some(known) = self.facts.containers.get_mut(name)
            && known.attempt == attempt
            && known.is_live()
        {
            known.restart_wanted = Some(grace);
        }
    }

    fn exited(&mut self, id: &str, exit: &Exit) {
        let Some((name, attempt)) = id.rsplit_once('.') else {
            return;
        };
        let Ok(attempt) = attempt.parse::<u32>() else {
            return;
        };
        let Some(container) = start::named(&self.spec, name).cloned() else {
            return;
        };
        let dir = self
            .context
            .pod_dir(&self.uid)
            .join(CONTAINERS_DIR)
            .join(run_id(name, attempt));
        let log = self.context.log_base(&self.pod, name, attempt);
        let Some(known) = self.facts.containers.get_mut(name) else {
            return;
        };
        if known.attempt != attempt || known.ended().is_some() {
            return;
        }
        known.has_ended(termination::describe(exit, &container, &dir, &log, attempt));
        self.forget_tasks(name);
        self.clean_run(name, attempt);
    }

    fn shim_gone(&mut self, pid: Option<i32>, now: Timestamp) {
        if self.shim.as_ref().map(|shim| shim.pid) != pid || self.facts.teardown != Step::Pending {
            return;
        }
        self.warn_pod(
            "SandboxChanged",
            "Pod sandbox changed, it will be killed and re-created.".to_owned(),
        );
        self.shim = None;
        let names: Vec<String> = self.facts.containers.keys().cloned().collect();
        names.iter().for_each(|name| self.forget_tasks(name));
        Facts::sandbox_lost(&mut self.facts, &self.spec, now);
        self.clear_group();
    }

    pub(super) fn forget_tasks(&mut self, name: &str) {
        for task in [self.probes.remove(name), self.stops.remove(name)]
            .into_iter()
            .flatten()
        {
            task.abort();
        }
    }

    /// A limit that does not hold must not be believed in.
    fn tell_limits(&self, name: &str) {
        let Some(container) = start::named(&self.spec, name) else {
            return;
        };
        let group = &self.context.cgroup;
        let lacking = resources::limits(container, false).beyond(|controller| group.controls(controller));
        if !lacking.is_empty() {
            let lacking = lacking.join(" and ");
            self.warn(
                name,
                "LimitsNotEnforced",
                format!(
                    "Limits of {lacking} do not hold: the control groups of this machine offer no such controller. \
                     Boot with it enabled (memory: cgroup_enable=memory), or delegate it to spindrift"
                ),
            );
        }
    }

    pub(super) fn note(&self, container: &str, reason: &'static str, message: impl Into<String>) {
        let about = Some((container, start::is_init(&self.spec, container)));
        self.context
            .events
            .record(&self.pod, about, Severity::Normal, reason, message);
    }

    pub(super) fn warn(&self, container: &str, reason: &'static str, message: impl Into<String>) {
        let about = Some((container, start::is_init(&self.spec, container)));
        self.context
            .events
            .record(&self.pod, about, Severity::Warning, reason, message);
    }

    pub(super) fn warn_pod(&self, reason: &'static str, message: String) {
        self.context
            .events
            .record(&self.pod, None, Severity::Warning, reason, message);
    }
}
