//! Accepts connections and serves HTTP/1.1 and HTTP/2 (by prior knowledge) on the same port, within bounds.

mod conduct;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use http::header::HOST;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use prometheus::IntCounterVec;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::Body;
use crate::error::{Failure, text};

pub use conduct::Closed;
use conduct::Conduct;

/// A silent client is ended this much later than one whose head does not end: both clocks start about when the client
/// connects, and the reason that is counted must not depend on which of them is read first.
const HEAD_FIRST: Duration = Duration::from_secs(1);
/// Pause after a failed accept (out of descriptors, mostly): trying on at once would burn the processor for nothing.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// `peer` is the other end of the TCP connection.
    fn handle(
        self: Arc<Self>,
        request: Request<Body>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// What is done with a connection before HTTP is spoken on it.
pub trait Transport: Send + Sync + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Whether its requests carry [`OverTls`].
    const SECURE: bool;

    fn open(&self, stream: TcpStream) -> Opening<Self::Io>;
}

/// A connection on the way to its first request.
pub enum Opening<Io> {
    Done(Io),
    /// Ends by itself, within seconds, if the client does not do its part.
    Later(BoxFuture<'static, io::Result<Io>>),
}

/// HTTP as it is.
#[derive(Debug, Clone, Copy)]
pub struct Clear;

impl Transport for Clear {
    type Io = TcpStream;
    const SECURE: bool = false;

    fn open(&self, stream: TcpStream) -> Opening<TcpStream> {
        Opening::Done(stream)
    }
}

/// An extension of requests that came over TLS.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// Bounds of a listener.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Connections open at once; more wait in the kernel's backlog.
    pub max_connections: usize,
    /// Time for a request's head to arrive, the wait for the next request on an idle HTTP/1.1 connection included.
    pub header_read_timeout: Duration,
    /// Bytes of an HTTP/1.1 head; more is answered with 431.
    pub max_head: usize,
    pub max_headers: usize,
    /// Bytes of a decoded HTTP/2 header list.
    pub max_header_list: u32,
    pub max_streams: u32,
    /// Streams that a client may reset before they were accepted (CVE-2023-44487) and errors it may provoke
    /// (CVE-2025-8671) before its connection is closed.
    pub max_resets: usize,
    /// Bytes that a client may send ahead on one stream, and on one connection.
    pub stream_window: u32,
    pub connection_window: u32,
    /// HTTP/2 pings find clients that vanished.
    pub keep_alive: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            header_read_timeout: Duration::from_secs(60),
            max_head: 64 * 1024,
            max_headers: 128,
            max_header_list: 32 * 1024,
            max_streams: 250,
            max_resets: 64,
            stream_window: 256 * 1024,
            connection_window: 1024 * 1024,
            keep_alive: Duration::from_secs(30),
        }
    }
}

/// Serves one handler on any number of listeners.
pub struct Server<H> {
    handler: Arc<H>,
    config: ServerConfig,
    slots: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    closed: Option<IntCounterVec>,
}

impl<H> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self {
            handler: self.handler.clone(),
            config: self.config.clone(),
            slots: self.slots.clone(),
            open: self.open.clone(),
            closed: self.closed.clone(),
        }
    }
}

impl<H: Handler> Server<H> {
    pub fn new(handler: Arc<H>, config: ServerConfig) -> Self {
        let slots = Arc::new(Semaphore::new(config.max_connections.min(Semaphore::MAX_PERMITS)));
        Self {
            handler,
            config,
            slots,
            open: Arc::default(),
            closed: None,
        }
    }

    /// Counts the connections that had to be closed on their clients, by [`Closed::label`].
    pub fn counting_closed(mut self, closed: IntCounterVec) -> Self {
        for reason in Closed::ALL {
            closed.with_label_values(&[reason.label()]);
        }
        self.closed = Some(closed);
        self
    }

    /// Connections open now.
    pub fn open_connections(&self) -> Arc<AtomicUsize> {
        self.open.clone()
    }

    /// Serves until `shutdown`, then stops accepting, tells clients (`Connection: close`, GOAWAY), lets requests in
    /// flight finish for at most `grace`, and cuts what is left.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken, grace: Duration) {
        self.run_over(Clear, listener, shutdown, grace).await;
    }

    /// Like [`Server::run`], for connections that `transport` opens.
    pub async fn run_over<T: Transport>(
        self,
        transport: T,
        listener: TcpListener,
        shutdown: CancellationToken,
        grace: Duration,
    ) {
        let graceful = GracefulShutdown::new();
        let tasks = TaskTracker::new();
        let cut = CancellationToken::new();
        loop {
            let slot = tokio::select! {
                slot = self.slots.clone().acquire_owned() => slot,
                () = shutdown.cancelled() => break,
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.cancelled() => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "Cannot set TCP_NODELAY");
                    }
                    let held = (slot, OpenConnection::new(self.open.clone()));
                    let (cut, watcher) = (cut.clone(), graceful.watcher());
                    match transport.open(stream) {
                        Opening::Done(stream) => {
                            let connection = self.connection::<T>(stream, peer, watcher);
                            tasks.spawn(until(cut, held, connection));
                        }
                        Opening::Later(opening) => {
                            let server = self.clone();
                            tasks.spawn(until(cut, held, async move {
                                match opening.await {
                                    Ok(stream) => server.connection::<T>(stream, peer, watcher).await,
                                    Err(error) => {
                                        tracing::debug!(%error, client.addr = %peer, "A connection was not opened");
                                    }
                                }
                            }));
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "Cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(
                connections = tasks.len(),
                "Connections outlived the grace period and are cut"
            );
        }
        cut.cancel();
        tasks.wait().await;
    }

    fn connection<T: Transport>(
        &self,
        stream: T::Io,
        peer: SocketAddr,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + use<H, T> {
        let conduct = Arc::new(Conduct::default());
        let service = {
            let (handler, conduct) = (self.handler.clone(), conduct.clone());
            service_fn(move |mut request: Request<Incoming>| {
                let pending = conduct.request();
                let handler = handler.clone();
                async move {
                    if T::SECURE {
                        request.extensions_mut().insert(OverTls);
                    }
                    let response = match refusal(&request) {
                        Some(refused) => refused,
                        None => handler.handle(request.map(Body::incoming), peer).await,
                    };
                    pending.answered();
                    Ok::<_, Infallible>(response)
                }
            })
        };
        let connection = self
            .builder()
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        // Boxed: each async block that a large future moves through holds a copy of it, for every open connection.
        let mut connection = Box::pin(watcher.watch(connection));
        // hyper's own header timeout starts only when it knows the protocol; a client that connects and says nothing
        // (or half of the HTTP/2 preface) is ours to end.
        let patience = self.config.header_read_timeout + HEAD_FIRST;
        let counter = self.closed.clone();
        async move {
            let silent = async {
                tokio::time::sleep(patience).await;
                if conduct.spoke() {
                    std::future::pending::<()>().await;
                }
            };
            let closed = tokio::select! {
                result = &mut connection => match result {
                    Ok(()) => None,
                    Err(error) => {
                        tracing::debug!(error = &*error, client.addr = %peer, "Client connection ended");
                        Closed::by(&*error)
                    }
                },
                () = silent => Some(Closed::Silent),
                () = conduct.misbehaved() => Some(Closed::GaveUp),
            };
            if let Some(reason) = closed {
                tracing::debug!(reason = reason.label(), client.addr = %peer, "Client connection closed");
                if let Some(counter) = counter {
                    counter.with_label_values(&[reason.label()]).inc();
                }
            }
        }
    }

    fn builder(&self) -> auto::Builder<TokioExecutor> {
        let config = &self.config;
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(config.header_read_timeout)
            .max_buf_size(config.max_head)
            .max_headers(config.max_headers);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(config.max_streams)
            .max_header_list_size(config.max_header_list)
            .max_pending_accept_reset_streams(config.max_resets)
            .max_local_error_reset_streams(config.max_resets)
            .initial_stream_window_size(config.stream_window)
            .initial_connection_window_size(config.connection_window)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(config.keep_alive)
            .keep_alive_timeout(config.keep_alive);
        builder
    }
}

/// Drives a connection to its end, or until it is cut.
async fn until(cut: CancellationToken, held: impl Send, connection: impl Future<Output = ()> + Send) {
    tokio::select! {
        () = connection => {}
        () = cut.cancelled() => {}
    }
    drop(held);
}

struct OpenConnection(Arc<AtomicUsize>);

impl OpenConnection {
    fn new(open: Arc<AtomicUsize>) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Refuses what no hop may pass on. hyper has already refused bad framing, and closes after requests with both
/// Content-Length and Transfer-Encoding, of which it keeps only the latter.
fn refusal<B>(request: &Request<B>) -> Option<Response<Body>> {
    if request.method() == Method::CONNECT {
        return Some(text(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not supported\n"));
    }
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 {
        return Some(Failure::BadRequest("more than one Host header".into()).response());
    }
    if hosts == 0 && request.version() == Version::HTTP_11 && request.uri().authority().is_none() {
        return Some(Failure::BadRequest("missing Host header".into()).response());
    }
    None
}
