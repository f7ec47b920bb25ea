//! What an instance has on the machine under names that derive from its data folder, so that its absence can be seen
//! after it has stopped.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::Platform;
use crate::nftables::tables;
use crate::remains::{device, names, pods};

/// Names learnt from a running instance; those of the next one on the same folder are the same.
#[derive(Clone, Debug)]
pub struct Traces {
    data_dir: PathBuf,
    bridge: String,
    /// Its own group, in each hierarchy that has it.
    groups: BTreeSet<PathBuf>,
    /// First address of the Services' range, which is routed to this machine.
    services: String,
}

impl Traces {
    /// Learns them from an instance that has a running pod.
    ///
    /// # Errors
    /// If something that a pod must have is not there: then its absence would prove nothing.
    pub fn of(platform: &Platform) -> anyhow::Result<Self> {
        let data_dir = platform.data_dir().canonicalize()?;
        let network: Value = serde_json::from_slice(&std::fs::read(data_dir.join("network.json"))?)?;
        let attached = network["pods"].as_object().and_then(|pods| pods.values().next());
        let device = attached.and_then(device).context("no pod is attached")?;
        let master = std::fs::read_link(format!("/sys/class/net/{device}/master"))?;
        let bridge = master
            .file_name()
            .context("no bridge")?
            .to_string_lossy()
            .into_owned();
        let uids = pods(platform)?;
        let services = network["service_cidr"].as_str().unwrap_or_default();
        let traces = Self {
            groups: groups_with(&uids),
            services: services.split('/').next().unwrap_or_default().to_owned(),
            bridge,
            data_dir,
        };
        let found = traces.left()?.join(", ");
        for part in ["link", "group", "process", "route"] {
            ensure!(found.contains(part), "no {part} of a running instance: {found}");
        }
        // A kernel without nf_tables has no table, which the instance has said.
        ensure!(
            found.contains("table") || platform.log().contains("Pods cannot reach other networks"),
            "no table of a running instance: {found}"
        );
        Ok(traces)
    }

    /// # Errors
    /// With all that is left.
    pub fn gone(&self) -> anyhow::Result<()> {
        let left = self.left()?;
        ensure!(left.is_empty(), "left on the machine: {left:#?}");
        Ok(())
    }

    fn left(&self) -> anyhow::Result<Vec<String>> {
        let mut left = processes(&self.data_dir)?;
        let links = names("/sys/class/net");
        left.extend(
            links
                .iter()
                .filter(|link| {
                    let master = std::fs::read_link(format!("/sys/class/net/{link}/master"));
                    **link == self.bridge || master.is_ok_and(|master| master.ends_with(&self.bridge))
                })
                .map(|link| format!("link {link}")),
        );
        let groups = self.groups.iter().filter(|group| group.exists());
        left.extend(groups.map(|group| format!("group {}", group.display())));
        left.extend(
            tables()?
                .into_iter()
                .filter(|table| *table == self.bridge)
                .map(|table| format!("table {table}")),
        );
        let routes = std::fs::read_to_string("/proc/net/fib_trie")?;
        if routes
            .lines()
            .any(|line| line.split_whitespace().last() == Some(self.services.as_str()))
        {
            left.push(format!("route {}", self.services));
        }
        let pods = names(self.data_dir.join("node/pods"));
        left.extend(pods.iter().map(|pod| format!("folder {pod}")));
        Ok(left)
    }
}

/// Groups of instances that hold one of these pods.
fn groups_with(uids: &BTreeSet<String>) -> BTreeSet<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = names(root).into_iter().map(|name| root.join(name));
    hierarchies
        .chain([root.to_path_buf()])
        .flat_map(|hierarchy| {
            names(&hierarchy)
                .into_iter()
                .filter(|name| name.starts_with("spindrift-"))
                .map(move |name| hierarchy.join(name))
        })
        .filter(|group| uids.iter().any(|uid| group.join(format!("pod{uid}")).exists()))
        .collect()
}

/// Processes that name the folder, or have something of it mounted; a mount of this process is one of the machine's.
fn processes(data_dir: &Path) -> anyhow::Result<Vec<String>> {
    let folder = data_dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = process.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let text = |file: &str| {
            let bytes = std::fs::read(process.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).replace('\0', " ")
        };
        let command = text("cmdline");
        if command.contains(&folder) || text("mountinfo").contains(&format!("{folder}/")) {
            found.push(format!("process {pid}: {command}"));
        }
    }
    Ok(found)
}
