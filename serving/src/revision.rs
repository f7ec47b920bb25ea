//! Revision: resolves its images, keeps Deployment, PodAutoscaler and Images, and says whether it can serve.

mod deployment;
mod diagnosis;
mod image;
mod metadata;
mod pod;
mod pod_autoscaler;
mod probe;
mod probe_error;
mod queue_proxy;
mod resources;
mod settings;
mod status;
#[cfg(test)]
mod tests;
mod user_containers;

use std::sync::Arc;

use crds::conditions::{Condition, ConditionStatus, ConditionedStatus, READY};
use crds::serving::{Revision, RevisionStatus};
use crds::{labels, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use reconciler::{Applier, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::digest::{Lookup, Resolver};
use crate::shared::{Shared, label, name_of, namespace_of, uid_of};

use diagnosis::Diagnosis;
pub(crate) use metadata::protocol;
use settings::Settings;
use status::CONDITIONS;

const NAME: &str = "revision";

pub(crate) struct Revisions {
    shared: Shared,
    applier: Applier,
    resolver: Resolver,
}

/// `queue` is the controller's own, which `resolver` wakes when a lookup has ended.
pub(crate) fn controller(shared: &Shared, queue: Queue, resolver: Resolver) -> Controller<Revisions> {
    let reconciler = Revisions {
        shared: shared.clone(),
        applier: shared.applier("spindrift-revision"),
        resolver,
    };
    Controller::with_queue(NAME, queue, reconciler)
        .watches(&shared.revisions)
        .owns::<Revision, _>(&shared.deployments)
        .owns::<Revision, _>(&shared.pod_autoscalers)
        .owns::<Revision, _>(&shared.images)
        .wakes(&shared.pods, |pod: &Pod| {
            let revision = label(&pod.metadata, labels::REVISION).filter(|_| diagnosis::is_telling(pod));
            revision
                .map(|name| Key::new(namespace_of(&pod.metadata), name))
                .into_iter()
                .collect()
        })
}

impl Reconcile for Revisions {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(revision) = self.shared.revisions.get(key) else {
            self.resolver.forget(key);
            return Ok(Next::OnChange);
        };
        if revision.metadata.deletion_timestamp.is_some() {
            self.resolver.forget(key);
            return Ok(Next::OnChange);
        }
        let now = self.shared.now();
        let mut updated = (*revision).clone();
        let mut status = revision.status.clone().unwrap_or_default();
        CONDITIONS.begin(&mut status, revision.metadata.generation, now);
        let applied = self.apply(key, &revision, &mut status).await;
        let before = revision
            .status
            .as_ref()
            .map(|status| status.conditions.clone())
            .unwrap_or_default();
        CONDITIONS.finish(&mut status, &before, revision.metadata.generation, now);
        if !is_ready(revision.status.as_ref()) && is_ready(Some(&status)) {
            let message = "Revision becomes ready upon all resources being ready";
            self.shared
                .events
                .normal(revision.as_ref(), "RevisionReady", message);
        }
        updated.status = Some(status);
        report(
            &self.shared.events,
            &self.applier,
            &self.shared.revisions,
            &revision,
            updated,
            applied,
        )
        .await
    }
}

impl Revisions {
    async fn apply(
        &self,
        key: &Key,
        revision: &Arc<Revision>,
        status: &mut RevisionStatus,
    ) -> Result<(), Error> {
        let settings = Settings::from_store(&self.shared.config, &self.shared.system_namespace)?;
        let now = self.shared.now();
        status.log_url = log_url(revision, &settings);

        if !has_digests(revision, status) {
            match self.resolver.lookup(key, revision, &self.shared.config) {
                Lookup::Pending => {
                    status::mark_resolving_digests(status, now);
                    return Ok(());
                }
                Lookup::Failed(message) => {
                    status::mark_container_missing(status, &message, now);
                    return Ok(());
                }
                Lookup::Found(found) => {
                    status.container_statuses = found.containers;
                    status.init_container_statuses = found.init_containers;
                }
            }
        }
        self.resolver.forget(key);

        // The template is shaped from what was found just now, not from what is stored.
        let mut resolved = (**revision).clone();
        resolved.status = Some(status.clone());
        let Some((deployment, diagnosis)) = self
            .apply_deployment(revision, &resolved, &settings, status)
            .await?
        else {
            return Ok(());
        };
        for image in image::images(&resolved, &status.container_statuses) {
            match self
                .applier
                .apply(revision.as_ref(), &self.shared.images, image)
                .await
            {
                // A cacher's object of that name does not keep the revision from working.
                Ok(_) | Err(Error::NotOwned { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.apply_autoscaler(revision, &deployment, status).await?;
        status::name_cause(status, diagnosis.as_ref(), now);
        Ok(())
    }

    /// Returns `None` if the name belongs to somebody else.
    async fn apply_deployment(
        &self,
        revision: &Arc<Revision>,
        resolved: &Revision,
        settings: &Settings,
        status: &mut RevisionStatus,
    ) -> Result<Option<(Arc<Deployment>, Option<Diagnosis>)>, Error> {
        let shared = &self.shared;
        let now = shared.now();
        let name = names::deployment(name_of(&revision.metadata));
        let live = shared.deployments.named(namespace_of(&revision.metadata), &name);
        let wanted = deployment::deployment(resolved, settings);
        let applied = match &live {
            None => {
                self.applier
                    .apply(revision.as_ref(), &shared.deployments, wanted)
                    .await
            }
            Some(live)
                if !reconciler::object::is_controlled_by(&live.metadata, uid_of(&revision.metadata)) =>
            {
                Err(Error::NotOwned {
                    kind: "Deployment".to_owned(),
                    name: name.clone(),
                })
            }
            Some(live) => match deployment::update(live, wanted) {
                Some(update) => {
                    self.applier
                        .apply(revision.as_ref(), &shared.deployments, update)
                        .await
                }
                None => Ok(reconciler::Applied::Unchanged(live.clone())),
            },
        };
        let deployment = match applied {
            Ok(applied) => applied,
            Err(Error::NotOwned { .. }) => {
                status::mark_not_owned(status, "Deployment", &name, now);
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let mut diagnosis = None;
        if deployment.is_created() {
            let message = format!("Created Deployment {name:?}");
            shared.events.normal(revision.as_ref(), "Created", message);
            status::mark_deploying(status, now);
        } else {
            let pods: Vec<Arc<Pod>> = shared
                .pods
                .indexed(labels::REVISION_UID, uid_of(&revision.metadata));
            let probe_error = match diagnosis::unready(deployment.object(), &pods) {
                Some(pod) => probe_error::last(&shared.client, pod).await,
                None => None,
            };
            diagnosis = diagnosis::diagnose(
                deployment.object(),
                &pods,
                settings.deployment.pod_is_always_schedulable,
                probe_error.as_deref(),
            );
            status::take_deployment(status, deployment.object(), diagnosis.as_ref(), now);
        }
        Ok(Some((deployment.into_object(), diagnosis)))
    }

    async fn apply_autoscaler(
        &self,
        revision: &Arc<Revision>,
        deployment: &Deployment,
        status: &mut RevisionStatus,
    ) -> Result<(), Error> {
        let wanted = pod_autoscaler::pod_autoscaler(revision, status, Some(deployment));
        let now = self.shared.now();
        match self
            .applier
            .apply(revision.as_ref(), &self.shared.pod_autoscalers, wanted)
            .await
        {
            Ok(autoscaler) => {
                let earlier = revision.status.as_ref();
                let earlier = earlier.and_then(|status| status.condition(status::RESOURCES_AVAILABLE));
                let wanted = diagnosis::wants_pods(deployment);
                status::take_autoscaler(status, autoscaler.object(), wanted, earlier, now);
            }
            Err(Error::NotOwned { name, .. }) => status::mark_not_owned(status, "PodAutoscaler", &name, now),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn is_ready(status: Option<&RevisionStatus>) -> bool {
    let ready = status
        .and_then(|status| status.condition(READY))
        .map(|ready: &Condition| ready.status);
    ready == Some(ConditionStatus::True)
}

/// Whether every container's digest has been looked up.
fn has_digests(revision: &Revision, status: &RevisionStatus) -> bool {
    let pod = &revision.spec.pod_spec;
    status.container_statuses.len() == pod.containers.len()
        && status.init_container_statuses.len() == pod.init_containers.as_ref().map_or(0, Vec::len)
}

fn log_url(revision: &Revision, settings: &Settings) -> Option<String> {
    let template = &settings.observability.revision_url_template;
    (!template.is_empty()).then(|| template.replace("${REVISION_UID}", uid_of(&revision.metadata)))
}
