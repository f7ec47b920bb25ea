//! One connection: made to an address that was checked, and driven by whoever waits for its answer.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::{Host, Target};
use super::send::SendError;
use super::{Client, Config};

/// Largest head of an answer, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// An open HTTP/1.1 connection. It makes progress only within [`Connection::drive`].
pub(super) struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>,
    ended: bool,
}

impl Connection {
    /// Resolves, checks, connects, and shakes hands, trying one address after the other.
    pub(super) async fn open(client: &Client, target: &Target) -> Result<Self, SendError> {
        let config = &client.0.config;
        timeout(
            config.connect_timeout,
            Self::open_unbounded(client, target, config),
        )
        .await
        .unwrap_or(Err(SendError::ConnectTimeout(config.connect_timeout)))
    }

    async fn open_unbounded(client: &Client, target: &Target, config: &Config) -> Result<Self, SendError> {
        let addresses = match &target.host {
            Host::Address(address) => [*address].into(),
            Host::Name(name) => client
                .0
                .resolver
                .resolve(name)
                .await
                .map_err(SendError::Resolve)?,
        };
        let mut error = SendError::Resolve(io::Error::from(io::ErrorKind::NotFound));
        for address in addresses.iter() {
            // What was checked is what is connected to: the name is not looked at again.
            if let Err(refusal) = config.allowed.check(*address) {
                error = SendError::Refused {
                    address: *address,
                    refusal,
                };
                continue;
            }
            match connect(SocketAddr::new(*address, target.port), target).await {
                Ok(stream) => return Self::handshake(stream).await,
                Err(source) => error = SendError::Connect(source),
            }
        }
        Err(error)
    }

    async fn handshake(stream: Stream) -> Result<Self, SendError> {
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(SendError::Http)?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            ended: false,
        })
    }

    /// Runs `future`, which waits for this connection, and the connection beside it. When the connection ends, the
    /// future is polled once more: it then knows, too.
    pub(super) async fn drive<F: Future>(&mut self, future: F) -> Result<F::Output, Ended> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_driver(cx);
            match future.as_mut().poll(cx) {
                Poll::Ready(output) => Poll::Ready(Ok(output)),
                Poll::Pending if self.ended => Poll::Ready(Err(Ended)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether an idle connection can take a request: it looks for the peer's close first.
    pub(super) fn is_usable(&mut self, cx: &mut Context<'_>) -> bool {
        self.poll_driver(cx);
        !self.ended && self.sender.is_ready()
    }

    fn poll_driver(&mut self, cx: &mut Context<'_>) {
        if !self.ended && self.driver.as_mut().poll(cx).is_ready() {
            self.ended = true;
        }
    }
}

/// The connection ended while something still waited for it.
#[derive(Debug)]
pub(super) struct Ended;

async fn connect(address: SocketAddr, target: &Target) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    match &target.tls {
        None => Ok(Stream::Plain(stream)),
        Some(tls) => {
            let connector = TlsConnector::from(tls.config());
            let stream = connector.connect(tls.name.clone(), stream).await?;
            Ok(Stream::Tls(Box::new(stream)))
        }
    }
}

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
