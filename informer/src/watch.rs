//! One list and watch, across lost connections.

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt, pin_mut};
use kube::api::ApiResource;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::key::Key;
use crate::metrics::{UNREADABLE, WATCH_FAILURES};
use crate::object::version;
use crate::raw::Raw;

/// First pause after a failed watch. The embedded server answers at once, so kube's own 800 ms would be waste.
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// Longest pause between attempts to reach an API server that is away.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// What a watch shows.
#[derive(Debug)]
pub enum Shown<K> {
    /// Something that has the shape of its kind.
    Event(Event<K>),
    /// An object that is deleted, and was last what does not have that shape. `version` is its number, zero if it has
    /// none.
    Lost { key: Key, version: u64 },
    /// An object in a list that does not have that shape: it is there, and what was known of it stays.
    Kept { key: Key },
}

/// Calls `on_event` with what there is and then with each change, for ever. While the API is away nothing is told;
/// afterwards everything is listed anew, from [`Event::Init`] to [`Event::InitDone`].
///
/// An object that does not have its type's shape is left out, and said in the log: what was known of it stays until it
/// can be read again, or is deleted, which is told as [`Shown::Lost`]; in a list it is told as [`Shown::Kept`]. `kind` is a
/// constant word for metrics and logs.
pub async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    kind: &str,
    mut on_event: impl FnMut(Shown<K>) + Send,
) where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let resource = ApiResource::erase::<K>(&());
    let api: Api<Raw> = match api.namespace().map(str::to_owned) {
        Some(namespace) => Api::namespaced_with(api.into_client(), &namespace, &resource),
        None => Api::all_with(api.into_client(), &resource),
    };
    let mut unreadable = Unreadable::default();
    follow_raw(api, config, kind, &mut |event| {
        if let Some(shown) = decoded(event, kind, &mut unreadable) {
            on_event(shown);
        }
    })
    .await;
}

/// Like [`follow`], of a kind that is known only when the program runs.
pub async fn follow_dynamic<K>(
    api: Api<K>,
    config: watcher::Config,
    kind: &str,
    mut on_event: impl FnMut(Event<K>),
) where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    tell(watcher(api, config), kind, &mut on_event).await;
}

/// For all kinds: not to be made anew for each is the point of [`Raw`].
async fn follow_raw(
    api: Api<Raw>,
    config: watcher::Config,
    kind: &str,
    on_event: &mut (dyn FnMut(Event<Raw>) + Send),
) {
    tell(watcher(api, config), kind, on_event).await;
}

async fn tell<K>(
    events: impl Stream<Item = watcher::Result<Event<K>>>,
    kind: &str,
    on_event: &mut (impl FnMut(Event<K>) + ?Sized),
) {
    let failures = WATCH_FAILURES.with_label_values(&[kind]);
    pin_mut!(events);
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // Every attempt begins with `Init`; only data shows that the server is back.
                if !matches!(event, Event::Init) {
                    backoff.reset();
                }
                on_event(event);
            }
            Err(error) => {
                failures.inc();
                let pause = backoff.pause();
                // A version too old after an outage is how watches normally end.
                if pause < Duration::from_secs(1) {
                    debug!(kind, %error, "Watch ended");
                } else {
                    warn!(kind, %error, "Watch keeps failing");
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// The objects that could not be read, in which version: each is said and counted once, however often it is listed.
/// Empty as a rule; not more than there are such objects.
#[derive(Default)]
struct Unreadable {
    versions: HashMap<Key, u64>,
    /// Those of the list that is being shown.
    listed: HashSet<Key>,
}

impl Unreadable {
    fn decode<K: DeserializeOwned>(&mut self, raw: &Raw, kind: &str) -> Option<K> {
        match raw.decode() {
            Ok(object) => {
                // Keys are read anew from the text: not for each object of a list when all is well.
                if !self.versions.is_empty() {
                    self.versions.remove(&raw.key());
                }
                Some(object)
            }
            Err(error) => {
                let key = raw.key();
                if self.versions.insert(key.clone(), version(raw)) != Some(version(raw)) {
                    UNREADABLE.with_label_values(&[kind]).inc();
                    warn!(kind, object = %key, %error, "Object does not have the shape of its kind, and is left out");
                }
                None
            }
        }
    }
}

/// What an event shows; `None` for an object that is left out.
fn decoded<K: DeserializeOwned>(
    event: Event<Raw>,
    kind: &str,
    unreadable: &mut Unreadable,
) -> Option<Shown<K>> {
    let lost = |raw: &Raw| Shown::Lost {
        key: raw.key(),
        version: version(raw),
    };
    Some(match event {
        Event::Init => {
            unreadable.listed.clear();
            Shown::Event(Event::Init)
        }
        Event::InitDone => {
            // What was deleted while nobody watched is forgotten.
            let listed = std::mem::take(&mut unreadable.listed);
            unreadable.versions.retain(|key, _| listed.contains(key));
            Shown::Event(Event::InitDone)
        }
        // It is there still: who took it for deleted would remove what belongs to it, such as a broker's events.
        Event::InitApply(raw) => match unreadable.decode(&raw, kind) {
            Some(object) => Shown::Event(Event::InitApply(object)),
            None => {
                let key = raw.key();
                unreadable.listed.insert(key.clone());
                Shown::Kept { key }
            }
        },
        Event::Apply(raw) => Shown::Event(Event::Apply(unreadable.decode(&raw, kind)?)),
        Event::Delete(raw) => {
            let shown = unreadable
                .decode(&raw, kind)
                .map_or_else(|| lost(&raw), |object| Shown::Event(Event::Delete(object)));
            unreadable.versions.remove(&raw.key());
            shown
        }
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn what_has_another_shape_is_left_out_and_lost_only_when_it_is_deleted() {
        let raw = |data: &str| -> Raw {
            let text = format!(
                r#"{{"metadata":{{"name":"a","namespace":"ns","resourceVersion":"7"}},"data":{data}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let mut unreadable = Unreadable::default();
        let mut shown = |event| decoded::<ConfigMap>(event, "ConfigMap", &mut unreadable);
        for event in [Event::InitApply, Event::Apply] {
            assert!(matches!(shown(event(raw("{}"))), Some(Shown::Event(_))));
        }
        assert!(shown(Event::Apply(raw("3"))).is_none());
        match shown(Event::InitApply(raw("3"))) {
            Some(Shown::Kept { key }) => assert_eq!(key, Key::new("ns", "a")),
            other => panic!("{other:?}"),
        }
        assert!(matches!(
            shown(Event::Delete(raw("{}"))),
            Some(Shown::Event(Event::Delete(_)))
        ));
        match shown(Event::Delete(raw("3"))) {
            Some(Shown::Lost { key, version: 7 }) => assert_eq!(key, Key::new("ns", "a")),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_has_another_shape_is_counted_once_however_often_it_is_listed() {
        let kind = "ConfigMap of the test that counts";
        let counted = || UNREADABLE.with_label_values(&[kind]).get();
        let raw = |version: u64, data: &str| -> Raw {
            let text = format!(
                r#"{{"metadata":{{"name":"a","namespace":"ns","resourceVersion":"{version}"}},"data":{data}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let mut unreadable = Unreadable::default();
        let mut show = |event| {
            decoded::<ConfigMap>(event, kind, &mut unreadable);
            counted()
        };
        let mut list = |item: Option<Raw>| {
            show(Event::Init);
            item.map(|raw| show(Event::InitApply(raw)));
            show(Event::InitDone)
        };
        for (item, expected, why) in [
            (Some(raw(7, "3")), 1, "it is new"),
            (Some(raw(7, "3")), 1, "it is the same"),
            (Some(raw(8, "3")), 2, "it has changed"),
            (Some(raw(9, "{}")), 2, "it can be read"),
            (Some(raw(8, "3")), 3, "it was readable in between"),
            (None, 3, "it is gone"),
            (Some(raw(8, "3")), 4, "it was gone in between"),
        ] {
            assert_eq!(list(item), expected, "{why}");
        }
    }
}
