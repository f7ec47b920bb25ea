//! Watches: a stream of changes, optionally after the present objects.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cluster_machinery::FieldError;
use rand::Rng;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::shown::Shown;
use super::{Call, Registry, to_bytes};
use crate::filter::Filter;
use crate::represent::Representation;
use crate::request::Match;
use crate::resource::ResourceRef;
use crate::status::StatusError;
use crate::store::{Event, EventKind, PastError, Received, Scope, Subscription};

/// Time between bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// Shortest life of a watch that sets no timeout (upstream default: 30 min, doubled at random).
const MIN_TIMEOUT: Duration = Duration::from_secs(1800);
/// Annotation of the bookmark that ends the initial objects.
const INITIAL_END: &str = "k8s.io/initial-events-end";

/// Present objects that are shown at once: those that have to be converted go to a webhook together.
const AT_ONCE: usize = 500;

/// What has happened, and is not a line yet.
#[derive(Clone)]
enum Pending {
    Event(Arc<Event>),
    /// Everything up to this revision has been told.
    Bookmark(u64),
}

/// A watch in progress. Ends when the client leaves, time is up, or it is too slow.
pub(crate) struct WatchStream {
    registry: Arc<Registry>,
    resource: ResourceRef,
    filter: Filter,
    representation: Representation,
    subscription: Subscription,
    /// Lines to send before anything new.
    ready: VecDeque<Bytes>,
    /// What becomes lines next, in order.
    pending: VecDeque<Pending>,
    bookmarks: bool,
    next_bookmark: Instant,
    deadline: Instant,
    /// Whether a table's header was sent.
    headed: bool,
    ended: bool,
}

impl Registry {
    /// Starts a watch.
    pub(crate) async fn watch(
        self: &Arc<Self>,
        call: &Call,
        representation: Representation,
    ) -> Result<WatchStream, StatusError> {
        let query = &call.query;
        let mut filter = Filter::parse(&call.resource, &query.label_selector, &query.field_selector)?;
        if !call.name.is_empty() {
            filter.require_name(&call.name);
        }
        check_options(call)?;
        let scope = scope(call, &filter);
        let requested = self.not_in_the_future(&query.resource_version)?;
        let send_initial = query.send_initial_events.unwrap_or(requested == 0);
        let mut ready = VecDeque::new();
        let subscription = if send_initial {
            let (revision, objects, subscription) = self.store.list_and_watch(scope);
            for some in objects.chunks(AT_ONCE) {
                let shown = Shown::all(&call.resource, some.iter().map(|(_, object)| &**object)).await?;
                for shown in shown {
                    if filter.matches(&call.resource, &shown) {
                        let raw = shown.into_bytes();
                        let object = representation.watched(self, &call.resource, &raw, ready.is_empty());
                        ready.push_back(line("ADDED", &object));
                    }
                }
            }
            if query.send_initial_events == Some(true) && query.allow_bookmarks {
                ready.push_back(bookmark(&call.resource, representation, revision, true));
            }
            subscription
        } else {
            let from = if requested == 0 {
                self.store.revision()
            } else {
                requested
            };
            match self.store.watch(scope.clone(), from) {
                Ok(subscription) => subscription,
                Err(PastError::Expired(_)) => {
                    // As upstream: the stream opens, says so, and ends.
                    let status = StatusError::expired(format!("too old resource version: {from}")).to_value();
                    ready.push_back(line("ERROR", &to_bytes(&status)));
                    let subscription = self
                        .store
                        .watch(scope, self.store.revision())
                        .map_err(StatusError::internal)?;
                    return Ok(self.stream(call, filter, representation, subscription, ready, true));
                }
                Err(error @ PastError::Future { .. }) => return Err(StatusError::internal(error)),
            }
        };
        Ok(self.stream(call, filter, representation, subscription, ready, false))
    }

    fn stream(
        self: &Arc<Self>,
        call: &Call,
        filter: Filter,
        representation: Representation,
        subscription: Subscription,
        ready: VecDeque<Bytes>,
        ended: bool,
    ) -> WatchStream {
        let now = Instant::now();
        let timeout = call
            .query
            .timeout
            .unwrap_or_else(|| MIN_TIMEOUT.mul_f64(rand::rng().random_range(1.0..2.0)));
        let headed = !ready.is_empty();
        WatchStream {
            headed,
            registry: self.clone(),
            resource: call.resource.clone(),
            filter,
            representation,
            subscription,
            ready,
            pending: VecDeque::new(),
            bookmarks: call.query.allow_bookmarks,
            next_bookmark: now + BOOKMARK_EVERY,
            deadline: now + timeout,
            ended,
        }
    }
}

impl WatchStream {
    /// Waits for the next line; `None` ends the stream. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if let Some(pending) = self.pending.front().cloned() {
                // Taken out only when it has become a line: nobody who gives up in between loses it.
                let line = self.line_of(&pending).await;
                self.pending.pop_front();
                match line {
                    Ok(line) => self.ready.extend(line),
                    Err(error) => {
                        self.pending.clear();
                        self.ready
                            .push_back(self::line("ERROR", &to_bytes(&error.to_value())));
                        self.ended = true;
                    }
                }
                continue;
            }
            if self.ended {
                return None;
            }
            let wake = if self.bookmarks {
                self.deadline.min(self.next_bookmark)
            } else {
                self.deadline
            };
            tokio::select! {
                biased;
                received = self.subscription.next() => match received {
                    Received::Event(event) => self.pending.push_back(Pending::Event(event)),
                    Received::Lagged => {
                        let status = StatusError::expired("the watch was too slow and has missed changes").to_value();
                        self.ready.push_back(line("ERROR", &to_bytes(&status)));
                        self.ended = true;
                    }
                    Received::Closed => self.ended = true,
                },
                () = tokio::time::sleep_until(wake) => {
                    self.bookmark();
                    self.ended = Instant::now() >= self.deadline;
                }
            }
        }
    }

    /// Queues a bookmark for everything that has been published so far.
    fn bookmark(&mut self) {
        self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
        if !self.bookmarks {
            return;
        }
        // Read before draining: whatever is at or below this revision is in the queue already.
        let revision = self.registry.store.revision();
        while let Some(event) = self.subscription.try_next() {
            self.pending.push_back(Pending::Event(event));
        }
        self.pending.push_back(Pending::Bookmark(revision));
    }

    async fn line_of(&mut self, pending: &Pending) -> Result<Option<Bytes>, StatusError> {
        match pending {
            Pending::Event(event) => self.change(event).await,
            Pending::Bookmark(revision) => {
                let line = bookmark(&self.resource, self.representation, *revision, false);
                Ok(Some(line))
            }
        }
    }

    /// Tells a change as the selectors see it: an object that begins to match is new, one that ceases to is gone.
    async fn change(&mut self, event: &Event) -> Result<Option<Bytes>, StatusError> {
        let mut objects = vec![&*event.object];
        // Without selectors all that was there before has matched.
        if !self.filter.is_empty() {
            objects.extend(event.previous.as_deref());
        }
        let mut shown = Shown::all(&self.resource, objects.into_iter()).await?.into_iter();
        let Some(object) = shown.next() else {
            return Ok(None);
        };
        let previous = shown.next();
        let now = event.kind != EventKind::Deleted && self.filter.matches(&self.resource, &object);
        let before = match &previous {
            Some(previous) => self.filter.matches(&self.resource, previous),
            None => self.filter.is_empty() && event.previous.is_some(),
        };
        let (kind, object) = match (before, now, previous) {
            (false, true, _) => ("ADDED", object),
            (true, true, _) => ("MODIFIED", object),
            (true, false, Some(previous)) if event.kind != EventKind::Deleted => {
                // The last state that matched, at the revision at which it ceased to.
                let mut value = previous.value().into_owned();
                crate::meta::metadata_mut(&mut value)
                    .insert("resourceVersion".into(), event.revision.to_string().into());
                ("DELETED", Shown::Changed(value))
            }
            (true, false, _) => ("DELETED", object),
            (false, false, _) => return Ok(None),
        };
        let first = !std::mem::replace(&mut self.headed, true);
        let raw = object.into_bytes();
        let object = self
            .representation
            .watched(&self.registry, &self.resource, &raw, first);
        Ok(Some(line(kind, &object)))
    }
}

fn scope(call: &Call, filter: &Filter) -> Scope {
    let resource = call.resource.prefix();
    let namespace = if call.namespace.is_empty() {
        filter.namespace().unwrap_or_default()
    } else {
        &call.namespace
    };
    let prefix = match filter.name() {
        Some(name) if !call.resource.namespaced || !namespace.is_empty() => {
            call.resource.key(namespace, name)
        }
        _ => call.resource.namespace_prefix(namespace),
    };
    Scope { resource, prefix }
}

/// Checks the combination of options (`k8s.io/apimachinery/pkg/apis/meta/internalversion/validation`).
fn check_options(call: &Call) -> Result<(), StatusError> {
    let query = &call.query;
    let problem = match (query.send_initial_events, query.resource_version_match) {
        (Some(_), Some(Match::NotOlderThan)) | (None, None) => return Ok(()),
        (Some(_), _) => (
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            "resourceVersionMatch",
        ),
        (None, Some(_)) => (
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            "resourceVersionMatch",
        ),
    };
    let (message, field) = problem;
    Err(StatusError::invalid(
        crate::status::Subject {
            group: "meta.k8s.io",
            resource: "ListOptions",
        },
        "",
        vec![FieldError::forbidden(field, message)],
    ))
}

fn bookmark(
    resource: &ResourceRef,
    representation: Representation,
    revision: u64,
    initial_end: bool,
) -> Bytes {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": Value::Null});
    if initial_end {
        metadata["annotations"] = json!({INITIAL_END: "true"});
    }
    let object = representation.bookmark(&resource.api_version(), &resource.kind, metadata);
    line("BOOKMARK", &to_bytes(&object))
}

fn line(kind: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 32);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(kind.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}
