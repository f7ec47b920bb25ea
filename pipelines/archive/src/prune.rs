//! Which runs go.

mod facts;
mod pruner;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::config::Limits;
pub(crate) use pruner::Pruner;

/// How long a run is left alone after its end, whatever the counts say: who waited for it has to see how it ended.
const GRACE: SignedDuration = SignedDuration::from_secs(10);

/// Namespace, whether it is of tasks, and pipeline or task.
pub(crate) type Group = (String, bool, String);

/// A run that is over, as pruning sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    /// Runs are counted by namespace, kind and pipeline or task.
    pub group: Group,
    pub name: String,
    pub succeeded: bool,
    pub ended: Timestamp,
    /// Something refers to it: it stays, and does not count.
    pub needed: bool,
    pub limits: Limits,
}

/// What pruning wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Places in the list of facts.
    pub prune: Vec<usize>,
    /// When another one is due.
    pub next: Option<Timestamp>,
}

/// Which of `facts` go now.
pub(crate) fn plan(facts: &[Fact], now: Timestamp) -> Plan {
    let mut groups: BTreeMap<(&Group, bool), Vec<usize>> = BTreeMap::new();
    for (place, fact) in facts.iter().enumerate().filter(|(_, fact)| !fact.needed) {
        groups
            .entry((&fact.group, fact.succeeded))
            .or_default()
            .push(place);
    }
    let mut prune = BTreeSet::new();
    let mut next: Option<Timestamp> = None;
    for places in groups.values_mut() {
        places.sort_by(|a, b| {
            let of = |place: &usize| facts.get(*place).map(|fact| (fact.ended, &fact.name));
            of(b).cmp(&of(a))
        });
        for (rank, place) in places.iter().enumerate() {
            let Some(fact) = facts.get(*place) else { continue };
            let Some(due) = due(fact, rank) else { continue };
            if due <= now {
                prune.insert(*place);
            } else {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
        }
    }
    Plan {
        prune: prune.into_iter().collect(),
        next,
    }
}

/// When a run goes that has `newer` ones before it; `None` if only they could make it.
fn due(fact: &Fact, newer: usize) -> Option<Timestamp> {
    let after = |length: SignedDuration| fact.ended.checked_add(length).ok();
    let old = fact
        .limits
        .ttl
        .and_then(|ttl| after(SignedDuration::from_secs(i64::from(ttl))));
    let most = fact.limits.count(fact.succeeded);
    let surplus = most.is_some_and(|most| newer >= usize::try_from(most).unwrap_or(usize::MAX));
    let surplus = surplus.then(|| after(GRACE)).flatten();
    match (old, surplus) {
        (Some(old), Some(surplus)) => Some(old.min(surplus)),
        (old, surplus) => old.or(surplus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn fact(name: &str, group: &str, succeeded: bool, ended: i64) -> Fact {
        Fact {
            group: ("ns".to_owned(), false, group.to_owned()),
            name: name.to_owned(),
            succeeded,
            ended: at(ended),
            needed: false,
            limits: Limits {
                successful: Some(2),
                failed: Some(1),
                ..Limits::default()
            },
        }
    }

    fn pruned(facts: &[Fact], now: i64) -> (Vec<&str>, Option<i64>) {
        let plan = plan(facts, at(now));
        let names = plan
            .prune
            .iter()
            .map(|place| facts[*place].name.as_str())
            .collect();
        (names, plan.next.map(Timestamp::as_second))
    }

    #[test]
    fn the_newest_of_each_outcome_and_pipeline_stay() {
        let facts = [
            fact("a1", "a", true, 1),
            fact("a4", "a", true, 4),
            fact("a2", "a", true, 2),
            fact("a3", "a", true, 3),
            fact("af1", "a", false, 1),
            fact("af2", "a", false, 2),
            fact("b1", "b", true, 1),
        ];
        assert_eq!(pruned(&facts, 100), (vec!["a1", "a2", "af1"], None));
        // Nobody is taken by surprise.
        assert_eq!(pruned(&facts, 11), (vec!["a1", "af1"], Some(12)));
    }

    #[test]
    fn time_is_up_for_the_newest_too() {
        let mut facts = [fact("old", "a", true, 0), fact("new", "a", true, 50)];
        for fact in &mut facts {
            fact.limits = Limits {
                ttl: Some(60),
                ..Limits::default()
            };
        }
        assert_eq!(pruned(&facts, 59), (vec![], Some(60)));
        assert_eq!(pruned(&facts, 60), (vec!["old"], Some(110)));
        facts[0].limits.ttl = Some(0);
        assert_eq!(pruned(&facts, 0).0, ["old"]);
    }

    #[test]
    fn what_is_needed_stays_and_does_not_count() {
        let mut facts = [
            fact("1", "a", true, 1),
            fact("2", "a", true, 2),
            fact("3", "a", true, 3),
            fact("4", "a", true, 4),
        ];
        facts[0].needed = true;
        facts[3].needed = true;
        assert_eq!(pruned(&facts, 100), (vec![], None));
        facts[0].needed = false;
        assert_eq!(pruned(&facts, 100).0, ["1"]);
    }

    #[test]
    fn without_limits_nothing_goes() {
        let mut only = fact("a", "a", true, 1);
        only.limits = Limits::default();
        assert_eq!(pruned(&[only.clone(), only], i64::from(i32::MAX)), (vec![], None));
    }

    #[test]
    fn of_equal_ends_the_name_decides() {
        let mut facts = [fact("x", "a", false, 5), fact("y", "a", false, 5)];
        assert_eq!(pruned(&facts, 100).0, ["x"]);
        facts.swap(0, 1);
        assert_eq!(pruned(&facts, 100).0, ["x"]);
    }

    proptest::proptest! {
        /// Whatever there is, no more is kept than wanted, and nothing that is needed goes.
        #[test]
        fn as_many_as_wanted_are_kept(
            runs in proptest::collection::vec((0_i64..50, 0_usize..3, proptest::bool::ANY, proptest::bool::weighted(0.1)), 0..60),
        ) {
            let facts: Vec<Fact> = runs.iter().enumerate().map(|(number, (ended, group, succeeded, needed))| Fact {
                needed: *needed,
                ..fact(&number.to_string(), &group.to_string(), *succeeded, *ended)
            }).collect();
            let plan = plan(&facts, at(1000));
            for place in &plan.prune {
                proptest::prop_assert!(!facts[*place].needed);
            }
            for group in 0..3 {
                for succeeded in [true, false] {
                    let of = |place: &usize| {
                        let fact = &facts[*place];
                        fact.group.2 == group.to_string() && fact.succeeded == succeeded && !fact.needed
                    };
                    let all = (0..facts.len()).filter(of).count();
                    let gone = plan.prune.iter().filter(|place| of(place)).count();
                    let most = if succeeded { 2 } else { 1 };
                    proptest::prop_assert_eq!(all - gone, all.min(most));
                }
            }
        }
    }
}
