//! Sets in a small world: pods start, get ready, fail, are deleted and go in any order, while the spec changes.

use proptest::prelude::*;

use super::tests::{facts, pod, ready};
use super::*;

/// What happens between two decisions.
#[derive(Clone, Debug)]
enum Event {
    /// The n-th pod takes its next step: it gets ready, or is gone if it terminates.
    Step(usize),
    Fail(usize),
    /// Somebody deletes the n-th pod.
    Delete(usize),
    Scale(u64),
    /// A new template.
    Template(u8),
    Partition(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..6_usize).prop_map(Event::Step),
        1 => (0..6_usize).prop_map(Event::Fail),
        1 => (0..6_usize).prop_map(Event::Delete),
        1 => (0..5_u64).prop_map(Event::Scale),
        1 => (0..3_u8).prop_map(Event::Template),
        1 => (0..4_u64).prop_map(Event::Partition),
    ]
}

fn happen(world: &mut Facts, event: &Event) {
    let nth = |n: &usize| world.pods.keys().nth(n % world.pods.len().max(1)).copied();
    match event {
        Event::Step(n) => {
            let Some(ordinal) = nth(n) else { return };
            let pod = world.pods[&ordinal].clone();
            if pod.terminating {
                world.pods.remove(&ordinal);
            } else if pod.standing != Standing::Ended {
                world.pods.insert(ordinal, ready(pod));
            }
        }
        Event::Fail(n) => {
            if let Some(pod) = nth(n).and_then(|ordinal| world.pods.get_mut(&ordinal)) {
                pod.standing = Standing::Ended;
                pod.ready_since = None;
            }
        }
        Event::Delete(n) => {
            if let Some(pod) = nth(n).and_then(|ordinal| world.pods.get_mut(&ordinal)) {
                pod.terminating = true;
            }
        }
        Event::Scale(replicas) => world.ordinals = world.ordinals.start..world.ordinals.start + replicas,
        Event::Template(number) => world.new = format!("r{number}"),
        Event::Partition(ordinal) => {
            if let Update::Rolling { partition, .. } = &mut world.update {
                *partition = *ordinal;
            }
        }
    }
}

/// Decides, checks the decision and carries it out. Returns whether it did anything.
fn act(world: &mut Facts) -> Result<bool, TestCaseError> {
    let before = world.clone();
    let plan = plan(&before);
    if !before.parallel {
        prop_assert!(plan.create.len() <= 1, "one at a time: {plan:?}");
    }
    for new in &plan.create {
        prop_assert!(before.ordinals.contains(&new.ordinal), "too many: {new:?}");
        prop_assert!(!before.pods.contains_key(&new.ordinal), "a second one: {new:?}");
        let below = before.ordinals.start..new.ordinal;
        let up = |ordinal| {
            before
                .pods
                .get(&ordinal)
                .is_some_and(|pod| before.is_available(pod))
        };
        prop_assert!(before.parallel || below.clone().all(up), "out of order: {new:?}");
    }
    let mut deleted = std::collections::BTreeSet::new();
    for pod in &plan.delete {
        prop_assert!(
            !pod.terminating && deleted.insert(pod.ordinal),
            "deleted twice: {pod:?}"
        );
    }
    // What is up and wanted goes only for an update, and only as many as may be down.
    if let Update::Rolling { max_unavailable, .. } = before.update {
        let up = |pod: &&PodFacts| before.is_available(pod) && before.ordinals.contains(&pod.ordinal);
        let taken = plan.delete.iter().copied().filter(up).count() as u64;
        let wanted = before.ordinals.end - before.ordinals.start;
        let down = wanted - before.pods.values().filter(up).count() as u64;
        prop_assert!(
            taken == 0 || down + taken <= max_unavailable,
            "too many down: {plan:?}"
        );
    }
    let (created, deleted): (Vec<_>, Vec<_>) = (
        plan.create
            .iter()
            .map(|new| pod(new.ordinal, new.revision))
            .collect(),
        deleted.into_iter().collect(),
    );
    let changed = !created.is_empty() || !deleted.is_empty();
    let status = plan.status.clone();
    for pod in created {
        world.pods.insert(pod.ordinal, pod);
    }
    for ordinal in deleted {
        if let Some(pod) = world.pods.get_mut(&ordinal) {
            pod.terminating = true;
        }
    }
    world.current = status.current_revision.clone().unwrap_or_default();
    world.status = status;
    Ok(changed)
}

proptest! {
    #[test]
    fn whatever_happens_the_rules_hold_and_the_set_comes_to_rest(
        parallel: bool,
        on_delete in prop::bool::weighted(0.1),
        start in 0..3_u64,
        max_unavailable in 1..3_u64,
        events in prop::collection::vec(event(), 0..60),
    ) {
        let mut world = facts(0, []);
        world.ordinals = start..start + 2;
        world.parallel = parallel;
        world.update = if on_delete { Update::OnDelete } else { Update::Rolling { partition: 0, max_unavailable } };
        (world.current, world.new) = ("r0".into(), "r0".into());
        for event in &events {
            happen(&mut world, event);
            act(&mut world)?;
        }
        // Nothing happens any more but that pods start and go: the set is as it should be after a while, and stays.
        let mut rest = 0;
        for turn in 0..400 {
            happen(&mut world, &Event::Step(turn));
            rest = if act(&mut world)? { 0 } else { rest + 1 };
        }
        prop_assert!(rest > 20, "never at rest: {world:?}");
        let there: Vec<u64> = world.pods.keys().copied().collect();
        prop_assert_eq!(there, world.ordinals.clone().collect::<Vec<u64>>());
        for pod in world.pods.values() {
            prop_assert!(world.is_available(pod));
            if let Update::Rolling { partition, .. } = world.update {
                prop_assert!(pod.ordinal < start + partition || pod.revision == world.new, "{:?}", pod);
            }
        }
    }
}
