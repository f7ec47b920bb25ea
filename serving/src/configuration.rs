//! Configuration: makes one Revision for each generation of the template and says which is the newest ready one.

mod desired;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crds::conditions::{ConditionedStatus, READY};
use crds::labels;
use crds::serving::{Configuration, Revision};
use reconciler::error::chain;
use reconciler::{Applier, Controller, Error, Key, Next, Reconcile, report};

use crate::revision_name::{NameCheck, check_name};
use crate::shared::{Shared, label, name_of, namespace_of, uid_of};
use status::{Created, Observed};

const NAME: &str = "configuration";

pub(crate) struct Configurations {
    shared: Shared,
    applier: Applier,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Configurations> {
    let reconciler = Configurations {
        shared: shared.clone(),
        applier: shared.applier("spindrift-configuration"),
    };
    Controller::new(NAME, reconciler)
        .watches(&shared.configurations)
        .owns::<Configuration, _>(&shared.revisions)
}

impl Reconcile for Configurations {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(configuration) = self.shared.configurations.get(key) else {
            return Ok(Next::OnChange);
        };
        if configuration.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let mut observed = Observed {
            revisions: Vec::new(),
            created: Created::Pending,
        };
        let applied = self.apply(&configuration, &mut observed).await;
        observed.revisions = self.revisions(&configuration);
        let mut updated = (*configuration).clone();
        updated.status = Some(status::configuration_status(
            &configuration,
            &observed,
            self.shared.now(),
        ));
        self.tell(&configuration, &updated);
        report(
            &self.shared.events,
            &self.applier,
            &self.shared.configurations,
            &configuration,
            updated,
            applied,
        )
        .await
    }
}

impl Configurations {
    /// Finds the revision of the present generation, or creates it.
    async fn apply(&self, configuration: &Arc<Configuration>, observed: &mut Observed) -> Result<(), Error> {
        let namespace = namespace_of(&configuration.metadata);
        let found = match check_name(configuration, |name| self.shared.revisions.named(namespace, name)) {
            NameCheck::Ours(revision) => Some(revision),
            NameCheck::Taken(name) => {
                let message = format!("revisions.serving.knative.dev {name:?} already exists");
                observed.created = Created::Refused(message);
                return Ok(());
            }
            NameCheck::Free(_) => None,
            NameCheck::Generated => self.of_generation(configuration),
        };
        if let Some(revision) = found {
            observed.created = Created::Revision(revision);
            return Ok(());
        }
        let wanted = desired::revision(configuration, self.shared.now());
        match self
            .applier
            .create(configuration.as_ref(), &self.shared.revisions, wanted)
            .await
        {
            Ok(revision) => {
                let message = format!("Created Revision {:?}", name_of(&revision.metadata));
                self.shared
                    .events
                    .normal(configuration.as_ref(), "Created", message);
                observed.created = Created::Revision(revision);
                Ok(())
            }
            Err(error) => {
                // A name that was taken a moment ago by our own earlier attempt resolves itself on the next look.
                if error.class() == reconciler::Class::Retry {
                    let message = chain(&error);
                    let told = format!("Failed to create Revision: {message}");
                    self.shared
                        .events
                        .warning(configuration.as_ref(), "CreationFailed", told);
                    observed.created = Created::Refused(message);
                }
                Err(error)
            }
        }
    }

    /// The revisions that this Configuration controls.
    fn revisions(&self, configuration: &Configuration) -> Vec<Arc<Revision>> {
        self.shared
            .revisions
            .controlled_by(uid_of(&configuration.metadata))
    }

    fn of_generation(&self, configuration: &Configuration) -> Option<Arc<Revision>> {
        let generation = configuration.metadata.generation.unwrap_or_default().to_string();
        self.revisions(configuration).into_iter().find(|revision| {
            label(&revision.metadata, labels::CONFIGURATION_GENERATION) == Some(&generation)
                && revision.metadata.deletion_timestamp.is_none()
        })
    }

    /// Events on transitions.
    fn tell(&self, before: &Arc<Configuration>, after: &Configuration) {
        let events = &self.shared.events;
        let (old, new) = (before.status.as_ref(), after.status.as_ref());
        let ready = |status: Option<&crds::serving::ConfigurationStatus>| {
            status
                .and_then(|status| status.condition(READY))
                .map(|ready| ready.status)
                .unwrap_or_default()
        };
        let latest_ready = |status: Option<&crds::serving::ConfigurationStatus>| {
            status.and_then(|status| status.latest_ready_revision_name.clone())
        };
        if let Some(name) = latest_ready(new).filter(|name| latest_ready(old).as_ref() != Some(name)) {
            if latest_ready(old).is_none() {
                events.normal(
                    before.as_ref(),
                    "ConfigurationReady",
                    "Configuration becomes ready",
                );
            }
            let message = format!("LatestReadyRevisionName updated to {name:?}");
            events.normal(before.as_ref(), "LatestReadyUpdate", message);
        }
        if ready(new) == crds::conditions::ConditionStatus::False && ready(old) != ready(new) {
            let name = new
                .and_then(|status| status.latest_created_revision_name.clone())
                .unwrap_or_default();
            events.warning(
                before.as_ref(),
                "LatestCreatedFailed",
                format!("Latest created revision {name:?} has failed"),
            );
        }
    }
}
