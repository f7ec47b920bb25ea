//! Which control group hierarchies the machine has, read from its mount table.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The machine's cgroup set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is mounted.
    None,
    /// Version 1 only.
    Legacy,
    /// Controllers in version 1, an empty version 2 tree beside them.
    Hybrid,
    /// Version 2 only.
    Unified,
}

/// The mount points by controller (v1; `name=systemd` under that name) and of the unified tree.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hierarchies {
    v1: BTreeMap<String, PathBuf>,
    unified: Option<PathBuf>,
}

/// The v1 hierarchy that systemd tracks services with; it has no controller.
pub(super) const SYSTEMD: &str = "name=systemd";

impl Hierarchies {
    /// Reads `/proc/self/mountinfo`.
    ///
    /// # Errors
    /// Fails when `/proc` is not mounted.
    pub fn detect() -> io::Result<Self> {
        Ok(Self::parse(&std::fs::read_to_string("/proc/self/mountinfo")?))
    }

    /// Reads the text of a `mountinfo` file (proc(5)); the first mount of a hierarchy wins.
    pub fn parse(mountinfo: &str) -> Self {
        let mut found = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else {
                continue;
            };
            let Some(mount_point) = left.split(' ').nth(4) else {
                continue;
            };
            let mut right = right.split(' ');
            let (Some(kind), Some(_source), Some(options)) = (right.next(), right.next(), right.next())
            else {
                continue;
            };
            match kind {
                "cgroup2" => {
                    found.unified.get_or_insert_with(|| PathBuf::from(mount_point));
                }
                "cgroup" => {
                    for option in options.split(',').filter(|option| is_hierarchy(option)) {
                        found
                            .v1
                            .entry(option.to_owned())
                            .or_insert_with(|| PathBuf::from(mount_point));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Which of the four set-ups this is.
    pub fn mode(&self) -> Mode {
        let controllers = self.v1.keys().any(|name| name != SYSTEMD);
        match (controllers, &self.unified) {
            (true, Some(_)) => Mode::Hybrid,
            (true, None) => Mode::Legacy,
            (false, Some(_)) => Mode::Unified,
            (false, None) => Mode::None,
        }
    }

    /// The mount point of a v1 controller.
    pub fn v1(&self, controller: &str) -> Option<&Path> {
        self.v1.get(controller).map(PathBuf::as_path)
    }

    /// The mount point of the v2 tree.
    pub fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// Hierarchies that only track processes: the unified tree beside v1 controllers, and systemd's.
    pub fn trackers(&self) -> impl Iterator<Item = &Path> {
        let unified = self.unified().filter(|_| self.mode() != Mode::Unified);
        unified.into_iter().chain(self.v1(SYSTEMD))
    }

    /// Every distinct mount point.
    pub fn roots(&self) -> impl Iterator<Item = &Path> {
        let mut roots: Vec<&Path> = self
            .v1
            .values()
            .map(PathBuf::as_path)
            .chain(self.unified())
            .collect();
        roots.sort_unstable();
        roots.dedup();
        roots.into_iter()
    }
}

/// Mount options beside the controllers are flags of the super block.
fn is_hierarchy(option: &str) -> bool {
    option == SYSTEMD
        || matches!(
            option,
            "cpu"
                | "cpuacct"
                | "cpuset"
                | "memory"
                | "devices"
                | "freezer"
                | "blkio"
                | "pids"
                | "hugetlb"
                | "perf_event"
                | "net_cls"
                | "net_prio"
                | "rdma"
                | "misc"
        )
}
