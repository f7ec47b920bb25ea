//! The data plane of events: where it keeps them, and what else it is started with.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use event_store::{Log, Options, Store};
use reconciler::Caches;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Opens the log in `folder`.
///
/// # Errors
/// If another process has it, or it cannot be read.
pub fn open(folder: &Path) -> anyhow::Result<Arc<dyn Store>> {
    let log = Log::open(folder, Options::default())
        .with_context(|| format!("cannot use {} for events", folder.display()))?;
    Ok(Arc::new(log))
}

/// A data plane that accepts at `listener` and keeps events in `store`.
pub fn data_plane(caches: Caches, listener: TcpListener, store: Arc<dyn Store>) -> broker::Config {
    broker::Config {
        caches,
        listeners: vec![listener],
        stores: HashMap::from([(broker::model::Backend::Embedded, store)]),
        dns: None,
        cluster_domain: crds::names::CLUSTER_DOMAIN.to_owned(),
        allowed: broker::Allowed::default(),
        registry: prometheus::default_registry().clone(),
        shutdown: CancellationToken::new(),
        grace: Duration::from_secs(30),
        limits: broker::Limits::default(),
    }
}
