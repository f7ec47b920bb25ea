//! Mounts that are made before the container library is called.
//!
//! The library finds each mount's place step by step and reads the whole mount table in between: some sixty system
//! calls for one mount, of which an ordinary container has two dozen. Here it takes five. They are made in a mount
//! namespace of the creator's own, from which the container's is copied, so nothing is left if the creation fails.
//! The creator is in all other namespaces of its container but that of processes, so `/proc` alone has to wait.
//!
//! The kernel resolves each place within the container's root and refuses links, which an image may have planted.
//! Whatever does not fit is left to the library, and all that comes after it too, since mounts may cover each other.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, mkdirat, open, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use serde_json::Value;

use crate::cgroup::{Hierarchies, Mode as GroupMode};

/// The library mounts it itself, in the new namespace of processes.
const LATER: &str = "proc";
/// Starts out empty, so that places for other mounts are made in it.
const DEVICES: &str = "dev";
const CGROUPS: &str = "/sys/fs/cgroup";

/// `MOUNT_ATTR_RDONLY`, `_NOSUID`, `_NODEV`, `_NOEXEC` and `_STRICTATIME` of mount_setattr(2).
const READ_ONLY: u32 = 1;
const NO_SUID: u32 = 2;
const NO_DEVICES: u32 = 4;
const NO_EXEC: u32 = 8;
const STRICT_TIMES: u32 = 0x20;
const INERT: u32 = READ_ONLY | NO_SUID | NO_DEVICES | NO_EXEC;

/// Leaves the pod's mount namespace for a copy. What is mounted here ends with the creator and its container.
pub(super) fn enter() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNS)?)
}

/// Makes the leading ones of the specification's mounts on `root` and takes them out of it.
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
    let mut root = Root {
        dir: root,
        devices: None,
    };
    let mut fits = true;
    mounts.retain(|mount| {
        let Some(place) = place_of(mount) else { return true };
        if fits && place.starts_with(LATER) {
            return true;
        }
        fits = fits && Plain::of(mount).is_some_and(|plain| root.mount(&plain, &place).is_ok());
        !fits
    });
}

/// Where a mount goes, relative to the root.
fn place_of(mount: &Value) -> Option<PathBuf> {
    let path = Path::new(mount["destination"].as_str()?);
    Some(path.strip_prefix("/").ok()?.to_owned())
}

/// The root of a container while mounts are made on it.
struct Root {
    dir: OwnedFd,
    /// The file system that was mounted for its devices.
    devices: Option<OwnedFd>,
}

impl Root {
    fn mount(&mut self, plain: &Plain<'_>, place: &Path) -> io::Result<()> {
        let made = plain.make()?;
        let found = match self.find(place) {
            Err(Errno::NOENT) => {
                self.make_place(place, plain.is_dir()?)?;
                self.find(place)
            }
            found => found,
        };
        attach(&made, found?.as_fd())?;
        if place == Path::new(DEVICES) {
            self.devices = matches!(plain.origin, Origin::New { .. }).then_some(made);
        }
        Ok(())
    }

    fn find(&self, place: &Path) -> rustix::io::Result<OwnedFd> {
        let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        openat2(&self.dir, place, flags, Mode::empty(), within)
    }

    /// Makes the place of a mount right in the directory of devices, where nobody can have planted anything.
    fn make_place(&self, place: &Path, is_dir: bool) -> rustix::io::Result<()> {
        let name = place.strip_prefix(DEVICES).ok();
        let name = name.filter(|name| name.components().count() == 1);
        let (Some(devices), Some(name)) = (&self.devices, name) else {
            return Err(Errno::NOENT);
        };
        if is_dir {
            return mkdirat(devices, name, Mode::from(0o755));
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(devices, name, flags, Mode::from(0o644)).map(drop)
    }
}

/// A mount with nothing about it that is not understood here.
#[derive(Debug, PartialEq, Eq)]
struct Plain<'a> {
    origin: Origin<'a>,
    attributes: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Origin<'a> {
    /// A file or directory with everything below it, as the agent asks for volumes and files.
    Bind(&'a str),
    /// A new file system.
    New {
        kind: &'a str,
        options: Vec<(&'a str, Option<&'a str>)>,
    },
}

impl<'a> Plain<'a> {
    fn of(mount: &'a Value) -> Option<Self> {
        let kind = mount["type"].as_str()?;
        let words = mount["options"].as_array()?;
        let words: Vec<&str> = words.iter().map(Value::as_str).collect::<Option<_>>()?;
        let mut attributes = 0;
        let mut options = Vec::new();
        for word in words {
            match word {
                "rw" => {}
                "ro" => attributes |= READ_ONLY,
                "nosuid" => attributes |= NO_SUID,
                "nodev" => attributes |= NO_DEVICES,
                "noexec" => attributes |= NO_EXEC,
                "strictatime" if kind != "bind" => attributes |= STRICT_TIMES,
                other => options.push(other),
            }
        }
        let origin = match kind {
            "bind" => {
                // The library leaves propagation as it is, which is from the host to here.
                let known = options
                    .iter()
                    .all(|word| matches!(*word, "rbind" | "rprivate" | "rslave"));
                let whole = options.contains(&"rbind");
                (known && whole).then_some(Origin::Bind(mount["source"].as_str()?))?
            }
            "tmpfs" | "devpts" | "mqueue" | "sysfs" => {
                let option = |word: &&'a str| match word.split_once('=') {
                    Some((key, value)) => Some((key, Some(value))),
                    None => (*word == "newinstance").then_some((*word, None)),
                };
                let options = options.iter().map(option).collect::<Option<_>>()?;
                Origin::New { kind, options }
            }
            _ => return None,
        };
        Some(Self { origin, attributes })
    }

    fn is_dir(&self) -> io::Result<bool> {
        match self.origin {
            Origin::Bind(source) => Ok(std::fs::metadata(source)?.is_dir()),
            Origin::New { .. } => Ok(true),
        }
    }

    /// The mount, nowhere yet.
    fn make(&self) -> io::Result<OwnedFd> {
        match &self.origin {
            Origin::Bind(source) => copied(Path::new(source), self.attributes),
            Origin::New { kind, options } => {
                let fs = fsopen(*kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
                fsconfig_set_string(&fs, "source", *kind)?;
                for (key, value) in options {
                    match value {
                        Some(value) => fsconfig_set_string(&fs, *key, *value)?,
                        None => fsconfig_set_flag(&fs, *key)?,
                    }
                }
                fsconfig_create(&fs)?;
                let attributes = MountAttrFlags::from_bits_retain(self.attributes);
                Ok(fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
            }
        }
    }
}

/// A copy of the mount that shows `source`, with everything below it.
fn copied(source: &Path, attributes: u32) -> io::Result<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, source, flags)?;
    if attributes != 0 {
        set_attributes(&tree, attributes)?;
    }
    Ok(tree)
}

fn attach(made: &OwnedFd, place: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(made, "", place, "", flags)?)
}

/// Adds attributes to a mount; those it has stay.
#[expect(unsafe_code, reason = "no crate here knows mount_setattr")]
fn set_attributes(mount: &OwnedFd, attributes: u32) -> io::Result<()> {
    // `struct mount_attr`: to set, to clear, propagation, user namespace.
    let attributes: [u64; 4] = [u64::from(attributes), 0, 0, 0];
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
        attach(&copied(group, INERT)?, place.as_fd())?;
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
        let bind = |attributes| {
            Some(Plain {
                origin: Origin::Bind("/s"),
                attributes,
            })
        };
        let new = |kind, options, attributes| {
            Some(Plain {
                origin: Origin::New { kind, options },
                attributes,
            })
        };
        let table = [
            (mount("bind", json!(["rbind", "rprivate", "rw"])), bind(0)),
            (mount("bind", json!(["rbind", "rslave", "ro"])), bind(READ_ONLY)),
            (mount("bind", json!(["rbind", "nosuid"])), bind(NO_SUID)),
            (mount("bind", json!(["bind", "ro"])), None),
            (mount("bind", json!(["rbind", "idmap"])), None),
            (mount("bind", json!(["rbind", "strictatime"])), None),
            (
                mount("tmpfs", json!(["nosuid", "strictatime", "mode=755"])),
                new("tmpfs", vec![("mode", Some("755"))], NO_SUID | STRICT_TIMES),
            ),
            (
                mount("devpts", json!(["noexec", "newinstance"])),
                new("devpts", vec![("newinstance", None)], NO_EXEC),
            ),
            (
                mount("sysfs", json!(["nodev", "ro"])),
                new("sysfs", Vec::new(), NO_DEVICES | READ_ONLY),
            ),
            (mount("tmpfs", json!(["rbind"])), None),
            (mount("overlay", json!([])), None),
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
