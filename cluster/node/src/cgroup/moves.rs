//! How fast processes move into control groups.
//!
//! A move waits until every processor has passed a quiet moment, which takes 15 to 25 ms unless another move has just
//! done so. A pod that starts waits for that two or three times, one after the other: longer than for all else. The
//! mount option `favordynmods` of cgroup2 (Linux 6.0) takes the wait away, for all hierarchies of the machine; it
//! costs an atomic operation in each fork and exit. `docs/decisions/0017-quick-moves.md`.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};

use super::Hierarchies;

const OPTION: &str = "favordynmods";

/// The machine's mount of cgroup2 has the option because of this node.
#[derive(Debug)]
pub struct QuickMoves {
    root: PathBuf,
    /// A file that tells later processes of this node so.
    record: PathBuf,
}

impl QuickMoves {
    /// Sets the option, and makes the file `record`. `None` if there is nothing to undo later: others have set it, or
    /// there is no cgroup2.
    ///
    /// # Errors
    /// Fails where the machine's mounts cannot be changed, as in a container, and on older kernels.
    pub fn set(hierarchies: &Hierarchies, record: PathBuf) -> io::Result<Option<Self>> {
        let Some(root) = hierarchies.unified() else {
            return Ok(None);
        };
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let (set, options): (Vec<_>, Vec<_>) = options(&mounts, root)
            .into_iter()
            .partition(|option| option == OPTION);
        let this = Self {
            root: root.to_owned(),
            record,
        };
        if !set.is_empty() {
            return Ok(this.record.exists().then_some(this));
        }
        std::fs::write(&this.record, "")?;
        let wanted = options.iter().map(String::as_str).chain([OPTION]);
        if let Err(error) = reconfigure(root, wanted) {
            let _ = std::fs::remove_file(&this.record);
            return Err(error);
        }
        Ok(Some(this))
    }

    /// Takes the option away again.
    ///
    /// # Errors
    /// Fails when the kernel refuses.
    pub fn undo(self) -> io::Result<()> {
        // Read anew: others may have set options since.
        let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
        let now = options(&mounts, &self.root);
        let rest = now.iter().map(String::as_str).filter(|option| *option != OPTION);
        reconfigure(&self.root, rest)?;
        std::fs::remove_file(&self.record)
    }
}

/// The options of the file system mounted on `root`, which a change has to name again: what is missing is switched off.
fn options(mountinfo: &str, root: &Path) -> Vec<String> {
    let of_mount = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let matches = Path::new(left.split(' ').nth(4)?) == root && right.next()? == "cgroup2";
        let options = right.nth(1)?;
        matches.then(|| options.to_owned())
    };
    let found = mountinfo.lines().find_map(of_mount).unwrap_or_default();
    found
        .split(',')
        .filter(|option| !matches!(*option, "" | "rw" | "ro"))
        .map(str::to_owned)
        .collect()
}

fn reconfigure<'a>(root: &Path, options: impl Iterator<Item = &'a str>) -> io::Result<()> {
    // Of the file system alone: flags of the mount, such as `nosuid`, stay.
    let fs = fspick(CWD, root, FsPickFlags::FSPICK_CLOEXEC)?;
    for option in options {
        fsconfig_set_flag(&fs, option)?;
    }
    fsconfig_reconfigure(&fs)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_one_mount_are_kept() {
        let mounts = "\
26 25 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
29 25 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
30 25 0:27 / /elsewhere rw - cgroup2 cgroup2 rw,favordynmods
";
        let cases: [(&str, &[&str]); 4] = [
            ("/sys/fs/cgroup/unified", &["nsdelegate", "memory_recursiveprot"]),
            ("/elsewhere", &["favordynmods"]),
            ("/sys/fs/cgroup/cpu", &[]),
            ("/nowhere", &[]),
        ];
        for (root, expected) in cases {
            assert_eq!(options(mounts, Path::new(root)), expected, "{root}");
        }
    }

    #[test]
    #[ignore = "needs root: changes the machine's mount of cgroup2"]
    fn the_option_is_set_and_taken_back() {
        let hierarchies = Hierarchies::detect().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (ours, others) = (dir.path().join("ours"), dir.path().join("others"));
        let now = || {
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
            let root = hierarchies.unified()?;
            Some(options(&mounts, root).iter().any(|option| option == OPTION))
        };
        let before = now();
        let set = QuickMoves::set(&hierarchies, ours.clone()).unwrap();
        assert_eq!(now(), before.map(|_| true));
        assert_eq!(
            set.is_some(),
            before == Some(false),
            "what others have set is theirs"
        );
        assert!(QuickMoves::set(&hierarchies, others.clone()).unwrap().is_none());
        assert!(!others.exists());
        drop(set);
        // As a process does that starts after one that was killed.
        if let Some(again) = QuickMoves::set(&hierarchies, ours.clone()).unwrap() {
            again.undo().unwrap();
        }
        assert_eq!(now(), before);
        assert!(!ours.exists());
    }
}
