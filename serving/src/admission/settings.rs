//! What admission goes by.

use crds::config::{Configs, Snapshot};
use crds::names;
use reconciler::ConfigStore;

/// What admission goes by: the install's configuration and where it is installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The present configuration.
    pub configs: Configs,
    /// Domain of the cluster.
    pub cluster_domain: String,
    /// Namespace whose ConfigMaps steer the install.
    pub system_namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            configs: Configs::default(),
            cluster_domain: names::CLUSTER_DOMAIN.to_owned(),
            system_namespace: names::SYSTEM_NAMESPACE.to_owned(),
        }
    }
}

impl Settings {
    /// The settings with the configuration as it is now.
    pub fn with_present(&self, store: &ConfigStore) -> Self {
        let configs = Configs {
            autoscaler: present(store),
            defaults: present(store),
            deployment: present(store),
            domain: present(store),
            features: present(store),
            gc: present(store),
            network: present(store),
            observability: present(store),
        };
        Self {
            configs,
            ..self.clone()
        }
    }
}

fn present<T: Snapshot>(store: &ConfigStore) -> T {
    (*store.get::<T>()).clone()
}
