//! Who is woken for which object.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};

use reconciler::{Key, Queue};

use super::{Kind, Target};

/// An object that refers to others: the queue of its controller, and its key.
#[derive(Clone)]
pub(crate) struct Referrer {
    controller: &'static str,
    queue: Queue,
    key: Key,
}

impl Referrer {
    /// `controller` tells queues apart: the name of the controller.
    pub(crate) fn new(controller: &'static str, queue: &Queue, key: &Key) -> Self {
        Self {
            controller,
            queue: queue.clone(),
            key: key.clone(),
        }
    }
}

impl PartialEq for Referrer {
    fn eq(&self, other: &Self) -> bool {
        self.controller == other.controller && self.key == other.key
    }
}

impl Eq for Referrer {}

impl Hash for Referrer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.controller.hash(state);
        self.key.hash(state);
    }
}

/// References in both directions.
#[derive(Default)]
pub(super) struct Referrers {
    by_target: HashMap<Target, HashSet<Referrer>>,
    by_referrer: HashMap<Referrer, HashSet<Target>>,
}

impl Referrers {
    pub(super) fn add(&mut self, target: &Target, referrer: &Referrer) {
        self.by_target
            .entry(target.clone())
            .or_default()
            .insert(referrer.clone());
        self.by_referrer
            .entry(referrer.clone())
            .or_default()
            .insert(target.clone());
    }

    pub(super) fn forget(&mut self, referrer: &Referrer) {
        for target in self.by_referrer.remove(referrer).into_iter().flatten() {
            remove(&mut self.by_target, &target, referrer);
        }
    }

    /// Wakes those who refer to `target`, or to all of its kind in its namespace, once.
    pub(super) fn wake(&mut self, target: &Target) {
        self.wake_those_of(target);
        self.wake_those_of(&Target::all(&target.kind, &target.key.namespace));
    }

    fn wake_those_of(&mut self, target: &Target) {
        for referrer in self.by_target.remove(target).into_iter().flatten() {
            remove(&mut self.by_referrer, &referrer, target);
            referrer.queue.add(referrer.key.clone());
        }
    }

    /// Does anybody refer to an object of `kind`?
    pub(super) fn any_of(&self, kind: &Kind) -> bool {
        self.by_target.keys().any(|target| target.kind == *kind)
    }
}

fn remove<A: Hash + Eq, B: Hash + Eq>(map: &mut HashMap<A, HashSet<B>>, a: &A, b: &B) {
    if let Some(found) = map.get_mut(a) {
        found.remove(b);
        if found.is_empty() {
            map.remove(a);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str) -> Target {
        Target {
            kind: Kind::new("v1", "Service"),
            key: Key::new("ns", name),
        }
    }

    #[tokio::test]
    async fn a_wake_up_is_good_for_one_time_and_leaves_nothing_behind() {
        let queue = Queue::new("test-referrers");
        let [a, b] = ["a", "b"].map(|name| Referrer::new("test", &queue, &Key::new("ns", name)));
        let mut referrers = Referrers::default();
        referrers.add(&target("x"), &a);
        referrers.add(&target("x"), &b);
        referrers.add(&target("y"), &b);
        referrers.forget(&a);
        referrers.wake(&target("x"));
        assert_eq!(queue.depth(), 1, "only b still refers to x");
        assert_eq!(queue.next().await, Key::new("ns", "b"));
        referrers.wake(&target("x"));
        assert_eq!(queue.depth(), 0);
        assert!(referrers.any_of(&target("y").kind));
        // Whoever refers to all is woken by any.
        let all = Target::all(&target("x").kind, "ns");
        referrers.add(&all, &a);
        referrers.wake(&target("z"));
        assert_eq!(queue.next().await, Key::new("ns", "a"));
        referrers.forget(&b);
        assert!(referrers.by_target.is_empty() && referrers.by_referrer.is_empty());
    }
}
