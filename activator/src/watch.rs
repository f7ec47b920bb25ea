//! Follows a kind of object without keeping it: what there is now, then every change, across lost connections.

use std::collections::HashSet;
use std::fmt::Debug;

use informer::Key;
use informer::watch::Shown;
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{Config, Event};
use serde::de::DeserializeOwned;

pub use informer::Key as ObjectKey;

/// One step of the truth.
#[derive(Debug)]
pub enum Change<K> {
    Applied(ObjectKey, K),
    Deleted(ObjectKey),
    /// Everything that exists was told; again after each lost connection.
    Synced,
}

/// Calls `apply` with each change, for ever. While the API is away the last known state simply stays.
///
/// Objects that vanished during a lost connection are told as deleted before [`Change::Synced`].
pub async fn follow<K>(api: Api<K>, config: Config, mut apply: impl FnMut(Change<K>) + Send)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut seen = Seen::default();
    informer::watch::follow(api, config, &K::kind(&()), |shown| match shown {
        Shown::Event(event) => seen.tell(event, &mut apply),
        Shown::Lost { key, .. } => seen.lose(key, &mut apply),
        Shown::Kept { key } => seen.keep(key),
    })
    .await;
}

/// The names that were told, to notice those that vanish while nobody watches.
#[derive(Default)]
struct Seen {
    known: HashSet<Key>,
    listed: HashSet<Key>,
}

impl Seen {
    fn tell<K: Resource>(&mut self, event: Event<K>, apply: &mut impl FnMut(Change<K>)) {
        match event {
            Event::Apply(object) => {
                let key = Key::of(&object);
                self.known.insert(key.clone());
                apply(Change::Applied(key, object));
            }
            Event::Delete(object) => self.lose(Key::of(&object), apply),
            Event::Init => self.listed.clear(),
            Event::InitApply(object) => {
                let key = Key::of(&object);
                self.listed.insert(key.clone());
                apply(Change::Applied(key, object));
            }
            Event::InitDone => {
                for vanished in self.known.difference(&self.listed) {
                    apply(Change::Deleted(vanished.clone()));
                }
                self.known = std::mem::take(&mut self.listed);
                apply(Change::Synced);
            }
        }
    }

    /// It is there still, and what was told of it stays.
    fn keep(&mut self, key: Key) {
        if self.known.contains(&key) {
            self.listed.insert(key);
        }
    }

    fn lose<K>(&mut self, key: Key, apply: &mut impl FnMut(Change<K>)) {
        self.known.remove(&key);
        apply(Change::Deleted(key));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::ObjectMeta;

    use super::*;

    fn map(name: &str) -> ConfigMap {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        ConfigMap {
            metadata,
            ..ConfigMap::default()
        }
    }

    #[test]
    fn what_vanished_during_an_outage_is_told_before_the_list_counts_as_complete() {
        let (mut seen, mut told) = (Seen::default(), Vec::new());
        let events = [
            Event::Init,
            Event::InitApply(map("a")),
            Event::InitDone,
            Event::Apply(map("b")),
            // The connection was lost: `a` went, `c` came.
            Event::Init,
            Event::InitApply(map("b")),
            Event::InitApply(map("c")),
            Event::InitDone,
            Event::Delete(map("b")),
        ];
        for event in events {
            seen.tell(event, &mut |change| {
                told.push(match change {
                    Change::Applied(key, _) => format!("+{}", key.name),
                    Change::Deleted(key) => format!("-{}", key.name),
                    Change::Synced => "synced".to_owned(),
                });
            });
        }
        assert_eq!(told, ["+a", "synced", "+b", "+b", "+c", "-a", "synced", "-b"]);
    }

    #[test]
    fn what_is_listed_and_cannot_be_read_has_not_vanished() {
        let (mut seen, mut deleted) = (Seen::default(), 0);
        let mut apply = |change| deleted += i32::from(matches!(change, Change::Deleted(_)));
        for event in [
            Event::Init,
            Event::InitApply(map("a")),
            Event::InitDone,
            Event::Init,
        ] {
            seen.tell(event, &mut apply);
        }
        seen.keep(Key::of(&map("a")));
        seen.keep(Key::of(&map("never readable")));
        seen.tell(Event::<ConfigMap>::InitDone, &mut apply);
        assert_eq!(seen.known, HashSet::from([Key::of(&map("a"))]));
        seen.tell(Event::<ConfigMap>::Init, &mut apply);
        seen.tell(Event::<ConfigMap>::InitDone, &mut apply);
        assert_eq!(deleted, 1, "when it is listed no more");
    }
}
