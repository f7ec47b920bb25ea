//! One watch, for as long as it is wanted.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use informer::backoff::Backoff;
use kube::Api;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{self, ApiCapabilities, Scope as Reach};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::metrics::REFUSED;
use super::plan::Scope;
use super::progress::Place;
use super::seen::{Change, Seen, Verb};

/// First pause after something failed, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// Objects of one page of a list.
const PAGE: u32 = 500;

/// Seconds after which the API server ends a watch, which then goes on with a new request.
const LASTS: u32 = 290;

/// A watch that is silent for longer is dead: it would have ended.
const SILENT: Duration = Duration::from_secs(300);

/// What a watch has come to.
pub(crate) struct Step {
    pub scope: Arc<Scope>,
    pub change: Option<Change>,
    /// Where the watch is once the change, and all before it, are passed on.
    pub reached: Option<Place>,
    /// Whether the API server lets the sender watch, when that is found out anew.
    pub access: Option<Access>,
}

/// Whether the sender may list and watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Granted,
    /// With what the API server says.
    Refused(String),
}

/// Nobody takes the steps any more.
pub(crate) struct Closed;

/// Sends what changes in `scope` to `steps`, for ever: from `place` on if that is known, else from now on. Waits while
/// `steps` is full.
pub(crate) async fn follow(
    client: kube::Client,
    scope: Arc<Scope>,
    place: Option<Place>,
    steps: mpsc::Sender<Step>,
) -> Closed {
    let (resource, capabilities) = resource(&client, &scope).await;
    let api: Api<DynamicObject> = match &scope.namespace {
        Some(namespace) if capabilities.scope == Reach::Namespaced => {
            Api::namespaced_with(client, namespace, &resource)
        }
        _ => Api::all_with(client, &resource),
    };
    let mut watch = Watch {
        api,
        scope,
        seen: Seen::new(resource),
        steps,
        backoff: Backoff::new(RETRY.0, RETRY.1),
        access: None,
    };
    match watch.run(place).await {
        Ok(never) => match never {},
        Err(closed) => closed,
    }
}

/// Waits until the kind is defined.
async fn resource(client: &kube::Client, scope: &Scope) -> (ApiResource, ApiCapabilities) {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let (group, version) = scope
        .api_version
        .split_once('/')
        .unwrap_or(("", &scope.api_version));
    let kind = GroupVersionKind::gvk(group, version, &scope.kind);
    loop {
        match discovery::pinned_kind(client, &kind).await {
            Ok(found) => return found,
            Err(error) => {
                tracing::debug!(kind = scope.kind, %error, "A kind cannot be watched yet");
                sleep(backoff.pause()).await;
            }
        }
    }
}

/// Why a request of a watch ended.
enum Ended {
    /// It may go on where it was.
    Broken,
    /// The API server does not know that place (any more).
    Forgotten,
}

struct Watch {
    api: Api<DynamicObject>,
    scope: Arc<Scope>,
    seen: Seen,
    steps: mpsc::Sender<Step>,
    backoff: Backoff,
    /// What was told last.
    access: Option<Access>,
}

impl Watch {
    async fn run(&mut self, mut place: Option<Place>) -> Result<Infallible, Closed> {
        loop {
            // Also if the place is known: only who knows all objects can tell later which of them are gone.
            let listed = Place::now(self.list().await?);
            let mut at = match place.take() {
                Some(place) => place,
                None => {
                    self.send(None, Some(listed.clone())).await?;
                    listed
                }
            };
            while let Ended::Broken = self.watch(&mut at).await? {
                sleep(self.backoff.pause()).await;
            }
            tracing::info!(
                kind = self.scope.kind,
                version = at.version,
                "A watch is too old and lists anew"
            );
            self.seen.rewind(&at);
            sleep(self.backoff.pause()).await;
        }
    }

    /// Lists all objects, and sends what differs from what is known; returns the version of the list.
    async fn list(&mut self) -> Result<String, Closed> {
        let first = ListParams::default().labels(&self.scope.labels).limit(PAGE);
        let mut params = first.clone();
        self.seen.begin_list();
        loop {
            let page = match self.api.list(&params).await {
                Ok(page) => page,
                Err(error) => {
                    self.failed(&error, "List failed").await?;
                    sleep(self.backoff.pause()).await;
                    params = first.clone();
                    self.seen.begin_list();
                    continue;
                }
            };
            for object in page.items {
                for change in self.seen.listed(object) {
                    self.send(Some(change), None).await?;
                }
            }
            params.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            if params.continue_token.is_none() {
                for change in self.seen.end_list() {
                    self.send(Some(change), None).await?;
                }
                self.tell(Access::Granted).await?;
                return Ok(page.metadata.resource_version.unwrap_or_default());
            }
        }
    }

    /// Sends what happens after `place`, which moves on, until the request ends.
    async fn watch(&mut self, place: &mut Place) -> Result<Ended, Closed> {
        let params = WatchParams::default().labels(&self.scope.labels).timeout(LASTS);
        let events = match self.api.watch(&params, &place.version).await {
            Ok(events) => events,
            Err(error) => {
                self.failed(&error, "Watch failed").await?;
                return Ok(match error {
                    kube::Error::Api(status) => ended(status.code),
                    _ => Ended::Broken,
                });
            }
        };
        self.tell(Access::Granted).await?;
        let mut events = std::pin::pin!(events);
        while let Ok(Some(event)) = timeout(SILENT, events.next()).await {
            let (verb, object) = match event {
                Ok(WatchEvent::Added(object)) => (Verb::Add, object),
                Ok(WatchEvent::Modified(object)) => (Verb::Update, object),
                Ok(WatchEvent::Deleted(object)) => (Verb::Delete, object),
                Ok(WatchEvent::Bookmark(mark)) => {
                    *place = Place::now(mark.metadata.resource_version);
                    self.send(None, Some(place.clone())).await?;
                    continue;
                }
                Ok(WatchEvent::Error(status)) => return Ok(ended(status.code)),
                Err(error) => {
                    tracing::debug!(kind = self.scope.kind, %error, "Watch ended");
                    return Ok(Ended::Broken);
                }
            };
            self.backoff.reset();
            if let Some(version) = &object.metadata.resource_version {
                *place = Place::now(version.clone());
            }
            let change = self.seen.happened(verb, object);
            self.send(Some(change), Some(place.clone())).await?;
        }
        Ok(Ended::Broken)
    }

    /// A request failed: one that was refused is for people to mend, all others pass.
    async fn failed(&mut self, error: &kube::Error, what: &str) -> Result<(), Closed> {
        match refusal(error) {
            Some(message) => {
                REFUSED.inc();
                self.tell(Access::Refused(message)).await
            }
            None => {
                tracing::debug!(kind = self.scope.kind, %error, "{what}");
                Ok(())
            }
        }
    }

    /// Tells of access if it is not what was told before.
    async fn tell(&mut self, access: Access) -> Result<(), Closed> {
        if self.access.as_ref() == Some(&access) {
            return Ok(());
        }
        self.access = Some(access.clone());
        self.step(None, None, Some(access)).await
    }

    async fn send(&self, change: Option<Change>, reached: Option<Place>) -> Result<(), Closed> {
        self.step(change, reached, None).await
    }

    async fn step(
        &self,
        change: Option<Change>,
        reached: Option<Place>,
        access: Option<Access>,
    ) -> Result<(), Closed> {
        let scope = self.scope.clone();
        let step = Step {
            scope,
            change,
            reached,
            access,
        };
        self.steps.send(step).await.map_err(|_| Closed)
    }
}

/// What the API server says to a sender that may not do what it asked for.
fn refusal(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) if status.code == 403 => Some(status.message.clone()),
        _ => None,
    }
}

/// 410: the place is too old. 504: the server waited in vain for it to come; it has been set back since. 400: it is none.
fn ended(code: u16) -> Ended {
    match code {
        400 | 410 | 504 => Ended::Forgotten,
        _ => Ended::Broken,
    }
}
