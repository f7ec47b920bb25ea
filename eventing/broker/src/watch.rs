//! Follows brokers, triggers, channels and policies, and makes a new model of them when one changes.

use std::sync::Arc;
use std::time::Duration;

use crds::config::events::Features;
use crds::eventing::{Broker, EventPolicy, Trigger};
use crds::messaging::{InMemoryChannel, Subscription};
use event_store::Topic;
use informer::{Cache, Caches, Change, Object, Selection};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::discovery::ApiResource;
use reconciler::ConfigStore;
use tokio::sync::{Notify, mpsc};

use crate::model::{Filters, Model, Observed, topics};
use crate::removal::{ENDED, Ended};

/// Changes that come together, as at a start or an apply of many objects, make one model.
const SETTLE: Duration = Duration::from_millis(5);

/// What is watched.
pub(crate) struct Watch {
    brokers: Cache<Broker>,
    triggers: Cache<Trigger>,
    channels: Cache<InMemoryChannel>,
    subscriptions: Cache<Subscription>,
    policies: Cache<EventPolicy>,
    config: ConfigStore,
    /// What `config` reads.
    maps: Cache<ConfigMap>,
    changed: Arc<Notify>,
    /// Topics whose objects were deleted.
    ended: mpsc::Receiver<Ended>,
}

impl Watch {
    /// Begins to watch.
    pub(crate) fn start(caches: &Caches, system_namespace: &str) -> Self {
        let changed = Arc::new(Notify::new());
        let (gone, ended) = mpsc::channel(ENDED);
        Self {
            brokers: watched(caches, &changed, Some(gone.clone())),
            triggers: watched(caches, &changed, None),
            channels: watched(caches, &changed, Some(gone)),
            subscriptions: watched(caches, &changed, None),
            policies: watched(caches, &changed, None),
            config: ConfigStore::start(caches, system_namespace),
            maps: caches.cache_of(Selection::within(system_namespace)),
            changed,
            ended,
        }
    }

    /// Calls `publish` with each new model and with the topics that ended with the one before, the first time when all
    /// caches are filled. Runs until it is dropped.
    pub(crate) async fn follow(mut self, mut publish: impl FnMut(Arc<Model>, Vec<Ended>)) {
        self.brokers.synced().await;
        self.triggers.synced().await;
        self.channels.synced().await;
        self.subscriptions.synced().await;
        self.policies.synced().await;
        self.maps.synced().await;
        let mut filters = Filters::default();
        let mut configured = self.config.changes();
        loop {
            // Before the caches are read, so that the model has none of them.
            let ended = std::iter::from_fn(|| self.ended.try_recv().ok()).collect();
            publish(Arc::new(topics(&self.observed(), &mut filters)), ended);
            tokio::select! {
                () = self.changed.notified() => {}
                _ = configured.changed() => {}
            }
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn observed(&self) -> Observed {
        Observed {
            brokers: self.brokers.list(),
            triggers: self.triggers.list(),
            channels: self.channels.list(),
            subscriptions: self.subscriptions.list(),
            policies: self.policies.list(),
            features: self.config.get::<Features>().as_ref().clone(),
        }
    }
}

fn watched<K>(caches: &Caches, changed: &Arc<Notify>, gone: Option<mpsc::Sender<Ended>>) -> Cache<K>
where
    K: Object,
    K::Scope: informer::Scoped,
{
    let cache = caches.cache::<K>();
    let changed = changed.clone();
    cache.on_change(move |change| {
        if let (Some(gone), Some(ended)) = (&gone, replaced(change)) {
            // Full: retention removes its events in time.
            let _ = gone.try_send(ended);
        }
        changed.notify_one();
    });
    cache
}

/// The topic that ended with this change: its object is gone, or another one has its name.
fn replaced<K: Object>(change: &Change<K>) -> Option<Ended> {
    let uid = |object: &Arc<K>| object.meta().uid.clone();
    let old = change.old.as_ref()?;
    let topic = uid(old)?;
    if change.new.as_ref().and_then(uid).as_ref() == Some(&topic) {
        return None;
    }
    Some(Ended {
        topic: Topic::new(topic).ok()?,
        kind: ApiResource::erase::<K>(&()),
        namespace: old.meta().namespace.clone()?,
        name: old.meta().name.clone()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(uid: &str) -> Option<Arc<Broker>> {
        let mut broker = Broker::new("default", Default::default());
        broker.metadata.uid = Some(uid.to_owned());
        broker.metadata.namespace = Some("ns".to_owned());
        Some(Arc::new(broker))
    }

    #[test]
    fn topics_end_with_their_object() {
        for (old, new, expected) in [
            (None, broker("a"), None),
            (broker("a"), broker("a"), None),
            (broker("a"), None, Some("a")),
            (broker("a"), broker("b"), Some("a")),
        ] {
            let ended = replaced(&Change { old, new });
            let told = ended.as_ref().map(|ended| ended.topic.as_str());
            assert_eq!(told, expected);
        }
    }
}
