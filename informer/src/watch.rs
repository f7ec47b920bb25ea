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
use crate::metrics::{UNREADABLE, WATCH_FAILURES};
use crate::raw::Raw;

/// First pause after a failed watch. The embedded server answers at once, so kube's own 800 ms would be waste.
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// Longest pause between attempts to reach an API server that is away.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Calls `on_event` with what there is and then with each change, for ever. While the API is away nothing is told;
/// afterwards everything is listed anew, from [`Event::Init`] to [`Event::InitDone`].
///
/// An object that does not have its type's shape is left out, and said so. `kind` is a constant word for metrics and
/// logs.
pub async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    kind: &str,
    mut on_event: impl FnMut(Event<K>) + Send,
) where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let resource = ApiResource::erase::<K>(&());
    let api: Api<Raw> = match api.namespace().map(str::to_owned) {
        Some(namespace) => Api::namespaced_with(api.into_client(), &namespace, &resource),
        None => Api::all_with(api.into_client(), &resource),
    };
    follow_raw(api, config, kind, &mut |event| {
        if let Some(event) = decoded(event, kind) {
            on_event(event);
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

fn decoded<K: DeserializeOwned>(event: Event<Raw>, kind: &str) -> Option<Event<K>> {
    let decode = |raw: Raw| {
        raw.decode()
            .inspect_err(|error| {
                UNREADABLE.with_label_values(&[kind]).inc();
                warn!(kind, object = raw.place(), %error, "Object does not have the shape of its kind, and is left out");
            })
            .ok()
    };
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(raw) => Event::InitApply(decode(raw)?),
        Event::Apply(raw) => Event::Apply(decode(raw)?),
        Event::Delete(raw) => Event::Delete(decode(raw)?),
    })
}
