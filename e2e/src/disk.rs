//! Small disks.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A file system of its own, as small as a test needs it.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts one.
    ///
    /// # Errors
    /// If this process may not.
    pub fn mount(mebibytes: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let size = format!("size={mebibytes}m");
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(
            Some("tmpfs"),
            folder.path(),
            Some("tmpfs"),
            flags,
            Some(size.as_str()),
        )?;
        Ok(Self(folder))
    }

    /// Its top folder.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    /// Writes until nothing more fits.
    ///
    /// # Errors
    /// If nothing can be written at all.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.filler())?;
        for size in [1 << 20, 4096] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        Ok(())
    }

    /// Takes away what [`Self::fill`] wrote.
    ///
    /// # Errors
    /// If it wrote nothing.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH);
    }
}
