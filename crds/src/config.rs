//! Typed, immutable snapshots of the ConfigMaps that steer an install, and the ConfigMaps that an install creates.
//!
//! Parsing is pure: `data` in, snapshot or an error that names the key out. Keys that nobody knows are ignored, as are
//! keys that begin with an underscore (`_example` holds documentation). Where a key has had a camelCase spelling, both
//! are read and the present one wins.

use std::collections::BTreeMap;

mod autoscaler;
mod data;
mod defaults;
mod deployment;
mod domain;
pub mod events;
mod features;
mod gc;
mod manifests;
mod network;
mod observability;
pub mod tekton;

pub use autoscaler::{Autoscaler, SCALE_WINDOW_MAX, SCALE_WINDOW_MIN, TARGET_MIN};
pub use data::ConfigError;
pub(crate) use data::show;
pub use defaults::{ContainerResources, Defaults};
pub use deployment::{AffinityType, Deployment, RuntimeClass};
pub use domain::{Domain, DomainConfig, DomainType};
pub use features::{Features, Flag, SecurePodDefaults};
pub use gc::Gc;
pub use manifests::{EXAMPLE_KEY, Install, defaults_manifests, example_checksum};
pub use network::{HttpProtocol, MeshCompatibilityMode, Network, TemplateValues};
pub use observability::{
    DEFAULT_REQUEST_LOG_TEMPLATE, Metrics, MetricsProtocol, Observability, TracingProtocol,
};

/// Contents of a ConfigMap.
pub type Data = BTreeMap<String, String>;

/// The parsed contents of one ConfigMap; its default is what an empty ConfigMap means.
pub trait Snapshot: Clone + Default + PartialEq + Send + Sync + 'static {
    /// Name of the ConfigMap, for example `config-autoscaler`.
    const NAME: &'static str;

    /// Parses the contents of the ConfigMap.
    ///
    /// # Errors
    /// Names the key that is wrong, and says what is allowed.
    fn parse(data: &Data) -> Result<Self, ConfigError>;
}

/// Lets each snapshot be made by `TryFrom` as well.
macro_rules! snapshots {
    ($($type:ty),+ $(,)?) => {$(
        impl TryFrom<&Data> for $type {
            type Error = ConfigError;
            fn try_from(data: &Data) -> Result<Self, ConfigError> {
                Snapshot::parse(data)
            }
        }
    )+};
}
snapshots!(
    Autoscaler,
    Defaults,
    Deployment,
    Domain,
    Features,
    Gc,
    Network,
    Observability
);

/// All snapshots that admission and the controllers look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configs {
    /// `config-autoscaler`
    pub autoscaler: Autoscaler,
    /// `config-defaults`
    pub defaults: Defaults,
    /// `config-deployment`
    pub deployment: Deployment,
    /// `config-domain`
    pub domain: Domain,
    /// `config-features`
    pub features: Features,
    /// `config-gc`
    pub gc: Gc,
    /// `config-network`
    pub network: Network,
    /// `config-observability`
    pub observability: Observability,
}

impl Configs {
    /// Takes over the contents of the ConfigMap `name`; a name that is none of ours changes nothing.
    ///
    /// # Errors
    /// When the contents are invalid; then nothing is changed.
    pub fn update(&mut self, name: &str, data: &Data) -> Result<(), ConfigError> {
        match name {
            Autoscaler::NAME => self.autoscaler = Snapshot::parse(data)?,
            Defaults::NAME => self.defaults = Snapshot::parse(data)?,
            Deployment::NAME => self.deployment = Snapshot::parse(data)?,
            Domain::NAME => self.domain = Snapshot::parse(data)?,
            Features::NAME => self.features = Snapshot::parse(data)?,
            Gc::NAME => self.gc = Snapshot::parse(data)?,
            Network::NAME => self.network = Snapshot::parse(data)?,
            Observability::NAME => self.observability = Snapshot::parse(data)?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
