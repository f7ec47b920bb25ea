//! The Node object and its heartbeat.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{debug, info};

use crate::resources::NodeCapacity;

/// Between two renewals of the lease (upstream: 10 s, a quarter of its duration).
const RENEW_EVERY: Duration = Duration::from_secs(10);
const LEASE_SECONDS: i32 = 40;
/// Renewals between two heartbeats of the conditions (upstream: 5 min).
const RENEWALS_PER_HEARTBEAT: u32 = 30;
const LEASE_NAMESPACE: &str = "kube-node-lease";
/// Pods that one node takes (upstream default: 110); a machine of its own has no neighbours to spare.
const MAX_PODS: u32 = 1000;
/// Shown as the version of the kubelet; clients read the minor number.
const KUBELET_VERSION: &str = concat!("v1.37.0+spindrift.", env!("CARGO_PKG_VERSION"));

/// What the node tells of itself.
#[derive(Debug, Clone)]
pub(crate) struct NodeFacts {
    pub(crate) name: String,
    pub(crate) address: String,
    pub(crate) pod_cidr: String,
    pub(crate) capacity: NodeCapacity,
    pub(crate) kernel: String,
    pub(crate) os: String,
    pub(crate) machine_id: String,
    pub(crate) boot_id: String,
}

impl NodeFacts {
    /// Reads what the machine says about itself.
    pub(crate) fn read(name: String, address: String, pod_cidr: String, capacity: NodeCapacity) -> Self {
        let line = |path: &str| {
            std::fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let release = line("/etc/os-release");
        let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
        Self {
            name,
            address,
            pod_cidr,
            capacity,
            kernel: line("/proc/sys/kernel/osrelease"),
            os: pretty.map_or_else(|| "linux".to_owned(), |name| name.trim_matches('"').to_owned()),
            machine_id: line("/etc/machine-id"),
            boot_id: line("/proc/sys/kernel/random/boot_id"),
        }
    }

    fn object(&self) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": self.name,
                "labels": {
                    "kubernetes.io/hostname": self.name,
                    "kubernetes.io/os": "linux",
                    "kubernetes.io/arch": architecture(),
                },
            },
            "spec": {"podCIDR": self.pod_cidr, "podCIDRs": [self.pod_cidr]},
        })
    }

    /// The whole status; `before` gives the transition times.
    fn status(&self, before: &Node, disk_is_short: bool, now: Timestamp) -> Value {
        let amounts = json!({
            "cpu": cpu_text(self.capacity.cpu_milli),
            "memory": format!("{}Ki", self.capacity.memory_bytes / 1024),
            "ephemeral-storage": self.capacity.disk_bytes.to_string(),
            "pods": MAX_PODS.to_string(),
        });
        let old = before
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_deref())
            .unwrap_or_default();
        let condition = |kind: &str, status: &str, reason: &str, message: &str| {
            let same = old
                .iter()
                .find(|known| known.type_ == kind && known.status == status);
            let since = same
                .and_then(|known| known.last_transition_time.as_ref())
                .map_or(now, |time| time.0);
            json!({"type": kind, "status": status, "reason": reason, "message": message,
                   "lastHeartbeatTime": seconds(now), "lastTransitionTime": seconds(since)})
        };
        let disk = match disk_is_short {
            true => ("True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
            false => (
                "False",
                "KubeletHasNoDiskPressure",
                "kubelet has no disk pressure",
            ),
        };
        json!({
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
                condition("DiskPressure", disk.0, disk.1, disk.2),
                condition("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
                condition("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
            ],
            "addresses": [
                {"type": "InternalIP", "address": self.address},
                {"type": "Hostname", "address": self.name},
            ],
            "nodeInfo": {
                "machineID": self.machine_id, "systemUUID": self.machine_id, "bootID": self.boot_id,
                "kernelVersion": self.kernel, "osImage": self.os,
                "containerRuntimeVersion": concat!("spindrift://", env!("CARGO_PKG_VERSION")),
                "kubeletVersion": KUBELET_VERSION, "kubeProxyVersion": KUBELET_VERSION,
                "operatingSystem": "linux", "architecture": architecture(),
            },
        })
    }
}

/// Times of the API have no fractions of a second.
fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn cpu_text(milli: u64) -> String {
    match milli % 1000 {
        0 => (milli / 1000).to_string(),
        _ => format!("{milli}m"),
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// What the machine has.
pub(crate) fn capacity(data_dir: &std::path::Path) -> NodeCapacity {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kilobytes = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = kilobytes.and_then(|text| text.trim().trim_end_matches(" kB").trim().parse::<u64>().ok());
    let disk = rustix::fs::statvfs(data_dir).map_or(0, |stat| stat.f_blocks.saturating_mul(stat.f_frsize));
    NodeCapacity {
        cpu_milli: cpus.saturating_mul(1000),
        memory_bytes: kilobytes.unwrap_or(0).saturating_mul(1024),
        disk_bytes: disk,
    }
}

/// Creates or updates the Node with its status.
///
/// # Errors
/// Fails when the API server does not answer or refuses.
pub(crate) async fn register(
    client: &Client,
    facts: &NodeFacts,
    disk_is_short: bool,
) -> Result<(), kube::Error> {
    let nodes: Api<Node> = Api::all(client.clone());
    let node = match nodes.get_opt(&facts.name).await? {
        Some(node) => {
            let own = json!({"metadata": {"labels": facts.object()["metadata"]["labels"]}});
            nodes
                .patch(&facts.name, &PatchParams::default(), &Patch::Merge(&own))
                .await?;
            node
        }
        None => {
            let node: Node = serde_json::from_value(facts.object()).map_err(kube::Error::SerdeError)?;
            nodes.create(&PostParams::default(), &node).await?
        }
    };
    let status = json!({"status": facts.status(&node, disk_is_short, Timestamp::now())});
    nodes
        .patch_status(&facts.name, &PatchParams::default(), &Patch::Merge(&status))
        .await?;
    info!(node = %facts.name, address = %facts.address, "Node registered");
    Ok(())
}

/// Renews the lease and, less often or when the disk becomes short, the conditions; never returns.
pub(crate) async fn heartbeat(client: Client, facts: NodeFacts, mut disk_is_short: watch::Receiver<bool>) {
    let mut renewals = 0_u32;
    let mut due = false;
    loop {
        if let Err(error) = renew(&client, &facts.name).await {
            debug!(%error, "Node lease could not be renewed");
        }
        renewals += 1;
        if due || renewals.is_multiple_of(RENEWALS_PER_HEARTBEAT) {
            let short = *disk_is_short.borrow_and_update();
            let written = register(&client, &facts, short).await;
            due = written.is_err();
            if let Err(error) = written {
                debug!(%error, "Node status could not be written");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RENEW_EVERY) => {}
            Ok(()) = disk_is_short.changed() => due = true,
        }
    }
}

async fn renew(client: &Client, name: &str) -> Result<(), kube::Error> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), LEASE_NAMESPACE);
    let time = format!("{:.6}", Timestamp::now());
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": time});
    let patched = leases
        .patch(
            name,
            &PatchParams::default(),
            &Patch::Merge(&json!({"spec": spec})),
        )
        .await;
    match patched {
        Err(kube::Error::Api(error)) if error.code == 404 => {
            let lease = json!({"metadata": {"name": name, "namespace": LEASE_NAMESPACE}, "spec": spec});
            let lease: Lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
            leases.create(&PostParams::default(), &lease).await.map(|_| ())
        }
        other => other.map(|_| ()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_complete_and_keeps_transition_times() {
        let capacity = NodeCapacity {
            cpu_milli: 2000,
            memory_bytes: 4096 * 1024,
            disk_bytes: 5,
        };
        let facts = NodeFacts::read("n".into(), "10.0.0.1".into(), "10.0.0.0/16".into(), capacity);
        let first = facts.status(&Node::default(), false, Timestamp::from_second(1).unwrap());
        assert_eq!(first["capacity"]["cpu"], "2");
        assert_eq!(first["allocatable"]["memory"], "4096Ki");
        let node: Node = serde_json::from_value(json!({"metadata": {}, "status": first})).unwrap();
        let second = facts.status(&node, true, Timestamp::from_second(9).unwrap());
        let ready = &second["conditions"][3];
        assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:01Z");
        assert_eq!(ready["lastHeartbeatTime"], "1970-01-01T00:00:09Z");
        let disk = &second["conditions"][1];
        assert_eq!(
            (&disk["type"], &disk["status"]),
            (&json!("DiskPressure"), &json!("True"))
        );
        assert_eq!(disk["lastTransitionTime"], "1970-01-01T00:00:09Z");
    }
}
