//! Where events are kept: objects in the namespace of the listener.

use std::time::Duration;

use crds::triggers::{Decision, EventListener, Outcome, ReceivedEvent, ReceivedEventStatus, State, labels};
use futures::future::try_join_all;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;

use super::attempts::Attempts;
use super::record::{self, Unreadable};
use crate::event::Incoming;

/// Events that are done and still known, by listener.
const KEPT: usize = 1000;
/// How long they are: as long as GitHub lets people make deliveries again.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(72);
/// Parts whose event was never stored are cleared away after this long.
const LOOSE_FOR: SignedDuration = SignedDuration::from_hours(1);
/// Objects on one page: those that are open have their bodies in them.
const PAGE: u32 = 20;
/// Attempts to write down what became of an event, and the first pause between two.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

/// Why an event is not kept, or not found.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the API server does not take the event: {0}")]
    Api(#[from] kube::Error),
    #[error("the event cannot be packed: {0}")]
    Packing(#[from] std::io::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// What is known of an event once it was to be kept.
#[derive(Debug)]
pub(super) enum Kept {
    /// It is new.
    New,
    /// It had come before, and this is what became of it.
    Known(Box<ReceivedEvent>),
}

#[derive(Clone)]
pub(super) struct Store {
    api: Api<ReceivedEvent>,
    listener: String,
}

impl Store {
    pub fn new(client: Client, namespace: &str, listener: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            listener: listener.to_owned(),
        }
    }

    /// Keeps an event. It is not lost any more when this returns `Ok`.
    pub async fn keep(
        &self,
        listener: &EventListener,
        delivery: Option<&str>,
        event: &Incoming,
    ) -> Result<Kept, StoreError> {
        let (head, parts) = record::pack(listener, delivery, event)?;
        self.create_parts(&parts).await?;
        match self.api.create(&PostParams::default(), &head).await {
            Ok(_) => Ok(Kept::New),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Ok(Kept::Known(Box::new(self.api.get(&event.id).await?)))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn create_parts(&self, parts: &[ReceivedEvent]) -> Result<(), StoreError> {
        // What they are called and what they hold follows from the event: one that is there is the same.
        try_join_all(parts.iter().map(|part| async {
            match self.api.create(&PostParams::default(), part).await {
                Ok(_) => Ok(()),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
                Err(error) => Err(error),
            }
        }))
        .await?;
        Ok(())
    }

    /// Gives an event its body back, so that what failed may be tried again.
    pub async fn reopen(
        &self,
        listener: &EventListener,
        delivery: Option<&str>,
        event: &Incoming,
    ) -> Result<(), StoreError> {
        let (head, parts) = record::pack(listener, delivery, event)?;
        self.create_parts(&parts).await?;
        let change = json!({
            "metadata": {"labels": {labels::STATE: labels::OPEN}},
            "spec": {"content": head.spec.content},
            "status": {"state": State::Accepted},
        });
        self.patch(&event.id, &change).await?;
        Ok(())
    }

    /// Writes down what became of an event; its body goes. Tried for a while: what is not written is done again.
    pub async fn done(&self, id: &str, decisions: Vec<Decision>, now: Timestamp) -> Result<(), StoreError> {
        let status = ReceivedEventStatus {
            state: State::Done,
            done_at: Some(Time(now)),
            made: decisions.iter().map(|decision| decision.made.len()).sum(),
            failed: decisions
                .iter()
                .filter(|decision| decision.outcome == Outcome::Failed)
                .count(),
            decisions,
        };
        let mut attempts = Attempts::new(ATTEMPTS, PAUSE);
        let parts = loop {
            match self.api.get_opt(id).await {
                Ok(Some(event)) => break event.spec.content.map_or(0, |content| content.more_parts),
                // The listener was deleted meanwhile, and its events with it.
                Ok(None) => return Ok(()),
                Err(error) if attempts.another().await => {
                    tracing::debug!(%error, id, "An event cannot be read yet")
                }
                Err(error) => return Err(error.into()),
            }
        };
        let change = json!({
            "metadata": {"labels": {labels::STATE: labels::DONE}},
            "spec": {"content": null},
            "status": status,
        });
        let mut attempts = Attempts::new(ATTEMPTS, PAUSE);
        loop {
            match self.patch(id, &change).await {
                Ok(()) => break,
                Err(kube::Error::Api(status)) if status.code == 404 => break,
                Err(error) if attempts.another().await => {
                    tracing::debug!(%error, id, "An event cannot be closed yet")
                }
                Err(error) => return Err(error.into()),
            }
        }
        for index in 0..usize::try_from(parts).unwrap_or_default() {
            self.delete(&record::part_name(id, index)).await;
        }
        Ok(())
    }

    async fn patch(&self, id: &str, change: &serde_json::Value) -> Result<(), kube::Error> {
        self.api
            .patch_metadata(id, &PatchParams::default(), &Patch::Merge(change))
            .await
            .map(drop)
    }

    /// The event of an object.
    pub async fn read(&self, head: &ReceivedEvent) -> Result<Incoming, StoreError> {
        let parts = head.spec.content.as_ref().map_or(0, |content| content.more_parts);
        let parts = (0..usize::try_from(parts).unwrap_or_default()).map(|index| {
            let name = record::part_name(&head.spec.event_id, index);
            async move { self.api.get(&name).await }
        });
        let parts = try_join_all(parts).await?;
        Ok(record::unpack(head, &parts)?)
    }

    /// Events that are not done, a page of them; and where the next page starts.
    pub async fn open(
        &self,
        page: Option<String>,
    ) -> Result<(Vec<ReceivedEvent>, Option<String>), StoreError> {
        let mut params = self.selected(labels::OPEN).limit(PAGE);
        params.continue_token = page;
        let list = self.api.list(&params).await?;
        let next = list.metadata.continue_.filter(|token| !token.is_empty());
        Ok((list.items, next))
    }

    /// Clears away what is old.
    pub async fn trim(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut done = self.api.list(&self.selected(labels::DONE)).await?.items;
        done.sort_by_key(|event| std::cmp::Reverse(done_at(event)));
        for (place, event) in done.iter().enumerate() {
            if place >= KEPT || now.duration_since(done_at(event)) > KEPT_FOR {
                self.delete(&event.name_any()).await;
            }
        }
        for part in self.api.list_metadata(&self.selected(labels::PART)).await?.items {
            let made = part
                .metadata
                .creation_timestamp
                .as_ref()
                .map_or(now, |time| time.0);
            if now.duration_since(made) < LOOSE_FOR {
                continue;
            }
            let name = part.name_any();
            let id = name.split('.').next().unwrap_or_default();
            let open = match self.api.get_opt(id).await? {
                Some(head) => head.spec.content.is_some(),
                None => false,
            };
            if !open {
                self.delete(&name).await;
            }
        }
        Ok(())
    }

    fn selected(&self, state: &str) -> ListParams {
        ListParams::default().labels(&format!(
            "{}={},{}={state}",
            labels::LISTENER,
            self.listener,
            labels::STATE
        ))
    }

    async fn delete(&self, name: &str) {
        match self.api.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => tracing::warn!(%error, name, "An old event cannot be cleared away"),
        }
    }
}

fn done_at(event: &ReceivedEvent) -> Timestamp {
    let time = event.status.as_ref().and_then(|status| status.done_at.as_ref());
    time.map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}
