//! What admission goes by.

use crds::config::Snapshot;
use crds::config::events::Configs;
use crds::names;
use reconciler::ConfigStore;

/// What admission goes by: the configuration of the install, and where it is installed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The present configuration.
    pub configs: Configs,
    /// Namespace whose ConfigMaps steer the install.
    pub system_namespace: String,
    /// The user that the controllers are, who alone may change the subscribers of channels; empty if they have no
    /// identity of their own, as in one process with the API server.
    pub controller: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            configs: Configs::default(),
            system_namespace: names::EVENTING_NAMESPACE.to_owned(),
            controller: String::new(),
        }
    }
}

impl Settings {
    /// The settings with the configuration as it is now; `store` follows the system namespace of these settings.
    pub fn with_present(&self, store: &ConfigStore) -> Self {
        let configs = Configs {
            brokers: present(store),
            channels: present(store),
            features: present(store),
            mapping: present(store),
            ping: present(store),
            sugar: present(store),
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
