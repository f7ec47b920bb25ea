//! ContainerSource: a Deployment of the user's containers, and a SinkBinding that tells them where to send events.

mod children;
mod status;

use std::sync::Arc;

use crds::labels;
use crds::sources::{ContainerSource, SinkBinding};
use k8s_openapi::api::apps::v1::Deployment;
use reconciler::{
    Applied, Applier, Cache, Caches, Controller, Error, Key, Next, Reconcile, Selection, report,
};

use crate::shared::Shared;
use status::{Child, Observed};

pub(crate) struct ContainerSources {
    shared: Shared,
    sources: Cache<ContainerSource>,
    bindings: Cache<SinkBinding>,
    deployments: Cache<Deployment>,
    applier: Applier,
}

pub(crate) fn controller(
    shared: &Shared,
    sources: &Cache<ContainerSource>,
    bindings: &Cache<SinkBinding>,
    caches: &Caches,
) -> Controller<ContainerSources> {
    let deployments = caches.cache_of(Selection::labelled(labels::CONTAINER_SOURCE));
    let reconciler = ContainerSources {
        shared: shared.clone(),
        sources: sources.clone(),
        bindings: bindings.clone(),
        deployments: deployments.clone(),
        applier: shared.applier("spindrift-containersource"),
    };
    Controller::with_queue(
        "eventing-containersource",
        reconciler::queue("eventing-containersource"),
        reconciler,
    )
    .watches(sources)
    .owns::<ContainerSource, _>(bindings)
    .owns::<ContainerSource, _>(&deployments)
}

impl Reconcile for ContainerSources {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let Some(source) = self.sources.get(key) else {
            return Ok(Next::OnChange);
        };
        if source.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let mut result = Ok(());
        let binding = self.binding(&source).await;
        let binding = Child::of(binding.map(Some), &mut result);
        let deployment = self.deployment(&source, binding.object()).await;
        let deployment = Child::of(deployment, &mut result);
        let observed = Observed { binding, deployment };
        let mut updated = (*source).clone();
        updated.status = Some(status::container_status(&source, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.sources,
            &source,
            updated,
            result,
        )
        .await
    }
}

impl ContainerSources {
    async fn binding(&self, source: &Arc<ContainerSource>) -> Result<Arc<SinkBinding>, Error> {
        let wanted = children::binding(source);
        let applied = self.applier.apply(source.as_ref(), &self.bindings, wanted).await;
        applied.map(Applied::into_object)
    }

    /// `None` while it has to wait: containers that are started before the sink is known would have to be started again.
    async fn deployment(
        &self,
        source: &Arc<ContainerSource>,
        binding: Option<&Arc<SinkBinding>>,
    ) -> Result<Option<Arc<Deployment>>, Error> {
        let wanted = children::deployment(source).map_err(Error::fault)?;
        let status = binding.and_then(|binding| binding.status.as_ref());
        let sink_known = status.is_some_and(|status| status.sink_uri.is_some());
        if !sink_known && self.deployments.get(&Key::of(&wanted)).is_none() {
            return Ok(None);
        }
        let applied = self
            .applier
            .apply(source.as_ref(), &self.deployments, wanted)
            .await;
        applied.map(|applied| Some(applied.into_object()))
    }
}
