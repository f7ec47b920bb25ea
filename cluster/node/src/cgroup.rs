//! Control groups of pods: create, limit, join, measure, kill and remove, on v1, v2 and hybrid machines.
//!
//! The module is small on purpose and owned here: the container library joins a process to the v2 tree, or on machines
//! without one to the v1 hierarchies; everything else — limits, the device list, the v1 hierarchies of a hybrid machine,
//! killing, statistics, out-of-memory counts and removal — happens in this module.
//!
//! Shape: every pod has a directory with one child per container and one for its shim, so processes live in leaves
//! only, as cgroup v2 demands.

mod hierarchy;
mod limits;
mod moves;
mod stats;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use hierarchy::{Hierarchies, Mode};
pub use limits::Limits;
pub use moves::QuickMoves;
pub use stats::Stats;

use crate::signal;

/// How long removal keeps trying while killed processes leave the group.
const REMOVE_DEADLINE: Duration = Duration::from_secs(2);

/// One group, present in every hierarchy of the machine under the same relative path.
#[derive(Debug, Clone)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    /// Relative to each mount point, without a leading slash.
    path: PathBuf,
}

impl Cgroup {
    /// Names a group; nothing is created yet.
    pub fn new(hierarchies: Hierarchies, path: impl Into<PathBuf>) -> Self {
        let path: PathBuf = path.into();
        let path = path.strip_prefix("/").map(Path::to_path_buf).unwrap_or(path);
        Self { hierarchies, path }
    }

    /// A group below this one.
    pub fn child(&self, name: &str) -> Self {
        Self {
            hierarchies: self.hierarchies.clone(),
            path: self.path.join(name),
        }
    }

    /// The path as an OCI spec's `cgroupsPath` wants it: absolute within the hierarchies.
    pub fn oci_path(&self) -> PathBuf {
        Path::new("/").join(&self.path)
    }

    /// The group's directory where all controllers are in one tree.
    pub fn unified_dir(&self) -> Option<PathBuf> {
        let unified = self
            .hierarchies
            .unified()
            .filter(|_| self.hierarchies.mode() == Mode::Unified);
        unified.map(|root| root.join(&self.path))
    }

    /// The group's directory per v1 controller that limits something.
    pub fn controller_dirs(&self) -> impl Iterator<Item = (&'static str, PathBuf)> {
        ["cpu", "cpuacct", "memory", "pids"]
            .into_iter()
            .filter_map(|name| {
                self.hierarchies
                    .v1(name)
                    .map(|root| (name, root.join(&self.path)))
            })
    }

    /// Whether limits of a controller hold in this group, which must exist. A machine may have been started without
    /// one (`memory` on many boards), or not hand it on to the container that this process runs in.
    pub fn controls(&self, controller: &str) -> bool {
        if self.hierarchies.v1(controller).is_some() {
            return true;
        }
        let Some(dir) = self.unified_dir() else {
            return false;
        };
        match std::fs::read_to_string(dir.join("cgroup.controllers")) {
            Ok(offered) => offered.split_whitespace().any(|name| name == controller),
            // Not a control group, or gone: the write of the limit tells.
            Err(_) => true,
        }
    }

    /// Creates the group where limits need it and applies those that can hold ([`Self::controls`]).
    ///
    /// # Errors
    /// Fails when a directory cannot be made or the kernel refuses a limit; the error names the file.
    pub fn create(&self, limits: &Limits) -> io::Result<()> {
        if let Some(root) = self.hierarchies.unified() {
            self.create_unified(root)?;
        }
        for controller in limits::V1_CONTROLLERS {
            if let Some(root) = self.hierarchies.v1(controller) {
                create_dir(&root.join(&self.path))?;
            }
        }
        let limits = limits.within(|controller| self.controls(controller));
        for (file, value) in limits.writes(&self.hierarchies, &self.path) {
            write(&file, &value)?;
        }
        Ok(())
    }

    /// Enables the controllers on the way down; a controller that v1 holds is simply not on offer there.
    fn create_unified(&self, root: &Path) -> io::Result<()> {
        let dir = root.join(&self.path);
        create_dir(&dir)?;
        if self.hierarchies.mode() != Mode::Unified {
            return Ok(());
        }
        let mut level = root.to_path_buf();
        for part in &self.path {
            for controller in ["+cpu", "+memory", "+pids"] {
                // Best effort: the kernel says ENOENT for a controller that the parent does not offer.
                let _ = std::fs::write(level.join("cgroup.subtree_control"), controller);
            }
            level.push(part);
        }
        Ok(())
    }

    /// Moves a process into the hierarchies of version 1: those whose limits are set here, and systemd's. In the others
    /// it stays where it is.
    ///
    /// # Errors
    /// Fails when the process cannot be moved.
    pub fn join_v1(&self, pid: u32) -> io::Result<()> {
        let mut roots: Vec<&Path> = limits::V1_CONTROLLERS
            .into_iter()
            .chain([hierarchy::SYSTEMD])
            .filter_map(|name| self.hierarchies.v1(name))
            .collect();
        roots.sort_unstable();
        roots.dedup();
        roots.into_iter().try_for_each(|root| self.join(root, pid))
    }

    fn join(&self, root: &Path, pid: u32) -> io::Result<()> {
        let dir = root.join(&self.path);
        create_dir(&dir)?;
        write(&dir.join("cgroup.procs"), &pid.to_string())
    }

    /// The hierarchies it is in.
    pub fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    /// Moves a process into the hierarchies that the container library does not handle: the unified tree beside v1,
    /// through which the group can be killed at once, and systemd's own, so that stopping the service that runs the
    /// agent does not take the containers with it.
    ///
    /// # Errors
    /// Fails when the process cannot be moved.
    pub fn join_trackers(&self, pid: u32) -> io::Result<()> {
        self.hierarchies
            .trackers()
            .try_for_each(|root| self.join(root, pid))
    }

    /// Kills every process of the group and of the groups below it.
    pub fn kill(&self) {
        if let Some(root) = self.hierarchies.unified() {
            let dir = root.join(&self.path);
            if std::fs::write(dir.join("cgroup.kill"), "1").is_ok()
                && self.hierarchies.mode() == Mode::Unified
            {
                return;
            }
        }
        self.freeze(true);
        for pid in self.processes() {
            signal::kill(pid, signal::KILL);
        }
        self.freeze(false);
    }

    fn freeze(&self, frozen: bool) {
        if let Some(root) = self.hierarchies.v1("freezer") {
            let state = if frozen { "FROZEN" } else { "THAWED" };
            let _ = std::fs::write(root.join(&self.path).join("freezer.state"), state);
        }
    }

    /// The processes of the group and of the groups below it.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = Vec::new();
        for root in self.hierarchies.roots() {
            collect_processes(&root.join(&self.path), &mut pids);
        }
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// The groups directly below this one, in any hierarchy.
    pub fn children(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .hierarchies
            .roots()
            .flat_map(|root| sub_directories(&root.join(&self.path)))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// How often the kernel's out-of-memory killer struck in this group.
    pub fn oom_kills(&self) -> u64 {
        stats::oom_kills(&self.hierarchies, &self.path)
    }

    /// What the group uses now.
    pub fn stats(&self) -> Stats {
        stats::read(&self.hierarchies, &self.path)
    }

    /// Removes the group and everything below it, waiting a little for killed processes to leave.
    ///
    /// # Errors
    /// Fails when a process still holds the group after two seconds.
    pub fn remove(&self) -> io::Result<()> {
        let deadline = Instant::now() + REMOVE_DEADLINE;
        for root in self.hierarchies.roots() {
            let dir = root.join(&self.path);
            loop {
                match remove_tree(&dir) {
                    Ok(()) => break,
                    Err(error) if Instant::now() >= deadline => return Err(named(&dir, error)),
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        }
        Ok(())
    }
}

fn create_dir(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| named(dir, error))
}

fn write(file: &Path, value: &str) -> io::Result<()> {
    std::fs::write(file, value).map_err(|error| named(file, error))
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn sub_directories(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn collect_processes(dir: &Path, pids: &mut Vec<i32>) {
    if let Ok(text) = std::fs::read_to_string(dir.join("cgroup.procs")) {
        pids.extend(text.lines().filter_map(|line| line.trim().parse::<i32>().ok()));
    }
    for name in sub_directories(dir) {
        collect_processes(&dir.join(name), pids);
    }
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    for name in sub_directories(dir) {
        remove_tree(&dir.join(name))?;
    }
    match std::fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
