//! Image layers flattened by copying, for machines where overlayfs cannot be used.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use nix::sys::stat::{Mode, SFlag, mknod};

/// Copies the layers, lowest first, into `root`; whiteouts of upper layers delete what lower ones had.
pub(super) fn layers(layers: &[PathBuf], root: &Path) -> io::Result<()> {
    for layer in layers {
        copy_dir(layer, root)?;
    }
    Ok(())
}

fn copy_dir(from: &Path, to: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let metadata = std::fs::symlink_metadata(&source)?;
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == 0 {
            remove(&target)?;
            continue;
        }
        if kind.is_dir() {
            if is_opaque(&source) || !std::fs::symlink_metadata(&target).is_ok_and(|old| old.is_dir()) {
                remove(&target)?;
            }
            std::fs::create_dir_all(&target)?;
            copy_dir(&source, &target)?;
        } else {
            remove(&target)?;
            copy_leaf(&source, &target, &metadata)?;
        }
        lchown(&target, Some(metadata.uid()), Some(metadata.gid()))?;
        if !kind.is_symlink() {
            // After the owner: changing it clears the set-uid bits.
            std::fs::set_permissions(&target, std::fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        }
    }
    Ok(())
}

fn copy_leaf(source: &Path, target: &Path, metadata: &std::fs::Metadata) -> io::Result<()> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return symlink(std::fs::read_link(source)?, target);
    }
    if kind.is_file() {
        return std::fs::copy(source, target).map(|_| ());
    }
    let node = if kind.is_fifo() {
        SFlag::S_IFIFO
    } else if kind.is_block_device() {
        SFlag::S_IFBLK
    } else if kind.is_socket() {
        SFlag::S_IFSOCK
    } else {
        SFlag::S_IFCHR
    };
    mknod(
        target,
        node,
        Mode::from_bits_truncate(metadata.mode() & 0o7777),
        metadata.rdev(),
    )?;
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let result = match std::fs::symlink_metadata(path) {
        Ok(old) if old.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Overlayfs marks a directory that hides the one below it with an extended attribute.
fn is_opaque(dir: &Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| {
            let mut value = [0_u8; 4];
            let read = rustix::fs::lgetxattr(dir, OsStr::new(name), &mut value);
            read.is_ok_and(|length| length == 1 && value[0] == b'y')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[ignore = "needs root: whiteouts are device nodes"]
    fn upper_layers_replace_and_delete() {
        let dir = tempfile::tempdir().unwrap();
        let (low, high, root) = (
            dir.path().join("low"),
            dir.path().join("high"),
            dir.path().join("root"),
        );
        for path in [low.join("etc"), low.join("gone"), high.join("etc"), root.clone()] {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::write(low.join("etc/a"), "low").unwrap();
        std::fs::write(low.join("etc/b"), "low").unwrap();
        std::fs::write(high.join("etc/a"), "high").unwrap();
        std::fs::set_permissions(high.join("etc/a"), std::fs::Permissions::from_mode(0o4755)).unwrap();
        symlink("/etc/a", high.join("link")).unwrap();
        mknod(&high.join("gone"), SFlag::S_IFCHR, Mode::empty(), 0).unwrap();
        layers(&[low, high], &root).unwrap();
        assert_eq!(std::fs::read_to_string(root.join("etc/a")).unwrap(), "high");
        assert_eq!(std::fs::read_to_string(root.join("etc/b")).unwrap(), "low");
        assert_eq!(root.join("etc/a").metadata().unwrap().mode() & 0o7777, 0o4755);
        assert_eq!(
            std::fs::read_link(root.join("link")).unwrap(),
            Path::new("/etc/a")
        );
        assert!(!root.join("gone").exists());
    }
}
