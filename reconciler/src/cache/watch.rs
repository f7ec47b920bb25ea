//! Keeps one cache current: list, then watch, for ever.

use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event, watcher};
use tracing::{debug, warn};

use super::state::slim;
use super::{Cache, Selection};
use crate::backoff::Backoff;
use crate::object::{Object, Scoped};

/// First pause after a failed watch. The embedded server answers at once, so kube's own 800 ms would be waste.
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// Longest pause between attempts to reach an API server that is away.
const RETRY_MAX: Duration = Duration::from_secs(10);

pub(super) async fn run<K>(client: kube::Client, selection: Selection, cache: Cache<K>)
where
    K: Object,
    K::Scope: Scoped,
{
    let api = match &selection.namespace {
        Some(namespace) => crate::object::api::<K>(&client, namespace),
        None => kube::Api::all(client),
    };
    let mut config = watcher::Config::default();
    if let Some(labels) = &selection.labels {
        config = config.labels(labels);
    }
    let events = watcher(api, config);
    pin_mut!(events);

    let mut listing = Vec::new();
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                // Every attempt begins with `Init`; only data shows that the server is back.
                if !matches!(event, Event::Init) {
                    backoff.reset();
                }
                take_in(&cache, &mut listing, event);
            }
            Err(error) => {
                let pause = backoff.pause();
                let kind = K::kind(&());
                // A version too old after an outage is how watches normally end.
                if pause < Duration::from_secs(1) {
                    debug!(%kind, %error, "Watch ended");
                } else {
                    warn!(%kind, %error, "Watch keeps failing");
                }
                tokio::time::sleep(pause).await;
            }
        }
    }
}

fn take_in<K: Object>(cache: &Cache<K>, listing: &mut Vec<K>, event: Event<K>) {
    let state = &cache.inner.state;
    match event {
        Event::Init => {
            listing.clear();
            state.write().begin_list();
        }
        Event::InitApply(mut object) => {
            slim(&mut object);
            listing.push(object);
        }
        Event::InitDone => {
            let changes = state.write().finish_list(std::mem::take(listing));
            cache.announce(changes);
            cache.inner.synced.send_replace(true);
        }
        Event::Apply(mut object) => {
            slim(&mut object);
            let change = state.write().observe(object);
            cache.announce(change);
        }
        Event::Delete(object) => {
            let change = state.write().remove(&object);
            cache.announce(change);
        }
    }
}
