//! The creator: a forked child of the shim that calls the container library once and reports through a pipe.

use std::cell::OnceCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use nix::sys::signal::SigSet;
use nix::unistd::{ForkResult, Pid, fork};
use seccompiler::BpfProgram;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::executor::ContainerExecutor;
use super::protocol::{SeccompProfile, StartContainer};
use super::{CONTAINERS_DIR, RUN_DIR, ahead, rootfs, seccomp};
use crate::cgroup::Cgroup;

/// Below [`RUN_DIR`]: the library's own state, and what it is given.
const STATE_DIR: &str = "state";
const BUNDLES_DIR: &str = "bundles";

/// What the creator reports before it ends.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Report {
    /// The new process.
    Pid(i32),
    /// Why there is none.
    Failed(String),
}

/// Everything creators share.
#[derive(Clone)]
pub(super) struct Workshop {
    pub(super) pod_dir: PathBuf,
    pub(super) cgroup: Cgroup,
    /// Compiled when the first container asks for it, before its creator is forked; then shared by all.
    pub(super) filters: Rc<OnceCell<Rc<Vec<BpfProgram>>>>,
}

/// The three standard streams of a new process.
pub(super) struct Streams {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Workshop {
    pub(super) fn container_dir(&self, id: &str) -> PathBuf {
        self.pod_dir.join(CONTAINERS_DIR).join(id)
    }

    fn state_dir(&self) -> PathBuf {
        self.pod_dir.join(RUN_DIR).join(STATE_DIR)
    }

    fn bundle_dir(&self, id: &str) -> PathBuf {
        self.pod_dir.join(RUN_DIR).join(BUNDLES_DIR).join(id)
    }

    /// Compiles what creators will need; to be called before they are forked.
    pub(super) fn prepare(&self, profile: SeccompProfile) -> Result<(), String> {
        if profile == SeccompProfile::RuntimeDefault && self.filters.get().is_none() {
            let filters = seccomp::runtime_default()
                .map_err(|error| format!("compile the system call filter: {error}"))?;
            // It was empty a line ago, and this process has one thread.
            let _ = self.filters.set(Rc::new(filters));
        }
        Ok(())
    }

    /// Fails rather than run a container without the filter that it asked for.
    fn executor(&self, profile: SeccompProfile) -> Result<ContainerExecutor, String> {
        let filters = match profile {
            SeccompProfile::Unconfined => Rc::default(),
            SeccompProfile::RuntimeDefault => self
                .filters
                .get()
                .cloned()
                .ok_or("the system call filter was not prepared")?,
        };
        Ok(ContainerExecutor { filters })
    }

    /// Creates and starts a container. Runs in the creator.
    pub(super) fn start(&self, request: StartContainer, streams: Streams) -> Result<i32, String> {
        let dir = self.container_dir(&request.id);
        let bundle = self.bundle_dir(&request.id);
        let cgroup = self.cgroup.child(&request.id);
        let root = at(
            "prepare the root file system",
            rootfs::prepare(&request.layers, &dir, &bundle),
        )?;
        at("create the control group", cgroup.create(&request.limits))?;
        let mut spec = completed(request.spec, &root, &cgroup.oci_path());
        at("leave the pod's mounts", ahead::enter())?;
        let visible = at("show the control group", visible_groups(&cgroup, &bundle))?;
        if let Some(mounts) = spec["mounts"].as_array_mut() {
            mounts.extend(visible);
        }
        ahead::make(&mut spec, &root);
        let this = std::process::id();
        if let Some(unified) = ahead::groups_enough(cgroup.hierarchies(), &spec) {
            at("join the control group", cgroup.join_v1(this))?;
            // Not this process: when it fails, the library kills all of the group that it sees.
            at("hide other control groups", ahead::hide_groups(unified))?;
        } else {
            at("join the control group", cgroup.join_trackers(this))?;
        }
        at(
            "write the bundle",
            std::fs::write(bundle.join("config.json"), spec.to_string()),
        )?;
        let executor = self.executor(request.seccomp)?;
        let mut container = ContainerBuilder::new(request.id, SyscallType::default())
            .with_root_path(self.state_dir())
            .map_err(|error| chain(&error))?
            .with_executor(executor)
            .with_stdin(streams.stdin)
            .with_stdout(streams.stdout)
            .with_stderr(streams.stderr)
            .as_init(&bundle)
            .with_systemd(false)
            .as_sibling(true)
            .build()
            .map_err(|error| chain(&error))?;
        let pid = container
            .pid()
            .map(|pid| pid.as_raw())
            .ok_or("the container has no process")?;
        container.start().map_err(|error| chain(&error))?;
        Ok(pid)
    }

    /// Starts one more process in a running container. Runs in the creator.
    pub(super) fn exec(
        &self,
        id: &str,
        command: &[String],
        profile: SeccompProfile,
        streams: Streams,
    ) -> Result<i32, String> {
        let dir = self.bundle_dir(id);
        let text = at("read the bundle", std::fs::read(dir.join("config.json")))?;
        let spec: Value = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
        let mut process = spec["process"].clone();
        process["args"] = json!(command);
        let file = dir.join(format!("exec-{}.json", std::process::id()));
        at("write the process", std::fs::write(&file, process.to_string()))?;
        let executor = self.executor(profile)?;
        let cgroup = self.cgroup.child(id);
        let joined = at("join the control group", cgroup.join_trackers(std::process::id()));
        let result = joined.and_then(|()| {
            ContainerBuilder::new(id.to_owned(), SyscallType::default())
                .with_root_path(self.state_dir())
                .map_err(|error| chain(&error))?
                .with_executor(executor)
                .with_stdin(streams.stdin)
                .with_stdout(streams.stdout)
                .with_stderr(streams.stderr)
                .as_tenant()
                .with_process(Some(&file))
                .as_sibling(true)
                .build()
                .map(|pid| pid.as_raw())
                .map_err(|error| chain(&error))
        });
        let _ = std::fs::remove_file(&file);
        result
    }

    /// Removes what a dead container leaves: mount, control group, library state and its writable layer.
    pub(super) fn remove(&self, id: &str) {
        let (dir, bundle) = (self.container_dir(id), self.bundle_dir(id));
        rootfs::release(&dir, &bundle);
        let _ = std::fs::remove_dir_all(bundle);
        let _ = std::fs::remove_dir_all(self.state_dir().join(id));
        let _ = self.cgroup.child(id).remove();
    }
}

/// A read-only view of the container's own groups, so that programs can size themselves. The library's `cgroup` mount
/// comes out writable on v1, hence bind mounts, put together in the bundle.
fn visible_groups(cgroup: &Cgroup, bundle: &Path) -> io::Result<Option<Value>> {
    let view = |source: &Path| json!({ "destination": "/sys/fs/cgroup", "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "noexec", "nodev"] });
    if let Some(dir) = cgroup.unified_dir() {
        return Ok(Some(view(&dir)));
    }
    let groups: Vec<_> = cgroup.controller_dirs().collect();
    if groups.is_empty() {
        return Ok(None);
    }
    let shown = bundle.join("cgroup");
    ahead::show_groups(&shown, &groups)?;
    Ok(Some(view(&shown)))
}

/// Forks; the child runs `work`, writes its report and ends without returning.
///
/// # Errors
/// Fails when the kernel refuses another process.
#[expect(unsafe_code, reason = "fork is unsafe in programs with threads")]
pub(super) fn spawn(mut report: File, work: impl FnOnce() -> Result<i32, String>) -> io::Result<Pid> {
    // SAFETY: the shim has exactly one thread, so no lock can be held by another one at this moment.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let _ = SigSet::empty().thread_set_mask();
            let outcome = match work() {
                Ok(pid) => Report::Pid(pid),
                Err(message) => Report::Failed(message),
            };
            let written = serde_json::to_vec(&outcome).map(|line| report.write_all(&line));
            // SAFETY: `_exit` ends the process at once; nothing of the parent's state is flushed a second time.
            unsafe { nix::libc::_exit(i32::from(!matches!(written, Ok(Ok(()))))) }
        }
    }
}

/// The agent cannot know where the root will be mounted, nor the group's path.
fn completed(mut spec: Value, root: &Path, cgroup: &Path) -> Value {
    spec["root"]["path"] = json!(root);
    spec["linux"]["cgroupsPath"] = json!(cgroup);
    spec
}

fn at<T>(what: &str, result: io::Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{what}: {error}"))
}

/// The whole chain of an error in one line; the library's outer levels say little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
