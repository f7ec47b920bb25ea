//! Tags to digests, once per revision, in the background.
//!
//! A revision is pinned to what its tags meant when it was made. Looking up needs the network, so it runs beside the
//! reconciler: [`Resolver::lookup`] answers at once, and the key is woken when there is news.

mod plan;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crds::config::Deployment;
use crds::serving::{ContainerStatus, Revision};
use parking_lot::Mutex;
use reconciler::backoff::exponential;
use reconciler::{ConfigStore, Key, Queue};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::shared::namespace_of;
pub(crate) use plan::Found;
use plan::Planned;
use registries::{Keychain, PullSecrets, Registry};

/// Lookups that run at the same time (upstream's).
const WORKERS: usize = 100;
/// Pause before a failed lookup is tried again: the first and the longest (upstream's).
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(1000));

/// What is known about a revision's digests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lookup {
    /// Being looked up; the key is woken at the end.
    Pending,
    /// The last attempt failed; the key is woken by the next one.
    Failed(String),
    Found(Found),
}

/// Looks up digests for revisions. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    client: kube::Client,
    registry: Registry,
    workers: Semaphore,
    queue: Queue,
    lookups: Mutex<HashMap<Key, State>>,
}

#[derive(Default)]
struct State {
    running: Option<AbortHandle>,
    /// Failures in a row, the last one's text, and when to try again.
    failures: u32,
    failed: Option<(String, Instant)>,
    found: Option<Found>,
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(task) = &self.running {
            task.abort();
        }
    }
}

impl Resolver {
    /// `queue` is told the keys whose lookups have ended.
    pub(crate) fn new(client: kube::Client, queue: Queue) -> Self {
        let inner = Inner {
            client,
            registry: Registry::new(),
            workers: Semaphore::new(WORKERS),
            queue,
            lookups: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The digests of `revision`, as far as they are known; starts looking if nobody does.
    pub(crate) fn lookup(&self, key: &Key, revision: &Revision, config: &ConfigStore) -> Lookup {
        let deployment = config.get::<Deployment>();
        let planned = match plan::plan(revision, &deployment.registries_skipping_tag_resolving) {
            Ok(Planned::Done(found)) => return Lookup::Found(found),
            Ok(planned) => planned,
            Err(message) => return Lookup::Failed(message),
        };
        let mut lookups = self.inner.lookups.lock();
        let state = lookups.entry(key.clone()).or_default();
        if let Some(found) = &state.found {
            return Lookup::Found(found.clone());
        }
        let due = state.failed.as_ref().is_none_or(|(_, at)| *at <= Instant::now());
        if state.running.is_none() && due {
            let attempt = self.clone().attempt(
                key.clone(),
                planned,
                secrets_of(revision),
                namespace_of(&revision.metadata).to_owned(),
                deployment.digest_resolution_timeout,
            );
            state.running = Some(tokio::spawn(attempt).abort_handle());
        }
        // A failure stays visible while the next attempt runs: a condition that goes back and forth tells nothing.
        match &state.failed {
            Some((message, at)) => {
                // The status written for the failure wakes the key at once, and that takes the place of a wake
                // asked for earlier: ask anew each time.
                if state.running.is_none() {
                    self.inner.queue.add_after(key.clone(), *at - Instant::now());
                }
                Lookup::Failed(message.clone())
            }
            None => Lookup::Pending,
        }
    }

    /// Ends a lookup that nobody waits for any more.
    pub(crate) fn forget(&self, key: &Key) {
        self.inner.lookups.lock().remove(key);
    }

    async fn attempt(
        self,
        key: Key,
        planned: Planned,
        secrets: PullSecrets,
        namespace: String,
        limit: Duration,
    ) {
        let result = self.resolve(planned, &secrets, &namespace, limit).await;
        let mut lookups = self.inner.lookups.lock();
        // Forgotten meanwhile: nobody wants to know.
        let Some(state) = lookups.get_mut(&key) else {
            return;
        };
        state.running = None;
        match result {
            Ok(found) => {
                state.found = Some(found);
                self.inner.queue.add(key);
            }
            Err(message) => {
                let pause = exponential(RETRY.0, RETRY.1, state.failures);
                state.failures = state.failures.saturating_add(1);
                state.failed = Some((message, Instant::now() + pause));
                self.inner.queue.add(key);
            }
        }
    }

    async fn resolve(
        &self,
        planned: Planned,
        secrets: &PullSecrets,
        namespace: &str,
        limit: Duration,
    ) -> Result<Found, String> {
        let _permit = self.inner.workers.acquire().await;
        // The time in the line behind other revisions is not the registry's.
        let deadline = Instant::now() + limit;
        let keychain =
            tokio::time::timeout_at(deadline, Keychain::read(&self.inner.client, namespace, secrets))
                .await
                .unwrap_or_default();
        let mut found = Found::default();
        for (image, slot) in planned.into_images() {
            let digest = match image.reference {
                Some(reference) => {
                    let asked = self
                        .inner
                        .registry
                        .digest(&reference, keychain.for_image(&reference));
                    let digest = match tokio::time::timeout_at(deadline, asked).await {
                        Ok(answer) => answer.map_err(|error| reconciler::error::chain(&error)),
                        Err(_) => Err(format!(
                            "{} did not answer within {limit:?}",
                            reference.registry()
                        )),
                    };
                    let digest = digest.map_err(|why| {
                        format!(
                            "Unable to fetch image {:?}: failed to resolve image to digest: {why}",
                            image.written
                        )
                    })?;
                    let pinned = reference
                        .with_digest(&digest)
                        .map_err(|error| error.to_string())?;
                    pinned.to_string()
                }
                None => image.known,
            };
            found.push(
                slot,
                ContainerStatus {
                    name: image.container,
                    image_digest: Some(digest),
                },
            );
        }
        Ok(found)
    }
}

/// Where the credentials are that the pods of `revision` pull with.
fn secrets_of(revision: &Revision) -> PullSecrets {
    let pod = &revision.spec.pod_spec;
    let listed = pod.image_pull_secrets.iter().flatten();
    PullSecrets::new(
        pod.service_account_name.as_deref(),
        listed.map(|secret| secret.name.clone()),
    )
}

#[cfg(test)]
mod tests;
