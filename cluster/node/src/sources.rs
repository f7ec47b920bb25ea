//! ConfigMaps and Secrets that a pod refers to, fetched together.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};

/// Names of objects in the pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct References {
    /// ConfigMaps.
    pub config_maps: BTreeSet<String>,
    /// Secrets.
    pub secrets: BTreeSet<String>,
}

/// The objects that exist, by name, as plain key and value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    config_maps: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    secrets: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

impl References {
    /// Notes a ConfigMap.
    pub fn config_map(&mut self, name: &str) {
        self.config_maps.insert(name.to_owned());
    }

    /// Notes a Secret.
    pub fn secret(&mut self, name: &str) {
        self.secrets.insert(name.to_owned());
    }
}

impl Sources {
    /// Reads what is referred to, all at once; absent objects are simply not there.
    ///
    /// # Errors
    /// Fails when the API server does not answer or forbids it.
    pub async fn fetch(
        client: &Client,
        namespace: &str,
        references: &References,
    ) -> Result<Self, kube::Error> {
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let (maps, keys) = tokio::try_join!(
            try_join_all(
                references
                    .config_maps
                    .iter()
                    .map(|name| config_maps.get_opt(name))
            ),
            try_join_all(references.secrets.iter().map(|name| secrets.get_opt(name))),
        )?;
        let mut found = Self::default();
        for (name, map) in references.config_maps.iter().zip(maps) {
            if let Some(map) = map {
                found.config_maps.insert(name.clone(), config_map_data(map));
            }
        }
        for (name, secret) in references.secrets.iter().zip(keys) {
            if let Some(secret) = secret {
                let data = secret
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, value.0));
                found.secrets.insert(name.clone(), data.collect());
            }
        }
        Ok(found)
    }

    /// The entries of a ConfigMap.
    pub fn config_map(&self, name: &str) -> Option<&BTreeMap<String, Vec<u8>>> {
        self.config_maps.get(name)
    }

    /// The entries of a Secret.
    pub fn secret(&self, name: &str) -> Option<&BTreeMap<String, Vec<u8>>> {
        self.secrets.get(name)
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, kind: &str, name: &str, entries: &[(&str, &str)]) -> Self {
        let entries = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec()))
            .collect();
        match kind {
            "secret" => self.secrets.insert(name.to_owned(), entries),
            _ => self.config_maps.insert(name.to_owned(), entries),
        };
        self
    }
}

fn config_map_data(map: ConfigMap) -> BTreeMap<String, Vec<u8>> {
    let text = map
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.into_bytes()));
    let binary = map
        .binary_data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.0));
    text.chain(binary).collect()
}
