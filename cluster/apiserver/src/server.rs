//! The API server: a tower service over the registry.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::authn::Authenticator;
use crate::body::{ResponseBody, read_limited};
use crate::config::Config;
use crate::kubeconfig::KubeconfigEntry;
use crate::metrics::ServerMetrics;
use crate::pki::Pki;
use crate::registry::{Caller, Registry};
use crate::request::{ApiPath, parse_path};
use crate::rest;
use crate::status::StatusError;
use crate::store::{DirectoryLock, OpenError, RedbBackend, Store};
use crate::tokens::TokenSigner;

/// Requests at once (upstream: 400 reading and 200 changing).
const MAX_REQUESTS: usize = 600;
/// Time a request waits for its turn.
const QUEUE_TIME: Duration = Duration::from_secs(10);
/// Time for one request (upstream default).
const REQUEST_TIME: Duration = Duration::from_secs(60);

/// An embedded Kubernetes API server. Clones share one state.
///
/// It is a tower service of plain HTTP requests, so it works without a socket ([`ApiServer::client`]).
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) registry: Arc<Registry>,
    pub(crate) config: Config,
    pub(crate) pki: Pki,
    pub(crate) authenticator: Authenticator,
    pub(crate) metrics: ServerMetrics,
    /// Requests at once, watches and logs not counted.
    places: Semaphore,
    /// Released by a shutdown: clients that outlive it must not keep the directory.
    lock: Mutex<Option<DirectoryLock>>,
}

impl ApiServer {
    /// Opens the data directory, creates what every cluster has, and is then ready for requests.
    ///
    /// # Errors
    /// When the directory is in use or cannot be read.
    pub fn open(config: Config) -> BoxFuture<'static, Result<Self, OpenError>> {
        // Boxed, so that all below is compiled with this crate and not again with each program that calls it.
        Box::pin(Self::open_parts(config))
    }

    async fn open_parts(config: Config) -> Result<Self, OpenError> {
        let lock = DirectoryLock::acquire(&config.data_dir)?;
        let backend = RedbBackend::open(&config.data_dir.join("store.redb"))?;
        let store = Store::open(Box::new(backend))?;
        let metrics = ServerMetrics::new().map_err(OpenError::Metrics)?;
        let registry = Arc::new(Registry::new(store, &config, metrics.webhooks.clone()));
        crate::bootstrap::create_basics(&registry, &config).await;
        // Ends with the watches; nobody needs to wait for it.
        tokio::spawn(crate::registry::definition::clean_up(registry.clone()));
        tokio::spawn(crate::registry::expire::expire_events(Arc::downgrade(&registry)));
        let pki = Pki::open(&config.data_dir, (config.clock)())?;
        let tokens = TokenSigner::new(&pki.token_key)?;
        let authenticator = Authenticator::new(pki.admin_token.clone(), tokens, config.clock.clone());
        Ok(Self {
            inner: Arc::new(Inner {
                registry,
                pki,
                authenticator,
                metrics,
                places: Semaphore::new(MAX_REQUESTS),
                config,
                lock: Mutex::new(Some(lock)),
            }),
        })
    }

    /// Returns a client that calls this server directly, as the platform itself.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(InProcess { server: self.clone() }, "default")
    }

    /// Returns the certificate of the server's own authority, PEM.
    pub fn ca_pem(&self) -> &str {
        &self.inner.pki.ca_pem
    }

    /// Returns what a kubeconfig needs for the admin to reach this server at a URL.
    pub fn kubeconfig_entry(&self, name: &str, url: &str) -> KubeconfigEntry {
        KubeconfigEntry {
            name: name.to_owned(),
            server: url.to_owned(),
            ca_pem: self.inner.pki.ca_pem.clone(),
            token: self.inner.pki.admin_token.clone(),
        }
    }

    /// Returns why this server cannot do its work: the disk refuses writes, or it is shutting down. `None` if it can.
    pub fn trouble(&self) -> Option<String> {
        let store = &self.inner.registry.store;
        if store.is_open() {
            store.trouble()
        } else {
            Some("the server is shutting down".to_owned())
        }
    }

    /// Ends watches; everything else goes on.
    pub(crate) fn end_watches(&self) {
        self.inner.registry.store.end_watches();
    }

    /// Ends watches, writes what is deferred and closes the store. Requests fail from then on.
    pub async fn shutdown(&self) {
        self.inner.registry.store.close().await;
        self.inner.lock.lock().take();
    }

    /// Answers one request on behalf of `caller`; `None` means that the request must say who it is.
    pub(crate) async fn answer<B>(
        &self,
        request: Request<B>,
        caller: Option<Caller>,
    ) -> Response<ResponseBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::fmt::Display,
    {
        let inner = &self.inner;
        let _in_flight = inner.metrics.start();
        let (parts, body) = request.into_parts();
        // Streams leave their place when they begin: only the time until the headers is limited.
        let work = async {
            let Ok(_place) = tokio::time::timeout(QUEUE_TIME, inner.places.acquire()).await else {
                return rest::refuse(&StatusError::too_many_requests(
                    "too many requests at once: try again",
                    1,
                ));
            };
            match read_limited(body).await {
                Ok(body) => rest::handle(self, &parts, body, caller).await,
                Err(error) => rest::refuse(&error),
            }
        };
        let response = tokio::time::timeout(REQUEST_TIME, work)
            .await
            .unwrap_or_else(|_| rest::refuse(&StatusError::timeout("the request took longer than a minute")));
        let path = match parse_path(parts.uri.path()) {
            ApiPath::Resource(path) => Some(path),
            _ => None,
        };
        let known = path.as_ref().filter(|path| {
            let table = inner.registry.table();
            table.get(&path.group, &path.version, &path.resource).is_some()
        });
        inner.metrics.answered(&parts.method, known, response.status());
        response
    }
}

/// The service behind [`ApiServer::client`]: no socket, no credentials.
#[derive(Clone)]
struct InProcess {
    server: ApiServer,
}

impl<B> tower::Service<Request<B>> for InProcess
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.server.clone();
        Box::pin(async move { Ok(server.answer(request, Some(Caller::platform())).await) })
    }
}

impl<B> tower::Service<Request<B>> for ApiServer
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move { Ok(server.answer(request, None).await) })
    }
}
