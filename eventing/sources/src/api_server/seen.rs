//! From what lists and watches show to what has changed, without any I/O.

use std::collections::{HashMap, HashSet};

use informer::Key;
use kube::core::{ApiResource, DynamicObject, TypeMeta};

use super::progress::Place;

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

    /// A list comes, or comes anew.
    pub fn begin_list(&mut self) {
        self.listed.clear();
    }

    /// Takes in an object of a list; what is there at the start is no news.
    pub fn listed(&mut self, object: DynamicObject) -> Vec<Change> {
        let key = Key::of_dynamic(&object);
        self.listed.insert(key.clone());
        let old = self.known.insert(key, stub(&object));
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

    /// The list is complete: what it does not name is gone.
    pub fn end_list(&mut self) -> Vec<Change> {
        self.started = true;
        let (listed, resource) = (&self.listed, &self.resource);
        let gone = self.known.extract_if(|key, _| !listed.contains(key));
        let gone = gone
            .map(|(_, stub)| change(resource, Verb::Delete, stub))
            .collect();
        self.listed.clear();
        gone
    }

    /// Takes in what a watch shows. It may begin before what was listed, and has then come to it in the end.
    pub fn happened(&mut self, verb: Verb, object: DynamicObject) -> Change {
        let key = Key::of_dynamic(&object);
        match verb {
            Verb::Delete => self.known.remove(&key),
            Verb::Add | Verb::Update => self.known.insert(key, stub(&object)),
        };
        change(&self.resource, verb, object)
    }

    /// Forgets what came after `place`, which was not passed on: the next list tells it.
    ///
    /// What was deleted after a place that another process had come to stays unknown.
    pub fn rewind(&mut self, place: &Place) {
        self.known.retain(|_, stub| {
            let meta = &mut stub.metadata;
            if !is_newer(meta.resource_version.as_deref(), &place.version) {
                return true;
            }
            meta.resource_version = None;
            // In whole seconds; told twice is better than not told.
            let created = meta.creation_timestamp.as_ref();
            created.is_none_or(|created| created.0.as_second() < place.time.as_second())
        });
    }
}

/// Versions are numbers that grow; of what is none nothing is known.
fn is_newer(version: Option<&str>, than: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    match (version.and_then(number), number(than)) {
        (Some(version), Some(than)) => version > than,
        _ => version != Some(than),
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
    stub.metadata.creation_timestamp = meta.creation_timestamp.clone();
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

    fn told(changes: Vec<Change>) -> Vec<String> {
        changes
            .into_iter()
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

    fn list(seen: &mut Seen, objects: Vec<DynamicObject>) -> Vec<String> {
        seen.begin_list();
        let mut changes: Vec<Change> = objects
            .into_iter()
            .flat_map(|object| seen.listed(object))
            .collect();
        changes.extend(seen.end_list());
        told(changes)
    }

    fn seen() -> Seen {
        Seen::new(ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            plural: "configmaps".to_owned(),
        })
    }

    #[test]
    fn changes_are_told_once_also_across_a_gap() {
        let mut seen = seen();
        let start = vec![object("a", "1", 1), object("b", "2", 2)];
        assert!(
            list(&mut seen, start).is_empty(),
            "what is there at the start is no news"
        );
        let live = vec![
            seen.happened(Verb::Add, object("c", "3", 3)),
            seen.happened(Verb::Update, object("a", "1", 4)),
            seen.happened(Verb::Delete, object("b", "2", 5)),
        ];
        assert_eq!(
            told(live),
            [
                "add configmaps c 3",
                "update configmaps a 1",
                "delete configmaps b 2"
            ]
        );
        // The same again, something new, something else of the same name, something gone.
        seen.happened(Verb::Add, object("d", "4", 6));
        let again = vec![object("a", "1", 4), object("d", "9", 8), object("e", "5", 9)];
        assert_eq!(
            list(&mut seen, again),
            [
                "delete configmaps d 4",
                "add configmaps d 9",
                "add configmaps e 5",
                "delete configmaps c 3"
            ]
        );
        // A list that was broken off and began anew.
        seen.begin_list();
        assert!(seen.listed(object("a", "1", 4)).is_empty());
        let mut all = list(&mut seen, vec![object("e", "5", 10)]);
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

    #[test]
    fn what_came_after_a_place_is_told_by_the_next_list() {
        let place = Place {
            version: "5".to_owned(),
            time: "2026-11-21T09:00:00.5Z".parse().unwrap(),
        };
        let at = |name: &str, version, created: &str| {
            let mut object = object(name, name, version);
            object.metadata.creation_timestamp =
                Some(serde_json::from_value(json!(format!("2026-11-21T{created}Z"))).unwrap());
            object
        };
        let all = || {
            vec![
                at("before", 5, "08:59:59"),
                at("changed", 6, "08:59:59"),
                at("same-second", 7, "09:00:00"),
                at("new", 10, "09:00:07"),
            ]
        };
        let mut seen = seen();
        assert!(list(&mut seen, all()).is_empty());
        seen.rewind(&place);
        let expected = [
            "update configmaps changed changed",
            "add configmaps same-second same-second",
            "add configmaps new new",
        ];
        assert_eq!(list(&mut seen, all()), expected);
        assert!(list(&mut seen, all()).is_empty(), "told once");
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, than, expected) in [
            (Some("10"), "9", true),
            (Some("9"), "10", false),
            (Some("9"), "9", false),
            (Some("x"), "x", false),
            (Some("x"), "9", true),
            (None, "9", true),
        ] {
            assert_eq!(is_newer(version, than), expected, "{version:?} {than}");
        }
    }
}
