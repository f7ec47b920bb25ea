//! The part of the configuration that shapes a revision's pods, in one value so that shaping stays a pure function.

use std::sync::Arc;

use crds::config::{Autoscaler, Deployment, Features, Network, Observability};
use reconciler::{ConfigStore, Error};

/// Everything that pods depend on besides their revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    pub system_namespace: String,
    pub autoscaler: Arc<Autoscaler>,
    pub deployment: Arc<Deployment>,
    pub features: Arc<Features>,
    pub network: Arc<Network>,
    pub observability: Arc<Observability>,
    /// config-observability as a JSON object, for queue-proxy.
    pub observability_json: String,
    pub logging_config: String,
    pub logging_level: String,
}

impl Settings {
    /// # Errors
    /// While nobody has said which image queue-proxy is; no pod can be made without.
    pub(super) fn from_store(store: &ConfigStore, system_namespace: &str) -> Result<Self, Error> {
        let deployment = store.get::<Deployment>();
        if deployment.queue_sidecar_image.is_empty() {
            let missing =
                format!("key queue-sidecar-image in ConfigMap {system_namespace}/config-deployment");
            return Err(Error::Wait(missing));
        }
        let logging = store.data("config-logging");
        let text = |key: &str| logging.get(key).cloned().unwrap_or_default();
        Ok(Self {
            system_namespace: system_namespace.to_owned(),
            autoscaler: store.get(),
            deployment,
            features: store.get(),
            network: store.get(),
            observability: store.get(),
            observability_json: serde_json::to_string(&store.data("config-observability"))
                .unwrap_or_default(),
            logging_config: text("zap-logger-config"),
            logging_level: text("loglevel.queueproxy"),
        })
    }
}

#[cfg(test)]
impl Settings {
    /// The defaults of an install.
    pub(super) fn example() -> Self {
        let deployment = Deployment {
            queue_sidecar_image: "localhost:5000/queue-proxy:1".to_owned(),
            ..Deployment::default()
        };
        Self {
            system_namespace: "knative-serving".to_owned(),
            deployment: Arc::new(deployment),
            observability_json: "{}".to_owned(),
            ..Self::default()
        }
    }
}
