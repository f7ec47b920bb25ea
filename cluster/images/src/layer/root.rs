//! File operations below a directory handle that never follow a symbolic link.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::entry::Meta;

const DIRECTORY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// What overlayfs reads as "nothing below shows through". Inside a user namespace only the second may be set, and the
/// mount needs `userxattr`.
const OPAQUE_XATTRS: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];

/// The directory a layer is unpacked into.
pub(super) struct Root {
    directory: Directory,
}

/// A directory below the root, held open.
pub(super) struct Directory {
    fd: OwnedFd,
    /// Only root can give files away; without it everything belongs to the caller.
    chown: bool,
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Self {
            directory: Directory {
                fd,
                chown: rustix::process::geteuid().is_root(),
            },
        })
    }

    /// Opens a directory, making what is missing of it (0755, as tools that leave parents out expect).
    pub(super) fn directory(&self, path: &[Vec<u8>]) -> io::Result<Directory> {
        self.walk(path, true)
    }

    /// Opens a directory that must be there.
    pub(super) fn existing(&self, path: &[Vec<u8>]) -> io::Result<Directory> {
        self.walk(path, false)
    }

    fn walk(&self, path: &[Vec<u8>], make: bool) -> io::Result<Directory> {
        let mut current = self.directory.reopen()?;
        for name in path {
            current = current.child(OsStr::from_bytes(name), make)?;
        }
        Ok(current)
    }

    pub(super) fn set_own_attributes(&self, meta: &Meta) -> io::Result<()> {
        self.directory.set_own_attributes(meta)
    }
}

impl Directory {
    fn reopen(&self) -> io::Result<Self> {
        Ok(Self {
            fd: self.fd.try_clone()?,
            chown: self.chown,
        })
    }

    fn child(&self, name: &OsStr, make: bool) -> io::Result<Self> {
        let open = || rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) if make => {
                rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755))?;
                open()
            }
            Err(Errno::NOTDIR | Errno::LOOP) => match self.stat(name)? {
                // The layer hides the old directory and then puts files into a new one.
                Some(stat) if make && is_whiteout(&stat) => {
                    self.replace_whiteout_by_directory(name)?;
                    open()
                }
                Some(stat) if FileType::from_raw_mode(stat.st_mode).is_symlink() => {
                    return Err(io::Error::other(format!(
                        "it would be written through the symbolic link `{}`",
                        name.to_string_lossy()
                    )));
                }
                _ => {
                    return Err(io::Error::other(format!(
                        "`{}` is no directory",
                        name.to_string_lossy()
                    )));
                }
            },
            other => other,
        };
        Ok(Self {
            fd: opened?,
            chown: self.chown,
        })
    }

    fn stat(&self, name: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn make_directory(&self, name: &OsStr, meta: &Meta) -> io::Result<()> {
        match self.stat(name)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {}
            Some(stat) if is_whiteout(&stat) => self.replace_whiteout_by_directory(name)?,
            other => {
                if other.is_some() {
                    self.remove(name)?;
                }
                rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o700))?;
            }
        }
        self.child(name, false)?.set_own_attributes(meta)
    }

    /// Returns the bytes written.
    pub(super) fn make_file(&self, name: &OsStr, meta: &Meta, data: &mut dyn Read) -> io::Result<u64> {
        self.remove(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(
            &self.fd,
            name,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        let bytes = io::copy(data, &mut file)?;
        self.chown(name, meta)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode))?;
        // After chown, which drops capabilities.
        for (xattr, value) in &meta.xattrs {
            set_xattr(file.as_fd(), xattr, value)?;
        }
        self.set_time(name, meta.mtime)?;
        Ok(bytes)
    }

    pub(super) fn make_symlink(&self, name: &OsStr, target: &[u8], meta: &Meta) -> io::Result<()> {
        self.remove(name)?;
        rustix::fs::symlinkat(OsStr::from_bytes(target), &self.fd, name)?;
        self.chown(name, meta)?;
        self.set_time(name, meta.mtime)
    }

    pub(super) fn make_hardlink(&self, name: &OsStr, parent: &Directory, target: &OsStr) -> io::Result<()> {
        let found = parent.stat(target)?.ok_or_else(|| {
            io::Error::other(format!(
                "its target `{}` is not in this layer",
                target.to_string_lossy()
            ))
        })?;
        let kind = FileType::from_raw_mode(found.st_mode);
        if kind.is_dir() || is_whiteout(&found) {
            return Err(io::Error::other("its target is no file"));
        }
        if self
            .stat(name)?
            .is_some_and(|own| (own.st_dev, own.st_ino) == (found.st_dev, found.st_ino))
        {
            return Ok(());
        }
        self.remove(name)?;
        // Without SYMLINK_FOLLOW a link to a symbolic link stays one.
        Ok(rustix::fs::linkat(
            &parent.fd,
            target,
            &self.fd,
            name,
            AtFlags::empty(),
        )?)
    }

    pub(super) fn make_fifo(&self, name: &OsStr, meta: &Meta) -> io::Result<()> {
        self.remove(name)?;
        rustix::fs::mknodat(&self.fd, name, FileType::Fifo, Mode::from_raw_mode(meta.mode), 0)?;
        self.chown(name, meta)?;
        self.set_time(name, meta.mtime)
    }

    /// Hides `name` of the layers below. What this layer itself put there stays visible, whatever the order of the
    /// entries; a directory of its own then hides the lower one.
    pub(super) fn make_whiteout(&self, name: &OsStr) -> io::Result<()> {
        match self.stat(name)? {
            Some(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => {
                self.child(name, false)?.set_opaque()
            }
            Some(_) => Ok(()),
            None => Ok(rustix::fs::mknodat(
                &self.fd,
                name,
                FileType::CharacterDevice,
                Mode::empty(),
                rustix::fs::makedev(0, 0),
            )?),
        }
    }

    pub(super) fn set_opaque(&self) -> io::Result<()> {
        let directory = self.readable()?;
        let [trusted, user] = OPAQUE_XATTRS;
        match rustix::fs::fsetxattr(&directory, trusted, b"y", XattrFlags::empty()) {
            Err(Errno::PERM) => set_xattr(directory.as_fd(), user, b"y"),
            other => Ok(other?),
        }
    }

    pub(super) fn set_own_time(&self, mtime: i64) -> io::Result<()> {
        Ok(rustix::fs::futimens(self.readable()?, &times(mtime))?)
    }

    fn set_own_attributes(&self, meta: &Meta) -> io::Result<()> {
        let directory = self.readable()?;
        if self.chown {
            let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
            rustix::fs::fchown(&directory, Some(uid), Some(gid))?;
        }
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(meta.mode))?;
        for (xattr, value) in &meta.xattrs {
            set_xattr(directory.as_fd(), xattr, value)?;
        }
        Ok(())
    }

    /// A handle that may be changed; the one held is only for walking.
    fn readable(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.fd, c".", flags, Mode::empty())?)
    }

    fn replace_whiteout_by_directory(&self, name: &OsStr) -> io::Result<()> {
        self.remove(name)?;
        rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(0o755))?;
        self.child(name, false)?.set_opaque()
    }

    /// Removes what an earlier entry of the layer put at `name`: the last one wins.
    fn remove(&self, name: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            // The standard library removes trees without following links.
            Err(Errno::ISDIR) => std::fs::remove_dir_all(
                Path::new(&format!("/proc/self/fd/{}", self.fd.as_raw_fd())).join(name),
            ),
            Err(error) => Err(error.into()),
        }
    }

    fn chown(&self, name: &OsStr, meta: &Meta) -> io::Result<()> {
        if self.chown {
            let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
            rustix::fs::chownat(&self.fd, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }

    fn set_time(&self, name: &OsStr, mtime: i64) -> io::Result<()> {
        Ok(rustix::fs::utimensat(
            &self.fd,
            name,
            &times(mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }
}

/// A filesystem without extended attributes, or a user namespace that may not set capabilities, is no reason to
/// refuse an image.
fn set_xattr(fd: std::os::fd::BorrowedFd<'_>, name: &str, value: &[u8]) -> io::Result<()> {
    match rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()) {
        Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_char_device() && stat.st_rdev == 0
}

fn times(mtime: i64) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime,
        tv_nsec: 0,
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
