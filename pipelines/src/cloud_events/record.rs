//! How far all was told, for who comes next: a ConfigMap with a version for each kind.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::ledger::Marks;
use super::run::Kind;

/// The ConfigMap.
const NAME: &str = "run-events";

/// Longest time that storing may take: the next ones wait for it.
const LIMIT: Duration = Duration::from_secs(2);

/// What only the one that leads writes.
pub(super) struct Record {
    api: Api<ConfigMap>,
    stored: Option<Marks>,
}

impl Record {
    pub(super) fn new(client: kube::Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            stored: None,
        }
    }

    /// What is stored; `None` if there is nothing, or nothing that can be read: then nothing is known of the past.
    pub(super) async fn load(&mut self) -> Option<Marks> {
        let found = tokio::time::timeout(LIMIT, self.api.get_opt(NAME)).await;
        self.stored = match found {
            Ok(Ok(map)) => map.and_then(|map| map.data).as_ref().and_then(read),
            Ok(Err(error)) => {
                tracing::warn!(%error, "How far runs were told of could not be read");
                None
            }
            Err(_) => {
                tracing::warn!("How far runs were told of could not be read in time");
                None
            }
        };
        self.stored
    }

    /// Stores the marks if they are new. What cannot be stored now is with the next.
    pub(super) async fn store(&mut self, marks: Marks) {
        if self.stored != Some(marks) && self.write(write(Some(marks))).await {
            self.stored = Some(marks);
        }
    }

    /// From now on nothing is known of the past.
    pub(super) async fn forget(&mut self) {
        if self.load().await.is_some() && self.write(write(None)).await {
            self.stored = None;
        }
    }

    /// Returns whether it could be done.
    async fn write(&self, data: BTreeMap<&'static str, Value>) -> bool {
        let written = async {
            let patch = Patch::Merge(json!({ "data": data }));
            match self.api.patch(NAME, &PatchParams::default(), &patch).await {
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    let map = ConfigMap {
                        metadata: ObjectMeta {
                            name: Some(NAME.to_owned()),
                            ..ObjectMeta::default()
                        },
                        data: serde_json::from_value(json!(data)).ok(),
                        ..ConfigMap::default()
                    };
                    self.api.create(&PostParams::default(), &map).await
                }
                result => result,
            }
        };
        match tokio::time::timeout(LIMIT, written).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "How far runs were told of could not be stored");
                false
            }
            Err(_) => {
                tracing::warn!("How far runs were told of could not be stored in time");
                false
            }
        }
    }
}

fn read(data: &BTreeMap<String, String>) -> Option<Marks> {
    let mut marks = Marks::default();
    for (mark, kind) in marks.iter_mut().zip(Kind::ALL) {
        *mark = data.get(kind.field())?.parse().ok()?;
    }
    Some(marks)
}

fn write(marks: Option<Marks>) -> BTreeMap<&'static str, Value> {
    let value = |index: usize| match marks {
        Some(marks) => Value::from(marks[index].to_string()),
        None => Value::Null,
    };
    Kind::ALL
        .iter()
        .enumerate()
        .map(|(index, kind)| (kind.field(), value(index)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_read_as_they_are_written() {
        let marks = [7, 0, 12];
        let data: BTreeMap<String, String> = serde_json::from_value(json!(write(Some(marks)))).unwrap();
        assert_eq!(read(&data), Some(marks));
        for (key, value) in [("taskRun", Some("x")), ("customRun", None)] {
            let mut data = data.clone();
            match value {
                Some(value) => drop(data.insert(key.to_owned(), value.to_owned())),
                None => drop(data.remove(key)),
            }
            assert_eq!(read(&data), None, "{key}");
        }
        assert!(write(None).values().all(Value::is_null));
    }
}
