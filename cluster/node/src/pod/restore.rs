//! What an earlier agent left of a pod: a living shim, or records of runs.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use tokio::sync::mpsc::UnboundedReceiver;

use super::facts::{ContainerFacts, Facts, Run, Step};
use super::start::{ETC_DIR, HOSTS_FILE, Note};
use super::termination;
use super::{containers, run_id};
use crate::context::Context;
use crate::shim::protocol::{ContainerState, State};
use crate::shim::{CONTAINERS_DIR, EXIT_FILE, Exit, RECORD_FILE};
use crate::shim_client::{ShimClient, ShimEvent};

/// A pod as it was found.
pub(super) struct Restored {
    pub(super) facts: Facts,
    pub(super) shim: Option<(ShimClient, UnboundedReceiver<ShimEvent>, State)>,
}

/// Looks for a pod's earlier life.
pub(super) async fn restore(context: &Context, pod: &Pod, spec: &PodSpec, now: Timestamp) -> Restored {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let dir = context.pod_dir(uid);
    let mut facts = Facts::new(spec, now);
    if let Some(start) = pod.status.as_ref().and_then(|status| status.start_time.clone()) {
        facts.started_at = Some(start.0);
    }
    if !dir.exists() {
        return Restored { facts, shim: None };
    }
    let shim = connect(&dir).await;
    let alive: BTreeMap<&str, &ContainerState> = shim
        .iter()
        .flat_map(|(_, _, state)| &state.containers)
        .map(|container| (container.id.as_str(), container))
        .collect();
    for container in containers(spec) {
        let log = |attempt| context.log_base(pod, &container.name, attempt);
        let found = restore_container(&dir, container, &alive, log, now);
        if let Some(mut found) = found {
            let shown = shown_status(pod, &container.name);
            found.started = shown.and_then(|status| status.started).unwrap_or(false) && found.is_live();
            found.ready = shown.is_some_and(|status| status.ready) && found.is_live();
            facts.containers.insert(container.name.clone(), found);
        }
    }
    match &shim {
        Some(_) => {
            facts.shim = Step::Done;
            // The address is noted before the device is made, the hosts file is written after it.
            let attached = dir.join(ETC_DIR).join(HOSTS_FILE).exists();
            if let Some(address) = context.network.address(uid).filter(|_| attached) {
                facts.ip = Some(address.to_string());
                facts.network = Step::Done;
            } else if attached && spec.host_network.unwrap_or(false) {
                facts.ip = Some(context.host_ip.clone());
                facts.network = Step::Done;
            }
        }
        None => facts.sandbox_lost(spec, now),
    }
    Restored { facts, shim }
}

async fn connect(dir: &Path) -> Option<(ShimClient, UnboundedReceiver<ShimEvent>, State)> {
    let (shim, events) = ShimClient::connect(dir).ok()?;
    let state = shim.hello().await.ok()?;
    Some((shim, events, state))
}

fn shown_status<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let lists = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .flatten();
    lists.into_iter().find(|status| status.name == name)
}

fn restore_container(
    pod_dir: &Path,
    container: &Container,
    alive: &BTreeMap<&str, &ContainerState>,
    log: impl Fn(u32) -> std::path::PathBuf,
    now: Timestamp,
) -> Option<ContainerFacts> {
    let attempt = last_attempt(pod_dir, &container.name)?;
    let dir = |attempt| {
        pod_dir
            .join(CONTAINERS_DIR)
            .join(run_id(&container.name, attempt))
    };
    let ended = |attempt: u32| {
        let text = std::fs::read(dir(attempt).join(EXIT_FILE)).ok()?;
        let exit: Exit = serde_json::from_slice(&text).ok()?;
        Some(termination::describe(
            &exit,
            container,
            &dir(attempt),
            &log(attempt),
            attempt,
        ))
    };
    let record: Option<ContainerState> = std::fs::read(dir(attempt).join(RECORD_FILE))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let note: Option<Note> = record
        .as_ref()
        .and_then(|record| serde_json::from_value(record.note.clone()).ok());
    let mut facts = ContainerFacts {
        attempt,
        ..ContainerFacts::default()
    };
    facts.image_id = note.map(|note| note.image_id).unwrap_or_default();
    facts.last = attempt.checked_sub(1).and_then(&ended);
    facts.run = match (
        ended(attempt),
        alive.get(run_id(&container.name, attempt).as_str()),
        record,
    ) {
        (Some(ended), _, _) => Run::Ended(ended),
        (None, Some(state), _) => Run::Running {
            since: state.started_at,
        },
        // It ran when its shim ended; the caller notes the loss.
        (None, None, Some(record)) => Run::Running {
            since: record.started_at,
        },
        // It was never started: the attempt is still to come.
        (None, None, None) => {
            let _ = std::fs::remove_dir_all(dir(attempt));
            return Some(before(facts, attempt, ended, now));
        }
    };
    Some(facts)
}

/// The state before an attempt that did not come about.
fn before(
    mut facts: ContainerFacts,
    attempt: u32,
    ended: impl Fn(u32) -> Option<super::facts::Ended>,
    _now: Timestamp,
) -> ContainerFacts {
    match attempt
        .checked_sub(1)
        .and_then(|earlier| Some((earlier, ended(earlier)?)))
    {
        Some((earlier, end)) => {
            facts.attempt = earlier;
            facts.last = earlier.checked_sub(1).and_then(ended);
            facts.run = Run::Ended(end);
        }
        None => facts.run = Run::Waiting,
    }
    facts
}

/// The highest number among the directories of a container's runs.
pub(super) fn last_attempt(pod_dir: &Path, container: &str) -> Option<u32> {
    attempts(pod_dir, container).into_iter().max()
}

/// The runs of a container that have a directory.
pub(super) fn attempts(pod_dir: &Path, container: &str) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(pod_dir.join(CONTAINERS_DIR)) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let (owner, attempt) = name.to_str()?.rsplit_once('.')?;
            (owner == container).then(|| attempt.parse().ok())?
        })
        .collect()
}
