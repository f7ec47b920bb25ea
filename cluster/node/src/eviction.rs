//! Ends pods that have filled the disk, so that the node and its neighbours can go on: kubelet's eviction by
//! `nodefs.available`.
//!
//! Kubelet begins when a tenth of the disk is left. Here that is somebody's own machine, whose disk may have been that
//! full for years: a pod goes when nothing else helps. What it wrote goes with it at once; the API server, which may
//! have had no room to store anything, is told as soon as it has.

use std::cmp::Reverse;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::agent::Pods;
use crate::context::Context;
use crate::disk::Disk;
use crate::image_collection;
use crate::resources::disk_request;

/// Bytes that must be left; small disks must have a tenth of theirs, as kubelet wants of every disk.
const LEAST: u64 = 100 << 20;
/// A pod with less on the disk is not worth its end.
const WORTHWHILE: u64 = 16 << 20;
/// Pods of the system (`system-cluster-critical`) stay, whatever they write. Nobody resolves priority classes here, so
/// they are known by the name of their class; a number that a pod gives itself never is as great.
const CRITICAL: i32 = 2_000_000_000;
/// Between two looks: one system call.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Until what an evicted pod wrote is gone, before another has to go too; and how long the disk must have had room before
/// pods may come again.
const SETTLE: Duration = Duration::from_secs(10);

impl Disk {
    fn least(self) -> u64 {
        (self.capacity / 10).min(LEAST)
    }

    fn is_short(self) -> bool {
        self.available < self.least()
    }
}

/// What a pod has on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Usage {
    uid: String,
    priority: i32,
    /// Bytes that it asked for.
    requested: u64,
    /// Bytes of its volumes, its containers' changes and its logs.
    used: u64,
}

/// The pod to end, in kubelet's order: who uses more than was asked for, then the least important, then who is
/// furthest above what was asked for.
fn choose(usages: &[Usage]) -> Option<&Usage> {
    let worthwhile = |usage: &&Usage| usage.used >= WORTHWHILE && usage.priority < CRITICAL;
    usages.iter().filter(worthwhile).max_by_key(|usage| {
        let above = usage.used.saturating_sub(usage.requested);
        (above > 0, Reverse(usage.priority), above)
    })
}

fn message(disk: Disk, usage: &Usage) -> String {
    let mebibytes = |bytes: u64| format!("{}Mi", bytes >> 20);
    format!(
        "The node was low on resource: ephemeral-storage. Threshold quantity: {}, available: {}. \
         The pod was using {}, request is {}.",
        mebibytes(disk.least()),
        mebibytes(disk.available),
        mebibytes(usage.used),
        mebibytes(usage.requested),
    )
}

/// Looks after the disk, and tells whether it is short; never returns.
pub(crate) async fn run(context: Arc<Context>, pods: Arc<Mutex<Pods>>, is_short: watch::Sender<bool>) {
    let mut settled = Instant::now();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(disk) = Disk::of(&context.data_dir) else {
            continue;
        };
        let (short, settling) = (disk.is_short(), Instant::now() < settled);
        let told = short || settling;
        let changed = is_short.send_if_modified(|known| std::mem::replace(known, told) != told);
        if !short || settling {
            continue;
        }
        settled = Instant::now() + SETTLE;
        if changed {
            warn!(available = disk.available, "The disk is full");
        }
        image_collection::make_room(&context, disk.least()).await;
        let Some(disk) = Disk::of(&context.data_dir).filter(|disk| disk.is_short()) else {
            continue;
        };
        let staying = pods.lock().staying();
        let usages = tokio::task::spawn_blocking({
            let context = Arc::clone(&context);
            move || staying.iter().map(|pod| usage(&context, pod)).collect::<Vec<_>>()
        });
        let Ok(usages) = usages.await else { continue };
        match choose(&usages) {
            Some(chosen) => pods.lock().evict(&chosen.uid, message(disk, chosen)),
            None if changed => {
                warn!("No pod has written much of what fills the disk: remove images or other files");
            }
            None => {}
        }
    }
}

fn usage(context: &Context, pod: &Pod) -> Usage {
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let used = size(context.pod_dir(&uid)).saturating_add(size(context.log_dir(pod)));
    Usage {
        priority: spec.map_or(0, priority),
        requested: spec.map_or(0, disk_request),
        used,
        uid,
    }
}

fn priority(spec: &PodSpec) -> i32 {
    match spec.priority_class_name.as_deref() {
        Some("system-cluster-critical" | "system-node-critical") => CRITICAL,
        _ => spec.priority.unwrap_or(0).min(CRITICAL - 1),
    }
}

/// Bytes below a folder that its own file system holds; what vanishes meanwhile is nothing.
fn size(folder: PathBuf) -> u64 {
    let Ok(top) = folder.symlink_metadata() else {
        return 0;
    };
    let mut folders = vec![folder];
    let mut bytes = 0_u64;
    while let Some(folder) = folders.pop() {
        for found in entries(&folder) {
            let Ok(meta) = found.symlink_metadata() else {
                continue;
            };
            // Volumes in memory, and images under the containers' changes.
            if meta.dev() != top.dev() {
                continue;
            }
            bytes = bytes.saturating_add(meta.blocks().saturating_mul(512));
            if meta.is_dir() {
                folders.push(found);
            }
        }
    }
    bytes
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn a_disk_is_short_when_little_is_left_of_it() {
        for (capacity, available, short) in [
            (1000 * MIB, 100 * MIB, false),
            (1000 * MIB, 99 * MIB, true),
            (100 * MIB, 10 * MIB, false),
            (100 * MIB, 9 * MIB, true),
            (1 << 40, 100 * MIB, false),
            (1 << 40, 0, true),
            (0, 0, false),
        ] {
            assert_eq!(
                Disk { capacity, available }.is_short(),
                short,
                "{capacity} {available}"
            );
        }
    }

    #[test]
    fn who_took_most_without_asking_goes_first() {
        let usage = |uid: &str, priority, requested, used| Usage {
            uid: uid.to_owned(),
            priority,
            requested: requested * MIB,
            used: used * MIB,
        };
        for (usages, expected) in [
            (vec![], None),
            (vec![usage("little", 0, 0, 15)], None),
            (vec![usage("a", 0, 0, 20), usage("b", 0, 0, 30)], Some("b")),
            (vec![usage("a", 0, 0, 20), usage("asked", 0, 50, 50)], Some("a")),
            (
                vec![usage("a", 0, 0, 20), usage("asked", 0, 50, 80)],
                Some("asked"),
            ),
            (vec![usage("a", 0, 0, 20), usage("dear", 1000, 0, 80)], Some("a")),
            (vec![usage("critical", CRITICAL, 0, 80)], None),
        ] {
            assert_eq!(
                choose(&usages).map(|usage| usage.uid.as_str()),
                expected,
                "{usages:?}"
            );
        }
    }

    #[test]
    fn no_pod_makes_itself_one_of_the_system() {
        for (spec, expected) in [
            (json!({}), 0),
            (json!({"priority": 7}), 7),
            (json!({"priority": i32::MAX}), CRITICAL - 1),
            (json!({"priorityClassName": "system-node-critical"}), CRITICAL),
        ] {
            let mut spec = spec;
            spec["containers"] = json!([]);
            assert_eq!(
                priority(&serde_json::from_value(spec.clone()).unwrap()),
                expected,
                "{spec}"
            );
        }
    }

    #[test]
    fn sizes_are_those_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/file"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        let found = size(folder.path().to_owned());
        assert!((1 << 20..2 << 20).contains(&found), "{found}");
        assert_eq!(size(folder.path().join("absent")), 0);
    }
}
