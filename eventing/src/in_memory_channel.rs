//! InMemoryChannel: gives a channel its name in the cluster's DNS, and says who is served.
//!
//! The data plane keeps the events and delivers them; the name of this kind is the peers'.

mod status;

use std::sync::Arc;

use crds::messaging::InMemoryChannel;
use crds::{labels, names};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use reconciler::error::chain;
use reconciler::{Applier, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::dead_letter::DeadLetterSink;
use crate::encryption::Receiver;
use crate::ingress;
use crate::policies::{Policies, spoken_of};
use crate::shared::{Shared, name_of, namespace_of};
use crate::tracker::Referrer;
use status::Observed;

const NAME: &str = "inmemorychannel";

pub(crate) struct InMemoryChannels {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<InMemoryChannels> {
    let queue = reconciler::queue("eventing-inmemorychannel");
    let reconciler = InMemoryChannels {
        shared: shared.clone(),
        applier: shared.applier("spindrift-inmemorychannel"),
        queue: queue.clone(),
    };
    let all = shared.in_memory_channels.clone();
    let of_secrets = shared.in_memory_channels.clone();
    Controller::with_queue("eventing-inmemorychannel", queue, reconciler)
        .watches(&shared.in_memory_channels)
        .owns::<InMemoryChannel, _>(&shared.channel_services)
        .wakes(&shared.slices, move |slice: &EndpointSlice| {
            if ingress::is_of_ingress(slice) {
                all.keys()
            } else {
                Vec::new()
            }
        })
        .wakes(shared.encryption.secrets(Receiver::Brokers), move |_| {
            of_secrets.keys()
        })
        .wakes(
            &shared.services,
            ingress::reached_by(names::CHANNEL_DISPATCHER_SERVICE, &shared.in_memory_channels),
        )
        .wakes(&shared.policies, spoken_of(&shared.in_memory_channels))
}

impl Reconcile for InMemoryChannels {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(channel) = shared.in_memory_channels.get(key) else {
            return Ok(Next::OnChange);
        };
        if channel.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let service = service(&channel, &ingress::host(shared));
        let applied = self
            .applier
            .apply(channel.as_ref(), &shared.channel_services, service)
            .await;
        let observed = self.observe(&channel, &applied, &referrer).await;
        let applied = match applied {
            // Told in a condition; the name may become free.
            Err(Error::NotOwned { .. }) | Ok(_) => Ok(observed.next()),
            Err(error) => Err(error),
        };
        let mut updated = (*channel).clone();
        updated.status = Some(status::channel_status(&channel, &observed, shared.now()));
        let channels = &shared.in_memory_channels;
        report(
            &shared.events,
            &self.applier,
            channels,
            &channel,
            updated,
            applied,
        )
        .await
    }
}

impl InMemoryChannels {
    async fn observe<T>(
        &self,
        channel: &Arc<InMemoryChannel>,
        service: &Result<T, Error>,
        referrer: &Referrer,
    ) -> Observed {
        let shared = &self.shared;
        let (namespace, name) = (namespace_of(&channel.metadata), name_of(&channel.metadata));
        let audience = shared.features().authentication_oidc.is_enabled().then(|| {
            let (group, kind) = (InMemoryChannel::group(&()), InMemoryChannel::kind(&()));
            names::audience(&group, &kind, namespace, name)
        });
        Observed {
            ingress_available: ingress::is_available(&shared.slices),
            service_problem: service.as_ref().err().map(|error| chain(error)),
            addresses: ingress::channel(shared, (namespace, name), audience),
            dead_letter_sink: DeadLetterSink::resolve(
                &shared.resolver,
                channel.spec.delivery.as_ref(),
                namespace,
                referrer,
            )
            .await,
            policies: Policies::of(shared, channel.as_ref()),
        }
    }
}

/// The name of the channel in the cluster's DNS: an alias of the data plane, which tells channels by the host.
fn service(channel: &InMemoryChannel, host: &str) -> Service {
    let name = name_of(&channel.metadata);
    let label = |key: &str| (key.to_owned(), labels::CHANNEL_IN_MEMORY.to_owned());
    Service {
        metadata: ObjectMeta {
            name: Some(names::channel_service(name)),
            namespace: channel.metadata.namespace.clone(),
            labels: Some([label(labels::CHANNEL), label(labels::CHANNEL_ROLE)].into()),
            ..ObjectMeta::default()
        },
        spec: Some(ServiceSpec {
            type_: Some("ExternalName".to_owned()),
            external_name: Some(host.to_owned()),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: 80,
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
