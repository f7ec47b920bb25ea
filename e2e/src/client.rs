//! HTTP clients of the gateway that show more than curl does: frames as they come, trailers, upgrades, raw bytes.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::channel::{Channel, Sender};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{HOST, HeaderMap};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::Platform;

/// Body of a request.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Longest time for all that one test does with clients.
const LIMIT: Duration = Duration::from_secs(170);

/// Runs `work` to its end.
///
/// # Errors
/// Its own, or that it has not ended in time.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(async { tokio::time::timeout(LIMIT, work).await })
        .with_context(|| format!("not done within {LIMIT:?}"))?
}

/// Opens connections to a gateway.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    port: u16,
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Client {
    /// A client of the platform's gateway.
    pub fn of(platform: &Platform) -> Self {
        Self {
            port: platform.http_port(),
        }
    }

    /// A bare connection.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn connect(self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// An HTTP/1.1 connection.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn http1(self) -> anyhow::Result<http1::SendRequest<Body>> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.connect().await?)).await?;
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// A clear HTTP/2 connection.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn http2(self) -> anyhow::Result<http2::SendRequest<Body>> {
        let io = TokioIo::new(self.connect().await?);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// `GET path` by HTTP/1.1 on a connection of its own.
    ///
    /// # Errors
    /// If there is no whole response.
    pub async fn get(self, host: &str, path: &str) -> anyhow::Result<Answer> {
        let request = Request::get(path).header(HOST, host).body(empty())?;
        whole(self.http1().await?.send_request(request).await?).await
    }
}

/// A request in HTTP/2's form: the host is part of the URI.
///
/// # Errors
/// If `host` or `path` cannot be in a URI.
pub fn http2_request(method: Method, host: &str, path: &str, body: Body) -> anyhow::Result<Request<Body>> {
    Ok(Request::builder()
        .method(method)
        .uri(format!("http://{host}{path}"))
        .body(body)?)
}

/// Reads a response to its end.
///
/// # Errors
/// If it breaks off.
pub async fn whole(response: Response<Incoming>) -> anyhow::Result<Answer> {
    let (head, body) = response.into_parts();
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: collected.to_bytes(),
        trailers,
    })
}

/// A body of known length.
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A body that is sent bit by bit; it ends when the sender is dropped.
pub fn streamed() -> (Sender<Bytes, Infallible>, Body) {
    let (sender, body) = Channel::new(1);
    (sender, body.boxed_unsync())
}
