//! From what a watch shows to what has changed: a pure function of the events of the watch.

use std::collections::{HashMap, HashSet};

use informer::Key;
use kube::core::{ApiResource, DynamicObject, TypeMeta};
use kube::runtime::watcher::Event;

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Update,
    Delete,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// One change of one object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    pub verb: Verb,
    /// As it is now; of one whose end was not seen only what is known: names, labels, owners.
    pub object: DynamicObject,
    pub plural: String,
}

/// What was seen of the objects of one watch.
pub(crate) struct Seen {
    resource: ApiResource,
    known: HashMap<Key, DynamicObject>,
    /// The keys of a list until it is complete.
    listed: HashSet<Key>,
    /// Whether a list was complete before: what is there at the start is no news.
    started: bool,
}

impl Seen {
    pub fn new(resource: ApiResource) -> Self {
        Self {
            resource,
            known: HashMap::new(),
            listed: HashSet::new(),
            started: false,
        }
    }

    /// Takes in what the watch shows.
    pub fn take(&mut self, event: Event<DynamicObject>) -> Vec<Change> {
        match event {
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                self.listed.insert(Key::of_dynamic(&object));
                self.apply(object)
            }
            Event::InitDone => {
                self.started = true;
                let gone: Vec<Key> = self
                    .known
                    .keys()
                    .filter(|key| !self.listed.contains(key))
                    .cloned()
                    .collect();
                self.listed.clear();
                let gone = gone.iter().filter_map(|key| self.known.remove(key));
                let resource = &self.resource;
                gone.map(|stub| change(resource, Verb::Delete, stub)).collect()
            }
            Event::Apply(object) => self.apply(object),
            Event::Delete(object) => {
                self.known.remove(&Key::of_dynamic(&object));
                vec![change(&self.resource, Verb::Delete, object)]
            }
        }
    }

    fn apply(&mut self, object: DynamicObject) -> Vec<Change> {
        let old = self.known.insert(Key::of_dynamic(&object), stub(&object));
        if !self.started {
            return Vec::new();
        }
        let resource = &self.resource;
        match old {
            None => vec![change(resource, Verb::Add, object)],
            Some(old) if old.metadata.uid != object.metadata.uid => {
                vec![
                    change(resource, Verb::Delete, old),
                    change(resource, Verb::Add, object),
                ]
            }
            Some(old) if old.metadata.resource_version == object.metadata.resource_version => Vec::new(),
            Some(_) => vec![change(resource, Verb::Update, object)],
        }
    }
}

trait OfDynamic {
    fn of_dynamic(object: &DynamicObject) -> Key;
}

impl OfDynamic for Key {
    fn of_dynamic(object: &DynamicObject) -> Key {
        let meta = &object.metadata;
        Key::new(
            meta.namespace.clone().unwrap_or_default(),
            meta.name.clone().unwrap_or_default(),
        )
    }
}

fn change(resource: &ApiResource, verb: Verb, mut object: DynamicObject) -> Change {
    // Items of a list come without.
    object.types.get_or_insert_with(|| TypeMeta {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
    });
    Change {
        verb,
        object,
        plural: resource.plural.clone(),
    }
}

/// What is kept of an object.
fn stub(object: &DynamicObject) -> DynamicObject {
    let mut stub = DynamicObject {
        types: object.types.clone(),
        metadata: Default::default(),
        data: serde_json::Value::Object(serde_json::Map::new()),
    };
    let meta = &object.metadata;
    stub.metadata.name = meta.name.clone();
    stub.metadata.namespace = meta.namespace.clone();
    stub.metadata.uid = meta.uid.clone();
    stub.metadata.resource_version = meta.resource_version.clone();
    stub.metadata.labels = meta.labels.clone();
    stub.metadata.owner_references = meta.owner_references.clone();
    stub
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(name: &str, uid: &str, version: u64) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
            "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": version.to_string()},
        }))
        .unwrap()
    }

    fn told(seen: &mut Seen, events: Vec<Event<DynamicObject>>) -> Vec<String> {
        let changes = events.into_iter().flat_map(|event| seen.take(event));
        changes
            .map(|change| {
                let meta = &change.object.metadata;
                format!(
                    "{} {} {} {}",
                    change.verb.as_str(),
                    change.plural,
                    meta.name.clone().unwrap(),
                    meta.uid.clone().unwrap()
                )
            })
            .collect()
    }

    #[test]
    fn changes_are_told_once_also_across_a_gap() {
        use Event::{Apply, Delete, Init, InitApply, InitDone};
        let mut seen = Seen::new(ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            plural: "configmaps".to_owned(),
        });
        let start = vec![
            Init,
            InitApply(object("a", "1", 1)),
            InitApply(object("b", "2", 2)),
            InitDone,
        ];
        assert!(
            told(&mut seen, start).is_empty(),
            "what is there at the start is no news"
        );
        let live = vec![
            Apply(object("c", "3", 3)),
            Apply(object("a", "1", 4)),
            Delete(object("b", "2", 5)),
        ];
        assert_eq!(
            told(&mut seen, live),
            [
                "add configmaps c 3",
                "update configmaps a 1",
                "delete configmaps b 2"
            ]
        );
        // The same again, something new, something else of the same name, something gone.
        assert!(told(&mut seen, vec![Apply(object("d", "4", 6))]).len() == 1);
        let again = vec![
            Init,
            InitApply(object("a", "1", 4)),
            InitApply(object("d", "9", 8)),
            InitApply(object("e", "5", 9)),
            InitDone,
        ];
        assert_eq!(
            told(&mut seen, again),
            [
                "delete configmaps d 4",
                "add configmaps d 9",
                "add configmaps e 5",
                "delete configmaps c 3"
            ]
        );
        // A list that was broken off and began anew.
        let broken = vec![
            Init,
            InitApply(object("a", "1", 4)),
            Init,
            InitApply(object("e", "5", 10)),
            InitDone,
        ];
        let mut all = told(&mut seen, broken);
        all.sort();
        assert_eq!(
            all,
            [
                "delete configmaps a 1",
                "delete configmaps d 9",
                "update configmaps e 5"
            ]
        );
    }
}
