//! The node agent: a task per pod that is bound to this node, the node's registration, and its shutdown.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cluster_images::ImageStore;
use cluster_network::{Network, NetworkError};
use futures::TryStreamExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::runtime::reflector;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, info, warn};

use crate::cgroup::{Hierarchies, Limits, QuickMoves};
use crate::context::{Context, cgroup_of, logs_dir, pods_dir};
use crate::disk;
use crate::event::Recorder;
use crate::eviction;
use crate::image_collection;
use crate::logs::{self, LogOptions, LogStream};
use crate::mount_points::MountPoints;
use crate::node::{self, NodeFacts};
use crate::oci::capabilities_of;
use crate::pod::pull_slots::PullSlots;
use crate::pod::worker::{self, Update};
use crate::pod::{containers, run_id};
use crate::shim::CONTAINERS_DIR;
use crate::shim_client::ShimClient;

/// Starts that run at once; more would only slow each other down.
const STARTS_AT_ONCE: usize = 16;
/// Pause after a watch broke; the usual 800 ms are meant for a server over a network.
const WATCH_PAUSE: Duration = Duration::from_millis(10);
/// Until a new agent knows which pods there are.
const FIRST_LIST_LIMIT: Duration = Duration::from_secs(30);

/// What an agent is started with.
pub struct NodeConfig {
    /// The API.
    pub client: Client,
    /// Name of the Node object; pods with this `spec.nodeName` run here.
    pub node_name: String,
    /// Where pods, logs and records live. Its file system holds the containers' writable layers.
    pub data_dir: PathBuf,
    /// Where images come from.
    pub images: ImageStore,
    /// Where pods get their addresses from.
    pub network: Network,
    /// The program that is re-executed as `<program> shim <pod dir>`.
    pub shim: PathBuf,
    /// Domain of Services (upstream default: `cluster.local`).
    pub cluster_domain: String,
    /// Bytes of one log file before a new one begins (upstream default: 10 MiB).
    pub log_max_bytes: u64,
    /// Log files kept per container run (upstream default: 5).
    pub log_max_files: u32,
}

impl NodeConfig {
    /// A configuration with upstream's defaults.
    pub fn new(
        client: Client,
        node_name: impl Into<String>,
        data_dir: impl Into<PathBuf>,
        images: ImageStore,
        network: Network,
        shim: impl Into<PathBuf>,
    ) -> Self {
        Self {
            client,
            node_name: node_name.into(),
            data_dir: data_dir.into(),
            images,
            network,
            shim: shim.into(),
            cluster_domain: "cluster.local".to_owned(),
            log_max_bytes: 10 << 20,
            log_max_files: 5,
        }
    }
}

/// Why an agent cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory or the control groups cannot be used.
    #[error("the node's directory or control group cannot be used: {0}")]
    Io(#[from] std::io::Error),
    /// The API server refused the Node.
    #[error("the node could not be registered: {0}")]
    Register(#[from] kube::Error),
    /// Leftovers on the network could not be removed.
    #[error("the pod network could not be cleaned")]
    Network(#[from] NetworkError),
    /// The list of pods did not come.
    #[error("the API server did not list the node's pods in time")]
    NoPods,
}

/// Why a log cannot be read; the texts are kubelet's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// There is no such pod on this node.
    #[error("pods \"{0}\" not found")]
    NoPod(String),
    /// The request cannot be fulfilled as it is (400).
    #[error("{0}")]
    BadRequest(String),
}

/// A running node agent.
pub struct NodeAgent {
    context: Arc<Context>,
    pods: Arc<Mutex<Pods>>,
    tasks: Vec<JoinHandle<()>>,
    workers: JoinHandle<()>,
    quick_moves: Option<QuickMoves>,
}

/// The pods of this node by uid.
#[derive(Default)]
pub(crate) struct Pods {
    known: HashMap<String, watch::Sender<Update>>,
}

impl Pods {
    /// Those that may still run, and that nobody has asked to go.
    pub(crate) fn staying(&self) -> Vec<Arc<Pod>> {
        let updates = self.known.values().map(|sender| sender.borrow());
        let stays = |update: &Update| {
            let phase = update
                .pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            update.evicted.is_none()
                && !update.gone
                && update.pod.metadata.deletion_timestamp.is_none()
                && !matches!(phase, Some("Succeeded" | "Failed"))
        };
        updates
            .filter(|update| stays(update))
            .map(|update| Arc::clone(&update.pod))
            .collect()
    }

    /// Asks a pod to go.
    pub(crate) fn evict(&self, uid: &str, why: String) {
        if let Some(sender) = self.known.get(uid) {
            sender.send_modify(|update| update.evicted = Some(why));
        }
    }
}

impl NodeAgent {
    /// Registers the node, adopts or removes what an earlier agent left, and runs the pods bound to the node.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(config: NodeConfig) -> BoxFuture<'static, Result<Self, StartError>> {
        // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
        Box::pin(Self::start_parts(config))
    }

    async fn start_parts(config: NodeConfig) -> Result<Self, StartError> {
        for dir in [pods_dir(&config.data_dir), logs_dir(&config.data_dir)] {
            std::fs::create_dir_all(&dir)?;
            if let Err(error) = disk::spread(&dir) {
                debug!(dir = %dir.display(), %error, "Directories of pods lie close together");
            }
        }
        let data_dir = std::fs::canonicalize(&config.data_dir)?;
        let hierarchies = Hierarchies::detect()?;
        let cgroup = cgroup_of(hierarchies.clone(), &data_dir);
        cgroup.create(&Limits {
            all_devices: true,
            ..Limits::default()
        })?;
        if !cgroup.controls("memory") {
            warn!(
                "Limits of memory do not hold: the control groups of this machine offer no memory controller"
            );
        }
        let host_ip = config.network.gateway_ip().to_string();
        let capacity = node::capacity(&data_dir);
        let pod_cidr = config.network.pod_cidr().to_string();
        let facts = NodeFacts::read(config.node_name.clone(), host_ip.clone(), pod_cidr, capacity);
        node::register(&config.client, &facts, false).await?;
        let (events, event_task) = Recorder::start(config.client.clone(), config.node_name.clone());
        let (services, service_task) = watch_services(config.client.clone());
        let no_pods = std::fs::read_dir(pods_dir(&data_dir))?.next().is_none();
        let context = Arc::new(Context {
            client: config.client.clone(),
            mount_points: MountPoints::open(data_dir.join("mount-points"), no_pods),
            data_dir,
            images: config.images,
            network: config.network,
            shim_program: config.shim,
            services,
            cluster_dns: host_ip.clone(),
            host_ip,
            cluster_domain: config.cluster_domain,
            capacity,
            capabilities: capabilities_of(&std::fs::read_to_string("/proc/self/status")?),
            cgroup,
            events,
            log_max_bytes: config.log_max_bytes,
            log_max_files: config.log_max_files,
            pulls: PullSlots::default(),
            starts: Semaphore::new(STARTS_AT_ONCE),
        });
        let pods = Arc::new(Mutex::new(Pods::default()));
        let (listed, first_list) = oneshot::channel();
        let workers = tokio::spawn(run_pods(
            Arc::clone(&context),
            Arc::clone(&pods),
            config.node_name,
            listed,
        ));
        let (pressure, disk_is_short) = watch::channel(false);
        let heartbeat = tokio::spawn(node::heartbeat(config.client, facts, disk_is_short));
        let eviction = tokio::spawn(eviction::run(Arc::clone(&context), Arc::clone(&pods), pressure));
        let collection = tokio::spawn(image_collection::run(Arc::clone(&context)));
        let mut agent = Self {
            context,
            pods,
            tasks: vec![event_task, service_task, heartbeat, collection, eviction],
            workers,
            quick_moves: None,
        };
        match tokio::time::timeout(FIRST_LIST_LIMIT, first_list).await {
            Ok(Ok(result)) => result?,
            _ => return Err(StartError::NoPods),
        }
        // Last, so that a start that fails leaves the machine as it was.
        let record = agent.context.data_dir.join("quick-moves");
        agent.quick_moves = QuickMoves::set(&hierarchies, record).unwrap_or_else(|error| {
            debug!(%error, "Moves into control groups stay as slow as they are");
            None
        });
        Ok(agent)
    }

    /// Reads the log of a container. An empty name means the pod's only or default container.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        options: LogOptions,
    ) -> Result<LogStream, LogError> {
        let found = self
            .pod(namespace, pod)
            .ok_or_else(|| LogError::NoPod(pod.to_owned()))?;
        let name = log_container(&found, container)?;
        let runs = logs::runs(&self.context.log_dir(&found).join(&name));
        let run = match (options.previous, runs.as_slice()) {
            (false, [.., last]) => *last,
            (true, [.., last, _]) => *last,
            (true, _) => {
                return Err(LogError::BadRequest(format!(
                    "previous terminated container \"{name}\" in pod \"{pod}\" not found"
                )));
            }
            (false, []) => {
                let reason = waiting_reason(&found, &name);
                return Err(LogError::BadRequest(format!(
                    "container \"{name}\" in pod \"{pod}\" is waiting to start: {reason}"
                )));
            }
        };
        let uid = found.metadata.uid.as_deref().unwrap_or_default();
        let run_dir = self
            .context
            .pod_dir(uid)
            .join(CONTAINERS_DIR)
            .join(run_id(&name, run));
        Ok(logs::stream(
            self.context.log_base(&found, &name, run),
            run_dir,
            options,
        ))
    }

    fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let pods = self.pods.lock();
        let all = pods.known.values().map(|sender| Arc::clone(&sender.borrow().pod));
        let matches = |pod: &Arc<Pod>| {
            let meta = &pod.metadata;
            meta.namespace.as_deref() == Some(namespace) && meta.name.as_deref() == Some(name)
        };
        // Of an old pod and its namesake the newer one is meant.
        all.filter(matches)
            .max_by_key(|pod| pod.metadata.creation_timestamp.clone())
    }

    /// How many pods have a task.
    pub fn pod_count(&self) -> usize {
        self.pods.lock().known.len()
    }

    /// Events that were not written: their queue was full, or their object had too many.
    pub fn events_dropped(&self) -> u64 {
        self.context.events.dropped()
    }

    /// Ends the agent. With `kill_pods` nothing of the pods is left: no process, mount, link or control group.
    /// Without, their containers keep running and the next agent with this data directory adopts them.
    pub async fn stop(self, kill_pods: bool) {
        self.workers.abort();
        let _ = self.workers.await;
        for task in &self.tasks {
            task.abort();
        }
        if kill_pods {
            remove_pods(&self.context, &HashSet::new()).await;
            let group = self.context.cgroup.clone();
            let removed = tokio::task::spawn_blocking(move || {
                group.kill();
                group.remove()
            });
            if let Ok(Err(error)) = removed.await {
                warn!(%error, "Control group of the node could not be removed");
            }
            if let Some(Err(error)) = self.quick_moves.map(QuickMoves::undo) {
                warn!(%error, "The mount of control groups could not be given its options back");
            }
        }
    }
}

fn log_container(pod: &Pod, asked: &str) -> Result<String, LogError> {
    let Some(spec) = &pod.spec else {
        return Err(LogError::BadRequest("the pod has no containers".to_owned()));
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    if !asked.is_empty() {
        return match containers(spec).any(|container| container.name == asked) {
            true => Ok(asked.to_owned()),
            false => Err(LogError::BadRequest(format!(
                "container {asked} is not valid for pod {name}"
            ))),
        };
    }
    match spec.containers.as_slice() {
        [only] => Ok(only.name.clone()),
        many => {
            let names: Vec<&str> = many.iter().map(|container| container.name.as_str()).collect();
            Err(LogError::BadRequest(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names.join(" ")
            )))
        }
    }
}

fn waiting_reason(pod: &Pod, container: &str) -> String {
    let status = pod.status.as_ref();
    let statuses = status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let waiting = statuses
        .filter(|status| status.name == container)
        .find_map(|status| status.state.as_ref()?.waiting.as_ref()?.reason.clone());
    waiting.unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// Services for the variables of containers.
fn watch_services(client: Client) -> (reflector::Store<Service>, JoinHandle<()>) {
    let (store, writer) = reflector::store();
    let task = tokio::spawn(async move {
        let events = reflector::reflector(writer, watcher(Api::all(client), watcher::Config::default()));
        let mut events = std::pin::pin!(events);
        loop {
            match events.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(error) => {
                    debug!(%error, "Watch of services broke");
                    tokio::time::sleep(WATCH_PAUSE).await;
                }
            }
        }
    });
    (store, task)
}

/// Keeps one task per pod. Owns them: when this future is dropped, the tasks end and the containers stay.
async fn run_pods(
    context: Arc<Context>,
    pods: Arc<Mutex<Pods>>,
    node_name: String,
    listed: oneshot::Sender<Result<(), NetworkError>>,
) {
    let api: Api<Pod> = Api::all(context.client.clone());
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node_name}"));
    let mut events = std::pin::pin!(watcher(api, config));
    let mut tasks: JoinSet<String> = JoinSet::new();
    let mut listed = Some(listed);
    let mut listing = Vec::new();
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(Event::Init)) => listing.clear(),
                Ok(Some(Event::InitApply(pod))) => listing.push(pod),
                Ok(Some(Event::InitDone)) => {
                    let current: HashSet<String> =
                        listing.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
                    if let Some(listed) = listed.take() {
                        let result = clean_up(&context, &current).await;
                        let _ = listed.send(result);
                    }
                    forget_absent(&pods, &current);
                    for pod in listing.drain(..) {
                        apply(&context, &pods, &mut tasks, pod, false);
                    }
                }
                Ok(Some(Event::Apply(pod))) => apply(&context, &pods, &mut tasks, pod, false),
                Ok(Some(Event::Delete(pod))) => apply(&context, &pods, &mut tasks, pod, true),
                Ok(None) => return,
                Err(error) => {
                    debug!(%error, "Watch of pods broke");
                    tokio::time::sleep(WATCH_PAUSE).await;
                }
            },
            Some(done) = tasks.join_next() => match done {
                Ok(uid) => {
                    pods.lock().known.remove(&uid);
                }
                Err(error) => warn!(%error, "A pod's task failed"),
            },
        }
    }
}

/// Hands a version of a pod to its task, starting one for a new pod.
fn apply(context: &Arc<Context>, pods: &Arc<Mutex<Pods>>, tasks: &mut JoinSet<String>, pod: Pod, gone: bool) {
    let Some(uid) = pod.metadata.uid.clone() else {
        return;
    };
    let pod = Arc::new(pod);
    let mut pods = pods.lock();
    match pods.known.get(&uid) {
        Some(sender) => sender.send_modify(|update| (update.pod, update.gone) = (pod, gone)),
        None if gone => {}
        None => {
            let evicted = None;
            let (sender, receiver) = watch::channel(Update { pod, gone, evicted });
            pods.known.insert(uid.clone(), sender);
            let work = worker::run(Arc::clone(context), receiver);
            tasks.spawn(async move {
                work.await;
                uid
            });
        }
    }
}

/// Pods that vanished while the watch was broken.
fn forget_absent(pods: &Arc<Mutex<Pods>>, current: &HashSet<String>) {
    for (uid, sender) in &pods.lock().known {
        if !current.contains(uid) {
            sender.send_modify(|update| update.gone = true);
        }
    }
}

/// Removes what earlier runs left of pods that are no more.
async fn clean_up(context: &Context, current: &HashSet<String>) -> Result<(), NetworkError> {
    remove_pods(context, current).await;
    let detached = context.network.retain(current).await?;
    if detached > 0 {
        info!(detached, "Network leftovers of an earlier run removed");
    }
    Ok(())
}

/// Ends every pod that has a directory or a control group here, except those to keep.
async fn remove_pods(context: &Context, keep: &HashSet<String>) {
    let dirs = std::fs::read_dir(pods_dir(&context.data_dir))
        .into_iter()
        .flatten()
        .flatten();
    let mut uids: HashSet<String> = dirs
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let groups = context.cgroup.children();
    uids.extend(
        groups
            .iter()
            .filter_map(|name| name.strip_prefix("pod").map(str::to_owned)),
    );
    let removals = uids.difference(keep).map(|uid| async move {
        let dir = context.pod_dir(uid);
        let shim = ShimClient::connect(&dir).ok().map(|(shim, _)| shim);
        match worker::remove_sandbox(context, uid, shim).await {
            Ok(()) => {
                let _ = std::fs::remove_dir_all(dir);
            }
            Err(error) => warn!(%uid, %error, "Leftovers of a pod could not be removed"),
        }
    });
    futures::future::join_all(removals).await;
    let logs = std::fs::read_dir(logs_dir(&context.data_dir))
        .into_iter()
        .flatten()
        .flatten();
    for entry in logs {
        let name = entry.file_name();
        let kept = name
            .to_str()
            .and_then(|name| name.rsplit('_').next())
            .is_some_and(|uid| keep.contains(uid));
        if !kept {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
