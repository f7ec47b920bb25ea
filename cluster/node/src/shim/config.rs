//! What a shim must know before the first call, left by the agent in the pod's directory.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::CONFIG_FILE;

/// A pod's sandbox, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShimConfig {
    /// Host name inside the pod.
    pub hostname: String,
    /// Shares the machine's network namespace, host name included.
    #[serde(default)]
    pub host_network: bool,
    /// Shares the machine's ipc namespace.
    #[serde(default)]
    pub host_ipc: bool,
    /// The pod's control group, relative to every hierarchy.
    pub cgroup: PathBuf,
    /// Kernel parameters of the pod's namespaces.
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    /// Bytes of one log file before a new one begins.
    pub log_max_bytes: u64,
    /// Log files kept per container run.
    pub log_max_files: u32,
}

impl ShimConfig {
    pub(super) fn load(pod_dir: &Path) -> io::Result<Self> {
        let file = pod_dir.join(CONFIG_FILE);
        let text = std::fs::read(&file)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes the file that the shim reads when it starts.
    pub(crate) fn save(&self, pod_dir: &Path) -> io::Result<()> {
        std::fs::write(pod_dir.join(CONFIG_FILE), serde_json::to_vec(self)?)
    }
}
