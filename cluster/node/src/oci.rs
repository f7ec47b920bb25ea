//! The OCI runtime specification of a container. Pure: equal inputs give equal output.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// Rights of an ordinary container: the runtimes' default without MKNOD, because cgroup v2 machines have no device
/// list here and a device node would open the machine's disks.
const DEFAULT_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Parts of `/proc` and `/sys` that tell or change too much (the runtimes' default).
const MASKED_PATHS: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];
const READ_ONLY_PATHS: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Numeric identity of a container's process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// A file or directory of the host inside the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindMount {
    /// On the host, as the pod's mount namespace sees it.
    pub source: PathBuf,
    /// In the container.
    pub target: PathBuf,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether later mounts of the host appear (`HostToContainer`, `Bidirectional`).
    pub propagated: bool,
}

/// Rights beyond the default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    /// All rights and devices of the machine.
    pub privileged: bool,
    /// Capabilities to add, `ALL` for every one; with or without `CAP_`.
    pub add: Vec<String>,
    /// Capabilities to take away, `ALL` for every one.
    pub drop: Vec<String>,
    /// Whether set-uid programs gain nothing.
    pub no_new_privileges: bool,
}

/// What distinguishes one container from another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Process {
    /// Command and arguments.
    pub arguments: Vec<String>,
    /// `NAME=value`.
    pub environment: Vec<String>,
    /// Absolute.
    pub working_directory: String,
    /// Identity.
    pub user: User,
    /// Rights.
    pub rights: Rights,
    /// Whether the root file system refuses writes.
    pub read_only_root: bool,
    /// Volumes and files, in mount order.
    pub mounts: Vec<BindMount>,
    /// Sees the machine's processes.
    pub host_pid: bool,
    /// Readiness to be killed when memory runs out; `None` leaves the shim's.
    pub oom_score_adjust: Option<i32>,
}

/// The specification, complete but for root path, control group and the group's own mounts, which the shim adds.
pub fn specification(process: &Process, shared_memory: &Path, host_capabilities: &[String]) -> Value {
    let capabilities = capabilities(&process.rights, host_capabilities);
    let privileged = process.rights.privileged;
    let mut namespaces = vec![json!({"type": "mount"})];
    if !process.host_pid {
        namespaces.push(json!({"type": "pid"}));
    }
    let mut linux = json!({ "namespaces": namespaces });
    if !privileged {
        linux["maskedPaths"] = json!(MASKED_PATHS);
        linux["readonlyPaths"] = json!(READ_ONLY_PATHS);
    }
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": {
                "uid": process.user.uid,
                "gid": process.user.gid,
                "additionalGids": process.user.groups,
            },
            "args": process.arguments,
            "env": process.environment,
            "cwd": process.working_directory,
            "capabilities": {
                "bounding": capabilities,
                "effective": capabilities,
                "permitted": capabilities,
                "inheritable": [],
                "ambient": [],
            },
            "noNewPrivileges": process.rights.no_new_privileges,
        },
        "root": { "path": "rootfs", "readonly": process.read_only_root },
        "mounts": mounts(process, shared_memory),
        "linux": linux,
    });
    if let Some(score) = process.oom_score_adjust {
        spec["process"]["oomScoreAdj"] = json!(score);
    }
    spec
}

fn mounts(process: &Process, shared_memory: &Path) -> Vec<Value> {
    let mount = |kind: &str, target: &str, options: &[&str]| json!({ "destination": target, "type": kind, "source": kind, "options": options });
    let sys_options: &[&str] = match process.rights.privileged {
        true => &["nosuid", "noexec", "nodev", "rw"],
        false => &["nosuid", "noexec", "nodev", "ro"],
    };
    let mut mounts = vec![
        mount("proc", "/proc", &["nosuid", "noexec", "nodev"]),
        mount(
            "tmpfs",
            "/dev",
            &["nosuid", "strictatime", "mode=755", "size=65536k"],
        ),
        mount(
            "devpts",
            "/dev/pts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        mount("mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        mount("sysfs", "/sys", sys_options),
        bind(&BindMount {
            source: shared_memory.to_path_buf(),
            target: PathBuf::from("/dev/shm"),
            read_only: false,
            propagated: false,
        }),
    ];
    mounts.extend(process.mounts.iter().map(bind));
    mounts
}

fn bind(mount: &BindMount) -> Value {
    let access = if mount.read_only { "ro" } else { "rw" };
    let propagation = if mount.propagated { "rslave" } else { "rprivate" };
    json!({
        "destination": mount.target,
        "type": "bind",
        "source": mount.source,
        "options": ["rbind", propagation, access],
    })
}

/// `add` after `drop`, as Kubernetes defines it, but never more than the agent itself has.
fn capabilities(rights: &Rights, host: &[String]) -> Vec<String> {
    let named = |name: &str| {
        let upper = name.to_ascii_uppercase();
        if upper.starts_with("CAP_") {
            upper
        } else {
            format!("CAP_{upper}")
        }
    };
    let has_all = |list: &[String]| list.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let mut set: Vec<String> = match rights.privileged || has_all(&rights.add) {
        true => host.to_vec(),
        false if has_all(&rights.drop) => Vec::new(),
        false => DEFAULT_CAPABILITIES.iter().map(|name| named(name)).collect(),
    };
    if !rights.privileged {
        let dropped: Vec<String> = rights.drop.iter().map(|name| named(name)).collect();
        set.retain(|name| !dropped.contains(name));
        set.extend(
            rights
                .add
                .iter()
                .filter(|name| !name.eq_ignore_ascii_case("ALL"))
                .map(|name| named(name)),
        );
    }
    set.sort();
    set.dedup();
    set.retain(|name| host.contains(name));
    set
}

/// Capability names in the order of their numbers (capability(7)).
const CAPABILITY_NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The capabilities that this process could pass on, from the text of `/proc/self/status`.
pub fn capabilities_of(status: &str) -> Vec<String> {
    let mask = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
            .unwrap_or(0)
    };
    let held = mask("CapPrm:") & mask("CapBnd:");
    CAPABILITY_NAMES
        .iter()
        .enumerate()
        .filter(|(number, _)| held & (1 << number) != 0)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Vec<String> {
        capabilities_of("CapPrm:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\n")
    }

    fn rights(add: &[&str], drop: &[&str], privileged: bool) -> Rights {
        let owned = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        Rights {
            privileged,
            add: owned(add),
            drop: owned(drop),
            no_new_privileges: false,
        }
    }

    #[test]
    fn reads_capabilities_of_a_machine_without_sys_resource() {
        let host = host();
        assert_eq!(host.len(), 40);
        assert!(!host.contains(&"CAP_SYS_RESOURCE".to_owned()));
    }

    #[test]
    fn capabilities_follow_add_and_drop() {
        let table: [(Rights, &[&str]); 4] = [
            (rights(&[], &["ALL"], false), &[]),
            (
                rights(&["NET_BIND_SERVICE"], &["ALL"], false),
                &["CAP_NET_BIND_SERVICE"],
            ),
            (
                rights(&["cap_sys_time", "SYS_RESOURCE"], &["all"], false),
                &["CAP_SYS_TIME"],
            ),
            (rights(&["CHOWN"], &["ALL", "CHOWN"], false), &["CAP_CHOWN"]),
        ];
        for (rights, wanted) in table {
            assert_eq!(capabilities(&rights, &host()), wanted, "{rights:?}");
        }
        assert_eq!(
            capabilities(&rights(&[], &[], false), &host()).len(),
            DEFAULT_CAPABILITIES.len()
        );
        assert_eq!(
            capabilities(&rights(&["ALL"], &["CHOWN"], false), &host()).len(),
            39
        );
        assert_eq!(capabilities(&rights(&[], &["ALL"], true), &host()).len(), 40);
    }

    #[test]
    fn an_ordinary_container_has_its_own_processes_and_masked_paths() {
        let spec = specification(&Process::default(), Path::new("/pod/shm"), &host());
        assert_eq!(
            spec["linux"]["namespaces"],
            json!([{"type": "mount"}, {"type": "pid"}])
        );
        assert!(
            spec["linux"]["maskedPaths"]
                .as_array()
                .unwrap()
                .contains(&json!("/proc/kcore"))
        );
        assert_eq!(spec["mounts"][5]["source"], "/pod/shm");
        assert!(spec["process"].get("oomScoreAdj").is_none());
    }

    #[test]
    fn a_privileged_container_sees_everything() {
        let process = Process {
            rights: rights(&[], &[], true),
            host_pid: true,
            ..Process::default()
        };
        let spec = specification(&process, Path::new("/pod/shm"), &host());
        assert_eq!(spec["linux"], json!({"namespaces": [{"type": "mount"}]}));
    }
}
