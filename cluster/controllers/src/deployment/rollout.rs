//! How a Deployment's ReplicaSets are sized next: a pure function from what is observed to steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::sets;

/// Old ReplicaSets kept for rollback when the Deployment does not say (upstream default).
const DEFAULT_HISTORY: i32 = 10;

/// One write to a ReplicaSet.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make the set of the present template.
    Create {
        replicas: i32,
    },
    Update {
        name: String,
        replicas: i32,
        annotations: BTreeMap<String, String>,
    },
    Delete {
        name: String,
    },
}

/// A ReplicaSet reduced to what sizing looks at.
#[derive(Debug, Clone)]
struct Size {
    name: String,
    wanted: i32,
    available: i32,
    actual: i32,
}

impl Size {
    fn of(set: &ReplicaSet) -> Self {
        let status = set.status.as_ref();
        Self {
            name: set.name_any(),
            wanted: set.spec.replicas.unwrap_or(1),
            available: status.and_then(|s| s.available_replicas).unwrap_or(0),
            actual: status.map_or(0, |s| s.replicas),
        }
    }
}

/// Pods that a rolling update may add beyond the wanted number.
pub fn surge(deployment: &Deployment) -> i32 {
    limits(deployment).0
}

/// Most surge and most unavailable pods, with percentages resolved (surge up, unavailable down; never both zero).
fn limits(deployment: &Deployment) -> (i32, i32) {
    let spec = &deployment.spec;
    let strategy = spec.strategy.as_ref();
    if strategy.and_then(|s| s.type_.as_deref()) == Some("Recreate") {
        return (0, 0);
    }
    let rolling = strategy.and_then(|s| s.rolling_update.as_ref());
    let replicas = spec.replicas.unwrap_or(1);
    let default = IntOrString::String("25%".to_owned());
    let surge = resolve(
        rolling.and_then(|r| r.max_surge.as_ref()).unwrap_or(&default),
        replicas,
        true,
    );
    let unavailable = resolve(
        rolling
            .and_then(|r| r.max_unavailable.as_ref())
            .unwrap_or(&default),
        replicas,
        false,
    );
    if surge == 0 && unavailable == 0 {
        (0, 1)
    } else {
        (surge, unavailable.min(replicas))
    }
}

/// Most pods that may be missing; also used for the Available condition.
pub fn max_unavailable(deployment: &Deployment) -> i32 {
    let replicas = deployment.spec.replicas.unwrap_or(1);
    if replicas == 0 { 0 } else { limits(deployment).1 }
}

fn resolve(value: &IntOrString, total: i32, round_up: bool) -> i32 {
    match value {
        IntOrString::Int(count) => *count,
        IntOrString::String(text) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let scaled = percent * i64::from(total);
            let rounded = if round_up {
                (scaled + 99) / 100
            } else {
                scaled / 100
            };
            i32::try_from(rounded).unwrap_or(i32::MAX)
        }
    }
}

/// The writes that bring the Deployment a step nearer to its spec. `old` is oldest first.
pub fn steps(deployment: &Deployment, new: Option<&ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Vec<Step> {
    let spec = &deployment.spec;
    let wanted = spec.replicas.unwrap_or(1);
    let recreate = spec.strategy.as_ref().and_then(|s| s.type_.as_deref()) == Some("Recreate");
    let (new_size, old_sizes) = (
        new.map(Size::of),
        old.iter().map(|set| Size::of(set)).collect::<Vec<_>>(),
    );

    let sized = if spec.paused == Some(true) {
        scale_in_proportion(wanted, surge(deployment), new_size.as_ref(), &old_sizes)
    } else if recreate {
        recreate_step(wanted, new_size.as_ref(), &old_sizes)
    } else {
        rolling_step(wanted, limits(deployment), new_size.as_ref(), &old_sizes)
    };

    let mut steps = Vec::new();
    if let Some(replicas) = sized.create {
        steps.push(Step::Create { replicas });
    }
    for set in new.into_iter().chain(old.iter().map(Arc::as_ref)) {
        let name = set.name_any();
        let before = set.spec.replicas.unwrap_or(1);
        let replicas = sized.scale.get(&name).copied().unwrap_or(before);
        let is_new = new.is_some_and(|new| new.name_any() == name);
        let annotations = wanted_annotations(deployment, set, is_new, old, before != replicas);
        if replicas != before
            || annotations
                .iter()
                .any(|(k, v)| set.annotations().get(k) != Some(v))
        {
            steps.push(Step::Update {
                name,
                replicas,
                annotations,
            });
        }
    }
    if spec.paused != Some(true) {
        steps.extend(surplus_history(spec.revision_history_limit, new, old));
    }
    steps
}

fn wanted_annotations(
    deployment: &Deployment,
    set: &ReplicaSet,
    is_new: bool,
    old: &[Arc<ReplicaSet>],
    scaled: bool,
) -> BTreeMap<String, String> {
    let surge = surge(deployment);
    if is_new {
        // A template that returns (rollback) becomes the newest revision again.
        let revision = sets::revision(set).max(sets::next_revision(old));
        sets::annotations(deployment, revision, surge)
    } else if scaled {
        sets::sizes(deployment, surge).into_iter().collect()
    } else {
        BTreeMap::new()
    }
}

#[derive(Debug, Default, PartialEq)]
struct Sizing {
    /// Replicas of a set that is still to be made.
    create: Option<i32>,
    /// Replicas by name, of sets that change.
    scale: BTreeMap<String, i32>,
}

fn recreate_step(wanted: i32, new: Option<&Size>, old: &[Size]) -> Sizing {
    let mut sizing = Sizing::default();
    if old.iter().any(|set| set.wanted > 0) {
        sizing.scale.extend(
            old.iter()
                .filter(|set| set.wanted > 0)
                .map(|set| (set.name.clone(), 0)),
        );
        return sizing;
    }
    // The new pods start only when the last old one is gone.
    if old.iter().any(|set| set.actual > 0) {
        return sizing;
    }
    match new {
        None => sizing.create = Some(wanted),
        Some(set) if set.wanted != wanted => {
            sizing.scale.insert(set.name.clone(), wanted);
        }
        Some(_) => {}
    }
    sizing
}

fn rolling_step(wanted: i32, (surge, unavailable): (i32, i32), new: Option<&Size>, old: &[Size]) -> Sizing {
    let mut sizing = Sizing::default();
    let old_total: i32 = old.iter().map(|set| set.wanted).sum();
    let present = new.map_or(0, |set| set.wanted);
    let room = (wanted.saturating_add(surge) - old_total - present).max(0);
    let target = if present > wanted {
        wanted
    } else {
        present + room.min(wanted - present)
    };
    match new {
        None => {
            sizing.create = Some(target);
            return sizing;
        }
        Some(set) if target != present => {
            sizing.scale.insert(set.name.clone(), target);
            if target > present {
                return sizing;
            }
        }
        Some(_) => {}
    }

    let new_available = new.map_or(0, |set| set.available);
    let least_available = wanted - unavailable;
    let new_unavailable = (target - new_available).max(0);
    let mut removable = old_total + target - least_available - new_unavailable;
    if old_total == 0 || removable <= 0 {
        return sizing;
    }
    // Pods of old sets that are not available serve nobody: they go first.
    let mut left: Vec<Size> = old.to_vec();
    for set in &mut left {
        let sick = (set.wanted - set.available).clamp(0, removable);
        set.wanted -= sick;
        removable -= sick;
    }
    let available: i32 =
        new_available.min(target) + left.iter().map(|set| set.available.min(set.wanted)).sum::<i32>();
    let mut spare = (available - least_available).max(0);
    for set in &mut left {
        let step = set.wanted.min(spare);
        set.wanted -= step;
        spare -= step;
    }
    for (before, after) in old.iter().zip(&left) {
        if before.wanted != after.wanted {
            sizing.scale.insert(after.name.clone(), after.wanted);
        }
    }
    sizing
}

/// A paused Deployment still follows its number of replicas: the difference is shared among the sets that have pods.
fn scale_in_proportion(wanted: i32, surge: i32, new: Option<&Size>, old: &[Size]) -> Sizing {
    let mut sizing = Sizing::default();
    let active: Vec<&Size> = new.into_iter().chain(old).filter(|set| set.wanted > 0).collect();
    let total: i32 = active.iter().map(|set| set.wanted).sum();
    let (share_of, goal) = match (active.as_slice(), new) {
        ([], Some(set)) => (vec![set], wanted),
        ([], None) => return sizing,
        ([_], _) => (active, wanted),
        _ if wanted == 0 => (active, 0),
        _ => (active, total.clamp(wanted, wanted.saturating_add(surge))),
    };
    let mut rest = goal - total;
    for (index, set) in share_of.iter().enumerate() {
        let last = index + 1 == share_of.len();
        let proportional = if total == 0 {
            rest
        } else {
            i32::try_from(i64::from(goal - total) * i64::from(set.wanted) / i64::from(total)).unwrap_or(0)
        };
        let step = if last { rest } else { proportional };
        let replicas = (set.wanted + step).max(0);
        rest -= replicas - set.wanted;
        if replicas != set.wanted {
            sizing.scale.insert(set.name.clone(), replicas);
        }
    }
    sizing
}

/// Old sets without pods beyond the history limit, oldest revision first.
fn surplus_history(limit: Option<i32>, new: Option<&ReplicaSet>, old: &[Arc<ReplicaSet>]) -> Vec<Step> {
    if new.is_none() {
        return Vec::new();
    }
    let mut idle: Vec<&Arc<ReplicaSet>> = old
        .iter()
        .filter(|set| {
            let size = Size::of(set);
            let observed = set
                .status
                .as_ref()
                .and_then(|s| s.observed_generation)
                .unwrap_or(0);
            size.wanted == 0 && size.actual == 0 && observed >= set.metadata.generation.unwrap_or(0)
        })
        .collect();
    idle.sort_by_key(|set| sets::revision(set));
    let keep = usize::try_from(limit.unwrap_or(DEFAULT_HISTORY)).unwrap_or(0);
    let surplus = idle.len().saturating_sub(keep);
    idle.into_iter()
        .take(surplus)
        .map(|set| Step::Delete { name: set.name_any() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(name: &str, wanted: i32, available: i32) -> Size {
        Size {
            name: name.to_owned(),
            wanted,
            available,
            actual: wanted,
        }
    }

    fn scaled(pairs: &[(&str, i32)]) -> Sizing {
        Sizing {
            create: None,
            scale: pairs.iter().map(|(n, r)| ((*n).to_owned(), *r)).collect(),
        }
    }

    #[test]
    fn percentages_round_surge_up_and_unavailable_down() {
        let quarter = IntOrString::String("25%".into());
        assert_eq!(
            (resolve(&quarter, 10, true), resolve(&quarter, 10, false)),
            (3, 2)
        );
        assert_eq!((resolve(&quarter, 1, true), resolve(&quarter, 1, false)), (1, 0));
    }

    #[test]
    fn rolling_update_steps() {
        // (wanted, limits, new, old) -> what changes
        let cases = [
            (
                "first rollout",
                3,
                (1, 0),
                None,
                vec![],
                Sizing {
                    create: Some(3),
                    ..Sizing::default()
                },
            ),
            (
                "surges by one",
                3,
                (1, 0),
                None,
                vec![size("o", 3, 3)],
                Sizing {
                    create: Some(1),
                    ..Sizing::default()
                },
            ),
            (
                "waits for the new pod",
                3,
                (1, 0),
                Some(size("n", 1, 0)),
                vec![size("o", 3, 3)],
                scaled(&[]),
            ),
            (
                "removes an old pod",
                3,
                (1, 0),
                Some(size("n", 1, 1)),
                vec![size("o", 3, 3)],
                scaled(&[("o", 2)]),
            ),
            (
                "adds the next",
                3,
                (1, 0),
                Some(size("n", 1, 1)),
                vec![size("o", 2, 2)],
                scaled(&[("n", 2)]),
            ),
            (
                "last old pod",
                3,
                (1, 0),
                Some(size("n", 3, 3)),
                vec![size("o", 1, 1)],
                scaled(&[("o", 0)]),
            ),
            (
                "broken old pods go first",
                3,
                (1, 0),
                Some(size("n", 1, 0)),
                vec![size("o", 3, 1)],
                scaled(&[]),
            ),
            (
                "unavailable allowed",
                4,
                (0, 1),
                Some(size("n", 0, 0)),
                vec![size("o", 4, 4)],
                scaled(&[("o", 3)]),
            ),
            (
                "scale up",
                5,
                (1, 0),
                Some(size("n", 3, 3)),
                vec![],
                scaled(&[("n", 5)]),
            ),
            (
                "scale to zero",
                0,
                (0, 0),
                Some(size("n", 3, 3)),
                vec![],
                scaled(&[("n", 0)]),
            ),
            (
                "wake from zero",
                1,
                (1, 0),
                Some(size("n", 0, 0)),
                vec![],
                scaled(&[("n", 1)]),
            ),
        ];
        for (name, wanted, limits, new, old, expected) in cases {
            assert_eq!(
                rolling_step(wanted, limits, new.as_ref(), &old),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn recreate_never_runs_old_and_new_pods_together() {
        let mut gone = size("o", 0, 0);
        assert_eq!(recreate_step(2, None, &[size("o", 2, 2)]), scaled(&[("o", 0)]));
        gone.actual = 1;
        assert_eq!(recreate_step(2, None, &[gone.clone()]), Sizing::default());
        gone.actual = 0;
        assert_eq!(
            recreate_step(2, None, &[gone]),
            Sizing {
                create: Some(2),
                ..Sizing::default()
            }
        );
    }

    #[test]
    fn a_paused_deployment_shares_new_replicas_in_proportion() {
        let sizing = scale_in_proportion(10, 0, Some(&size("n", 2, 2)), &[size("o", 3, 3)]);
        assert_eq!(sizing.scale.values().sum::<i32>(), 10);
        assert_eq!(
            scale_in_proportion(4, 1, Some(&size("n", 2, 2)), &[]),
            scaled(&[("n", 4)])
        );
    }

    proptest::proptest! {
        /// Whatever the pods do, a rolling update ends, and never goes below the promised number of available pods
        /// or above the promised total.
        #[test]
        fn a_rolling_update_terminates_within_its_limits(
            wanted in 1i32..20, surge in 0i32..5, unavailable in 0i32..5, old in 0i32..20,
        ) {
            let limits = if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable.min(wanted)) };
            let mut new: Option<Size> = None;
            let mut olds = vec![size("o", old, old)];
            for _ in 0..200 {
                let step = rolling_step(wanted, limits, new.as_ref(), &olds);
                if step == Sizing::default() && new.as_ref().is_some_and(|n| n.wanted == n.available) { break }
                if let Some(replicas) = step.create { new = Some(size("n", replicas, 0)); }
                for set in new.iter_mut().chain(olds.iter_mut()) {
                    if let Some(replicas) = step.scale.get(&set.name) { set.wanted = *replicas; set.actual = *replicas; }
                    if set.name == "o" { set.available = set.available.min(set.wanted); }
                }
                let total: i32 = new.iter().chain(&olds).map(|s| s.wanted).sum();
                proptest::prop_assert!(total <= (wanted + limits.0).max(old));
                let available: i32 = new.iter().chain(&olds).map(|s| s.available.min(s.wanted)).sum();
                proptest::prop_assert!(available >= (wanted - limits.1).min(old).max(0));
                if let Some(set) = &mut new { set.available = set.wanted; }
            }
            proptest::prop_assert_eq!(new.map(|n| n.wanted), Some(wanted));
            proptest::prop_assert_eq!(olds[0].wanted, 0);
        }
    }
}
