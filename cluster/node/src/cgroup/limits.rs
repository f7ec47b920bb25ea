//! What a container may use, as the files and values of either cgroup version.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Hierarchies;

/// The v1 controllers whose groups hold limits, statistics or the freezer.
pub(super) const V1_CONTROLLERS: [&str; 6] = ["cpu", "cpuacct", "memory", "pids", "devices", "freezer"];

/// The scheduler period that Kubernetes uses for cpu limits (cpu-cfs-quota-period: 100 ms).
const PERIOD_MICROS: u64 = 100_000;
/// The kernel refuses quotas under one millisecond.
const MIN_QUOTA_MICROS: u64 = 1_000;

/// Character devices that every container may use: the contents of its `/dev` and pseudo terminals. Making other
/// device nodes is allowed (`m`), opening them is not.
const DEVICES: [&str; 12] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 10:200 rwm",
    "c 136:* rwm",
];

/// Limits of one container; `None` leaves the kernel's default, which is no limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Limits {
    /// Bytes of memory, swap included.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a cpu the container may use at most.
    pub cpu_limit_milli: Option<u64>,
    /// Thousandths of a cpu it is weighed with when cpus are scarce.
    pub cpu_request_milli: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Whether every device of the machine may be opened (`privileged`).
    pub all_devices: bool,
}

impl Limits {
    /// The limits that hold where `controls` tells which controllers there are.
    pub(super) fn within(&self, controls: impl Fn(&str) -> bool) -> Self {
        let (memory, cpu, pids) = (controls("memory"), controls("cpu"), controls("pids"));
        Self {
            memory_bytes: self.memory_bytes.filter(|_| memory),
            cpu_limit_milli: self.cpu_limit_milli.filter(|_| cpu),
            cpu_request_milli: self.cpu_request_milli.filter(|_| cpu),
            pids: self.pids.filter(|_| pids),
            all_devices: self.all_devices,
        }
    }

    /// The resources whose limits somebody asked for and that do not hold.
    pub fn beyond(&self, controls: impl Fn(&str) -> bool) -> Vec<&'static str> {
        [
            ("memory", self.memory_bytes.is_some()),
            ("cpu", self.cpu_limit_milli.is_some()),
        ]
        .into_iter()
        .filter(|(name, asked)| *asked && !controls(name))
        .map(|(name, _)| name)
        .collect()
    }

    /// The files to write, in order.
    pub(super) fn writes(&self, hierarchies: &Hierarchies, path: &Path) -> Vec<(PathBuf, String)> {
        let mut writes = Vec::new();
        self.write_v1(hierarchies, path, &mut writes);
        if hierarchies.mode() == super::Mode::Unified
            && let Some(root) = hierarchies.unified()
        {
            self.write_v2(&root.join(path), &mut writes);
        }
        writes
    }

    fn write_v1(&self, hierarchies: &Hierarchies, path: &Path, writes: &mut Vec<(PathBuf, String)>) {
        let mut put = |controller: &str, file: &str, value: String| {
            if let Some(root) = hierarchies.v1(controller) {
                writes.push((root.join(path).join(file), value));
            }
        };
        if let Some(bytes) = self.memory_bytes {
            put("memory", "memory.limit_in_bytes", bytes.to_string());
        }
        if let Some(milli) = self.cpu_request_milli {
            put("cpu", "cpu.shares", shares(milli).to_string());
        }
        if let Some(milli) = self.cpu_limit_milli {
            put("cpu", "cpu.cfs_period_us", PERIOD_MICROS.to_string());
            put("cpu", "cpu.cfs_quota_us", quota(milli).to_string());
        }
        if let Some(pids) = self.pids {
            put("pids", "pids.max", pids.to_string());
        }
        if !self.all_devices {
            put("devices", "devices.deny", "a".to_owned());
            for device in DEVICES {
                put("devices", "devices.allow", device.to_owned());
            }
        }
    }

    /// Devices need an eBPF program on v2, which is not loaded; there `mknod` is kept out by capabilities alone.
    fn write_v2(&self, dir: &Path, writes: &mut Vec<(PathBuf, String)>) {
        let mut put = |file: &str, value: String| writes.push((dir.join(file), value));
        if let Some(bytes) = self.memory_bytes {
            put("memory.max", bytes.to_string());
            // Kubelet's default on v2: a container that has lost one process to the limit is not left half alive.
            put("memory.oom.group", "1".to_owned());
        }
        if let Some(milli) = self.cpu_request_milli {
            put("cpu.weight", weight(shares(milli)).to_string());
        }
        if let Some(milli) = self.cpu_limit_milli {
            put("cpu.max", format!("{} {PERIOD_MICROS}", quota(milli)));
        }
        if let Some(pids) = self.pids {
            put("pids.max", pids.to_string());
        }
    }
}

/// kubelet's MilliCPUToShares: 1024 per cpu, at least 2, at most 262144.
fn shares(milli: u64) -> u64 {
    (milli.saturating_mul(1024) / 1000).clamp(2, 262_144)
}

/// The conversion of KEP-2254, which maps shares 2..262144 onto weights 1..10000.
fn weight(shares: u64) -> u64 {
    1 + (shares.saturating_sub(2).saturating_mul(9999)) / 262_142
}

/// kubelet's MilliCPUToQuota, in microseconds per period.
fn quota(milli: u64) -> u64 {
    (milli.saturating_mul(PERIOD_MICROS) / 1000).max(MIN_QUOTA_MICROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_formulas_are_those_of_kubelet() {
        assert_eq!(
            (shares(0), shares(100), shares(1000), shares(1_000_000)),
            (2, 102, 1024, 262_144)
        );
        assert_eq!((weight(2), weight(1024), weight(262_144)), (1, 39, 10_000));
        assert_eq!((quota(5), quota(250), quota(2000)), (1_000, 25_000, 200_000));
    }
}
