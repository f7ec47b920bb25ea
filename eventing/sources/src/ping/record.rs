//! What was sent last, for who takes over: a ConfigMap with an entry for each source.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Name of the ConfigMap.
const NAME: &str = "pingsource-ticks";

/// Longest time that storing may take.
const LIMIT: Duration = Duration::from_secs(2);

/// The last tick of each source, by UID.
pub(crate) struct Record {
    api: Api<ConfigMap>,
    ticks: BTreeMap<String, Last>,
    /// What is not stored yet.
    changed: BTreeSet<String>,
}

/// The last tick, and the generation of the spec that it was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Last {
    generation: i64,
    time: Timestamp,
}

impl Record {
    pub fn new(client: kube::Client, namespace: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            ticks: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Reads what is stored. If that fails nothing is known of the past, and nothing is made up for it.
    pub async fn load(&mut self) {
        self.changed.clear();
        self.ticks = match self.api.get_opt(NAME).await {
            Ok(map) => read(map.and_then(|map| map.data).unwrap_or_default()),
            Err(error) => {
                tracing::warn!(%error, "What PingSources sent last could not be read");
                BTreeMap::new()
            }
        };
    }

    /// The last tick of a source while its spec had this generation.
    pub fn last(&self, uid: &str, generation: i64) -> Option<Timestamp> {
        let last = self.ticks.get(uid)?;
        (last.generation == generation).then_some(last.time)
    }

    /// Notes a tick. One that ends after a later one does not count.
    pub fn set(&mut self, uid: &str, generation: i64, time: Timestamp) {
        let last = Last { generation, time };
        let newer = self
            .ticks
            .get(uid)
            .is_none_or(|known| (known.generation, known.time) < (generation, time));
        if newer {
            self.ticks.insert(uid.to_owned(), last);
            self.changed.insert(uid.to_owned());
        }
    }

    pub fn remove(&mut self, uid: &str) {
        if self.ticks.remove(uid).is_some() {
            self.changed.insert(uid.to_owned());
        }
    }

    /// Forgets all sources but these.
    pub fn retain(&mut self, uids: &HashSet<&str>) {
        let gone: Vec<String> = self
            .ticks
            .keys()
            .filter(|uid| !uids.contains(uid.as_str()))
            .cloned()
            .collect();
        for uid in gone {
            self.remove(&uid);
        }
    }

    /// Stores what has changed; what cannot be stored now is with the next. Takes no longer than [`LIMIT`]: ticks wait
    /// for it.
    pub async fn store(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        if tokio::time::timeout(LIMIT, self.write()).await.is_err() {
            tracing::warn!("What PingSources sent last could not be stored in time");
        }
    }

    async fn write(&mut self) {
        let data = self.changes();
        let patch = Patch::Merge(json!({ "data": data }));
        let stored = match self.api.patch(NAME, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.api.create(&PostParams::default(), &self.whole()).await
            }
            result => result,
        };
        match stored {
            Ok(_) => self.changed.clear(),
            Err(error) => tracing::warn!(%error, "What PingSources sent last could not be stored"),
        }
    }

    fn changes(&self) -> BTreeMap<&str, Value> {
        let value = |uid: &String| self.ticks.get(uid).map_or(Value::Null, |last| text(*last).into());
        self.changed
            .iter()
            .map(|uid| (uid.as_str(), value(uid)))
            .collect()
    }

    fn whole(&self) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(
                self.ticks
                    .iter()
                    .map(|(uid, last)| (uid.clone(), text(*last)))
                    .collect(),
            ),
            ..ConfigMap::default()
        }
    }
}

fn text(last: Last) -> String {
    format!("{} {}", last.generation, last.time)
}

fn read(data: BTreeMap<String, String>) -> BTreeMap<String, Last> {
    data.into_iter()
        .filter_map(|(uid, text)| {
            let (generation, time) = text.split_once(' ')?;
            let last = Last {
                generation: generation.parse().ok()?,
                time: time.parse().ok()?,
            };
            Some((uid, last))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_nonsense_is_passed_over() {
        let last = Last {
            generation: 3,
            time: "2026-11-21T09:00:00.5Z".parse().unwrap(),
        };
        let data = [
            ("a", text(last)),
            ("b", "x".to_owned()),
            ("c", "1 yesterday".to_owned()),
        ];
        let read = read(data.map(|(uid, value)| (uid.to_owned(), value)).into());
        assert_eq!(read, BTreeMap::from([("a".to_owned(), last)]));
    }
}
