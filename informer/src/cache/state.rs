//! The contents of one cache: objects, indexes, and the rules by which watch events and own writes are merged.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::Change;
use super::held::Held;
use crate::key::Key;
use crate::object::{Object, controller_of, version};

type Values<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

pub(super) struct State<K> {
    objects: HashMap<Key, Held<K>>,
    /// Whether objects are held as text.
    packed: bool,
    owners: HashMap<String, BTreeSet<Key>>,
    indexes: HashMap<&'static str, Index<K>>,
    /// The newest version that the watch delivered. Own writes up to it have been superseded if they are missing.
    newest: u64,
    /// Own writes that the watch has not shown yet; a list that began before them says nothing about them.
    unconfirmed: HashSet<Key>,
}

struct Index<K> {
    values: Values<K>,
    keys: HashMap<String, BTreeSet<Key>>,
}

impl<K> Default for State<K> {
    fn default() -> Self {
        Self {
            objects: HashMap::new(),
            packed: false,
            owners: HashMap::new(),
            indexes: HashMap::new(),
            newest: 0,
            unconfirmed: HashSet::new(),
        }
    }
}

impl<K: Object> State<K> {
    pub(super) fn new(packed: bool) -> Self {
        Self {
            packed,
            ..Self::default()
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.get(key)?.read()
    }

    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.objects.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn list(&self) -> Vec<Arc<K>> {
        self.keys().iter().filter_map(|key| self.get(key)).collect()
    }

    pub(super) fn in_namespace(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let inside = self.objects.iter().filter(|(key, _)| key.namespace == namespace);
        let objects = inside.filter_map(|(_, held)| held.read());
        objects.filter(|object| wanted(object)).collect()
    }

    pub(super) fn controlled_by(&self, owner_uid: &str) -> Vec<Arc<K>> {
        self.objects_of(self.owners.get(owner_uid))
    }

    pub(super) fn keys_controlled_by(&self, owner_uid: &str) -> Vec<Key> {
        self.owners
            .get(owner_uid)
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    pub(super) fn indexed(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        self.objects_of(self.indexes.get(index).and_then(|index| index.keys.get(value)))
    }

    pub(super) fn add_index(&mut self, name: &'static str, values: Values<K>) {
        if self.indexes.contains_key(name) {
            return;
        }
        let mut keys: HashMap<String, BTreeSet<Key>> = HashMap::new();
        for (key, held) in &self.objects {
            for value in held.read().iter().flat_map(|object| values(object)) {
                keys.entry(value).or_default().insert(key.clone());
            }
        }
        self.indexes.insert(name, Index { values, keys });
    }

    /// Holds this object as text until it changes.
    pub(super) fn pack(&mut self, key: &Key) {
        if let Some(held) = self.objects.get_mut(key) {
            held.pack();
        }
    }

    /// Takes in an own write, unless the watch knows better.
    pub(super) fn record(&mut self, object: K) -> Option<Change<K>> {
        let (key, written) = (Key::of(&object), version(&object));
        let known = self.objects.get(&key).map_or(0, Held::version);
        // Missing although the watch is past it: it was deleted since. Zero: versions that cannot be compared.
        if written == 0 || written <= known || (known == 0 && written <= self.newest) {
            return None;
        }
        self.unconfirmed.insert(key.clone());
        self.insert(key, object)
    }

    /// Takes in an object that the watch shows.
    pub(super) fn observe(&mut self, object: K) -> Option<Change<K>> {
        let (key, seen) = (Key::of(&object), version(&object));
        self.newest = self.newest.max(seen);
        let known = self.objects.get(&key).map_or(0, Held::version);
        if seen >= known {
            self.unconfirmed.remove(&key);
        }
        if seen != 0 && seen <= known {
            return None;
        }
        self.insert(key, object)
    }

    /// Takes in a deletion that the watch shows.
    pub(super) fn remove(&mut self, object: &K) -> Option<Change<K>> {
        let (key, seen) = (Key::of(object), version(object));
        self.newest = self.newest.max(seen);
        let known = self.objects.get(&key)?;
        // An own write recreated it under the same name: the deletion is of its predecessor.
        if known.uid() != object.meta().uid.as_deref() && known.version() > seen {
            return None;
        }
        self.take(&key)
    }

    /// Takes in that the watch shows the deletion of something under this name that cannot be read: what is held is gone,
    /// unless it was written later.
    pub(super) fn lose(&mut self, key: &Key, seen: u64) -> Option<Change<K>> {
        self.newest = self.newest.max(seen);
        if self.objects.get(key)?.version() > seen {
            return None;
        }
        self.take(key)
    }

    /// Marks the start of a complete list: what was written before it is in it, or gone.
    pub(super) fn begin_list(&mut self) {
        self.unconfirmed.clear();
    }

    /// Replaces everything by a complete list, keeping writes made since it began, and the last readable state of what is
    /// listed and cannot be read.
    pub(super) fn finish_list(&mut self, objects: Vec<K>, kept: &HashSet<Key>) -> Vec<Change<K>> {
        let listed: HashSet<Key> = objects.iter().map(Key::of).collect();
        let gone: Vec<Key> = self
            .objects
            .keys()
            .filter(|key| !listed.contains(key) && !kept.contains(key) && !self.unconfirmed.contains(key))
            .cloned()
            .collect();
        let mut changes: Vec<_> = gone.iter().filter_map(|key| self.take(key)).collect();
        changes.extend(objects.into_iter().filter_map(|object| self.observe(object)));
        changes
    }

    fn objects_of(&self, keys: Option<&BTreeSet<Key>>) -> Vec<Arc<K>> {
        keys.into_iter()
            .flatten()
            .filter_map(|key| self.get(key))
            .collect()
    }

    fn insert(&mut self, key: Key, object: K) -> Option<Change<K>> {
        let new = Arc::new(object);
        let held = Held::new(&new, self.packed);
        let old = self
            .objects
            .insert(key.clone(), held)
            .and_then(|held| held.read());
        if let Some(old) = &old {
            self.unfile(&key, old);
        }
        self.file(&key, &new);
        Some(Change { old, new: Some(new) })
    }

    fn take(&mut self, key: &Key) -> Option<Change<K>> {
        let old = self.objects.remove(key)?.read()?;
        self.unconfirmed.remove(key);
        self.unfile(key, &old);
        Some(Change {
            old: Some(old),
            new: None,
        })
    }

    fn file(&mut self, key: &Key, object: &K) {
        if let Some(owner) = controller_of(object.meta()) {
            self.owners
                .entry(owner.uid.clone())
                .or_default()
                .insert(key.clone());
        }
        for index in self.indexes.values_mut() {
            for value in (index.values)(object) {
                index.keys.entry(value).or_default().insert(key.clone());
            }
        }
    }

    fn unfile(&mut self, key: &Key, object: &K) {
        if let Some(owner) = controller_of(object.meta()) {
            remove_from(&mut self.owners, &owner.uid, key);
        }
        for index in self.indexes.values_mut() {
            for value in (index.values)(object) {
                remove_from(&mut index.keys, &value, key);
            }
        }
    }
}

fn remove_from(keys: &mut HashMap<String, BTreeSet<Key>>, value: &str, key: &Key) {
    if let Some(found) = keys.get_mut(value) {
        found.remove(key);
        if found.is_empty() {
            keys.remove(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

    use super::*;

    fn object(name: &str, version: u64) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                namespace: Some("ns".into()),
                name: Some(name.into()),
                uid: Some(format!("uid-{name}")),
                resource_version: Some(version.to_string()),
                ..ObjectMeta::default()
            },
            ..ConfigMap::default()
        }
    }

    fn owned(name: &str, version: u64, owner: &str) -> ConfigMap {
        let mut object = object(name, version);
        object.metadata.owner_references = Some(vec![OwnerReference {
            uid: owner.into(),
            controller: Some(true),
            ..OwnerReference::default()
        }]);
        object
    }

    fn known(state: &State<ConfigMap>, name: &str) -> Option<u64> {
        state
            .get(&Key::new("ns", name))
            .map(|object| version(object.as_ref()))
    }

    #[test]
    fn own_write_is_seen_before_the_watch_shows_it() {
        let mut state = State::default();
        state.observe(object("a", 5));
        assert!(state.record(object("b", 7)).is_some());
        assert_eq!(known(&state, "b"), Some(7));
        assert!(
            state.observe(object("b", 7)).is_none(),
            "the watch confirming it is no change"
        );
    }

    #[test]
    fn late_record_does_not_bring_back_a_deleted_object() {
        let mut state = State::default();
        state.observe(object("a", 5));
        state.remove(&object("a", 6));
        assert!(state.record(object("a", 5)).is_none());
        assert_eq!(known(&state, "a"), None);
    }

    #[test]
    fn stale_events_and_writes_do_not_turn_back_time() {
        let mut state = State::default();
        state.record(object("a", 9));
        assert!(state.observe(object("a", 8)).is_none());
        assert!(state.record(object("a", 7)).is_none());
        assert_eq!(known(&state, "a"), Some(9));
    }

    #[test]
    fn list_removes_what_is_gone_but_keeps_writes_made_meanwhile() {
        let mut state = State::default();
        state.observe(object("old", 1));
        state.record(object("before", 2));
        state.begin_list();
        state.record(object("meanwhile", 4));
        let changes = state.finish_list(vec![object("new", 3)], &HashSet::new());
        assert_eq!(changes.len(), 3);
        assert_eq!(
            state.keys(),
            vec![Key::new("ns", "meanwhile"), Key::new("ns", "new")]
        );
    }

    #[test]
    fn list_keeps_the_last_readable_state_of_what_it_shows_and_cannot_be_read() {
        let mut state = State::default();
        state.observe(owned("a", 1, "one"));
        state.observe(object("b", 2));
        state.begin_list();
        // One that was never readable stays unknown.
        let kept = HashSet::from([Key::new("ns", "a"), Key::new("ns", "c")]);
        let changes = state.finish_list(vec![], &kept);
        assert_eq!(changes.len(), 1, "only what is not there is gone");
        assert_eq!(state.keys(), vec![Key::new("ns", "a")]);
        assert_eq!(known(&state, "a"), Some(1));
        assert_eq!(state.controlled_by("one").len(), 1);
    }

    #[test]
    fn what_is_deleted_and_cannot_be_read_is_gone() {
        let mut state = State::default();
        state.observe(owned("a", 5, "one"));
        assert!(state.lose(&Key::new("ns", "b"), 6).is_none());
        assert!(state.lose(&Key::new("ns", "a"), 4).is_none(), "it was older");
        let change = state.lose(&Key::new("ns", "a"), 6).unwrap();
        assert_eq!((change.old.is_some(), change.new), (true, None));
        assert_eq!(known(&state, "a"), None);
        assert!(state.owners.is_empty());
        assert!(
            state.record(object("a", 5)).is_none(),
            "it is known to be outdated"
        );
        assert!(state.observe(object("a", 7)).is_some());
        assert_eq!(known(&state, "a"), Some(7));
    }

    #[test]
    fn owners_and_indexes_follow_changes() {
        let mut state = State::default();
        state.observe(owned("a", 1, "one"));
        state.add_index(
            "name",
            Box::new(|object: &ConfigMap| object.metadata.name.iter().cloned().collect()),
        );
        assert_eq!(state.indexed("name", "a").len(), 1);
        state.observe(owned("a", 2, "two"));
        assert!(state.controlled_by("one").is_empty());
        assert_eq!(state.controlled_by("two").len(), 1);
        state.remove(&owned("a", 3, "two"));
        assert!(state.controlled_by("two").is_empty());
        assert!(state.indexed("name", "a").is_empty());
        assert!(state.owners.is_empty(), "empty entries do not pile up");
    }

    #[test]
    fn packed_objects_behave_like_whole_ones() {
        let mut state = State::new(true);
        state.add_index(
            "name",
            Box::new(|object: &ConfigMap| object.metadata.name.iter().cloned().collect()),
        );
        assert!(
            state
                .observe(owned("a", 1, "one"))
                .is_some_and(|change| change.old.is_none())
        );
        assert!(state.observe(owned("a", 1, "one")).is_none(), "nothing new");
        let change = state.observe(owned("a", 2, "two")).unwrap();
        assert_eq!(change.old.unwrap().as_ref(), &owned("a", 1, "one"));
        assert_eq!(state.controlled_by("two"), [Arc::new(owned("a", 2, "two"))]);
        assert_eq!(state.indexed("name", "a").len(), 1);
        assert_eq!(state.in_namespace("ns", |_| true).len(), 1);
        let gone = state.remove(&owned("a", 3, "two")).unwrap();
        assert_eq!(gone.old.unwrap().as_ref(), &owned("a", 2, "two"));
        assert!(state.owners.is_empty() && state.list().is_empty());
    }

    #[test]
    fn one_object_is_packed_until_it_changes() {
        let is_packed = |state: &State<ConfigMap>, name: &str| {
            let held = state.objects.get(&Key::new("ns", name));
            matches!(held, Some(Held::Packed { .. }))
        };
        let mut state = State::default();
        state.observe(owned("a", 1, "one"));
        state.observe(object("b", 2));
        for _ in 0..2 {
            state.pack(&Key::new("ns", "a"));
        }
        state.pack(&Key::new("ns", "missing"));
        assert!(is_packed(&state, "a") && !is_packed(&state, "b"));
        assert_eq!(state.keys_controlled_by("one"), [Key::new("ns", "a")]);
        assert_eq!(state.controlled_by("one"), [Arc::new(owned("a", 1, "one"))]);
        assert!(state.observe(owned("a", 1, "one")).is_none(), "nothing new");
        let change = state.observe(owned("a", 3, "two")).unwrap();
        assert_eq!(change.old.unwrap().as_ref(), &owned("a", 1, "one"));
        assert!(!is_packed(&state, "a") && state.controlled_by("one").is_empty());
    }

    #[test]
    fn deletion_of_a_predecessor_does_not_remove_its_successor() {
        let mut state = State::default();
        let mut successor = object("a", 9);
        successor.metadata.uid = Some("other".into());
        state.observe(object("a", 5));
        state.record(successor);
        assert!(state.remove(&object("a", 8)).is_none());
        assert_eq!(known(&state, "a"), Some(9));
    }
}
