//! Collector: deletes revisions that no route has pointed at for a long time.

mod select;
#[cfg(test)]
mod tests;

use crds::config::Gc;
use crds::serving::Configuration;
use reconciler::{Applier, Controller, Error, Key, Next, Reconcile};

use crate::shared::{Shared, name_of, uid_of};
use select::select;

const NAME: &str = "collector";

pub(crate) struct Collector {
    shared: Shared,
    applier: Applier,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Collector> {
    Controller::new(
        NAME,
        Collector {
            shared: shared.clone(),
            applier: shared.applier("spindrift-collector"),
        },
    )
    .watches(&shared.configurations)
    .owns::<Configuration, _>(&shared.revisions)
}

impl Reconcile for Collector {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(configuration) = self.shared.configurations.get(key) else {
            return Ok(Next::OnChange);
        };
        if configuration.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let revisions = self
            .shared
            .revisions
            .controlled_by(uid_of(&configuration.metadata));
        let gc = self.shared.config.get::<Gc>();
        let selected = select(&configuration, &revisions, &gc, self.shared.now());
        for revision in selected.delete {
            let name = name_of(&revision.metadata);
            tracing::info!(revision = name, "Revision is collected");
            self.applier.delete(revision.as_ref()).await?;
        }
        Ok(selected.look_again.map_or(Next::OnChange, Next::After))
    }
}
