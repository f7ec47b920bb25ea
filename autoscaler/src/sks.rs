//! ServerlessService: two Kubernetes Services for a revision. The private one selects its pods; the public one has
//! no selector, and its endpoints are written here: the pods while they have room, the activators otherwise.

mod desired;
mod status;

use std::sync::Arc;

use crds::labels;
use crds::names;
use crds::networking::ServerlessService;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Caches, Controller, Error, Key, Next, Reconcile, Selection};

/// Label that ties a slice to its Service.
pub const SLICE_SERVICE: &str = "kubernetes.io/service-name";
/// The Service whose endpoints are the activators.
const ACTIVATOR_SERVICE: &str = "activator-service";
const MANAGER: &str = "spindrift-serverlessservice";

pub struct Sks {
    applier: Applier,
    skss: Cache<ServerlessService>,
    deployments: Cache<Deployment>,
    services: Cache<Service>,
    slices: Cache<EndpointSlice>,
    activators: Cache<EndpointSlice>,
}

/// The caches of Services and EndpointSlices that this controller owns.
pub fn service_selection() -> Selection {
    Selection::labelled(labels::SERVICE_TYPE)
}

/// Makes the controller; it runs once the caches are synced.
pub fn controller(caches: &Caches, system_namespace: &str) -> Controller<Sks> {
    let activators = Selection {
        namespace: Some(system_namespace.to_owned()),
        labels: Some(format!("{SLICE_SERVICE}={ACTIVATOR_SERVICE}")),
        ..Selection::default()
    };
    let sks = Sks {
        applier: Applier::new(caches.client().clone(), MANAGER),
        skss: caches.cache(),
        deployments: caches.cache_of(crate::pods::deployment_selection()),
        services: caches.cache_of(service_selection()),
        slices: caches.cache_of(service_selection()),
        activators: caches.cache_of(activators),
    };
    sks.slices.add_label_index(SLICE_SERVICE);
    sks.slices.add_label_index(labels::SERVERLESS_SERVICE);
    let (skss, deployments, services) = (sks.skss.clone(), sks.deployments.clone(), sks.services.clone());
    let (slices, activators) = (sks.slices.clone(), sks.activators.clone());
    let all = skss.clone();
    Controller::new("serverlessservice", sks)
        .watches(&skss)
        .owns::<ServerlessService, Service>(&services)
        .wakes(&slices, |slice: &EndpointSlice| {
            by_label(slice, labels::SERVERLESS_SERVICE)
        })
        .wakes(&deployments, |deployment: &Deployment| {
            by_label(deployment, labels::REVISION)
        })
        .wakes(&activators, move |_: &EndpointSlice| all.keys())
}

/// The object in the same namespace that a label names.
fn by_label<K: kube::Resource>(object: &K, label: &str) -> Vec<Key> {
    let meta = object.meta();
    let name = meta.labels.as_ref().and_then(|labels| labels.get(label));
    name.map(|name| Key::new(meta.namespace.clone().unwrap_or_default(), name.clone()))
        .into_iter()
        .collect()
}

impl Reconcile for Sks {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(live) = self
            .skss
            .get(key)
            .filter(|sks| sks.metadata.deletion_timestamp.is_none())
        else {
            return Ok(Next::OnChange);
        };
        let now = Timestamp::now();
        let mut updated = (*live).clone();
        let observed = live.status.clone().unwrap_or_default();
        let status = updated.status.get_or_insert_default();
        status::SET.begin(status, live.metadata.generation, now);
        let result = self.reconcile_children(&live, status, now).await;
        status::SET.finish(status, &observed.conditions, live.metadata.generation, now);
        self.applier.update_status(&self.skss, &live, &updated).await?;
        result.map(|()| Next::OnChange)
    }
}

impl Sks {
    async fn reconcile_children(
        &self,
        sks: &Arc<ServerlessService>,
        status: &mut crds::networking::ServerlessServiceStatus,
        now: Timestamp,
    ) -> Result<(), Error> {
        let name = sks.metadata.name.clone().unwrap_or_default();
        let namespace = sks.metadata.namespace.clone().unwrap_or_default();
        let target = sks.spec.object_ref.name.clone().unwrap_or_default();
        let Some(deployment) = self.deployments.named(&namespace, &target) else {
            return Err(Error::Wait(format!("Deployment {namespace}/{target}")));
        };
        let Some(selector) = deployment.spec.selector.match_labels.clone() else {
            return Err(Error::Terminal(format!(
                "Deployment {namespace}/{target} has no label selector"
            )));
        };

        let private = self
            .applier
            .apply(
                sks.as_ref(),
                &self.services,
                desired::private_service(sks, selector),
            )
            .await;
        self.owned(private, status, now)?;
        status.private_service_name = Some(names::private_service(&name));
        let public = self
            .applier
            .apply(sks.as_ref(), &self.services, desired::public_service(sks))
            .await;
        self.owned(public, status, now)?;

        let private = self.slices.indexed(SLICE_SERVICE, &names::private_service(&name));
        let private: Vec<_> = private
            .into_iter()
            .filter(|slice| slice.metadata.namespace.as_ref() == Some(&namespace))
            .collect();
        let backends = desired::backends(sks, &private, &self.activators.list());
        let slice = desired::public_slice(sks, &backends);
        let applied = self.applier.apply(sks.as_ref(), &self.slices, slice).await;
        self.owned(applied, status, now)?;
        status.service_name = Some(name);
        status::observe(status, &backends, now);
        Ok(())
    }

    /// Passes an error on, after telling it in the status if the child belongs to somebody else.
    fn owned<T>(
        &self,
        applied: Result<T, Error>,
        status: &mut crds::networking::ServerlessServiceStatus,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Err(error @ Error::NotOwned { .. }) = &applied {
            status::SET
                .manage(status, now)
                .mark_false(status::ENDPOINTS, "NotOwned", &error.to_string());
        }
        applied.map(|_| ())
    }
}
