//! The ConfigMaps that steer tasks and pipelines, in the namespace `tekton-pipelines`.

use super::data::ConfigError;
use super::{Data, Snapshot};

mod defaults;
mod events;
mod features;

pub use defaults::Defaults;
pub use events::Events;
pub use features::{ApiFields, Coschedule, Features, ResultsFrom};

/// All snapshots that admission and the controllers look at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Configs {
    /// `config-defaults`
    pub defaults: Defaults,
    /// `feature-flags`
    pub features: Features,
    /// `config-events`
    pub events: Events,
}

impl Configs {
    /// Takes over the contents of the ConfigMap `name`; a name that is none of ours changes nothing.
    ///
    /// # Errors
    /// When the contents are invalid; then nothing is changed.
    pub fn update(&mut self, name: &str, data: &Data) -> Result<(), ConfigError> {
        match name {
            Defaults::NAME => self.defaults = Snapshot::parse(data)?,
            Features::NAME => self.features = Snapshot::parse(data)?,
            Events::NAME => self.events = Snapshot::parse(data)?,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
