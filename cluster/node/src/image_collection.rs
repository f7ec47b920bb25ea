//! Makes room when images fill the disk, with kubelet's thresholds, and sweeps up from time to time what no name refers
//! to any more.
//!
//! What stays, however full the disk is: images of pods, images that the template of a workload names by digest (a
//! Deployment at zero is to run again), whatever a tag of the embedded registry names (nobody else has it), and what
//! was used a moment ago. An image of the embedded registry that has lost its tag to a newer push, and that no workload
//! names, goes; one from elsewhere can be pulled again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cluster_images::Digest;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client};
use serde_json::Value;
use tracing::{info, warn};

use crate::context::Context;
use crate::disk::Disk;

/// Percent of the disk in use from which images go, and down to which (kubelet: `imageGCHighThresholdPercent`,
/// `imageGCLowThresholdPercent`).
const HIGH: u64 = 85;
const LOW: u64 = 80;
/// Between two looks at the disk. Kubelet's five minutes are long for a disk that may be small, and a look is one
/// system call.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Looks between two sweeps of a disk that has room.
const LOOKS_PER_SWEEP: u32 = 60;
/// Group, version, kind and plural of what may bring up pods.
const WORKLOADS: [(&str, &str, &str, &str); 7] = [
    ("", "v1", "Pod", "pods"),
    ("apps", "v1", "Deployment", "deployments"),
    ("apps", "v1", "ReplicaSet", "replicasets"),
    ("apps", "v1", "StatefulSet", "statefulsets"),
    ("apps", "v1", "DaemonSet", "daemonsets"),
    ("batch", "v1", "Job", "jobs"),
    ("batch", "v1", "CronJob", "cronjobs"),
];

impl Disk {
    /// How many bytes images should give back; `None` while there is room.
    fn bytes_to_free(self) -> Option<u64> {
        let Self { capacity, available } = self;
        let free_percent = |percent: u64| capacity / 100 * (100 - percent);
        (capacity > 0 && available <= free_percent(HIGH))
            .then(|| free_percent(LOW).saturating_sub(available).max(1))
    }
}

/// Looks after the disk; never returns.
pub(crate) async fn run(context: Arc<Context>) {
    let mut looks = 0_u32;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        looks = looks.wrapping_add(1);
        let needed = Disk::of(context.images.dir()).and_then(Disk::bytes_to_free);
        if needed.is_none() && !looks.is_multiple_of(LOOKS_PER_SWEEP) {
            continue;
        }
        // Without the whole list an image that is needed might go.
        match used_images(&context.client).await {
            Ok(used) => collect(&context, &used, needed).await,
            Err(error) => warn!(%error, "Images are not collected: what uses them cannot be listed"),
        }
    }
}

/// Takes so many bytes of unused images away, if there are as many.
pub(crate) async fn make_room(context: &Context, bytes: u64) {
    match used_images(&context.client).await {
        Ok(used) => collect(context, &used, Some(bytes)).await,
        Err(error) => warn!(%error, "Images are not collected: what uses them cannot be listed"),
    }
}

async fn collect(context: &Context, used: &BTreeSet<Digest>, needed: Option<u64>) {
    let used: Vec<Digest> = used.iter().copied().collect();
    let collected = match needed {
        Some(bytes) => context.images.reclaim(&used, bytes).await,
        None => context.images.collect(&used).await,
    };
    match (collected, needed) {
        (Err(error), _) => warn!(%error, "Images could not be collected"),
        (Ok(collected), Some(needed)) if collected.bytes < needed => warn!(
            needed,
            freed = collected.bytes,
            "The disk is nearly full, and unused images do not make enough room: remove images or other files"
        ),
        (Ok(collected), _) if collected.bytes > 0 => info!(
            freed = collected.bytes,
            images = collected.manifests,
            "Unused images collected"
        ),
        (Ok(_), _) => {}
    }
}

/// Every digest that a pod or a template of pods names.
async fn used_images(client: &Client) -> Result<BTreeSet<Digest>, kube::Error> {
    let mut used = BTreeSet::new();
    for (group, version, kind, plural) in WORKLOADS {
        let resource = ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: match group {
                "" => version.to_owned(),
                group => format!("{group}/{version}"),
            },
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        let all: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in all.list(&ListParams::default()).await? {
            add_digests(&object.data, &mut used);
        }
    }
    Ok(used)
}

/// Digests in the fields that hold images, wherever they are.
fn add_digests(value: &Value, used: &mut BTreeSet<Digest>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let reference = field
                    .as_str()
                    .filter(|_| matches!(name.as_str(), "image" | "imageID"));
                match reference.and_then(|text| text.rsplit_once('@')) {
                    Some((_, digest)) => used.extend(digest.parse::<Digest>().ok()),
                    None => add_digests(field, used),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_digests(item, used)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn images_go_from_the_high_threshold_down_to_the_low_one() {
        let table = [
            ("empty", 1000, 1000, None),
            ("some room", 1000, 151, None),
            ("at the threshold", 1000, 150, Some(50)),
            ("full", 1000, 0, Some(200)),
            ("no disk at all", 0, 0, None),
        ];
        for (case, capacity, available, expected) in table {
            let disk = Disk { capacity, available };
            assert_eq!(disk.bytes_to_free(), expected, "{case}");
        }
    }

    #[test]
    fn digests_are_found_in_pods_and_in_templates() {
        let digest = |text: &str| Digest::of(text.as_bytes());
        let at = |text: &str| format!("localhost:5000/app@{}", digest(text));
        let pod = json!({
            "spec": {"containers": [{"image": at("a")}, {"image": "localhost:5000/app:v1"}],
                     "initContainers": [{"image": at("b")}]},
            "status": {"containerStatuses": [{"imageID": at("c"), "image": "nonsense@sha256:1"}]},
        });
        let template = json!({"spec": {"template": {"spec": {"containers": [{
            "image": at("d"), "env": [{"name": "OTHER", "value": at("e")}]}]}}}});
        let mut used = BTreeSet::new();
        add_digests(&pod, &mut used);
        add_digests(&template, &mut used);
        assert_eq!(used, ["a", "b", "c", "d"].map(digest).into());
    }
}
