//! Subscribers that print the events they get, and what they printed.

use crate::{Platform, Workload};

/// A subscriber that keeps a pod, so that its log is all that it ever got.
pub fn subscriber(platform: &Platform, name: &str) -> anyhow::Result<()> {
    Workload::new(name, &format!("{}/event-display", platform.registry()))
        .annotation("autoscaling.knative.dev/min-scale", "1")
        .annotation("autoscaling.knative.dev/max-scale", "1")
        .small()
        .deploy(platform)
}

/// What a subscriber printed.
pub fn printed(platform: &Platform, name: &str) -> anyhow::Result<String> {
    let deployment = format!("deploy/{name}-00001-deployment");
    platform
        .kubectl(&["logs", &deployment, "-c", "user-container"])?
        .ok()
}

/// The ids of the events in what a subscriber printed, as often as they came.
pub fn ids(printed: &str) -> Vec<String> {
    let ids = printed.lines().filter_map(|line| line.strip_prefix("  id: "));
    ids.map(str::to_owned).collect()
}

/// Waits until all of `objects` (`kind/name`) are ready.
pub fn is_ready(platform: &Platform, objects: &[&str]) -> anyhow::Result<()> {
    let wait = [&["wait"], objects, &["--for=condition=Ready", "--timeout=60s"]].concat();
    platform.kubectl(&wait)?.ok()?;
    Ok(())
}
