//! Service: keeps its Configuration and its Route, and reports how they are.

mod desired;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crds::conditions::ConditionedStatus;
use crds::serving::{Configuration, Route, Service};
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Reconcile, report};

use crate::revision_name::{NameCheck, check_name};
use crate::shared::{Shared, name_of, namespace_of};
use status::{Child, Observed};

const NAME: &str = "service";

pub(crate) struct Services {
    shared: Shared,
    applier: Applier,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Services> {
    let reconciler = Services {
        shared: shared.clone(),
        applier: shared.applier("spindrift-service"),
    };
    Controller::new(NAME, reconciler)
        .watches(&shared.services)
        .owns::<Service, _>(&shared.configurations)
        .owns::<Service, _>(&shared.routes)
}

impl Reconcile for Services {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(service) = self.shared.services.get(key) else {
            return Ok(Next::OnChange);
        };
        if service.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let mut observed = Observed::new(&service);
        let applied = self.apply(&service, &mut observed).await;
        let now = self.shared.now();
        let mut updated = (*service).clone();
        updated.status = Some(status::service_status(&service, &observed, now));
        report(
            &self.shared.events,
            &self.applier,
            &self.shared.services,
            &service,
            updated,
            applied,
        )
        .await
    }
}

impl Services {
    /// Brings the children up to date as far as that is possible now, and notes what was found.
    async fn apply(&self, service: &Arc<Service>, observed: &mut Observed) -> Result<(), Error> {
        let shared = &self.shared;
        let (namespace, name) = (namespace_of(&service.metadata), name_of(&service.metadata));

        let live = shared.configurations.named(namespace, name);
        let wanted = desired::configuration(service, live.as_deref());
        observed.configuration = match self.child(service, &shared.configurations, live, wanted).await {
            Ok(configuration) => Child::Current(configuration),
            Err(Error::NotOwned { .. }) => Child::NotOwned,
            Err(error) => return Err(error),
        };
        let Child::Current(configuration) = &observed.configuration else {
            return Ok(());
        };
        if service
            .spec
            .template
            .metadata
            .as_ref()
            .is_some_and(|meta| meta.name.is_some())
        {
            if !is_observed(configuration) {
                // The Route would be pointed at a revision of that name which is about to be made, or replaced.
                return Ok(());
            }
            if let NameCheck::Taken(name) =
                check_name(configuration, |name| shared.revisions.named(namespace, name))
            {
                observed.taken_revision = Some(name);
                return Ok(());
            }
        }

        let live = shared.routes.named(namespace, name);
        let wanted = desired::route(service);
        observed.route = match self.child(service, &shared.routes, live, wanted).await {
            Ok(route) => Child::Current(route),
            Err(Error::NotOwned { .. }) => Child::NotOwned,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Configurations and Routes are wanted exactly as given: labels and annotations added by hand are removed,
    /// which only a full update can do.
    async fn child<K>(
        &self,
        service: &Arc<Service>,
        cache: &Cache<K>,
        live: Option<Arc<K>>,
        wanted: K,
    ) -> Result<Arc<K>, Error>
    where
        K: reconciler::Object<Scope = kube::core::NamespaceResourceScope> + SpecOf,
    {
        let kind = K::kind(&()).into_owned();
        let Some(live) = live else {
            let name = name_of(wanted.meta()).to_owned();
            return match self.applier.create(service.as_ref(), cache, wanted).await {
                Ok(created) => {
                    self.shared.events.normal(
                        service.as_ref(),
                        "Created",
                        format!("Created {kind} {name:?}"),
                    );
                    Ok(created)
                }
                Err(error) => {
                    let text = reconciler::error::chain(&error);
                    let message = format!("Failed to create {kind} {name:?}: {text}");
                    self.shared
                        .events
                        .warning(service.as_ref(), "CreationFailed", message);
                    Err(error)
                }
            };
        };
        let owner = crate::shared::uid_of(&service.metadata);
        if !reconciler::object::is_controlled_by(live.meta(), owner) {
            return Err(Error::NotOwned {
                kind,
                name: name_of(live.meta()).to_owned(),
            });
        }
        if reconciler::apply::same_metadata(live.meta(), wanted.meta()) && live.same_spec(&wanted) {
            return Ok(live);
        }
        let mut updated = (*live).clone();
        updated.meta_mut().labels = wanted.meta().labels.clone();
        updated.meta_mut().annotations = wanted.meta().annotations.clone();
        updated.take_spec(wanted);
        self.applier.replace(cache, &updated).await
    }
}

fn is_observed(configuration: &Configuration) -> bool {
    let observed = configuration
        .status
        .as_ref()
        .map(ConditionedStatus::observed_generation)
        .unwrap_or_default();
    observed == configuration.metadata.generation.unwrap_or_default()
}

/// Moves and compares the specs of objects of a kind.
trait SpecOf {
    fn take_spec(&mut self, from: Self);
    fn same_spec(&self, other: &Self) -> bool;
}

impl SpecOf for Configuration {
    fn take_spec(&mut self, from: Self) {
        self.spec = from.spec;
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}

impl SpecOf for Route {
    fn take_spec(&mut self, from: Self) {
        self.spec = from.spec;
    }

    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
}
