//! EventListeners: what runs each of them, and what is shown of it.

mod children;
mod run;
mod status;

use std::sync::Arc;

use crds::serving;
use crds::triggers::{EventListener, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use reconciler::error::chain;
use reconciler::{
    Applier, Cache, Caches, Class, Controller, Error, Key, Next, Reconcile, Recorder, Selection,
};

use children::{Server, Settings};
use status::{Child, Observed};

pub use run::{Config, run_until, run_with};

/// Reconciles listeners.
pub(crate) struct Listeners {
    config: Config,
    applier: Applier,
    events: Recorder,
    listeners: Cache<EventListener>,
    deployments: Cache<Deployment>,
    services: Cache<Service>,
    knative: Cache<serving::Service>,
    roles: Cache<Role>,
    bindings: Cache<RoleBinding>,
    /// The Service of the API server.
    server: Cache<Service>,
}

impl Listeners {
    fn new(caches: &Caches, config: &Config) -> Self {
        let client = caches.client().clone();
        let own = || Selection::labelled(labels::LISTENER);
        Self {
            config: config.clone(),
            events: Recorder::new(client.clone(), "triggers-controller"),
            applier: Applier::new(client, "spindrift-eventlistener"),
            listeners: caches.cache(),
            deployments: caches.cache_of(own()),
            services: caches.cache_of(own()),
            knative: caches.cache_of(own()),
            roles: caches.cache_of(own()),
            bindings: caches.cache_of(own()),
            server: caches.cache_of(Selection::named("kubernetes")),
        }
    }

    fn controller(self) -> Controller<Self> {
        let name = "eventlistener";
        let (listeners, deployments) = (self.listeners.clone(), self.deployments.clone());
        let (services, knative) = (self.services.clone(), self.knative.clone());
        Controller::with_queue(name, reconciler::queue(name), self)
            .watches(&listeners)
            .owns::<EventListener, _>(&deployments)
            .owns::<EventListener, _>(&services)
            .owns::<EventListener, _>(&knative)
    }

    /// Where pods find the API server, which not every node tells them.
    fn server(&self) -> Result<Server, Error> {
        let found = self.server.get(&Key::new("default", "kubernetes"));
        let spec = found.as_ref().and_then(|service| service.spec.as_ref());
        let address = spec.and_then(|spec| spec.cluster_ip.clone());
        let port = spec.and_then(|spec| Some(spec.ports.as_ref()?.first()?.port));
        match address.zip(port) {
            Some((address, port)) => Ok(Server { address, port }),
            None => Err(Error::fault(std::io::Error::other(
                "the Service default/kubernetes has no address yet",
            ))),
        }
    }

    async fn apply(&self, listener: &Arc<EventListener>, result: &mut Result<(), Error>) -> Observed {
        let mut observed = Observed::default();
        let settings = match self.server() {
            Ok(server) => Settings {
                image: &self.config.image,
                cluster_domain: &self.config.cluster_domain,
                server,
            },
            Err(error) => {
                *result = Err(error);
                return observed;
            }
        };
        let (role, binding) = (children::role(listener), children::role_binding(listener));
        let made = async {
            self.applier.apply(listener.as_ref(), &self.roles, role).await?;
            self.applier
                .apply(listener.as_ref(), &self.bindings, binding)
                .await
        };
        if let Err(error) = made.await {
            *result = Err(error);
            return observed;
        }
        if listener.spec.resources.custom_resource.is_some() {
            let wanted = match children::knative_service(listener, &settings) {
                Ok(wanted) => wanted,
                Err(problem) => {
                    observed.knative = Child::Failed(problem);
                    return observed;
                }
            };
            let applied = self.applier.apply(listener.as_ref(), &self.knative, wanted).await;
            observed.knative = Child::of(applied, result);
            return observed;
        }
        let deployment = match children::deployment(listener, &settings) {
            Ok(deployment) => deployment,
            Err(problem) => {
                observed.deployment = Child::Failed(problem);
                return observed;
            }
        };
        let applied = self
            .applier
            .apply(listener.as_ref(), &self.deployments, deployment)
            .await;
        observed.deployment = Child::of(applied, result);
        let service = children::service(listener);
        let applied = self
            .applier
            .apply(listener.as_ref(), &self.services, service)
            .await;
        observed.service = Child::of(applied, result);
        observed
    }

    /// Removes what a listener has no use for any more, after it has changed what runs it.
    async fn clear(&self, listener: &EventListener) -> Result<(), Error> {
        let key = children::key(listener);
        let uid = listener.metadata.uid.as_deref().unwrap_or_default();
        let owned = |meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
            reconciler::object::is_controlled_by(meta, uid)
        };
        if listener.spec.resources.custom_resource.is_some() {
            if let Some(deployment) = self.deployments.get(&key).filter(|found| owned(&found.metadata)) {
                self.applier.delete(deployment.as_ref()).await?;
            }
        } else if let Some(service) = self.knative.get(&key).filter(|found| owned(&found.metadata)) {
            self.applier.delete(service.as_ref()).await?;
        }
        Ok(())
    }
}

impl Reconcile for Listeners {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(listener) = self.listeners.get(key) else {
            return Ok(Next::OnChange);
        };
        if listener.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let mut result = self.clear(&listener).await;
        let observed = self.apply(&listener, &mut result).await;
        let mut updated = (*listener).clone();
        let now = (self.config.clock)();
        updated.status = Some(status::listener_status(
            &listener,
            &observed,
            &self.config.cluster_domain,
            now,
        ));
        let stored = self
            .applier
            .update_status(&self.listeners, &listener, &updated)
            .await;
        match result {
            Err(error) => {
                if error.class() == Class::Retry {
                    self.events
                        .warning(listener.as_ref(), "InternalError", chain(&error));
                }
                Err(error)
            }
            Ok(()) => stored.map(|_| Next::OnChange),
        }
    }
}
