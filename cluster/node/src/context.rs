//! What the tasks of all pods share.

use std::path::{Path, PathBuf};

use cluster_images::ImageStore;
use cluster_network::Network;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Client;
use kube::runtime::reflector::Store;
use tokio::sync::Semaphore;

use crate::cgroup::{Cgroup, Hierarchies};
use crate::event::Recorder;
use crate::mount_points::MountPoints;
use crate::pod::pull_slots::PullSlots;
use crate::resources::NodeCapacity;

/// The node, as its pods' tasks see it.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) data_dir: PathBuf,
    pub(crate) images: ImageStore,
    pub(crate) network: Network,
    pub(crate) shim_program: PathBuf,
    pub(crate) mount_points: MountPoints,
    pub(crate) services: Store<Service>,
    /// The node's address, as pods reach it.
    pub(crate) host_ip: String,
    /// Name server of pods whose policy is `ClusterFirst`.
    pub(crate) cluster_dns: String,
    pub(crate) cluster_domain: String,
    pub(crate) capacity: NodeCapacity,
    /// Capabilities that containers can be given.
    pub(crate) capabilities: Vec<String>,
    /// The group above all pods.
    pub(crate) cgroup: Cgroup,
    pub(crate) events: Recorder,
    pub(crate) log_max_bytes: u64,
    pub(crate) log_max_files: u32,
    pub(crate) pulls: PullSlots,
    /// Bounds starts that run at once.
    pub(crate) starts: Semaphore,
}

impl Context {
    /// The directory of a pod.
    pub(crate) fn pod_dir(&self, uid: &str) -> PathBuf {
        pods_dir(&self.data_dir).join(uid)
    }

    /// The control group of a pod.
    pub(crate) fn pod_cgroup(&self, uid: &str) -> Cgroup {
        self.cgroup.child(&format!("pod{uid}"))
    }

    /// The directory of a pod's logs.
    pub(crate) fn log_dir(&self, pod: &Pod) -> PathBuf {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let meta = &pod.metadata;
        let name = format!(
            "{}_{}_{}",
            text(&meta.namespace),
            text(&meta.name),
            text(&meta.uid)
        );
        logs_dir(&self.data_dir).join(name)
    }

    /// The base of the log files of one run.
    pub(crate) fn log_base(&self, pod: &Pod, container: &str, attempt: u32) -> PathBuf {
        self.log_dir(pod).join(container).join(attempt.to_string())
    }
}

/// Where pods have their directories.
pub(crate) fn pods_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("pods")
}

/// Where the output of their containers goes, a directory for each pod.
pub(crate) fn logs_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("logs")
}

/// The group above all pods of an agent; two agents on one machine differ by their data directory.
pub(crate) fn cgroup_of(hierarchies: Hierarchies, data_dir: &Path) -> Cgroup {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    data_dir.hash(&mut hasher);
    Cgroup::new(hierarchies, format!("spindrift-{:08x}", hasher.finish() as u32))
}
