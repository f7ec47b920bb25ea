//! Paths below a volume (`subPath`).
//!
//! Containers of the pod may have planted links in the volume, so the kernel resolves the path, and no step of it may
//! lead out (CVE-2017-1002101). It is resolved in the pod's mount namespace: volumes on a tmpfs are nowhere else.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, open, openat2};
use rustix::io::Errno;

/// Why there is no such path.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubPathError {
    #[error("{0} must be relative and must not contain '..'")]
    NotBelow(PathBuf),
    #[error("{0} leads out of the volume")]
    LeadsOut(PathBuf),
    #[error("{0}: {1}")]
    Io(PathBuf, io::Error),
}

/// Where the path `below` a volume leads, without links; missing directories are made. `seen_root` is the root of the
/// mount namespace in which the volume is.
///
/// # Errors
/// If it leads out of the volume, or to what cannot be a directory.
pub(crate) fn within(seen_root: &Path, volume: &Path, below: &str) -> Result<PathBuf, SubPathError> {
    let relative = Path::new(below);
    let is_name = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if !relative.components().all(is_name) {
        return Err(SubPathError::NotBelow(relative.to_owned()));
    }
    let failed = |errno: Errno| match errno {
        Errno::XDEV | Errno::LOOP => SubPathError::LeadsOut(relative.to_owned()),
        other => SubPathError::Io(relative.to_owned(), other.into()),
    };
    let in_io = |error| SubPathError::Io(relative.to_owned(), error);
    let seen_volume = seen_root.join(volume.strip_prefix("/").unwrap_or(volume));
    let top = open(&seen_volume, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    // Who may write to the volume may write here (upstream: `SafeMakeDir` with the mode of the volume).
    let rights = std::fs::metadata(own(&top)).map_err(in_io)?.permissions();
    let mut reached = PathBuf::from(".");
    let mut place = beneath(top.as_fd(), &reached).map_err(failed)?;
    for part in relative.components() {
        reached.push(part);
        place = match beneath(top.as_fd(), &reached) {
            Err(Errno::NOENT) => {
                mkdirat(&place, Path::new(&part), Mode::RWXU).map_err(failed)?;
                let made = beneath(top.as_fd(), &reached).map_err(failed)?;
                std::fs::set_permissions(own(&made), rights.clone()).map_err(in_io)?;
                made
            }
            found => found.map_err(failed)?,
        };
    }
    // Both as the other namespace names them, which begins at its root as well.
    let name = |file: &OwnedFd| std::fs::read_link(own(file)).map_err(in_io);
    match name(&place)?.strip_prefix(name(&top)?) {
        Ok(inside) => Ok(volume.join(inside)),
        Err(_) => Err(SubPathError::LeadsOut(relative.to_owned())),
    }
}

/// What an open file is reached by, whatever its own path leads to by now.
fn own(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn beneath(top: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Errno> {
    let within = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    openat2(top, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_sub_path_cannot_leave_its_volume() {
        let dir = tempfile::tempdir().unwrap();
        let volume = dir.path().canonicalize().unwrap().join("volume");
        std::fs::create_dir_all(volume.join("real")).unwrap();
        std::fs::write(volume.join("real/file"), "").unwrap();
        std::fs::set_permissions(&volume, Permissions::from_mode(0o2775)).unwrap();
        for (to, link) in [
            ("/etc", "evil"),
            ("../..", "up"),
            ("nowhere", "dangling"),
            ("real", "good"),
            ("good/file", "file"),
        ] {
            symlink(to, volume.join(link)).unwrap();
        }
        let found = |below: &str| within(Path::new("/"), &volume, below);
        for (below, wanted) in [
            ("real", "real"),
            ("./real/", "real"),
            ("good", "real"),
            ("file", "real/file"),
            ("new/deep", "new/deep"),
            ("good/new", "real/new"),
        ] {
            assert_eq!(found(below).unwrap(), volume.join(wanted), "{below}");
            assert!(volume.join(wanted).exists(), "{below}");
        }
        for evil in [
            "evil",
            "evil/new",
            "up",
            "up/x",
            "../x",
            "/etc",
            "real/../../x",
            "dangling",
            "file/x",
        ] {
            assert!(found(evil).is_err(), "{evil}");
        }
        let mode = |path: &str| std::fs::metadata(volume.join(path)).unwrap().permissions().mode();
        assert_eq!(mode("new/deep"), mode("."));
        assert!(!Path::new("/etc/new").exists() && !dir.path().join("x").exists());
    }
}
