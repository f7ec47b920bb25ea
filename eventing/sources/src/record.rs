//! What senders have done, for who takes over: a ConfigMap with an entry for each source.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// Longest time that storing may take: work waits for it.
const LIMIT: Duration = Duration::from_secs(2);

/// Texts by the UID of the source, which only the one that leads writes.
pub(crate) struct Record {
    api: Api<ConfigMap>,
    name: &'static str,
    entries: BTreeMap<String, String>,
    /// What is not stored yet.
    changed: BTreeSet<String>,
}

impl Record {
    /// The record in the ConfigMap `name`.
    pub fn new(client: kube::Client, namespace: &str, name: &'static str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name,
            entries: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Reads what is stored; returns whether that could be done. If not, nothing is known of the past.
    pub async fn load(&mut self) -> bool {
        self.changed.clear();
        self.entries.clear();
        match self.api.get_opt(self.name).await {
            Ok(map) => {
                self.entries = map.and_then(|map| map.data).unwrap_or_default();
                true
            }
            Err(error) => {
                tracing::warn!(%error, record = self.name, "What sources sent last could not be read");
                false
            }
        }
    }

    pub fn get(&self, uid: &str) -> Option<&str> {
        self.entries.get(uid).map(String::as_str)
    }

    pub fn entries(&self) -> impl Iterator<Item = (&String, &String)> {
        self.entries.iter()
    }

    pub fn set(&mut self, uid: &str, text: String) {
        if self.get(uid) != Some(&text) {
            self.entries.insert(uid.to_owned(), text);
            self.changed.insert(uid.to_owned());
        }
    }

    pub fn remove(&mut self, uid: &str) {
        if self.entries.remove(uid).is_some() {
            self.changed.insert(uid.to_owned());
        }
    }

    /// Forgets all sources but these.
    pub fn retain(&mut self, uids: &HashSet<&str>) {
        let gone: Vec<String> = self
            .entries
            .keys()
            .filter(|uid| !uids.contains(uid.as_str()))
            .cloned()
            .collect();
        for uid in gone {
            self.remove(&uid);
        }
    }

    /// Stores what has changed; what cannot be stored now is with the next.
    pub async fn store(&mut self) {
        if self.changed.is_empty() {
            return;
        }
        if tokio::time::timeout(LIMIT, self.write()).await.is_err() {
            tracing::warn!(
                record = self.name,
                "What sources sent last could not be stored in time"
            );
        }
    }

    async fn write(&mut self) {
        let patch = Patch::Merge(json!({ "data": self.changes() }));
        let stored = match self.api.patch(self.name, &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {
                self.api.create(&PostParams::default(), &self.whole()).await
            }
            result => result,
        };
        match stored {
            Ok(_) => self.changed.clear(),
            Err(error) => {
                tracing::warn!(%error, record = self.name, "What sources sent last could not be stored");
            }
        }
    }

    fn changes(&self) -> BTreeMap<&str, Value> {
        let value = |uid: &String| self.get(uid).map_or(Value::Null, Value::from);
        self.changed
            .iter()
            .map(|uid| (uid.as_str(), value(uid)))
            .collect()
    }

    fn whole(&self) -> ConfigMap {
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(self.name.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(self.entries.clone()),
            ..ConfigMap::default()
        }
    }
}
