//! The API server: a tower service over the registry.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::Body;
use parking_lot::Mutex;

use crate::body::{ResponseBody, read_limited};
use crate::config::Config;
use crate::registry::{Caller, Registry};
use crate::rest;
use crate::store::{DirectoryLock, OpenError, RedbBackend, Store};

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
    /// Released by a shutdown: clients that outlive it must not keep the directory.
    lock: Mutex<Option<DirectoryLock>>,
}

impl ApiServer {
    /// Opens the data directory, creates what every cluster has, and is then ready for requests.
    ///
    /// # Errors
    /// When the directory is in use or cannot be read.
    pub async fn open(config: Config) -> Result<Self, OpenError> {
        let lock = DirectoryLock::acquire(&config.data_dir)?;
        let backend = RedbBackend::open(&config.data_dir.join("store.redb"))?;
        let store = Store::open(Box::new(backend))?;
        let registry = Arc::new(Registry::new(store, &config));
        crate::bootstrap::create_basics(&registry, &config).await;
        Ok(Self {
            inner: Arc::new(Inner {
                registry,
                config,
                lock: Mutex::new(Some(lock)),
            }),
        })
    }

    /// Returns a client that calls this server directly, as the platform itself.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(InProcess { server: self.clone() }, "default")
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
        let (parts, body) = request.into_parts();
        match read_limited(body).await {
            Ok(body) => rest::handle(self, &parts, body, caller).await,
            Err(error) => rest::refuse(&error),
        }
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
