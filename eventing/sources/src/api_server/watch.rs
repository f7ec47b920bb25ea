//! One watch, for as long as it is wanted.

use std::time::Duration;

use futures::StreamExt;
use informer::backoff::Backoff;
use kube::Api;
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{self, ApiCapabilities, Scope as Reach};
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::mpsc;

use super::plan::Scope;
use super::seen::{Change, Seen};

/// First pause after something failed, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Sends what changes in `scope` to `changes`, for ever. Waits while `changes` is full.
pub(crate) async fn follow(client: kube::Client, scope: Scope, changes: mpsc::Sender<Change>) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let (resource, capabilities) = loop {
        let (group, version) = scope
            .api_version
            .split_once('/')
            .unwrap_or(("", &scope.api_version));
        let kind = GroupVersionKind::gvk(group, version, &scope.kind);
        match discovery::pinned_kind(&client, &kind).await {
            Ok(found) => break found,
            // The definition of the kind may come later.
            Err(error) => {
                tracing::debug!(kind = scope.kind, %error, "A kind cannot be watched yet");
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    };
    backoff.reset();
    let api: Api<DynamicObject> = match &scope.namespace {
        Some(namespace) if namespaced(&capabilities) => Api::namespaced_with(client, namespace, &resource),
        _ => Api::all_with(client, &resource),
    };
    let config = watcher::Config::default().labels(&scope.labels);
    let mut seen = Seen::new(resource);
    let mut events = std::pin::pin!(watcher(api, config));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if !matches!(event, Event::Init) {
                    backoff.reset();
                }
                for change in seen.take(event) {
                    if changes.send(change).await.is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                tracing::debug!(kind = scope.kind, %error, "Watch ended");
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }
}

fn namespaced(capabilities: &ApiCapabilities) -> bool {
    capabilities.scope == Reach::Namespaced
}
