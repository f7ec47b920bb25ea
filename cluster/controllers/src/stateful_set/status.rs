//! What a StatefulSet reports of its pods.

use k8s_openapi::api::apps::v1::StatefulSetStatus;

use super::facts::{Facts, PodFacts, Update};

/// The status that `facts` show. When every pod is at the new revision and ready, a rolling update is over, and the new
/// revision is the current one.
pub fn observe(facts: &Facts) -> StatefulSetStatus {
    let count = |wanted: &dyn Fn(&PodFacts) -> bool| {
        let pods = facts.pods.values().filter(|pod| wanted(pod)).count();
        i32::try_from(pods).unwrap_or(i32::MAX)
    };
    let at = |revision: &str| count(&|pod| !pod.terminating && pod.revision == revision);
    let replicas = count(&|_| true);
    let ready = count(&|pod| pod.ready_since.is_some());
    let available = count(&|pod| facts.available_in(pod).is_some_and(|wait| wait.is_zero()));
    let (mut current, updated) = (at(&facts.current), at(&facts.new));
    let mut current_revision = &facts.current;
    let wanted = facts.ordinals.end - facts.ordinals.start;
    let all = |count: i32| u64::try_from(count) == Ok(wanted);
    if matches!(facts.update, Update::Rolling { .. }) && all(replicas) && all(ready) && all(updated) {
        (current, current_revision) = (updated, &facts.new);
    }
    // Upstream leaves out what is zero, except for these two.
    let some = |count: i32| (count > 0).then_some(count);
    let name = |revision: &String| Some(revision.clone()).filter(|name| !name.is_empty());
    StatefulSetStatus {
        replicas,
        available_replicas: Some(available),
        ready_replicas: some(ready),
        current_replicas: some(current),
        updated_replicas: some(updated),
        current_revision: name(current_revision),
        update_revision: name(&facts.new),
        observed_generation: facts.generation,
        collision_count: Some(facts.collisions),
        conditions: facts.status.conditions.clone(),
    }
}
