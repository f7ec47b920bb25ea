//! Which channel the configuration of a broker asks for.
//!
//! No channel is made: the kind says in which store the data plane keeps the events.

use crds::KReference;
use crds::annotations;
use crds::config::Data;
use crds::config::events::ChannelTemplateMap;
use crds::duck::ChannelTemplate;
use crds::eventing::Broker;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use reconciler::Key;

use crate::resolver::ResolveError;
use crate::shared::{Shared, annotation, namespace_of};
use crate::tracker::{Kind, Referrer, Target};

/// Why there is no channel for a broker.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChannelError {
    #[error("Broker.Spec.Config is required")]
    NoConfig,
    #[error(
        "Broker.Spec.Config configuration not supported, only [kind: ConfigMap, apiVersion: v1], not [kind: {kind}, apiVersion: {api_version}]"
    )]
    NotAConfigMap { kind: String, api_version: String },
    #[error("configmap {0:?} not found")]
    NotFound(Key),
    #[error("ConfigMap {key}: {reason}")]
    Invalid { key: Key, reason: String },
    #[error(
        "channels of kind {kind} ({api_version}) are not served behind a broker; name InMemoryChannel in ConfigMap {key}, or give the broker the class NatsJetStreamBroker"
    )]
    NotServed {
        kind: String,
        api_version: String,
        key: Key,
    },
    #[error("events cannot be kept in NATS JetStream here: this platform keeps them itself")]
    NoJetStream,
    #[error("{0}")]
    Fault(String),
}

impl ChannelError {
    /// Whether something that is watched tells when it is worth to look again.
    pub(super) fn heals_by_watch(&self) -> bool {
        !matches!(self, Self::Fault(_))
    }
}

/// The channel that a broker asks for.
pub(super) async fn of(
    shared: &Shared,
    broker: &Broker,
    referrer: &Referrer,
) -> Result<ChannelTemplate, ChannelError> {
    let jet_stream = annotation(&broker.metadata, annotations::BROKER_CLASS)
        == Some(annotations::BROKER_CLASS_NATS_JET_STREAM);
    if jet_stream && !shared.jet_stream {
        return Err(ChannelError::NoJetStream);
    }
    if jet_stream {
        // The class alone says it; its ConfigMap, if any, is read by the data plane.
        return Ok(ChannelTemplate {
            api_version: "messaging.knative.dev/v1alpha1".to_owned(),
            kind: "NatsJetStreamChannel".to_owned(),
            spec: None,
        });
    }
    let Some(config) = &broker.spec.config else {
        return Err(ChannelError::NoConfig);
    };
    let key = key_of(config, namespace_of(&broker.metadata))?;
    let data = read(shared, &key, referrer).await?;
    let template = ChannelTemplateMap::parse(&data)
        .map_err(|error| ChannelError::Invalid {
            key: key.clone(),
            reason: error.to_string(),
        })?
        .template;
    if is_served(&template) {
        Ok(template)
    } else {
        Err(ChannelError::NotServed {
            kind: template.kind,
            api_version: template.api_version,
            key,
        })
    }
}

fn key_of(config: &KReference, namespace: &str) -> Result<Key, ChannelError> {
    let api_version = config.api_version.as_deref().unwrap_or("v1");
    if config.kind != "ConfigMap" || api_version != "v1" {
        return Err(ChannelError::NotAConfigMap {
            kind: config.kind.clone(),
            api_version: api_version.to_owned(),
        });
    }
    let given = config.namespace.as_deref().filter(|given| !given.is_empty());
    Ok(Key::new(given.unwrap_or(namespace), &config.name))
}

/// The contents of a ConfigMap: from the cache if it is in the system namespace, else from the API, and tracked.
async fn read(shared: &Shared, key: &Key, referrer: &Referrer) -> Result<Data, ChannelError> {
    if key.namespace == shared.system_namespace {
        let map = shared.config_maps.get(key);
        return map
            .map(|map| map.data.clone().unwrap_or_default())
            .ok_or_else(|| ChannelError::NotFound(key.clone()));
    }
    let target = Target {
        kind: Kind::new("v1", "ConfigMap"),
        key: key.clone(),
    };
    let fault = |error: ResolveError| ChannelError::Fault(error.to_string());
    shared
        .tracker
        .observe(&target, referrer)
        .await
        .map_err(|error| fault(error.into()))?;
    let maps: Api<ConfigMap> = Api::namespaced(shared.client.clone(), &key.namespace);
    match maps.get_opt(&key.name).await {
        Ok(Some(map)) => Ok(map.data.unwrap_or_default()),
        Ok(None) => Err(ChannelError::NotFound(key.clone())),
        Err(error) => Err(ChannelError::Fault(reconciler::error::chain(&error))),
    }
}

/// The data plane tells by the class alone where events are kept, so another kind here would be a promise not kept.
fn is_served(template: &ChannelTemplate) -> bool {
    template.api_version.starts_with("messaging.knative.dev/") && template.kind == "InMemoryChannel"
}
