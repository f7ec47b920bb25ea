//! The task of one pod: carries out what [`super::plan`] decides and keeps the facts current.

mod effects;
mod happening;
mod pull;
mod stop;

use std::collections::HashMap;
use std::sync::Arc;

use cluster_images::Image;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tracing::{debug, info};

use happening::Happening;
pub(crate) use stop::remove_sandbox;

use super::facts::{Ending, Facts, Run, Step};
use super::plan::{self, Action};
use super::restore::{Restored, restore};
use super::start;
use super::status::pod_status;
use super::status_writer::StatusWriter;
use super::turns::Turns;
use crate::context::Context;
use crate::downward::Addresses;
use crate::event::Severity;
use crate::shim_client::ShimClient;
use crate::volume::{self, Mounted};

/// Happenings that may wait; senders wait when it is full.
const QUEUE: usize = 256;
/// The longest sleep; a clock that jumps is noticed after it.
const LONGEST_SLEEP: std::time::Duration = std::time::Duration::from_secs(60);

/// What the agent tells a pod's task.
#[derive(Debug, Clone)]
pub struct Update {
    /// The newest version of the pod.
    pub pod: Arc<Pod>,
    /// Whether the API server has already forgotten it.
    pub gone: bool,
    /// Why the node wants it to go, if it does.
    pub evicted: Option<String>,
}

/// The task's state.
struct Worker {
    context: Arc<Context>,
    pod: Arc<Pod>,
    spec: PodSpec,
    uid: String,
    facts: Facts,
    shim: Option<Shim>,
    mounted: Mounted,
    images: HashMap<String, Image>,
    /// The image's wish, for containers whose image is not at hand after a restart of the agent.
    stop_signals: HashMap<String, String>,
    status: StatusWriter,
    starts: Turns,
    happenings: mpsc::Sender<Happening>,
    tasks: JoinSet<()>,
    probes: HashMap<String, AbortHandle>,
    stops: HashMap<String, AbortHandle>,
    refresh: Option<AbortHandle>,
    /// Labels or annotations did: volumes may show what they were.
    changed_while_mounting: bool,
    done: bool,
}

/// The sandbox that stands now.
#[derive(Clone)]
struct Shim {
    client: ShimClient,
    pid: i32,
}

/// Runs a pod until nothing of it is left. Dropping the future leaves its containers alone.
pub(crate) async fn run(context: Arc<Context>, mut updates: watch::Receiver<Update>) {
    let update = updates.borrow_and_update().clone();
    let now = Timestamp::now();
    let spec = update.pod.spec.clone().unwrap_or_default();
    let (happenings, mut queue) = mpsc::channel(QUEUE);
    let restored = restore(&context, &update.pod, &spec, now).await;
    let status = StatusWriter::start(context.client.clone(), &update.pod);
    let mut worker = Worker {
        uid: update.pod.metadata.uid.clone().unwrap_or_default(),
        pod: Arc::clone(&update.pod),
        spec,
        context,
        facts: Facts::default(),
        shim: None,
        mounted: Mounted::default(),
        images: HashMap::new(),
        stop_signals: HashMap::new(),
        status,
        starts: Turns::of_processors(),
        happenings,
        tasks: JoinSet::new(),
        probes: HashMap::new(),
        stops: HashMap::new(),
        refresh: None,
        changed_while_mounting: false,
        done: false,
    };
    worker.adopt(restored);
    worker.take(update);
    loop {
        let wake = worker.step();
        if worker.done {
            return;
        }
        loop {
            tokio::select! {
                happening = queue.recv() => {
                    if let Some(happening) = happening {
                        worker.happened(happening);
                    }
                    // What happened together is answered by one decision and one status.
                    while let Ok(happening) = queue.try_recv() {
                        worker.happened(happening);
                    }
                }
                changed = updates.changed() => match changed {
                    Ok(()) => {
                        let update = updates.borrow_and_update().clone();
                        worker.take(update);
                    }
                    Err(_) => return,
                },
                () = sleep(wake) => {}
                // The end of a task tells nothing; its happening does.
                Some(_) = worker.tasks.join_next() => continue,
            }
            break;
        }
    }
}

impl Worker {
    /// Takes over what an earlier agent left.
    fn adopt(&mut self, restored: Restored) {
        self.facts = restored.facts;
        self.ended_before();
        // A pod that has come to its end does not run again, whatever the disk remembers.
        let phase = self
            .pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            .unwrap_or_default();
        if matches!(phase, "Succeeded" | "Failed") && restored.shim.is_none() {
            self.facts.teardown = Step::Pending;
            self.finished_before();
            return;
        }
        let Some((client, events, state)) = restored.shim else {
            return;
        };
        info!(
            pod = self.pod.metadata.name.as_deref(),
            "Pod adopted from an earlier run of the agent"
        );
        self.shim = Some(Shim {
            client,
            pid: state.pid,
        });
        self.listen(events);
        for container in &state.containers {
            if let Ok(note) = serde_json::from_value::<start::Note>(container.note.clone()) {
                self.stop_signals.insert(note.container, note.stop_signal);
            }
        }
        let running: Vec<String> = self
            .facts
            .containers
            .iter()
            .filter(|(_, known)| matches!(known.run, Run::Running { .. }))
            .map(|(name, _)| name.clone())
            .collect();
        for name in running {
            self.watch_probes(&name);
        }
    }

    /// Marks every container that left no record as ended the way the status says.
    fn finished_before(&mut self) {
        let status = self.pod.status.clone().unwrap_or_default();
        let shown = status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses)
            .flatten();
        for shown in shown {
            let ended = shown.state.as_ref().and_then(|state| state.terminated.clone());
            let (Some(known), Some(ended)) = (self.facts.containers.get_mut(&shown.name), ended) else {
                continue;
            };
            let now = Timestamp::now();
            known.attempt = u32::try_from(shown.restart_count).unwrap_or(0);
            known.image_id.clone_from(&shown.image_id);
            known.run = Run::Ended(super::facts::Ended {
                exit_code: ended.exit_code,
                signal: ended.signal,
                reason: ended.reason.unwrap_or_default(),
                message: ended.message,
                started_at: ended.started_at.map_or(now, |time| time.0),
                finished_at: ended.finished_at.map_or(now, |time| time.0),
                attempt: known.attempt,
            });
        }
        self.facts.ip = status.pod_ip;
    }

    /// Takes over from the status why the pod was ended before its containers had.
    fn ended_before(&mut self) {
        let status = self.pod.status.clone().unwrap_or_default();
        let known = [(plan::DEADLINE_EXCEEDED, None), (plan::EVICTED, Some(0))];
        let reason = known
            .into_iter()
            .find(|(reason, _)| status.reason.as_deref() == Some(reason));
        if let (Some("Failed"), Some((reason, grace))) = (status.phase.as_deref(), reason) {
            self.facts.ending = Some(Ending {
                reason,
                message: status.message.unwrap_or_default(),
                grace,
            });
        }
    }

    fn take(&mut self, update: Update) {
        let mut pod = update.pod;
        if update.evicted.is_some() {
            self.facts.evicted = update.evicted;
        }
        if update.gone && pod.metadata.deletion_timestamp.is_none() {
            // Removed without our word: as if it had been deleted with a grace period of zero.
            let mut gone = pod.as_ref().clone();
            gone.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
                Timestamp::now(),
            ));
            gone.metadata.deletion_grace_period_seconds = Some(0);
            pod = Arc::new(gone);
        }
        let fields_changed = pod.metadata.labels != self.pod.metadata.labels
            || pod.metadata.annotations != self.pod.metadata.annotations;
        self.pod = pod;
        self.spec = self.pod.spec.clone().unwrap_or_default();
        // Programs wait for annotations as start signals: they must not wait for the next refresh.
        if fields_changed && volume::has_projected(&self.pod) {
            match self.facts.volumes {
                Step::Done => self.refresh_volumes(std::time::Duration::ZERO),
                // They are being written as the pod was.
                Step::Running => self.changed_while_mounting = true,
                _ => {}
            }
        }
    }

    /// Decides, acts, and publishes the status. Returns how long to sleep if nothing happens.
    fn step(&mut self) -> std::time::Duration {
        let mut wake_at = None;
        // An action may be a fact at once, so decide until nothing is left to do; the bound is a safety net.
        for _ in 0..16 {
            let decision = plan::next_actions(&self.pod, &self.facts, Timestamp::now());
            wake_at = decision.wake_at;
            if decision.actions.is_empty() {
                break;
            }
            for action in decision.actions {
                debug!(pod = self.pod.metadata.name.as_deref(), ?action, "Pod action");
                self.act(action);
            }
        }
        self.publish();
        match wake_at {
            None => LONGEST_SLEEP,
            Some(at) => {
                let left = at.duration_since(Timestamp::now());
                let left = std::time::Duration::try_from(left).unwrap_or_default();
                (left + std::time::Duration::from_millis(1)).min(LONGEST_SLEEP)
            }
        }
    }

    fn publish(&mut self) {
        if self.facts.confirmation != Step::Pending {
            return;
        }
        // Transition times continue from what was written last, which the watch may not have brought back yet;
        // conditions of others come from the watch.
        let mut shown = self.status.current();
        if let Some(seen) = &self.pod.status {
            let ours = shown.conditions.get_or_insert_default();
            for other in seen.conditions.iter().flatten() {
                match ours.iter_mut().find(|known| known.type_ == other.type_) {
                    Some(known) if is_foreign(&other.type_) => known.clone_from(other),
                    Some(_) => {}
                    None => ours.push(other.clone()),
                }
            }
            shown.qos_class = shown.qos_class.or_else(|| seen.qos_class.clone());
        }
        let (context, now) = (&self.context, Timestamp::now());
        let status = pod_status(&self.pod, &shown, &self.facts, &context.host_ip, now);
        self.status.publish(status);
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::StartShim => self.start_shim(),
            Action::AttachNetwork => self.attach_network(),
            Action::MountVolumes => self.mount_volumes(),
            Action::PullImage(name) => self.pull_image(&name),
            Action::Start(name) => self.start_container(&name),
            Action::Stop(name, grace) => self.stop_container(&name, grace),
            Action::End(ending) => self.end(ending),
            Action::Teardown => self.teardown(),
            Action::ConfirmDeletion => self.confirm_deletion(),
        }
    }

    fn end(&mut self, ending: Ending) {
        let events = &self.context.events;
        events.record(&self.pod, None, Severity::Warning, ending.reason, &ending.message);
        self.facts.ending = Some(ending);
    }

    fn addresses(&self) -> Addresses {
        Addresses {
            pod: self.facts.ip.clone().unwrap_or_default(),
            host: self.context.host_ip.clone(),
        }
    }

    /// Runs an effect as a task of this pod; its happening comes back through the queue.
    fn spawn(&mut self, effect: impl Future<Output = Happening> + Send + 'static) -> AbortHandle {
        let happenings = self.happenings.clone();
        self.tasks.spawn(async move {
            let happening = effect.await;
            let _ = happenings.send(happening).await;
        })
    }
}

/// Conditions that others own; ours are computed anew each time.
fn is_foreign(kind: &str) -> bool {
    !matches!(
        kind,
        "PodReadyToStartContainers" | "Initialized" | "Ready" | "ContainersReady" | "PodScheduled"
    )
}
