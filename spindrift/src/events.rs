//! The data plane of events: where it keeps them, and what else it is started with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use broker::model::Backend;
use event_jetstream::JetStream;
use event_store::{Log, Options, Store};
use eventing::SelectionMode;
use reconciler::Caches;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What the half of the platform that deals with events is started with.
pub struct Events {
    pub stores: broker::Stores,
    pub selection_mode: SelectionMode,
}

/// Which workloads sink bindings may bind, as `SINK_BINDING_SELECTION_MODE` says.
///
/// # Errors
/// If it says something else.
pub fn selection_mode() -> anyhow::Result<SelectionMode> {
    const NAME: &str = "SINK_BINDING_SELECTION_MODE";
    let text = std::env::var(NAME).unwrap_or_default();
    text.parse().map_err(|error| anyhow::anyhow!("{NAME}: {error}"))
}

/// Opens the log in `folder`.
///
/// # Errors
/// If another process has it, or it cannot be read.
pub fn open(folder: &Path) -> anyhow::Result<broker::Stores> {
    let log = Log::open(folder, Options::default())
        .with_context(|| format!("cannot use {} for events", folder.display()))?;
    let log = Arc::new(log);
    let metrics = broker::LogMetrics::new(&log)?;
    prometheus::default_registry().register(Box::new(metrics))?;
    let store: Arc<dyn Store> = log;
    Ok(HashMap::from([(Backend::Embedded, store)]))
}

/// Connects to a JetStream.
///
/// # Errors
/// If none of them can be reached.
pub async fn connect(options: event_jetstream::Options) -> anyhow::Result<Arc<dyn Store>> {
    Ok(Arc::new(JetStream::connect(options).await?))
}

/// Makes durable how far consumers are, which they otherwise tell a few times a second.
pub async fn close(stores: &broker::Stores) {
    for store in stores.values() {
        store.close().await;
    }
}

/// Where something takes events in: in the clear, and over TLS.
pub struct Doors {
    pub clear: TcpListener,
    pub secure: TcpListener,
}

/// A data plane that accepts at `doors` and keeps events in `stores`.
pub fn data_plane(caches: Caches, doors: Doors, stores: broker::Stores) -> broker::Config {
    broker::Config {
        caches,
        system_namespace: crds::names::EVENTING_NAMESPACE.to_owned(),
        listeners: vec![doors.clear],
        secure_listeners: vec![doors.secure],
        stores,
        dns: None,
        cluster_domain: crds::names::CLUSTER_DOMAIN.to_owned(),
        allowed: broker::Allowed::default(),
        registry: prometheus::default_registry().clone(),
        shutdown: CancellationToken::new(),
        grace: Duration::from_secs(30),
        limits: broker::Limits::default(),
        serving: Arc::default(),
    }
}

/// Receivers of events that accept at `doors`.
pub fn sinks(caches: Caches, doors: Doors) -> event_sinks::Config {
    event_sinks::Config {
        caches,
        system_namespace: crds::names::EVENTING_NAMESPACE.to_owned(),
        listeners: vec![doors.clear],
        secure_listeners: vec![doors.secure],
        registry: prometheus::default_registry().clone(),
        shutdown: CancellationToken::new(),
        grace: Duration::from_secs(30),
    }
}

/// What holds requests until they are answered, and accepts them at `doors`.
pub fn request_replies(
    caches: Caches,
    client: broker::client::Config,
    doors: Doors,
) -> event_request_reply::Config {
    event_request_reply::Config {
        caches,
        system_namespace: crds::names::EVENTING_NAMESPACE.to_owned(),
        client,
        listeners: vec![doors.clear],
        secure_listeners: vec![doors.secure],
        registry: prometheus::default_registry().clone(),
        shutdown: CancellationToken::new(),
        grace: Duration::from_secs(30),
        limits: event_request_reply::Limits::default(),
    }
}
