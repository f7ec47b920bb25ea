//! Where this process connects to on behalf of others: what events follow too, plus private networks if wanted.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use event_client::{Allowed, Client};
use futures::FutureExt;
use parking_lot::Mutex;
use reconciler::ConfigStore;
use registries::{Lookup, Registry};

use crate::config::Addresses;
use crate::question::Failure;

/// The clients that keep to the policy, made anew when it changes.
pub(crate) struct Clients {
    dns: Option<SocketAddr>,
    cluster_domain: String,
    config: ConfigStore,
    made: Mutex<Option<Made>>,
}

struct Made {
    addresses: Arc<Addresses>,
    web: Client,
    registry: Arc<Registry>,
}

impl Clients {
    pub(crate) fn new(config: ConfigStore, dns: Option<SocketAddr>, cluster_domain: String) -> Self {
        Self {
            dns,
            cluster_domain,
            config,
            made: Mutex::new(None),
        }
    }

    pub(crate) fn web(&self) -> Client {
        self.made().0
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        self.made().1
    }

    fn made(&self) -> (Client, Arc<Registry>) {
        let wanted = self.config.get::<Addresses>();
        let mut made = self.made.lock();
        if let Some(made) = made.as_ref().filter(|made| made.addresses == wanted) {
            return (made.web.clone(), made.registry.clone());
        }
        let web = Client::new(event_client::Config {
            dns: self.dns,
            cluster_domain: self.cluster_domain.clone(),
            allowed: allowed(&wanted),
            max_idle: 4,
            ..event_client::Config::default()
        });
        let registry = Arc::new(Registry::looking_up(lookup(web.clone())));
        *made = Some(Made {
            addresses: wanted,
            web: web.clone(),
            registry: registry.clone(),
        });
        (web, registry)
    }
}

fn allowed(wanted: &Addresses) -> Allowed {
    Allowed {
        loopback: wanted.loopback,
        link_local: wanted.link_local,
        metadata: wanted.metadata,
        private: wanted.private,
    }
}

/// How the client of registries finds addresses.
fn lookup(client: Client) -> Lookup {
    Arc::new(move |host: String| {
        let client = client.clone();
        async move {
            let found = client.addresses(&host).await;
            found.map_err(|error| std::io::Error::other(explained(&error)))
        }
        .boxed()
    })
}

/// The addresses of a host that may be connected to.
///
/// # Errors
/// If it has none.
pub(crate) async fn addresses(client: &Client, host: &str) -> Result<Vec<IpAddr>, Failure> {
    client.addresses(host).await.map_err(|error| {
        let message = format!("{host}: {}", explained(&error));
        match error {
            event_client::SendError::Refused { .. } => Failure::Never(message),
            _ => Failure::Now(message),
        }
    })
}

/// What went wrong, with what to change if it is the policy.
pub(crate) fn explained(error: &event_client::SendError) -> String {
    match error {
        event_client::SendError::Refused { address, refusal } => format!(
            "{address} is {refusal}, which resolvers do not connect to unless the ConfigMap resolver-addresses allows it"
        ),
        other => other.to_string(),
    }
}
