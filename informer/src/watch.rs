//! One list and watch, across lost connections.

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
}

/// Calls `on_event` with what there is and then with each change, for ever. While the API is away nothing is told;
/// afterwards everything is listed anew, from [`Event::Init`] to [`Event::InitDone`].
///
/// An object that does not have its type's shape is left out, and said in the log: what was known of it stays until it
/// can be read again, or is listed anew or deleted, which is told as [`Shown::Lost`]. `kind` is a constant word for
/// metrics and logs.
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
    follow_raw(api, config, kind, &mut |event| {
        if let Some(shown) = decoded(event, kind) {
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

/// What an event shows; `None` for an object that is left out.
fn decoded<K: DeserializeOwned>(event: Event<Raw>, kind: &str) -> Option<Shown<K>> {
    let decode = |raw: &Raw| {
        raw.decode()
            .inspect_err(|error| {
                UNREADABLE.with_label_values(&[kind]).inc();
                warn!(kind, object = %raw.key(), %error, "Object does not have the shape of its kind, and is left out");
            })
            .ok()
    };
    let lost = |raw: &Raw| Shown::Lost {
        key: raw.key(),
        version: version(raw),
    };
    Some(match event {
        Event::Init => Shown::Event(Event::Init),
        Event::InitDone => Shown::Event(Event::InitDone),
        Event::InitApply(raw) => Shown::Event(Event::InitApply(decode(&raw)?)),
        // It is there still: who took it for deleted would remove what belongs to it, such as a broker's events.
        Event::Apply(raw) => Shown::Event(Event::Apply(decode(&raw)?)),
        Event::Delete(raw) => {
            decode(&raw).map_or_else(|| lost(&raw), |object| Shown::Event(Event::Delete(object)))
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
        let shown = |event| decoded::<ConfigMap>(event, "ConfigMap");
        for event in [Event::InitApply, Event::Apply] {
            assert!(matches!(shown(event(raw("{}"))), Some(Shown::Event(_))));
            assert!(shown(event(raw("3"))).is_none());
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
}
