//! A container's root file system: the image's layers under a writable directory.

use std::io;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount,
};

use super::copy;

const ROOT: &str = "rootfs";
const UPPER: &str = "upper";
const WORK: &str = "work";

/// Mounts the layers (lowest first) on `bundle/rootfs`, with changes kept in `dir`. Without overlayfs, or where it cannot
/// stack on the file system of `dir`, the layers are copied to `dir/rootfs`: slower, but the container runs. `bundle`
/// is in memory, hence no place for copies; it is made here.
pub(super) fn prepare(layers: &[PathBuf], dir: &Path, bundle: &Path) -> io::Result<PathBuf> {
    let root = bundle.join(ROOT);
    std::fs::create_dir_all(&root)?;
    let overlay = Overlay {
        layers,
        upper: dir.join(UPPER),
        work: dir.join(WORK),
        root,
    };
    if !layers.is_empty() && overlay.mount().is_ok() {
        return Ok(overlay.root);
    }
    let copied = dir.join(ROOT);
    std::fs::create_dir_all(&copied)?;
    copy::layers(layers, &copied)?;
    Ok(copied)
}

/// Takes the mount away, if there is one, and all that a container has written.
pub(super) fn release(dir: &Path, bundle: &Path) {
    let _ = umount2(&bundle.join(ROOT), MntFlags::MNT_DETACH);
    for name in [ROOT, UPPER, WORK] {
        let _ = std::fs::remove_dir_all(dir.join(name));
    }
}

struct Overlay<'a> {
    layers: &'a [PathBuf],
    upper: PathBuf,
    work: PathBuf,
    root: PathBuf,
}

impl Overlay<'_> {
    fn mount(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.upper)?;
        std::fs::create_dir_all(&self.work)?;
        self.mount_by_parts().or_else(|_| self.mount_by_options())
    }

    /// The new mount API takes one layer at a time (Linux 6.5), so no page-sized option string limits their number.
    fn mount_by_parts(&self) -> io::Result<()> {
        let fs = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        for layer in self.layers.iter().rev() {
            fsconfig_set_string(&fs, "lowerdir+", layer)?;
        }
        fsconfig_set_string(&fs, "upperdir", &self.upper)?;
        fsconfig_set_string(&fs, "workdir", &self.work)?;
        // The container's changes die with it: never wait for the disk.
        let _ = fsconfig_set_flag(&fs, "volatile");
        fsconfig_create(&fs)?;
        let mounted = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
        move_mount(
            &mounted,
            "",
            rustix::fs::CWD,
            &self.root,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )?;
        Ok(())
    }

    fn mount_by_options(&self) -> io::Result<()> {
        let lower: Vec<String> = self.layers.iter().rev().map(|layer| escaped(layer)).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            escaped(&self.upper),
            escaped(&self.work)
        );
        mount(
            Some("overlay"),
            &self.root,
            Some("overlay"),
            MsFlags::empty(),
            Some(options.as_str()),
        )?;
        Ok(())
    }
}

/// Colons and commas separate overlay options.
fn escaped(path: &Path) -> String {
    path.to_string_lossy()
        .replace('\\', "\\\\")
        .replace(':', "\\:")
        .replace(',', "\\,")
}
