//! Effects that build a pod up: sandbox, network, volumes, images, containers, probes.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::mpsc::UnboundedReceiver;
use tracing::warn;

use super::happening::Happening;
use super::pull::pull;
use super::{QUEUE, Worker};
use crate::context::Context;
use crate::files;
use crate::pod::facts::{ImageFacts, Run, Step};
use crate::pod::start::{self, ETC_DIR, HOSTS_FILE, Start, StartFailure};
use crate::pod::{hooks, plan, restore, run_id};
use crate::probe::{self, Target};
use crate::shim::protocol::{Call, Event};
use crate::shim::{CONTAINERS_DIR, ShimConfig};
use crate::shim_client::{ShimClient, ShimEvent};
use crate::volume::{Mounter, REFRESH_EVERY, has_projected};

/// How long a shim may take to build its sandbox.
const SANDBOX_LIMIT: Duration = Duration::from_secs(30);
/// Runs whose directory and log are kept: the current one and the one before it.
const RUNS_KEPT: u32 = 2;
/// How long what a container occupied stays when it does not run again. Its pod may be about to end, and all of it goes
/// at once then; until that is told, there is more urgent work.
const LAST_RUN_STAYS: Duration = Duration::from_secs(1);

impl Worker {
    pub(super) fn start_shim(&mut self) {
        self.facts.shim = Step::Running;
        let (context, pod, uid) = (Arc::clone(&self.context), Arc::clone(&self.pod), self.uid.clone());
        let spec = &self.spec;
        let config = ShimConfig {
            hostname: files::hostname(&self.pod),
            host_network: spec.host_network.unwrap_or(false),
            host_ipc: spec.host_ipc.unwrap_or(false),
            cgroup: context.pod_cgroup(&uid).oci_path(),
            sysctls: spec
                .security_context
                .iter()
                .flat_map(|security| security.sysctls.iter().flatten())
                .map(|sysctl| (sysctl.name.clone(), sysctl.value.clone()))
                .collect(),
            log_max_bytes: context.log_max_bytes,
            log_max_files: context.log_max_files,
        };
        self.spawn(async move {
            let dir = context.pod_dir(&uid);
            let result = async {
                // A shim that did not come up must not live beside the next one.
                context.pod_cgroup(&uid).kill();
                prepare_dir(&dir, &context, &pod)?;
                let (client, events) = ShimClient::spawn(&context.shim_program, &dir, &config)?;
                let state = match tokio::time::timeout(SANDBOX_LIMIT, client.hello()).await {
                    Ok(Ok(state)) => state,
                    Ok(Err(error)) => {
                        let log = std::fs::read_to_string(dir.join("shim.log")).unwrap_or_default();
                        return Err(io::Error::other(format!("{error}: {}", log.trim())));
                    }
                    Err(_) => return Err(io::Error::other("the shim does not answer")),
                };
                Ok((client, events, state.pid))
            };
            Happening::Shim(result.await.map_err(|error: io::Error| error.to_string()))
        });
    }

    /// Listens to the shim that stands now.
    pub(super) fn listen(&mut self, events: UnboundedReceiver<ShimEvent>) {
        let pid = self.shim.as_ref().map(|shim| shim.pid);
        tokio::spawn(forward(events, pid, self.happenings.clone()));
    }

    pub(super) fn attach_network(&mut self) {
        let Some(shim) = self.shim.clone() else { return };
        self.facts.network = Step::Running;
        let (context, pod, uid) = (Arc::clone(&self.context), Arc::clone(&self.pod), self.uid.clone());
        let host_network = self.spec.host_network.unwrap_or(false);
        self.spawn(async move {
            let result = async {
                let ip = match host_network {
                    true => context.host_ip.clone(),
                    false => {
                        let namespace = format!("/proc/{}/ns/net", shim.pid);
                        let attached = context.network.attach(&uid, Path::new(&namespace)).await;
                        attached.map_err(|error| crate::error_chain(&error))?.to_string()
                    }
                };
                write_hosts(&context, &pod, &uid, &ip, host_network).map_err(|error| error.to_string())?;
                Ok(ip)
            };
            Happening::Network(result.await)
        });
    }

    fn mounter(&self) -> Option<Mounter> {
        let shim = self.shim.as_ref()?;
        Some(Mounter {
            client: self.context.client.clone(),
            pod_dir: self.context.pod_dir(&self.uid),
            shim: shim.client.clone(),
            shim_pid: shim.pid,
            addresses: self.addresses(),
            node: self.context.capacity,
        })
    }

    pub(super) fn mount_volumes(&mut self) {
        if self.spec.volumes.as_deref().unwrap_or_default().is_empty() {
            self.facts.volumes = Step::Done;
            return;
        }
        let Some(mounter) = self.mounter() else { return };
        self.facts.volumes = Step::Running;
        let pod = Arc::clone(&self.pod);
        self.spawn(async move {
            Happening::Volumes(mounter.mount(&pod).await.map_err(|error| error.to_string()))
        });
    }

    pub(super) fn schedule_refresh(&mut self) {
        if has_projected(&self.pod) {
            let until_renewal = self
                .mounted
                .renew_at()
                .map(|at| at.duration_since(Timestamp::now()));
            let until_renewal = until_renewal.and_then(|left| Duration::try_from(left).ok());
            self.refresh_volumes(until_renewal.map_or(REFRESH_EVERY, |left| left.min(REFRESH_EVERY)));
        }
    }

    /// Brings projected files up to date after a pause; replaces a refresh that is waiting.
    pub(super) fn refresh_volumes(&mut self, pause: Duration) {
        if let Some(waiting) = self.refresh.take() {
            waiting.abort();
        }
        let Some(mounter) = self.mounter() else { return };
        let (pod, mounted) = (Arc::clone(&self.pod), self.mounted.clone());
        let task = self.spawn(async move {
            tokio::time::sleep(pause).await;
            let refreshed = match mounter.refresh(&pod, &mounted).await {
                Ok(mounted) => Some(mounted),
                Err(error) => {
                    warn!(%error, "Volumes could not be refreshed");
                    None
                }
            };
            Happening::Refreshed(tokio::task::id(), refreshed)
        });
        self.refresh = Some(task);
    }

    pub(super) fn pull_image(&mut self, name: &str) {
        let Some(container) = start::named(&self.spec, name).cloned() else {
            return;
        };
        let adopted = self.facts.container(name).is_some_and(|known| known.is_live());
        if let Some(known) = self.facts.containers.get_mut(name) {
            known.image = ImageFacts::Pulling;
        }
        let (context, pod) = (Arc::clone(&self.context), Arc::clone(&self.pod));
        let init = start::is_init(&self.spec, name);
        self.spawn(async move {
            let result = pull(&context, &pod, &container, init, adopted).await;
            Happening::Image(container.name, Box::new(result))
        });
    }

    pub(super) fn start_container(&mut self, name: &str) {
        let (Some(shim), Some(container)) = (self.shim.clone(), start::named(&self.spec, name).cloned())
        else {
            return;
        };
        let (Some(image), Some(known)) = (
            self.images.get(name).cloned(),
            self.facts.containers.get_mut(name),
        ) else {
            return;
        };
        known.starting();
        let attempt = known.attempt;
        self.stop_signals
            .insert(name.to_owned(), image.config.stop_signal.clone());
        let (context, pod, mounted) = (
            Arc::clone(&self.context),
            Arc::clone(&self.pod),
            self.mounted.clone(),
        );
        let addresses = self.addresses();
        let turn = self.starts.take();
        self.spawn(async move {
            let _turn = turn.await;
            // The semaphore is never closed.
            let _slot = context.starts.acquire().await;
            let start = Start {
                context: &context,
                pod: &pod,
                container: &container,
                attempt,
                image: &image,
                mounted: &mounted,
                shim: &shim.client,
                shim_pid: shim.pid,
                addresses: &addresses,
            };
            let result = start.run().await;
            if result.is_err() && result != Err(StartFailure::Gone) && attempt > 0 {
                // The directory of a run that never was would be taken for a run by the next agent.
                let id = run_id(&container.name, attempt);
                let uid = pod.metadata.uid.as_deref().unwrap_or_default();
                let _ = std::fs::remove_dir_all(context.pod_dir(uid).join(CONTAINERS_DIR).join(id));
            }
            Happening::Started(container.name.clone(), attempt, result)
        });
    }

    pub(super) fn target(&self, container: &Container, attempt: u32) -> Option<Target> {
        let shim = self.shim.as_ref()?;
        let id = run_id(&container.name, attempt);
        Some(Target::new(
            self.facts.ip.clone().unwrap_or_default(),
            shim.client.clone(),
            id,
            container,
        ))
    }

    /// Runs the hook after the start, then the probes, and passes on what they report.
    pub(super) fn watch_probes(&mut self, name: &str) {
        let Some(container) = start::named(&self.spec, name).cloned() else {
            return;
        };
        let Some((attempt, adopted)) = self
            .facts
            .container(name)
            .map(|known| (known.attempt, known.started))
        else {
            return;
        };
        let Some(target) = self.target(&container, attempt) else {
            return;
        };
        let plain = [
            &container.startup_probe,
            &container.liveness_probe,
            &container.readiness_probe,
        ];
        let hook = container
            .lifecycle
            .as_ref()
            .and_then(|lifecycle| lifecycle.post_start.as_ref())
            .is_some();
        if plain.iter().all(|probe| probe.is_none()) && !hook {
            // Nothing to wait for: it is ready in the same breath, and in the same status.
            if let Some(known) = self.facts.containers.get_mut(name) {
                known.started = true;
                known.ready = true;
            }
            return;
        }
        let happenings = self.happenings.clone();
        let task = self.tasks.spawn(async move {
            let mut container = container;
            if adopted {
                container.startup_probe = None;
            } else if let Err(message) = hooks::post_start(&container, &target).await {
                let _ = happenings
                    .send(Happening::HookFailed(container.name, attempt, message))
                    .await;
                return;
            }
            let (reports, mut queue) = tokio::sync::mpsc::channel(QUEUE);
            let name = container.name.clone();
            let probes = probe::watch(target, container, reports);
            let forward = async {
                while let Some(report) = queue.recv().await {
                    let _ = happenings
                        .send(Happening::Probe(name.clone(), attempt, report))
                        .await;
                }
            };
            tokio::join!(probes, forward);
        });
        if let Some(old) = self.probes.insert(name.to_owned(), task) {
            old.abort();
        }
    }

    /// Removes what a run that has ended occupies; its records and log stay for one more run.
    pub(super) fn clean_run(&mut self, name: &str, attempt: u32) {
        let Some(shim) = self.shim.clone() else { return };
        let pod_dir = self.context.pod_dir(&self.uid);
        let again = start::named(&self.spec, name)
            .zip(self.facts.container(name))
            .is_some_and(|(container, known)| plan::will_restart(&self.spec, container, known));
        let pause = if again { Duration::ZERO } else { LAST_RUN_STAYS };
        let (name, context, pod) = (name.to_owned(), Arc::clone(&self.context), Arc::clone(&self.pod));
        self.tasks.spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = shim
                .client
                .call(Call::Remove {
                    container: run_id(&name, attempt),
                })
                .await;
            let old = restore::attempts(&pod_dir, &name)
                .into_iter()
                .filter(|&old| old + RUNS_KEPT <= attempt);
            for old in old {
                let _ = std::fs::remove_dir_all(pod_dir.join(CONTAINERS_DIR).join(run_id(&name, old)));
                crate::logs::remove(&context.log_base(&pod, &name, old));
            }
        });
    }
}

/// Tells the pod's task what its shim tells.
async fn forward(
    mut events: UnboundedReceiver<ShimEvent>,
    pid: Option<i32>,
    happenings: tokio::sync::mpsc::Sender<Happening>,
) {
    while let Some(event) = events.recv().await {
        let happening = match event {
            ShimEvent::Container(Event::Exited { container, exit }) => Happening::Exited(container, exit),
            ShimEvent::Gone => Happening::ShimGone(pid),
        };
        if happenings.send(happening).await.is_err() {
            return;
        }
    }
}

fn prepare_dir(dir: &Path, context: &Context, pod: &Pod) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let etc = dir.join(ETC_DIR);
    std::fs::create_dir_all(&etc)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o711))?;
    let of_machine = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    std::fs::write(etc.join("hostname"), format!("{}\n", files::hostname(pod)))?;
    let resolv = files::resolv_conf(pod, &context.cluster_dns, &context.cluster_domain, &of_machine);
    std::fs::write(etc.join("resolv.conf"), resolv)
}

fn write_hosts(context: &Context, pod: &Pod, uid: &str, ip: &str, host_network: bool) -> io::Result<()> {
    let text = match host_network {
        true => files::host_network_hosts(pod, &std::fs::read_to_string("/etc/hosts").unwrap_or_default()),
        false => files::hosts(pod, ip, &context.cluster_domain),
    };
    // Whole or not at all: it tells the next agent that the pod is connected. A file that containers have mounted
    // already must stay the same file.
    let file = context.pod_dir(uid).join(ETC_DIR).join(HOSTS_FILE);
    if file.exists() {
        return std::fs::write(file, text);
    }
    let half = file.with_extension("new");
    std::fs::write(&half, text)?;
    std::fs::rename(half, file)
}

/// Whether a container runs.
pub(super) fn is_running(run: &Run) -> bool {
    matches!(run, Run::Running { .. })
}
