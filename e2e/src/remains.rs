//! What an instance has on the machine outside of its data folder's files: processes, links, mounts, control groups.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use serde_json::Value;

use crate::{Platform, eventually};

/// One look at the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// Folders of pods.
    pub folders: BTreeSet<String>,
    /// Pods with a shim that lives.
    pub shims: BTreeSet<String>,
    /// Pods with a control group.
    pub groups: BTreeSet<String>,
    /// Pods with an address of the network.
    pub addresses: BTreeSet<String>,
    /// Devices on the instance's bridge, other than those of pods with an address.
    pub stray_links: BTreeSet<String>,
    /// Mounts below the data folder that this process sees.
    pub mounts: BTreeSet<String>,
}

impl Remains {
    /// Looks for everything of the instance in `data_dir`. `known` are the pods it ever had: a group is its own if it
    /// is named after one of them.
    ///
    /// # Errors
    /// If `/proc` or `/sys` cannot be read.
    pub fn of(data_dir: &Path, known: &BTreeSet<String>) -> anyhow::Result<Self> {
        let pods = data_dir.join("node/pods");
        let network = std::fs::read(data_dir.join("network.json")).unwrap_or_default();
        let network: Value = serde_json::from_slice(&network).unwrap_or_default();
        let addresses = network["pods"].as_object().cloned().unwrap_or_default();
        let expected: BTreeSet<String> = addresses.values().filter_map(device).collect();
        let prefix = network["pod_cidr"]
            .as_str()
            .and_then(device_prefix)
            .unwrap_or_default();
        let links = names("/sys/class/net");
        let own = |name: &&String| !prefix.is_empty() && name.starts_with(&prefix);
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let folder = data_dir.to_string_lossy();
        Ok(Self {
            folders: names(&pods),
            shims: shims(&pods)?,
            groups: groups(known),
            addresses: addresses.keys().cloned().collect(),
            stray_links: links
                .iter()
                .filter(own)
                .filter(|name| !expected.contains(*name))
                .cloned()
                .collect(),
            mounts: mounts
                .lines()
                .filter_map(|line| line.split(' ').nth(4))
                .filter(|point| point.starts_with(&format!("{folder}/")))
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// Uids of the pods that the API has.
///
/// # Errors
/// If it does not answer.
pub fn pods(platform: &Platform) -> anyhow::Result<BTreeSet<String>> {
    let list = platform.get(&["pods", "-A"])?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let uids = items
        .iter()
        .filter_map(|pod| pod["metadata"]["uid"].as_str().map(str::to_owned));
    Ok(uids.collect())
}

/// Waits until everything on the machine belongs to a pod that there is, and every pod has its part. `known` are the
/// pods there ever were; those of now are added.
///
/// # Errors
/// With what is too much or too little.
pub fn nothing_is_left_over(platform: &Platform, known: &mut BTreeSet<String>) -> anyhow::Result<()> {
    eventually(
        "the machine to have the pods of the API, and nothing else",
        || {
            let uids = pods(platform)?;
            known.extend(uids.iter().cloned());
            let found = Remains::of(platform.data_dir(), known)?;
            for (what, there) in [
                ("folders", &found.folders),
                ("shims", &found.shims),
                ("control groups", &found.groups),
                ("addresses", &found.addresses),
            ] {
                ensure!(*there == uids, "{what}: {there:?}, but pods: {uids:?}");
            }
            ensure!(
                found.stray_links.is_empty() && found.mounts.is_empty(),
                "{found:?}"
            );
            Ok(())
        },
    )
}

/// Entries of a folder; none if it is not there.
pub(crate) fn names(folder: impl AsRef<Path>) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The host's device of a pod is named after its address.
pub(crate) fn device(address: &Value) -> Option<String> {
    let address: std::net::Ipv4Addr = address.as_str()?.parse().ok()?;
    Some(format!("sdv-{:08x}", u32::from(address)))
}

/// What the devices of all addresses of a /16 begin with.
fn device_prefix(cidr: &str) -> Option<String> {
    let address: std::net::Ipv4Addr = cidr.split('/').next()?.parse().ok()?;
    Some(format!("sdv-{:04x}", u32::from(address) >> 16))
}

/// Pods whose folder is an argument of a living process.
fn shims(pods: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for process in std::fs::read_dir("/proc")?.flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let paths = arguments.map(|argument| PathBuf::from(argument.into_owned()));
        for path in paths.filter(|path| path.parent() == Some(pods)) {
            let uid = path.file_name().map(|name| name.to_string_lossy().into_owned());
            let uid = uid.unwrap_or_default();
            // A second one must not hide behind the first.
            found.insert(if found.contains(&uid) {
                format!("{uid} twice")
            } else {
                uid
            });
        }
    }
    Ok(found)
}

/// Pods with a group in any hierarchy, out of the groups that hold one of the known pods.
fn groups(known: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for hierarchy in names("/sys/fs/cgroup") {
        let hierarchy = Path::new("/sys/fs/cgroup").join(hierarchy);
        for group in names(&hierarchy)
            .iter()
            .filter(|name| name.starts_with("spindrift-"))
        {
            let pods: BTreeSet<String> = names(hierarchy.join(group))
                .iter()
                .filter_map(|name| name.strip_prefix("pod").map(str::to_owned))
                .collect();
            if !pods.is_disjoint(known) {
                found.extend(pods);
            }
        }
    }
    found
}
