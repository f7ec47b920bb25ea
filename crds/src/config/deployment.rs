//! `config-deployment`

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Deserialize;

use super::data::{
    ConfigError, ensure, ensure_seconds, find, read_bool, read_duration, read_quantity, read_text, show,
};
use super::{ContainerResources, Data, Snapshot};

/// How a revision's Deployment and its sidecar look.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The sidecar's image. Required in a ConfigMap; empty only in the default.
    pub queue_sidecar_image: String,
    /// Registries whose tags stay tags.
    pub registries_skipping_tag_resolving: BTreeSet<String>,
    /// How long all images of one revision may take to be resolved.
    pub digest_resolution_timeout: Duration,
    /// How long a Deployment may make no progress.
    pub progress_deadline: Duration,
    /// The sidecar's resources; unset ones may still come from the feature `queueproxy.resource-defaults`.
    pub queue_sidecar_resources: ContainerResources,
    /// Audiences of the tokens that the sidecar gets.
    pub queue_sidecar_token_audiences: BTreeSet<String>,
    /// Certificate authorities that the sidecar trusts, PEM.
    pub queue_sidecar_rootca: String,
    /// Lowest TLS version of the sidecar's listener; empty is its default.
    pub queue_sidecar_tls_min_version: String,
    /// Highest TLS version of the sidecar's listener.
    pub queue_sidecar_tls_max_version: String,
    /// Cipher suites of the sidecar's listener.
    pub queue_sidecar_tls_cipher_suites: String,
    /// Curves of the sidecar's listener.
    pub queue_sidecar_tls_curve_preferences: String,
    /// Affinity of pods whose template has none.
    pub default_affinity_type: AffinityType,
    /// Runtime classes by name, and which revisions they are for.
    pub runtime_class_names: BTreeMap<String, RuntimeClass>,
    /// Take every pod for scheduled, for clusters that grow when one is not?
    pub pod_is_always_schedulable: bool,
}

/// Affinity of pods whose template has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AffinityType {
    /// No affinity.
    None,
    /// Pods of a revision prefer different nodes.
    #[default]
    PreferSpreadRevisionOverNodes,
}

/// Which revisions a runtime class is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RuntimeClass {
    /// Labels that a revision must have; none means all revisions.
    pub selector: BTreeMap<String, String>,
}

impl Default for Deployment {
    fn default() -> Self {
        let resources = ContainerResources {
            cpu_request: Some(Quantity("25m".to_owned())),
            ..ContainerResources::default()
        };
        Self {
            queue_sidecar_image: String::new(),
            registries_skipping_tag_resolving: comma_set("kind.local,ko.local,dev.local"),
            digest_resolution_timeout: Duration::from_secs(10),
            progress_deadline: Duration::from_secs(600),
            queue_sidecar_resources: resources,
            queue_sidecar_token_audiences: BTreeSet::new(),
            queue_sidecar_rootca: String::new(),
            queue_sidecar_tls_min_version: String::new(),
            queue_sidecar_tls_max_version: String::new(),
            queue_sidecar_tls_cipher_suites: String::new(),
            queue_sidecar_tls_curve_preferences: String::new(),
            default_affinity_type: AffinityType::default(),
            runtime_class_names: BTreeMap::new(),
            pod_is_always_schedulable: false,
        }
    }
}

impl Snapshot for Deployment {
    const NAME: &'static str = "config-deployment";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let image = ["queue-sidecar-image", "queueSidecarImage"];
        read_text(data, &image, &mut config.queue_sidecar_image);
        if config.queue_sidecar_image.is_empty() {
            return Err(ConfigError::Missing {
                key: image[0].to_owned(),
            });
        }
        for (keys, set) in [
            (
                [
                    "registries-skipping-tag-resolving",
                    "registriesSkippingTagResolving",
                ],
                &mut config.registries_skipping_tag_resolving,
            ),
            (
                ["queue-sidecar-token-audiences", "queueSidecarTokenAudiences"],
                &mut config.queue_sidecar_token_audiences,
            ),
        ] {
            if let Some((_, value)) = find(data, &keys) {
                *set = comma_set(value);
            }
        }
        read_duration(
            data,
            "digest-resolution-timeout",
            &mut config.digest_resolution_timeout,
        )?;
        read_duration(data, "progress-deadline", &mut config.progress_deadline)?;
        config.read_sidecar(data)?;
        config.read_affinity(data)?;
        config.read_runtime_classes(data)?;
        read_bool(
            data,
            "pod-is-always-schedulable",
            &mut config.pod_is_always_schedulable,
        )?;
        let positive = "must be positive";
        let timeout = config.digest_resolution_timeout;
        ensure(
            timeout > Duration::ZERO,
            "digest-resolution-timeout",
            show(timeout),
            positive,
        )?;
        let deadline = config.progress_deadline;
        ensure(
            deadline > Duration::ZERO,
            "progress-deadline",
            show(deadline),
            positive,
        )?;
        ensure_seconds("progress-deadline", deadline)?;
        Ok(config)
    }
}

impl Deployment {
    /// The runtime class for a revision with these labels: of those that match, the one with most labels, then the
    /// first by name; `None` leaves the choice to Kubernetes.
    pub fn runtime_class_name(&self, labels: &BTreeMap<String, String>) -> Option<&str> {
        self.runtime_class_names
            .iter()
            .filter(|(_, class)| {
                class
                    .selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            })
            .max_by(|(a_name, a), (b_name, b)| {
                a.selector
                    .len()
                    .cmp(&b.selector.len())
                    .then_with(|| b_name.cmp(a_name))
            })
            .map(|(name, _)| name.as_str())
            .filter(|name| !name.is_empty())
    }

    fn read_sidecar(&mut self, data: &Data) -> Result<(), ConfigError> {
        let r = &mut self.queue_sidecar_resources;
        for (keys, field) in [
            (
                ["queue-sidecar-cpu-request", "queueSidecarCPURequest"],
                &mut r.cpu_request,
            ),
            (
                ["queue-sidecar-cpu-limit", "queueSidecarCPULimit"],
                &mut r.cpu_limit,
            ),
            (
                ["queue-sidecar-memory-request", "queueSidecarMemoryRequest"],
                &mut r.memory_request,
            ),
            (
                ["queue-sidecar-memory-limit", "queueSidecarMemoryLimit"],
                &mut r.memory_limit,
            ),
            (
                [
                    "queue-sidecar-ephemeral-storage-request",
                    "queueSidecarEphemeralStorageRequest",
                ],
                &mut r.ephemeral_storage_request,
            ),
            (
                [
                    "queue-sidecar-ephemeral-storage-limit",
                    "queueSidecarEphemeralStorageLimit",
                ],
                &mut r.ephemeral_storage_limit,
            ),
        ] {
            read_quantity(data, &keys, field)?;
        }
        read_text(data, &["queue-sidecar-rootca"], &mut self.queue_sidecar_rootca);
        read_text(
            data,
            &["queue-sidecar-tls-min-version"],
            &mut self.queue_sidecar_tls_min_version,
        );
        read_text(
            data,
            &["queue-sidecar-tls-max-version"],
            &mut self.queue_sidecar_tls_max_version,
        );
        read_text(
            data,
            &["queue-sidecar-tls-cipher-suites"],
            &mut self.queue_sidecar_tls_cipher_suites,
        );
        read_text(
            data,
            &["queue-sidecar-tls-curve-preferences"],
            &mut self.queue_sidecar_tls_curve_preferences,
        );
        Ok(())
    }

    fn read_affinity(&mut self, data: &Data) -> Result<(), ConfigError> {
        let key = "default-affinity-type";
        if let Some(value) = data.get(key) {
            self.default_affinity_type = match value.as_str() {
                "none" => AffinityType::None,
                "prefer-spread-revision-over-nodes" => AffinityType::PreferSpreadRevisionOverNodes,
                _ => {
                    let allowed = "must be \"none\" or \"prefer-spread-revision-over-nodes\"";
                    return Err(ConfigError::invalid(key, value, allowed));
                }
            };
        }
        Ok(())
    }

    fn read_runtime_classes(&mut self, data: &Data) -> Result<(), ConfigError> {
        let key = "runtime-class-name";
        if let Some(value) = data.get(key).filter(|value| !value.trim().is_empty()) {
            // A class that is for all revisions is often written as a key without a value.
            let classes: BTreeMap<String, Option<RuntimeClass>> =
                serde_saphyr::from_str(value).map_err(|error| ConfigError::parse(key, error))?;
            self.runtime_class_names = classes
                .into_iter()
                .map(|(name, class)| (name, class.unwrap_or_default()))
                .collect();
        }
        Ok(())
    }
}

/// The entries of a list that is separated by commas.
fn comma_set(list: &str) -> BTreeSet<String> {
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(str::to_owned)
        .collect()
}
