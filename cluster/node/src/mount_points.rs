//! Directories and files for mounts that images lack.
//!
//! A container's mounts need something to be mounted on. Made anew in each container's writable layer, that is a dozen
//! or two files on the disk per container, made at its start and removed at its end; and for a while after files were
//! removed, ext4 searches past each of them for every file it makes. So they are made once for all containers with the
//! same mounts, in a directory that goes *below* the layers of the image: it adds what the image lacks and changes
//! nothing else. Where the image hides them (a link, a file, a removed directory), they are made as if there were none.

use std::fs::{File, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Layers that are kept. What is beyond gets none: its mount points are made in each container.
const MAX_LAYERS: usize = 256;
/// What every container has mounted; nothing below them is made here, for it would be hidden.
const COVERED: [&str; 3] = ["dev", "proc", "sys"];
/// What a layer is called while it is made.
const UNFINISHED: &str = "new-";

/// Something that a mount needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Point {
    /// In the container, relative to its root.
    path: PathBuf,
    file: bool,
}

impl Point {
    /// `None` for a path that is not plain, or that lies on something every container has mounted.
    pub(crate) fn new(target: &Path, file: bool) -> Option<Self> {
        let path = target.strip_prefix("/").ok()?;
        let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        let covered = COVERED.iter().any(|top| path.starts_with(top));
        (plain && !covered && path.file_name().is_some()).then(|| Self {
            path: path.to_owned(),
            file,
        })
    }
}

/// The layers of one node.
#[derive(Debug)]
pub(crate) struct MountPoints {
    dir: PathBuf,
}

static UNFINISHED_LAYERS: AtomicU64 = AtomicU64::new(0);

impl MountPoints {
    /// Below `dir`, which is made when it is needed. `unused` tells that no container can have a layer of it mounted:
    /// the time to begin anew.
    pub(crate) fn open(dir: PathBuf, unused: bool) -> Self {
        let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
        for entry in entries {
            let unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
            if unused || unfinished {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        Self { dir }
    }

    /// The layer that has these points. `None` if there are too many different ones.
    ///
    /// # Errors
    /// Fails when it cannot be made, or when one point would lie below another that is a file.
    pub(crate) fn layer(&self, mut points: Vec<Point>) -> io::Result<Option<PathBuf>> {
        points.sort_unstable();
        points.dedup();
        let mut hasher = DefaultHasher::new();
        points.hash(&mut hasher);
        let layer = self.dir.join(format!("{:016x}", hasher.finish()));
        if layer.exists() {
            return Ok(Some(layer));
        }
        std::fs::create_dir_all(&self.dir)?;
        if std::fs::read_dir(&self.dir)?.count() >= MAX_LAYERS {
            return Ok(None);
        }
        // Whole or not at all, and two containers may want it at the same time.
        let number = UNFINISHED_LAYERS.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.dir.join(format!("{UNFINISHED}{number}"));
        let made = make(&unfinished, &points).and_then(|()| std::fs::rename(&unfinished, &layer));
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&unfinished);
            if !layer.exists() {
                return made.map(|()| None);
            }
        }
        Ok(Some(layer))
    }
}

/// Makes the points below `root`, with the rights that container runtimes give them.
fn make(root: &Path, points: &[Point]) -> io::Result<()> {
    make_dir(root)?;
    for top in COVERED {
        make_dir(&root.join(top))?;
    }
    for point in points {
        let dirs = match point.file {
            true => point.path.parent().unwrap_or(Path::new("")),
            false => &point.path,
        };
        let mut path = root.to_owned();
        for part in dirs {
            path.push(part);
            make_dir(&path)?;
        }
        if point.file {
            let mut options = File::options();
            let file = options.append(true).create(true).open(root.join(&point.path))?;
            file.set_permissions(Permissions::from_mode(0o644))?;
        }
    }
    Ok(())
}

fn make_dir(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Ok(()) => std::fs::set_permissions(path, Permissions::from_mode(0o755)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(list: &[(&str, bool)]) -> Vec<Point> {
        list.iter()
            .filter_map(|(path, file)| Point::new(Path::new(path), *file))
            .collect()
    }

    #[test]
    fn only_plain_paths_that_would_be_seen_are_made() {
        let table = [
            ("/workspace", true),
            ("/tekton/run/0", true),
            ("/workspace/", true),
            ("relative", false),
            ("/", false),
            ("/a/../b", false),
            ("/dev/termination-log", false),
            ("/proc/x", false),
            ("/sys", false),
            ("/device", true),
        ];
        for (path, wanted) in table {
            assert_eq!(Point::new(Path::new(path), false).is_some(), wanted, "{path}");
        }
    }

    #[test]
    fn containers_with_the_same_mounts_share_a_layer() {
        let dir = tempfile::tempdir().unwrap();
        let all = MountPoints::open(dir.path().join("points"), false);
        let list = points(&[("/tekton/run/0", false), ("/etc/hosts", true), ("/etc", false)]);
        let layer = all.layer(list.clone()).unwrap().unwrap();
        assert!(layer.join("tekton/run/0").is_dir());
        assert!(layer.join("proc").is_dir());
        assert!(layer.join("etc/hosts").is_file());
        let mode = |path: &str| layer.join(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("tekton"), mode("etc/hosts")), (0o755, 0o644));
        let again: Vec<Point> = list.iter().rev().chain(&list).cloned().collect();
        assert_eq!(all.layer(again).unwrap().unwrap(), layer, "order does not matter");
        let other = all.layer(points(&[("/etc/hosts", false)])).unwrap().unwrap();
        assert_ne!(other, layer);
        assert!(other.join("etc/hosts").is_dir());
        assert_eq!(
            std::fs::read_dir(dir.path().join("points")).unwrap().count(),
            2,
            "nothing half made stays"
        );
    }

    #[test]
    fn a_point_below_a_file_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let all = MountPoints::open(dir.path().to_owned(), false);
        let list = points(&[("/a", true), ("/a/b", false)]);
        assert!(all.layer(list).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn there_is_a_bound() {
        let dir = tempfile::tempdir().unwrap();
        let all = MountPoints::open(dir.path().to_owned(), false);
        let one = |number: usize| points(&[(&format!("/{number}"), false)]);
        for number in 0..MAX_LAYERS {
            assert!(all.layer(one(number)).unwrap().is_some(), "{number}");
        }
        assert_eq!(all.layer(one(MAX_LAYERS)).unwrap(), None);
        assert!(all.layer(one(0)).unwrap().is_some(), "what is there stays of use");
        let anew = MountPoints::open(dir.path().to_owned(), true);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(anew.layer(one(MAX_LAYERS)).unwrap().is_some());
    }
}
