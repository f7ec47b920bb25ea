//! How the hosts of registries are found: by the system, or by whoever has to say which may be connected to.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::dns::Name;
use tower::Service;

/// Gives the addresses of a host name, or of an address itself, or an error that says why it is not connected to.
pub type Lookup = Arc<dyn Fn(String) -> Found + Send + Sync>;
/// What a [`Lookup`] comes to.
pub type Found = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Names for the connector.
#[derive(Clone)]
pub(crate) struct Names(pub(crate) Option<Lookup>);

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (lookup, host) = (self.0.clone(), name.as_str().to_owned());
        Box::pin(async move {
            let found: Vec<SocketAddr> = match lookup {
                // The connector puts the port in.
                Some(lookup) => {
                    let found = lookup(host).await?;
                    found.into_iter().map(|address| (address, 0).into()).collect()
                }
                None => tokio::net::lookup_host((host.as_str(), 0)).await?.collect(),
            };
            Ok(found.into_iter())
        })
    }
}
