//! Who owns whom, and what follows from it.

use std::collections::{HashMap, HashSet, VecDeque};

use kube::api::PropagationPolicy;

/// Finalizer that makes an object wait until its blocking dependents are gone.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer that makes an object wait until its dependents have forgotten it.
pub const ORPHAN: &str = "orphan";

/// Owners known not to exist, remembered so that the API is asked once for each.
const ABSENT_REMEMBERED: usize = 1000;

pub type Uid = String;

/// Where an object is.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    pub uid: Uid,
    /// `apiVersion/Kind`.
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

/// An owner reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Owner {
    pub uid: Uid,
    /// `apiVersion/Kind`.
    pub kind: String,
    pub name: String,
    pub blocks: bool,
}

/// An object as far as collection is concerned.
#[derive(Debug, Clone)]
pub struct Node {
    pub identity: Identity,
    pub owners: Vec<Owner>,
    pub deleting: bool,
    pub foreground: bool,
    pub orphan: bool,
}

/// What is to be done about one object.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    Delete {
        policy: Option<PropagationPolicy>,
    },
    /// Forget these owners, since another one still stands.
    RemoveOwners(Vec<Uid>),
    /// Have these examined: they wait for nothing but to be deleted or freed.
    DeleteDependents(Vec<Uid>),
    RemoveFinalizer(&'static str),
}

/// Every object that is watched. Its size is that of the store's index.
#[derive(Default)]
pub struct Graph {
    nodes: HashMap<Uid, Node>,
    dependents: HashMap<Uid, HashSet<Uid>>,
    absent: HashSet<Uid>,
    absent_order: VecDeque<Uid>,
}

impl Graph {
    /// Takes in an addition or change; returns the objects to look at.
    pub fn put(&mut self, node: Node) -> Vec<Uid> {
        let uid = node.identity.uid.clone();
        let mut look = Vec::new();
        let before = self.nodes.get(&uid);
        // Dependents of an object that starts to wait for them, or owners of one that no longer blocks them.
        if node.deleting && before.is_none_or(|before| !before.deleting) {
            look.extend(self.dependents.get(&uid).into_iter().flatten().cloned());
        }
        if let Some(before) = before {
            look.extend(before.owners.iter().map(|owner| owner.uid.clone()));
        }
        self.unlink(&uid);
        for owner in &node.owners {
            self.dependents
                .entry(owner.uid.clone())
                .or_default()
                .insert(uid.clone());
        }
        self.absent.remove(&uid);
        // Most objects have no owners and are not going anywhere.
        if !node.owners.is_empty() || node.deleting {
            look.push(uid.clone());
        }
        self.nodes.insert(uid, node);
        look
    }

    /// Takes in a removal; returns the objects to look at.
    pub fn remove(&mut self, uid: &str) -> Vec<Uid> {
        self.unlink(uid);
        let mut look: Vec<Uid> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        if let Some(node) = self.nodes.remove(uid) {
            self.confirm_absent(uid);
            look.extend(node.owners.into_iter().map(|owner| owner.uid));
        }
        look
    }

    /// After a fresh list of `kind`: whatever was not listed has gone unnoticed.
    pub fn keep_only(&mut self, kind: &str, listed: &[Uid]) -> Vec<Uid> {
        let listed: HashSet<&Uid> = listed.iter().collect();
        let gone: Vec<Uid> = self
            .nodes
            .values()
            .filter(|node| node.identity.kind == kind && !listed.contains(&node.identity.uid))
            .map(|node| node.identity.uid.clone())
            .collect();
        gone.iter().flat_map(|uid| self.remove(uid)).collect()
    }

    fn unlink(&mut self, uid: &str) {
        let Some(node) = self.nodes.get(uid) else { return };
        for owner in &node.owners {
            if let Some(set) = self.dependents.get_mut(&owner.uid) {
                set.remove(uid);
                if set.is_empty() {
                    self.dependents.remove(&owner.uid);
                }
            }
        }
    }

    /// Remembers that no object has this uid.
    pub fn confirm_absent(&mut self, uid: &str) {
        if self.absent.insert(uid.to_owned()) {
            self.absent_order.push_back(uid.to_owned());
        }
        while self.absent_order.len() > ABSENT_REMEMBERED {
            if let Some(oldest) = self.absent_order.pop_front() {
                self.absent.remove(&oldest);
            }
        }
    }

    /// Owners of `uid` that no watch has shown and nobody has asked for yet, with the namespace to ask in.
    pub fn unknown_owners(&self, uid: &str) -> Vec<(Owner, Option<String>)> {
        let Some(node) = self.nodes.get(uid) else {
            return Vec::new();
        };
        node.owners
            .iter()
            .filter(|owner| !self.nodes.contains_key(&owner.uid) && !self.absent.contains(&owner.uid))
            .map(|owner| (owner.clone(), node.identity.namespace.clone()))
            .collect()
    }

    /// What to do about `uid` now. All its owners must be known or confirmed absent.
    pub fn next_action(&self, uid: &str) -> Option<(Identity, Action)> {
        let node = self.nodes.get(uid)?;
        let action = if node.deleting && node.orphan {
            self.orphaning(uid)
        } else if node.deleting && node.foreground {
            self.foreground(uid)
        } else if node.deleting {
            return None;
        } else {
            self.owned(node)?
        };
        Some((node.identity.clone(), action))
    }

    fn orphaning(&self, uid: &str) -> Action {
        let holding: Vec<Uid> = self.dependents.get(uid).into_iter().flatten().cloned().collect();
        if holding.is_empty() {
            Action::RemoveFinalizer(ORPHAN)
        } else {
            Action::DeleteDependents(holding)
        }
    }

    fn foreground(&self, uid: &str) -> Action {
        let dependents: Vec<&Node> = self
            .dependents
            .get(uid)
            .into_iter()
            .flatten()
            .filter_map(|d| self.nodes.get(d))
            .collect();
        let blocking = dependents
            .iter()
            .filter(|d| d.owners.iter().any(|o| o.uid == uid && o.blocks))
            .count();
        if blocking == 0 {
            return Action::RemoveFinalizer(FOREGROUND);
        }
        let waiting = dependents
            .iter()
            .filter(|d| !d.deleting)
            .map(|d| d.identity.uid.clone())
            .collect();
        Action::DeleteDependents(waiting)
    }

    fn owned(&self, node: &Node) -> Option<Action> {
        if node.owners.is_empty() {
            return None;
        }
        let (mut solid, mut dangling, mut waiting, mut orphaning) = (0, Vec::new(), Vec::new(), Vec::new());
        for owner in &node.owners {
            match self.nodes.get(&owner.uid) {
                // An owner in another namespace is no owner.
                Some(o)
                    if o.identity.namespace.is_some() && o.identity.namespace != node.identity.namespace =>
                {
                    dangling.push(owner.uid.clone());
                }
                Some(o) if o.deleting && o.orphan => orphaning.push(owner.uid.clone()),
                Some(o) if o.deleting && o.foreground => waiting.push(owner.uid.clone()),
                Some(_) => solid += 1,
                None => dangling.push(owner.uid.clone()),
            }
        }
        if !orphaning.is_empty() {
            return Some(Action::RemoveOwners(orphaning));
        }
        if solid > 0 {
            dangling.extend(waiting);
            return (!dangling.is_empty()).then_some(Action::RemoveOwners(dangling));
        }
        let has_dependents = self
            .dependents
            .get(&node.identity.uid)
            .is_some_and(|d| !d.is_empty());
        let policy = if !waiting.is_empty() && has_dependents {
            Some(PropagationPolicy::Foreground)
        } else {
            super::policy_of(node)
        };
        Some(Action::Delete { policy })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(uid: &str, owners: &[(&str, bool)]) -> Node {
        Node {
            identity: Identity {
                uid: uid.into(),
                kind: "v1/ConfigMap".into(),
                namespace: Some("ns".into()),
                name: uid.into(),
            },
            owners: owners
                .iter()
                .map(|(o, blocks)| Owner {
                    uid: (*o).into(),
                    kind: "v1/ConfigMap".into(),
                    name: (*o).into(),
                    blocks: *blocks,
                })
                .collect(),
            deleting: false,
            foreground: false,
            orphan: false,
        }
    }

    fn action(graph: &Graph, uid: &str) -> Option<Action> {
        graph.next_action(uid).map(|(_, action)| action)
    }

    fn background() -> Option<Action> {
        Some(Action::Delete {
            policy: Some(PropagationPolicy::Background),
        })
    }

    #[test]
    fn a_dependent_goes_when_its_only_owner_is_removed() {
        let mut graph = Graph::default();
        graph.put(node("owner", &[]));
        graph.put(node("child", &[("owner", true)]));
        assert_eq!(action(&graph, "child"), None);
        assert_eq!(graph.remove("owner"), ["child"]);
        assert!(
            graph.unknown_owners("child").is_empty(),
            "the removal was seen, so nobody needs to ask"
        );
        assert_eq!(action(&graph, "child"), background());
    }

    #[test]
    fn an_owner_that_was_never_seen_is_asked_for_first() {
        let mut graph = Graph::default();
        graph.put(node("child", &[("ghost", false)]));
        assert_eq!(graph.unknown_owners("child").len(), 1);
        graph.confirm_absent("ghost");
        assert!(graph.unknown_owners("child").is_empty());
        assert_eq!(action(&graph, "child"), background());
    }

    #[test]
    fn one_standing_owner_keeps_a_dependent_and_dangling_references_go() {
        let mut graph = Graph::default();
        graph.put(node("a", &[]));
        graph.put(node("b", &[]));
        graph.put(node("child", &[("a", false), ("b", false)]));
        graph.remove("a");
        assert_eq!(
            action(&graph, "child"),
            Some(Action::RemoveOwners(vec!["a".into()]))
        );
    }

    #[test]
    fn foreground_deletion_waits_for_blocking_dependents_only() {
        let mut graph = Graph::default();
        graph.put(node("blocking", &[("owner", true)]));
        graph.put(node("free", &[("owner", false)]));
        let mut owner = node("owner", &[]);
        (owner.deleting, owner.foreground) = (true, true);
        graph.put(owner);
        let Some(Action::DeleteDependents(mut waiting)) = action(&graph, "owner") else {
            panic!()
        };
        waiting.sort();
        assert_eq!(waiting, ["blocking", "free"]);
        assert_eq!(action(&graph, "blocking"), background());
        graph.remove("blocking");
        assert_eq!(action(&graph, "owner"), Some(Action::RemoveFinalizer(FOREGROUND)));
    }

    #[test]
    fn orphaning_frees_dependents_before_the_owner_goes() {
        let mut graph = Graph::default();
        graph.put(node("child", &[("owner", true)]));
        let mut owner = node("owner", &[]);
        (owner.deleting, owner.orphan) = (true, true);
        graph.put(owner);
        assert_eq!(
            action(&graph, "child"),
            Some(Action::RemoveOwners(vec!["owner".into()]))
        );
        assert_eq!(
            graph.put(node("child", &[])),
            ["owner"],
            "freed: the owner may go on"
        );
        assert_eq!(action(&graph, "owner"), Some(Action::RemoveFinalizer(ORPHAN)));
        assert_eq!(action(&graph, "child"), None);
    }

    #[test]
    fn a_fresh_list_reveals_what_went_unnoticed() {
        let mut graph = Graph::default();
        graph.put(node("owner", &[]));
        graph.put(node("child", &[("owner", false)]));
        assert_eq!(graph.keep_only("v1/ConfigMap", &["child".into()]), ["child"]);
        assert_eq!(action(&graph, "child"), background());
    }
}
