//! RequestReply: says where requests are taken, and keeps the trigger that brings the answers back.
//!
//! Requests themselves are held by a process of the data plane. The trigger passes what ends in the mark of this
//! RequestReply: each gets the answers to its own requests, however many stand in front of one broker.

mod status;

use std::sync::Arc;

use crds::Addressable;
use crds::duck::Destination;
use crds::eventing::{Broker, RequestReply, SubscriptionsApiFilter, Trigger, TriggerFilter, TriggerSpec};
use crds::names::{self, REQUEST_REPLY_SERVICE};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource as _;
use reconciler::object::is_controlled_by;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Reconcile, report};

use crate::addresses::Addresses;
use crate::encryption::Receiver;
use crate::identity::Identity;
use crate::ingress;
use crate::policies::{Policies, spoken_of};
use crate::shared::{Shared, name_of, namespace_of};
use status::Observed;

/// Index of RequestReplies by namespace and name of their broker.
const BY_BROKER: &str = "broker";

pub(crate) struct RequestReplies {
    shared: Shared,
    objects: Cache<RequestReply>,
    applier: Applier,
}

pub(crate) fn controller(shared: &Shared, objects: &Cache<RequestReply>) -> Controller<RequestReplies> {
    let reconciler = RequestReplies {
        shared: shared.clone(),
        objects: objects.clone(),
        applier: shared.applier("spindrift-requestreply"),
    };
    objects.add_index(BY_BROKER, |object: &RequestReply| {
        let (namespace, name) = object.spec.broker_of(namespace_of(&object.metadata));
        vec![Key::new(namespace, name).to_string()]
    });
    let (of_slices, of_brokers) = (objects.clone(), objects.clone());
    let of_secrets = objects.clone();
    Controller::new("eventing-requestreply", reconciler)
        .watches(objects)
        .owns::<RequestReply, Trigger>(&shared.triggers)
        .owns::<RequestReply, ServiceAccount>(&shared.identities)
        .wakes(&shared.brokers, move |broker: &Broker| {
            let woken = of_brokers.indexed(BY_BROKER, &Key::of(broker).to_string());
            woken.iter().map(|object| Key::of(object.as_ref())).collect()
        })
        .wakes(&shared.slices, move |slice: &EndpointSlice| {
            if ingress::is_of(slice, REQUEST_REPLY_SERVICE) {
                of_slices.keys()
            } else {
                Vec::new()
            }
        })
        .wakes(shared.encryption.secrets(Receiver::RequestReplies), move |_| {
            of_secrets.keys()
        })
        .wakes(
            &shared.services,
            ingress::reached_by(REQUEST_REPLY_SERVICE, objects),
        )
        .wakes(&shared.policies, spoken_of(objects))
}

impl Reconcile for RequestReplies {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(object) = self.objects.get(key) else {
            return Ok(Next::OnChange);
        };
        if object.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let shared = &self.shared;
        let (namespace, name) = (namespace_of(&object.metadata), name_of(&object.metadata));
        let (of, broker) = object.spec.broker_of(namespace);
        let audience = shared.features().authentication_oidc.is_enabled().then(|| {
            let (group, kind) = (RequestReply::group(&()), RequestReply::kind(&()));
            crds::names::audience(&group, &kind, namespace, name)
        });
        let addresses = ingress::request_reply(shared, (namespace, name), audience);
        let applied = self.apply(&object, &addresses).await;
        let (identity, trigger, result) = match applied {
            Ok((identity, trigger)) => (identity, Ok(trigger), Ok(Next::OnChange)),
            Err(error) => {
                let why = reconciler::error::chain(&error);
                (Identity::Failed(why.clone()), Err(why), Err(error))
            }
        };
        let observed = Observed {
            broker: shared.brokers.named(of, broker),
            trigger,
            served: ingress::is_served(&shared.slices, REQUEST_REPLY_SERVICE),
            addresses,
            identity,
            policies: Policies::of(shared, object.as_ref()),
        };
        let mut updated = (*object).clone();
        updated.status = Some(status::request_reply_status(&object, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.objects,
            &object,
            updated,
            result,
        )
        .await
    }
}

impl RequestReplies {
    async fn apply(
        &self,
        object: &Arc<RequestReply>,
        addresses: &Addresses,
    ) -> Result<(Identity, Arc<Trigger>), Error> {
        let shared = &self.shared;
        let identity = Identity::ensure(shared, &self.applier, object.as_ref()).await?;
        let Some(address) = addresses.best() else {
            let problem = addresses.problem.as_ref();
            let message = problem.map(|problem| problem.message.clone());
            return Err(Error::Wait(message.unwrap_or_default()));
        };
        let wanted = trigger(object, address);
        let (namespace, name) = (namespace_of(&object.metadata), name_of(&wanted.metadata));
        if let Some(live) = shared.triggers.named(namespace, name)
            && live.spec.broker_of(namespace) != object.spec.broker_of(namespace)
            && is_controlled_by(&live.metadata, object.metadata.uid.as_deref().unwrap_or_default())
        {
            // A trigger cannot move to another broker: it is made anew when the old one is gone.
            if live.metadata.deletion_timestamp.is_none() {
                self.applier.delete(live.as_ref()).await?;
            }
            return Ok((identity, live));
        }
        let applied = self
            .applier
            .apply(object.as_ref(), &shared.triggers, wanted)
            .await?;
        Ok((identity, applied.into_object()))
    }
}

/// What brings the answers: they carry the id of a request of this RequestReply.
fn trigger(object: &RequestReply, address: &Addressable) -> Trigger {
    let spec = &object.spec;
    let namespace = namespace_of(&object.metadata);
    let (of, broker) = spec.broker_of(namespace);
    let mark = names::request_reply_mark(object.metadata.uid.as_deref().unwrap_or_default());
    let (own, other) = if of == namespace {
        (broker.to_owned(), None)
    } else {
        (String::new(), Some(spec.broker_ref.clone()))
    };
    Trigger {
        metadata: ObjectMeta {
            name: Some(names::request_reply_trigger(name_of(&object.metadata))),
            namespace: object.metadata.namespace.clone(),
            // As admission would: else there would be something to take back each time.
            labels: other
                .is_none()
                .then(|| [(crds::labels::BROKER.to_owned(), broker.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: TriggerSpec {
            filter: Some(TriggerFilter::default()),
            broker: own,
            broker_ref: other,
            filters: vec![SubscriptionsApiFilter {
                suffix: [(spec.reply().to_owned(), mark)].into(),
                ..SubscriptionsApiFilter::default()
            }],
            subscriber: Destination {
                audience: address.audience.clone(),
                ca_certs: address.ca_certs.clone(),
                ..Destination::at(format!("{}/reply", address.url.as_deref().unwrap_or_default()))
            },
            delivery: spec.delivery.clone(),
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn made(spec: Value, audience: Option<&str>) -> Value {
        let object =
            json!({"metadata": {"name": "rr", "namespace": "ns", "uid": "0123abcd-1"}, "spec": spec});
        let object = serde_json::from_value(object).unwrap();
        let address = Addressable {
            url: Some("http://here/ns/rr".to_owned()),
            audience: audience.map(str::to_owned),
            ..Addressable::default()
        };
        serde_json::to_value(trigger(&object, &address)).unwrap()
    }

    #[test]
    fn the_trigger_brings_answers_to_the_requests_of_its_own() {
        let broker = |namespace: Option<&str>| json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "name": "b", "namespace": namespace});
        let plain = made(json!({"brokerRef": broker(None)}), None);
        assert_eq!(plain["metadata"]["name"], "rr-kn-request-reply");
        assert_eq!(plain["spec"]["broker"], "b");
        assert_eq!(
            plain["spec"]["filters"],
            json!([{"suffix": {"replyid": ":0123abcd-0"}}])
        );
        assert_eq!(
            plain["spec"]["subscriber"],
            json!({"uri": "http://here/ns/rr/reply"})
        );
        let delivery = json!({"retry": 2});
        let other = made(
            json!({"brokerRef": broker(Some("other")), "replyAttribute": "answers", "delivery": delivery}),
            Some("me"),
        );
        assert_eq!(other["spec"]["brokerRef"]["namespace"], "other");
        assert_eq!(
            other["spec"]["filters"],
            json!([{"suffix": {"answers": ":0123abcd-0"}}])
        );
        assert_eq!(other["spec"]["subscriber"]["audience"], "me");
        assert_eq!(other["spec"]["delivery"], delivery);
        let own = made(json!({"brokerRef": broker(Some("ns"))}), None);
        assert_eq!(own["spec"]["broker"], "b");
    }
}
