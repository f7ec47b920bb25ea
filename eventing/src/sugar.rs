//! Brokers that nobody has written: `default` in the namespaces that `config-sugar` selects.

use crds::config::events;
use crds::eventing::Broker;
use crds::names;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;
use reconciler::error::is_conflict;
use reconciler::{Cache, Controller, Error, Key, Next, Reconcile};

use crate::selector;
use crate::shared::{Shared, namespace_of};

pub(crate) struct Sugar {
    shared: Shared,
    namespaces: Cache<Namespace>,
}

pub(crate) fn controller(shared: &Shared, namespaces: &Cache<Namespace>) -> Controller<Sugar> {
    let reconciler = Sugar {
        shared: shared.clone(),
        namespaces: namespaces.clone(),
    };
    Controller::new("eventing-sugar", reconciler)
        .watches(namespaces)
        // One that is deleted comes again, as long as the namespace is selected.
        .wakes(&shared.brokers, |broker: &Broker| {
            vec![Key::new("", namespace_of(&broker.metadata))]
        })
}

impl Reconcile for Sugar {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(namespace) = self.namespaces.get(key) else {
            return Ok(Next::OnChange);
        };
        let config = self.shared.config.get::<events::Sugar>();
        let selected = config
            .namespace_selector
            .as_ref()
            .is_some_and(|wanted| selector::matches(wanted, namespace.metadata.labels.as_ref()));
        if selected
            && namespace.metadata.deletion_timestamp.is_none()
            && make_default_broker(&self.shared, &key.name).await?
        {
            let message = "Default eventing broker created.";
            let events = &self.shared.events;
            events.normal(namespace.as_ref(), "DefaultBrokerCreated", message);
        }
        Ok(Next::OnChange)
    }
}

/// Makes the broker `default` of a namespace if it is missing, and says whether it was. Who is there first wins.
pub(crate) async fn make_default_broker(shared: &Shared, namespace: &str) -> Result<bool, Error> {
    if shared.brokers.named(namespace, names::DEFAULT_BROKER).is_some() {
        return Ok(false);
    }
    let broker = Broker {
        metadata: ObjectMeta {
            name: Some(names::DEFAULT_BROKER.to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        ..Broker::default()
    };
    let brokers: Api<Broker> = Api::namespaced(shared.client.clone(), namespace);
    match brokers.create(&PostParams::default(), &broker).await {
        Ok(created) => {
            shared.brokers.record(created);
            Ok(true)
        }
        Err(error) if is_conflict(&error) => Ok(false),
        Err(error) => Err(Error::api(format!("create Broker {namespace}/default"), error)),
    }
}
