//! One list and watch, across lost connections.

use std::fmt::Debug;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tracing::{debug, warn};

use crate::backoff::Backoff;
use crate::metrics::WATCH_FAILURES;

/// First pause after a failed watch. The embedded server answers at once, so kube's own 800 ms would be waste.
const RETRY_FIRST: Duration = Duration::from_millis(10);
/// Longest pause between attempts to reach an API server that is away.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// Calls `on_event` with what there is and then with each change, for ever. While the API is away nothing is told;
/// afterwards everything is listed anew, from [`Event::Init`] to [`Event::InitDone`].
///
/// `kind` is a constant word for metrics and logs.
pub async fn follow<K>(api: Api<K>, config: watcher::Config, kind: &str, mut on_event: impl FnMut(Event<K>))
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let failures = WATCH_FAILURES.with_label_values(&[kind]);
    let events = watcher(api, config);
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
