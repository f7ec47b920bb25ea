//! Whether this machine can run containers, said in one sentence when it cannot.

use std::path::Path;

use crate::cgroup::{Hierarchies, Mode};
use crate::oci::capabilities_of;

/// What is missing and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Missing(String);

/// What the check looks at; apart from the machine for the tests.
struct Machine {
    root: bool,
    capabilities: Vec<String>,
    namespaces: Vec<&'static str>,
    cgroups: Mode,
}

/// Namespaces that a pod needs, as `/proc/self/ns` names them.
const NAMESPACES: [&str; 5] = ["mnt", "net", "ipc", "uts", "pid"];

/// Checks rights, namespaces and control groups. Overlayfs is not needed: without it images are copied.
///
/// # Errors
/// The first thing that is missing.
pub fn preflight() -> Result<(), Missing> {
    let status = std::fs::read_to_string("/proc/self/status")
        .map_err(|_| Missing("containers need /proc: mount it with `mount -t proc proc /proc`".to_owned()))?;
    let namespaces = NAMESPACES
        .into_iter()
        .filter(|name| Path::new("/proc/self/ns").join(name).exists());
    check(&Machine {
        root: nix::unistd::geteuid().is_root(),
        capabilities: capabilities_of(&status),
        namespaces: namespaces.collect(),
        cgroups: Hierarchies::detect().map_or(Mode::None, |hierarchies| hierarchies.mode()),
    })
}

fn check(machine: &Machine) -> Result<(), Missing> {
    let missing = |text: String| Err(Missing(text));
    if !machine.root {
        return missing("containers need root: run the command with sudo".to_owned());
    }
    for name in [
        "CAP_SYS_ADMIN",
        "CAP_NET_ADMIN",
        "CAP_SYS_CHROOT",
        "CAP_SETUID",
        "CAP_SETGID",
        "CAP_CHOWN",
    ] {
        if !machine.capabilities.iter().any(|held| held == name) {
            return missing(format!(
                "containers need the capability {name}: inside a container, start that one as privileged"
            ));
        }
    }
    if let Some(name) = NAMESPACES
        .into_iter()
        .find(|name| !machine.namespaces.contains(name))
    {
        return missing(format!(
            "containers need a kernel with {name} namespaces: this one was built without them"
        ));
    }
    match machine.cgroups {
        Mode::None => missing(
            "containers need control groups: mount them with `mount -t cgroup2 none /sys/fs/cgroup`"
                .to_owned(),
        ),
        Mode::Legacy | Mode::Hybrid | Mode::Unified => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let status = "CapPrm:\tffffffffffffffff\nCapBnd:\tffffffffffffffff\n";
        Machine {
            root: true,
            capabilities: capabilities_of(status),
            namespaces: NAMESPACES.to_vec(),
            cgroups: Mode::Unified,
        }
    }

    #[test]
    fn each_lack_has_its_sentence() {
        assert_eq!(check(&machine()), Ok(()));
        let table = [
            (
                Machine {
                    root: false,
                    ..machine()
                },
                "sudo",
            ),
            (
                Machine {
                    capabilities: Vec::new(),
                    ..machine()
                },
                "CAP_SYS_ADMIN",
            ),
            (
                Machine {
                    namespaces: vec!["mnt"],
                    ..machine()
                },
                "net namespaces",
            ),
            (
                Machine {
                    cgroups: Mode::None,
                    ..machine()
                },
                "mount -t cgroup2",
            ),
        ];
        for (machine, word) in table {
            let sentence = check(&machine).unwrap_err().to_string();
            assert!(sentence.contains(word), "{sentence}");
        }
    }
}
