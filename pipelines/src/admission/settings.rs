//! What admission goes by.

use crds::config::Snapshot;
use crds::config::tekton::Configs;
use crds::tekton::names;
use reconciler::ConfigStore;

/// What admission goes by: the configuration of the install, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The present configuration.
    pub configs: Configs,
    /// Namespace whose ConfigMaps steer the install.
    pub system_namespace: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            configs: Configs::default(),
            system_namespace: names::NAMESPACE.to_owned(),
        }
    }
}

impl Settings {
    /// The settings with the configuration as it is now; `store` follows the system namespace of these settings.
    pub fn with_present(&self, store: &ConfigStore) -> Self {
        let configs = Configs {
            defaults: present(store),
            features: present(store),
            events: present(store),
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
