//! Broker: says where it takes events in, whether it can, and where events go that its triggers cannot deliver.
//!
//! Nothing is made for a broker: the data plane serves every ready one. `TriggerChannelReady` says that its
//! configuration names a channel that we keep events in, `IngressReady` and `FilterReady` that the data plane runs.

mod channel;
mod status;

use std::sync::Arc;
use std::time::Duration;

use crds::annotations;
use crds::eventing::Broker;
use crds::names::BROKER_INGRESS_SERVICE;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource as _;
use reconciler::{Applier, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::dead_letter::DeadLetterSink;
use crate::encryption::Receiver;
use crate::ingress;
use crate::policies::{Policies, spoken_of};
use crate::shared::{Shared, annotation, name_of, namespace_of};
use crate::tracker::Referrer;
use status::Observed;

const NAME: &str = "broker";
/// What no watch tells of is looked at again.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub(crate) struct Brokers {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Brokers> {
    let queue = reconciler::queue("eventing-broker");
    let reconciler = Brokers {
        shared: shared.clone(),
        applier: shared.applier("spindrift-broker"),
        queue: queue.clone(),
    };
    let (of_slices, of_maps) = (shared.brokers.clone(), shared.brokers.clone());
    let of_secrets = shared.brokers.clone();
    let system_namespace = shared.system_namespace.clone();
    Controller::with_queue("eventing-broker", queue, reconciler)
        .watches(&shared.brokers)
        .wakes(&shared.slices, move |slice: &EndpointSlice| {
            if ingress::is_of_ingress(slice) {
                of_slices.keys()
            } else {
                Vec::new()
            }
        })
        .wakes(&shared.config_maps, move |map: &ConfigMap| {
            let named = of_maps.list().into_iter().filter(|broker| {
                broker.spec.config.as_ref().is_some_and(|config| {
                    config.name == name_of(&map.metadata)
                        && config.namespace.as_deref() == Some(system_namespace.as_str())
                })
            });
            named.map(|broker| Key::of(broker.as_ref())).collect()
        })
        .wakes(shared.encryption.secrets(Receiver::Brokers), move |_| {
            of_secrets.keys()
        })
        .wakes(
            &shared.services,
            ingress::reached_by(BROKER_INGRESS_SERVICE, &shared.brokers),
        )
        .wakes(&shared.policies, spoken_of(&shared.brokers))
}

/// Whether brokers of this class are ours; all others are left alone, status included.
pub(crate) fn is_ours(broker: &Broker) -> bool {
    matches!(
        annotation(&broker.metadata, annotations::BROKER_CLASS),
        Some(annotations::BROKER_CLASS_MT_CHANNEL_BASED | annotations::BROKER_CLASS_NATS_JET_STREAM)
    )
}

impl Reconcile for Brokers {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let referrer = Referrer::new(NAME, &self.queue, key);
        self.shared.tracker.forget(&referrer);
        let Some(broker) = self.shared.brokers.get(key) else {
            return Ok(Next::OnChange);
        };
        if broker.metadata.deletion_timestamp.is_some() || !is_ours(&broker) {
            return Ok(Next::OnChange);
        }
        let observed = self.observe(&broker, &referrer).await;
        let next = observed.next();
        let mut updated = (*broker).clone();
        updated.status = Some(status::broker_status(&broker, &observed, self.shared.now()));
        let (shared, brokers) = (&self.shared, &self.shared.brokers);
        report(&shared.events, &self.applier, brokers, &broker, updated, Ok(next)).await
    }
}

impl Brokers {
    async fn observe(&self, broker: &Arc<Broker>, referrer: &Referrer) -> Observed {
        let shared = &self.shared;
        let (namespace, name) = (namespace_of(&broker.metadata), name_of(&broker.metadata));
        let audience = shared.features().authentication_oidc.is_enabled().then(|| {
            let (group, kind) = (Broker::group(&()), Broker::kind(&()));
            crds::names::audience(&group, &kind, namespace, name)
        });
        Observed {
            channel: channel::of(shared, broker, referrer).await,
            ingress_available: ingress::is_available(&shared.slices),
            addresses: ingress::broker(shared, (namespace, name), audience),
            dead_letter_sink: DeadLetterSink::resolve(
                &shared.resolver,
                broker.spec.delivery.as_ref(),
                namespace,
                referrer,
            )
            .await,
            policies: Policies::of(shared, broker.as_ref()),
        }
    }
}
