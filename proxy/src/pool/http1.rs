//! HTTP/1.1: one request at a time per connection; a connection comes back when the response was read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ConnectError, SendError, Unanswered, Upstream};
use crate::body::{Body, BoxError};

/// Largest response head we read, in bytes.
const MAX_HEAD: usize = 64 * 1024;

#[derive(Debug, Default)]
pub(super) struct Idle(Mutex<Vec<IdleConnection>>);

#[derive(Debug)]
struct IdleConnection {
    sender: SendRequest<Body>,
    since: Instant,
}

impl Idle {
    /// The most recently used connection that is still alive: the older ones may then expire.
    fn take(&self, idle_timeout: Duration) -> Option<SendRequest<Body>> {
        let mut idle = self.0.lock();
        while let Some(connection) = idle.pop() {
            if connection.since.elapsed() >= idle_timeout {
                // Those below are older still.
                idle.clear();
                return None;
            }
            if connection.sender.is_ready() {
                return Some(connection.sender);
            }
        }
        None
    }

    fn put(&self, sender: SendRequest<Body>, max_idle: usize) {
        if sender.is_closed() {
            return;
        }
        let mut idle = self.0.lock();
        if idle.len() < max_idle {
            idle.push(IdleConnection {
                sender,
                since: Instant::now(),
            });
        }
    }

    pub(super) fn expire(&self, idle_timeout: Duration) {
        let mut idle = self.0.lock();
        idle.retain(|connection| connection.since.elapsed() < idle_timeout && !connection.sender.is_closed());
        if idle.is_empty() {
            idle.shrink_to_fit();
        }
    }
}

pub(super) async fn send(
    upstream: &Arc<Upstream>,
    mut request: Request<Body>,
) -> Result<Response<Body>, Unanswered> {
    let addr = upstream.addr;
    loop {
        let (mut sender, reused) = match upstream.http1.take(upstream.config.idle_timeout) {
            Some(sender) => (sender, true),
            // Boxed, so that requests on reused connections do not carry its state.
            None => match Box::pin(connect(upstream)).await {
                Ok(sender) => (sender, false),
                Err(error) => return Err(error.unanswered(addr, request)),
            },
        };
        match sender.try_send_request(request).await {
            // The stream is no longer HTTP: it leaves with the response's upgrade.
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                return Ok(response.map(|_| Body::empty()));
            }
            Ok(response) => return Ok(response.map(|incoming| lease(incoming, sender, upstream))),
            Err(mut error) => match error.take_message() {
                // The upstream closed an idle connection just now; a fresh one decides.
                Some(unsent) if reused => request = unsent,
                Some(unsent) => {
                    let error = SendError::NotSent {
                        addr,
                        source: error.into_error(),
                    };
                    return Err(Unanswered {
                        error,
                        unsent: Some(Box::new(unsent)),
                    });
                }
                None => {
                    let error = SendError::Upstream {
                        addr,
                        source: error.into_error(),
                    };
                    return Err(Unanswered { error, unsent: None });
                }
            },
        }
    }
}

async fn connect(upstream: &Arc<Upstream>) -> Result<SendRequest<Body>, ConnectError> {
    let open = upstream.reserve().ok_or(ConnectError::Exhausted)?;
    let stream = upstream.connect().await.map_err(ConnectError::Io)?;
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectError::Io(std::io::Error::other(error)))?;
    // Ends by itself: when the last sender is dropped, when the upstream closes, or when an upgrade takes the stream.
    tokio::spawn(async move {
        let _open = open;
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "Upstream connection ended");
        }
    });
    Ok(sender)
}

/// Ties the connection to the response's body.
fn lease(incoming: Incoming, sender: SendRequest<Body>, upstream: &Arc<Upstream>) -> Body {
    if incoming.is_end_stream() {
        upstream.http1.put(sender, upstream.config.max_idle);
        return Body::empty();
    }
    Body::boxed(Leased {
        incoming,
        lease: Some((sender, upstream.clone())),
    })
}

struct Leased {
    incoming: Incoming,
    /// Dropped without being put back when the body is abandoned: the connection then closes, since the rest of the
    /// response is still on its way.
    lease: Option<(SendRequest<Body>, Arc<Upstream>)>,
}

impl Leased {
    fn finish(&mut self) {
        if let Some((sender, upstream)) = self.lease.take() {
            upstream.http1.put(sender, upstream.config.max_idle);
        }
    }
}

impl http_body::Body for Leased {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(_)) if self.incoming.is_end_stream() => self.finish(),
            Some(Ok(_)) => {}
            Some(Err(_)) => self.lease = None,
            None => self.finish(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
