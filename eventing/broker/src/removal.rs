//! Removes the events of brokers and channels that are gone.
//!
//! A cache tells that an object ended, and may be wrong: one that cannot be read any more is missing from a list as if it
//! were deleted. What is stored cannot be had back, so the API is asked before it goes.

use std::collections::VecDeque;
use std::time::Duration;

use event_store::Topic;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::config::Stores;
use crate::dispatch::DeadLetter;

/// Topics that wait to be removed; more are left to retention.
pub(crate) const ENDED: usize = 1_024;

/// A topic whose object is gone, as far as a cache knows.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    pub(crate) topic: Topic,
    /// The kind of the object; its UID is the topic.
    pub(crate) kind: ApiResource,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// Looked at again at some time.
struct Waiting {
    due: Instant,
    ended: Ended,
    /// The object is known to be gone, and its events were removed once.
    removed: bool,
}

/// Removes the events of `ended`, and after `late` those that requests still brought that had begun before. An API that
/// does not answer is asked again after the same time.
pub(crate) async fn remove(mut ended: mpsc::Receiver<Ended>, client: Client, stores: Stores, late: Duration) {
    let mut waiting: VecDeque<Waiting> = VecDeque::new();
    loop {
        let due = waiting.front().map(|first| first.due);
        let (ended, removed) = tokio::select! {
            ended = ended.recv() => match ended {
                Some(ended) => (ended, false),
                None => return,
            },
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => match waiting.pop_front() {
                Some(first) => (first.ended, first.removed),
                None => continue,
            },
        };
        let (name, namespace) = (ended.name.as_str(), ended.namespace.as_str());
        let gone = removed
            || match is_gone(&client, &ended).await {
                Ok(true) => true,
                Ok(false) => {
                    tracing::warn!(
                        name,
                        namespace,
                        kind = ended.kind.kind,
                        "An object that was taken for deleted is there still: its events are kept"
                    );
                    continue;
                }
                Err(error) => {
                    tracing::warn!(%error, name, namespace, "Events are kept until it is known whether their object is gone");
                    false
                }
            };
        if gone {
            remove_from(&stores, &ended.topic).await;
        }
        if !removed && waiting.len() < ENDED {
            waiting.push_back(Waiting {
                due: Instant::now() + late,
                ended,
                removed: gone,
            });
        }
    }
}

/// Whether no object has the UID any more. Only metadata is asked for, which can be read whatever else is wrong.
async fn is_gone(client: &Client, ended: &Ended) -> Result<bool, kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &ended.namespace, &ended.kind);
    let found = api.get_metadata_opt(&ended.name).await?;
    Ok(found.is_none_or(|found| found.metadata.uid.as_deref() != Some(ended.topic.as_str())))
}

async fn remove_from(stores: &Stores, topic: &Topic) {
    let letters = DeadLetter::topic(topic);
    for topic in [Some(topic), letters.as_ref()].into_iter().flatten() {
        // Which of them had it is not known any more, and asking the others is harmless.
        for store in stores.values() {
            if let Err(error) = store.remove(topic).await {
                tracing::warn!(%error, %topic, "Events of a deleted broker or channel were not removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use bytes::Bytes;
    use event_store::{Log, Options, Store};
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{DeleteParams, PostParams};
    use serde_json::json;
    use test_api::TestApi;

    use super::*;
    use crate::model::Backend;

    /// Stands for a broker: how its kind is read makes no difference here.
    async fn object(client: &Client, name: &str) -> Ended {
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        let map = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let map = api.create(&PostParams::default(), &map).await.unwrap();
        Ended {
            topic: Topic::new(map.metadata.uid.unwrap()).unwrap(),
            kind: ApiResource::erase::<ConfigMap>(&()),
            namespace: "default".to_owned(),
            name: name.to_owned(),
        }
    }

    async fn delete(client: &Client, name: &str) {
        let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }

    async fn has_events(store: &dyn Store, ended: &Ended) -> bool {
        let status = store.status(&ended.topic).await;
        status.is_ok_and(|status| status.first != status.next)
    }

    fn nobody() -> Client {
        Client::try_from(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap()
    }

    #[tokio::test]
    async fn an_object_is_gone_when_nothing_has_its_uid() {
        let api = TestApi::start().await;
        let client = api.client();
        let first = object(&client, "a").await;
        assert!(!is_gone(&client, &first).await.unwrap());
        assert!(is_gone(&nobody(), &first).await.is_err());
        delete(&client, "a").await;
        assert!(is_gone(&client, &first).await.unwrap());
        let second = object(&client, "a").await;
        assert!(
            is_gone(&client, &first).await.unwrap(),
            "another one has its name"
        );
        assert!(!is_gone(&client, &second).await.unwrap());
    }

    #[tokio::test]
    async fn only_events_of_objects_that_are_gone_are_removed() {
        let api = TestApi::start().await;
        let client = api.client();
        let folder = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(Log::open(folder.path(), Options::default()).unwrap());
        let (there, gone) = (object(&client, "there").await, object(&client, "gone").await);
        for ended in [&there, &gone] {
            store
                .append(&ended.topic, vec![Bytes::from_static(b"event")])
                .await
                .unwrap();
        }
        delete(&client, "gone").await;
        let stores = HashMap::from([(Backend::Embedded, store.clone())]);
        let all = async |client: Client| {
            let (send, ended) = mpsc::channel(ENDED);
            for ended in [&there, &gone] {
                send.send(ended.clone()).await.unwrap();
            }
            drop(send);
            remove(ended, client, stores.clone(), Duration::from_secs(3600)).await;
        };
        all(nobody()).await;
        assert_eq!(
            (
                has_events(&*store, &there).await,
                has_events(&*store, &gone).await
            ),
            (true, true),
            "nobody knows"
        );
        all(client.clone()).await;
        assert_eq!(
            (
                has_events(&*store, &there).await,
                has_events(&*store, &gone).await
            ),
            (true, false)
        );
    }
}
