//! What a group uses, from the files of either version.

use std::path::Path;

use serde::Serialize;

use super::{Hierarchies, Mode};

/// A reading; a value that the machine does not keep is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Nanoseconds of cpu since the group exists.
    pub cpu_nanos: u64,
    /// Bytes in use, page cache included.
    pub memory_bytes: u64,
    /// Bytes in use without the inactive page cache: what `kubectl top` shows.
    pub working_set_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}

pub(super) fn read(hierarchies: &Hierarchies, path: &Path) -> Stats {
    if hierarchies.mode() == Mode::Unified {
        let Some(dir) = hierarchies.unified().map(|root| root.join(path)) else {
            return Stats::default();
        };
        let memory = number(&dir.join("memory.current"));
        return Stats {
            cpu_nanos: keyed(&dir.join("cpu.stat"), "usage_usec").saturating_mul(1000),
            memory_bytes: memory,
            working_set_bytes: memory.saturating_sub(keyed(&dir.join("memory.stat"), "inactive_file")),
            pids: number(&dir.join("pids.current")),
        };
    }
    let dir = |controller: &str| {
        hierarchies
            .v1(controller)
            .map(|root| root.join(path))
            .unwrap_or_default()
    };
    let memory = number(&dir("memory").join("memory.usage_in_bytes"));
    Stats {
        cpu_nanos: number(&dir("cpuacct").join("cpuacct.usage")),
        memory_bytes: memory,
        working_set_bytes: memory
            .saturating_sub(keyed(&dir("memory").join("memory.stat"), "total_inactive_file")),
        pids: number(&dir("pids").join("pids.current")),
    }
}

pub(super) fn oom_kills(hierarchies: &Hierarchies, path: &Path) -> u64 {
    if hierarchies.mode() == Mode::Unified {
        let Some(root) = hierarchies.unified() else {
            return 0;
        };
        return keyed(&root.join(path).join("memory.events"), "oom_kill");
    }
    let Some(root) = hierarchies.v1("memory") else {
        return 0;
    };
    keyed(&root.join(path).join("memory.oom_control"), "oom_kill")
}

fn number(file: &Path) -> u64 {
    std::fs::read_to_string(file)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// The value of one `key value` line.
fn keyed(file: &Path, key: &str) -> u64 {
    let Ok(text) = std::fs::read_to_string(file) else {
        return 0;
    };
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| *name == key)
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}
