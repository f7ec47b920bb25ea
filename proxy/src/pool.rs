//! Connections to one upstream: reused, bounded, dropped when idle for long.

mod http1;
mod http2;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::time::{error::Elapsed, timeout};

use crate::body::Body;

/// How a request travels on the hop to the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    Http1,
    /// HTTP/2 by prior knowledge.
    H2c,
}

impl Protocol {
    /// The protocol that keeps a request of this version as it came.
    pub fn of(version: http::Version) -> Self {
        if version == http::Version::HTTP_2 {
            Self::H2c
        } else {
            Self::Http1
        }
    }
}

/// Bounds of one upstream's connections.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// HTTP/1.1 connections kept for reuse.
    pub max_idle: usize,
    /// Connections open at once; further requests fail with [`SendError::Exhausted`].
    pub max_connections: usize,
    /// An idle connection older than this is not used again. Keep it below the upstream's own limit, or requests race
    /// with the upstream's close.
    pub idle_timeout: Duration,
    pub connect_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            max_idle: 100,
            max_connections: 4096,
            idle_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(1),
        }
    }
}

/// Why a request got no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("cannot connect to {addr}")]
    Connect { addr: SocketAddr, source: io::Error },
    /// The connection ended before the request was written.
    #[error("{addr} closed the connection before the request was sent")]
    NotSent { addr: SocketAddr, source: hyper::Error },
    /// As many connections are open as [`PoolConfig::max_connections`] allows.
    #[error("too many connections to {addr}")]
    Exhausted { addr: SocketAddr },
    /// The request was (partly) sent and no response came.
    #[error("{addr} failed after the request was sent")]
    Upstream { addr: SocketAddr, source: hyper::Error },
}

/// A request that got no response.
#[derive(Debug)]
pub struct Unanswered {
    pub error: SendError,
    /// The request, if the upstream has certainly seen nothing of it: it may be sent elsewhere.
    pub unsent: Option<Box<Request<Body>>>,
}

/// One address that requests are sent to.
#[derive(Debug)]
pub struct Upstream {
    addr: SocketAddr,
    config: PoolConfig,
    open: AtomicUsize,
    http1: http1::Idle,
    http2: http2::Connections,
}

impl Upstream {
    pub fn new(addr: SocketAddr, config: PoolConfig) -> Arc<Self> {
        Arc::new(Self {
            addr,
            config,
            open: AtomicUsize::new(0),
            http1: http1::Idle::default(),
            http2: http2::Connections::default(),
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections open now, idle ones included.
    pub fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Closes connections that were idle for longer than they may be. Call it now and then: nothing else frees the
    /// connections of an upstream that gets no more requests.
    pub fn expire_idle(&self) {
        self.http1.expire(self.config.idle_timeout);
        self.http2.expire(self.config.idle_timeout);
    }

    /// Sends a request whose headers are final, on a reused connection if there is one.
    ///
    /// # Errors
    /// [`Unanswered`] gives the request back if it may be sent elsewhere.
    pub async fn send(
        self: &Arc<Self>,
        request: Request<Body>,
        protocol: Protocol,
    ) -> Result<Response<Body>, Unanswered> {
        match protocol {
            Protocol::Http1 => http1::send(self, request).await,
            // Boxed, so that HTTP/1.1 requests do not carry its state.
            Protocol::H2c => Box::pin(http2::send(self, request)).await,
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = timeout(self.config.connect_timeout, TcpStream::connect(self.addr))
            .await
            .map_err(|_: Elapsed| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    fn reserve(self: &Arc<Self>) -> Option<OpenConnection> {
        self.open
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |n| {
                (n < self.config.max_connections).then_some(n + 1)
            })
            .ok()
            .map(|_| OpenConnection(self.clone()))
    }
}

/// Why no connection could be made.
enum ConnectError {
    Exhausted,
    Io(io::Error),
}

impl ConnectError {
    fn unanswered(self, addr: SocketAddr, request: Request<Body>) -> Unanswered {
        let error = match self {
            Self::Exhausted => SendError::Exhausted { addr },
            Self::Io(source) => SendError::Connect { addr, source },
        };
        Unanswered {
            error,
            unsent: Some(Box::new(request)),
        }
    }
}

/// Counts one open connection for as long as its task runs.
struct OpenConnection(Arc<Upstream>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}
