//! Mounts that are made before the container library is called.
//!
//! The library finds each mount's place step by step and reads the whole mount table in between: some sixty system
//! calls for one mount, of which an ordinary container has two dozen. Here it takes five. They are made in a mount
//! namespace of the creator's own, from which the container's is copied, so nothing is left if the creation fails.
//!
//! The kernel resolves each place within the container's root and refuses links, which an image may have planted.
//! Whatever does not fit is left to the library, and all that comes after it too, since mounts may cover each other.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use serde_json::Value;

use crate::cgroup::{Hierarchies, Mode as GroupMode};

/// The library mounts these itself, after what is made here, which they would hide.
const LATER: [&str; 3] = ["dev", "proc", "sys"];
const CGROUPS: &str = "/sys/fs/cgroup";

/// `MOUNT_ATTR_RDONLY`, `_NOSUID`, `_NODEV` and `_NOEXEC` of mount_setattr(2).
const READ_ONLY: u64 = 1;
const INERT: u64 = 1 | 2 | 4 | 8;

/// Leaves the pod's mount namespace for a copy. What is mounted here ends with the creator and its container.
pub(super) fn enter() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNS)?)
}

/// Makes the leading ones of the specification's bind mounts on `root` and takes them out of it.
pub(super) fn make(spec: &mut Value, root: &Path) {
    let Some(mounts) = spec["mounts"].as_array_mut() else {
        return;
    };
    let Ok(root) = open(
        root,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    ) else {
        return;
    };
    let mut fits = true;
    mounts.retain(|mount| {
        let Some(place) = place_of(mount) else { return true };
        if fits && LATER.iter().any(|later| place.starts_with(later)) {
            return true;
        }
        fits = fits && Plain::of(mount).is_some_and(|plain| plain.make(root.as_fd(), &place).is_ok());
        !fits
    });
}

/// Where a mount goes, relative to the root.
fn place_of(mount: &Value) -> Option<PathBuf> {
    let path = Path::new(mount["destination"].as_str()?);
    Some(path.strip_prefix("/").ok()?.to_owned())
}

/// A bind mount with everything below it, as the agent asks for volumes and files.
#[derive(Debug, PartialEq, Eq)]
struct Plain<'a> {
    source: &'a str,
    read_only: bool,
}

impl<'a> Plain<'a> {
    fn of(mount: &'a Value) -> Option<Self> {
        let mut plain = Self {
            source: mount["source"].as_str()?,
            read_only: false,
        };
        let mut whole = false;
        for option in mount["options"].as_array()? {
            match option.as_str()? {
                "rbind" => whole = true,
                "ro" => plain.read_only = true,
                // The library leaves propagation as it is, which is from the host to here.
                "rw" | "rprivate" | "rslave" => {}
                _ => return None,
            }
        }
        (whole && mount["type"] == "bind").then_some(plain)
    }

    fn make(&self, root: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let place = openat2(root, place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within)?;
        let attributes = if self.read_only { READ_ONLY } else { 0 };
        bind(Path::new(self.source), place.as_fd(), attributes)
    }
}

/// Binds `source`, with everything below it, on an open place.
fn bind(source: &Path, place: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, source, flags)?;
    if attributes != 0 {
        set_attributes(&tree, attributes)?;
    }
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&tree, "", place, "", flags)?;
    Ok(())
}

/// Adds attributes to a mount; those it has stay.
#[expect(unsafe_code, reason = "no crate here knows mount_setattr")]
fn set_attributes(mount: &OwnedFd, attributes: u64) -> io::Result<()> {
    // `struct mount_attr`: to set, to clear, propagation, user namespace.
    let attributes: [u64; 4] = [attributes, 0, 0, 0];
    // SAFETY: the path is a literal that ends with a zero byte, the pointer is to a live array, and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            AtFlags::EMPTY_PATH.bits(),
            attributes.as_ptr(),
            size_of_val(&attributes),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Shows control groups below `dir`, one directory each, such that nothing can be changed or run there.
pub(super) fn show_groups(dir: &Path, groups: &[(&'static str, PathBuf)]) -> io::Result<()> {
    for (name, group) in groups {
        let place = dir.join(name);
        std::fs::create_dir_all(&place)?;
        let place = open(&place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        bind(group, place.as_fd(), INERT)?;
    }
    Ok(())
}

/// The unified tree of a machine that has both versions of control groups, if the library may take it for the only
/// one: see [`hide_groups`]. Not so for a container that is to see the others through one of its own mounts.
pub(super) fn groups_enough<'a>(hierarchies: &'a Hierarchies, spec: &Value) -> Option<&'a Path> {
    let hybrid = hierarchies.mode() == GroupMode::Hybrid && !shows_groups(spec);
    hierarchies.unified().filter(|_| hybrid)
}

/// Lets the library see a machine with control groups of version 2 alone. For each controller of version 1 it would
/// read the whole mount table again, some 800 system calls in all. The caller has joined those hierarchies.
pub(super) fn hide_groups(unified: &Path) -> io::Result<()> {
    Ok(mount(
        Some(unified),
        CGROUPS,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?)
}

/// Whether a bind mount of the specification has a source above, at or below the control groups' place.
fn shows_groups(spec: &Value) -> bool {
    let shows = |mount: &Value| {
        let source = Path::new(mount["source"].as_str().unwrap_or_default());
        let top = Path::new(CGROUPS);
        mount["type"] == "bind" && (top.starts_with(source) || source.starts_with(top))
    };
    spec["mounts"]
        .as_array()
        .is_some_and(|mounts| mounts.iter().any(shows))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_fully_understood_is_made_ahead() {
        let mount = |kind: &str, options: Value| json!({"destination": "/d", "type": kind, "source": "/s", "options": options});
        let plain = |read_only| {
            Some(Plain {
                source: "/s",
                read_only,
            })
        };
        let table = [
            (mount("bind", json!(["rbind", "rprivate", "rw"])), plain(false)),
            (mount("bind", json!(["rbind", "rslave", "ro"])), plain(true)),
            (mount("bind", json!(["bind", "ro"])), None),
            (mount("bind", json!(["rbind", "idmap"])), None),
            (mount("bind", json!(["rbind", "nosuid"])), None),
            (mount("tmpfs", json!(["rbind"])), None),
            (json!({"destination": "/d", "type": "bind", "source": "/s"}), None),
        ];
        for (mount, wanted) in &table {
            assert_eq!(&Plain::of(mount), wanted, "{mount}");
        }
    }

    #[test]
    fn a_container_that_is_shown_control_groups_is_noticed() {
        let table = [
            ("bind", "/", true),
            ("bind", "/sys", true),
            ("bind", "/sys/fs/cgroup/cpu", true),
            ("bind", "/sys/fs/cgroups", false),
            ("bind", "/pods/x", false),
            ("sysfs", "sysfs", false),
        ];
        for (kind, source, wanted) in table {
            let spec = json!({"mounts": [{"destination": "/d", "type": kind, "source": source}]});
            assert_eq!(shows_groups(&spec), wanted, "{source}");
        }
        assert!(!shows_groups(&json!({})));
    }
}
