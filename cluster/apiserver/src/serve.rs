//! HTTPS: the same service behind TLS, with bounded connections and a graceful end.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

use crate::authn::{PeerCertificate, peer_of};
use crate::body::ResponseBody;
use crate::pki::{Leaf, Pki, PkiError};
use crate::server::ApiServer;

/// Connections at once; further ones wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 4096;
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for the headers of an HTTP/1 request.
const HEADERS: Duration = Duration::from_secs(30);
/// Requests at once on one HTTP/2 connection (upstream default: 250; watches of informers share one).
const MAX_STREAMS: u32 = 1000;
/// Time for requests in progress after a shutdown begins.
const GRACE: Duration = Duration::from_secs(5);

impl ApiServer {
    /// Serves HTTPS on the listener until `stop` resolves, then finishes what is in progress.
    ///
    /// # Errors
    /// When the certificate cannot be made. Trouble with single connections is logged.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), PkiError> {
        let tls = TlsAcceptor::from(Arc::new(self.tls_config()?));
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut connections = tokio::task::JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                break;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => break,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok((stream, _)) => {
                    let (server, tls, watcher) = (self.clone(), tls.clone(), graceful.watcher());
                    connections.spawn(async move {
                        if let Err(error) = connection(server, tls, stream, watcher).await {
                            debug!(%error, "Connection ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, mostly: pause instead of spinning.
                    warn!(%error, "Connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        self.end_watches();
        // What is not done by then is cut off when the set is dropped.
        let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
        Ok(())
    }

    fn tls_config(&self) -> Result<ServerConfig, PkiError> {
        let config = &self.inner.config;
        let first = std::net::Ipv4Addr::from_bits(config.service_cidr.base.to_bits().wrapping_add(1));
        let leaf = self
            .inner
            .pki
            .serving(first, &config.extra_sans, (config.clock)())?;
        make_tls_config(&self.inner.pki, leaf)
    }
}

fn make_tls_config(pki: &Pki, leaf: Leaf) -> Result<ServerConfig, PkiError> {
    let failed = |error: &dyn std::fmt::Display| PkiError::Crypto {
        what: "TLS settings",
        message: error.to_string(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(pki.ca_der.clone()).map_err(|error| failed(&error))?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|error| failed(&error))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(leaf.chain, leaf.key)
        .map_err(|error| failed(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn connection(
    server: ApiServer,
    tls: TlsAcceptor,
    stream: TcpStream,
    watcher: hyper_util::server::graceful::Watcher,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??;
    let peer = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(|certificate| peer_of(certificate));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_headers(128);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let service = Authenticated { server, peer };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    watcher.watch(connection).await.map_err(io::Error::other)
}

/// The server, for the requests of one connection.
#[derive(Clone)]
struct Authenticated {
    server: ApiServer,
    peer: Option<PeerCertificate>,
}

impl hyper::service::Service<Request<Incoming>> for Authenticated {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        let mut server = self.server.clone();
        Box::pin(async move { tower::Service::call(&mut server, request).await })
    }
}
