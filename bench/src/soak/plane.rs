//! The process that is killed: a data plane with two triggers.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use broker::model::Backend;
use event_jetstream::JetStream;
use event_store::{Log, Store};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::events::api;

/// Where events are kept.
pub enum Kept {
    Folder(PathBuf),
    Nats(String),
}

/// Serves until it is killed, or until its parent is gone.
///
/// # Errors
/// The store cannot be opened, or the port is taken.
pub fn serve(port: u16, kept: &Kept, subscribers: &[String]) -> anyhow::Result<()> {
    // Nobody writes there: it ends when the parent does.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    Runtime::new()?.block_on(serving(port, kept, subscribers))
}

async fn serving(port: u16, kept: &Kept, subscribers: &[String]) -> anyhow::Result<()> {
    let (backend, class, store): (_, _, Arc<dyn Store>) = match kept {
        Kept::Folder(folder) => (
            Backend::Embedded,
            "MTChannelBasedBroker",
            Arc::new(Log::open(folder, event_store::Options::default())?),
        ),
        Kept::Nats(url) => {
            let options = event_jetstream::Options::new(url);
            (
                Backend::JetStream,
                "NatsJetStreamBroker",
                Arc::new(JetStream::connect(options).await?),
            )
        }
    };
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let triggers = subscribers.iter().enumerate();
    let triggers: Vec<Value> = triggers.map(|(number, url)| trigger(number, url)).collect();
    broker::run(broker::Config {
        caches: informer::Caches::new(api::client(vec![broker_of(class)], triggers)),
        listeners: vec![listener],
        secure_listeners: Vec::new(),
        stores: HashMap::from([(backend, store)]),
        dns: None,
        cluster_domain: "cluster.local".to_owned(),
        system_namespace: "knative-eventing".to_owned(),
        allowed: broker::Allowed::ALL,
        registry: prometheus::Registry::new(),
        shutdown: CancellationToken::new(),
        grace: Duration::from_millis(100),
        limits: broker::Limits::default(),
        serving: Arc::default(),
    })
    .await?;
    Ok(())
}

fn broker_of(class: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
        "metadata": {"name": "default", "namespace": "default", "uid": "broker", "resourceVersion": "1",
                     "annotations": {"eventing.knative.dev/broker.class": class}},
        "spec": {"delivery": {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.05S"}},
    })
}

fn trigger(number: usize, url: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"name": format!("trigger-{number}"), "namespace": "default", "uid": format!("trigger-{number}"),
                     "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"broker": "default", "subscriber": {"uri": url}},
        "status": {"subscriberUri": url},
    })
}
