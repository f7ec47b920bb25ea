//! HTTP/2 by prior knowledge: few connections, many streams on each.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{ConnectError, SendError, Unanswered, Upstream};
use crate::body::Body;

/// Streams per connection before another one is opened. Servers commonly allow 100 to 250.
const STREAMS_PER_CONNECTION: usize = 100;
/// Connections per upstream; streams past their capacity wait inside the least loaded one.
const MAX_CONNECTIONS: usize = 16;
/// Bytes that an upstream may send ahead of the client on one stream, and on one connection.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const MAX_HEADER_LIST: u32 = 64 * 1024;
/// Pings find dead peers under long streams.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(super) struct Connections {
    shared: Mutex<Vec<Connection>>,
    /// Held while connecting, so that a burst opens one connection and not one per request.
    connecting: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.shared.lock().len())
            .finish()
    }
}

#[derive(Clone)]
struct Connection {
    sender: SendRequest<Body>,
    streams: Arc<AtomicUsize>,
    used: Instant,
}

/// One stream in use.
struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Connections {
    /// The first connection with room; the least loaded one if no more may be opened.
    fn pick(&self) -> Option<(SendRequest<Body>, Stream)> {
        let mut shared = self.shared.lock();
        shared.retain(|connection| !connection.sender.is_closed());
        let full = shared.len() >= MAX_CONNECTIONS;
        let load = |connection: &Connection| connection.streams.load(Ordering::Acquire);
        let chosen = match shared
            .iter()
            .position(|connection| load(connection) < STREAMS_PER_CONNECTION)
        {
            Some(index) => shared.get_mut(index),
            None if full => shared
                .iter_mut()
                .min_by_key(|connection| connection.streams.load(Ordering::Acquire)),
            None => None,
        }?;
        chosen.used = Instant::now();
        chosen.streams.fetch_add(1, Ordering::AcqRel);
        Some((chosen.sender.clone(), Stream(chosen.streams.clone())))
    }

    fn remove(&self, streams: &Arc<AtomicUsize>) {
        self.shared
            .lock()
            .retain(|connection| !Arc::ptr_eq(&connection.streams, streams));
    }

    pub(super) fn expire(&self, idle_timeout: Duration) {
        self.shared.lock().retain(|connection| {
            !connection.sender.is_closed()
                && (connection.streams.load(Ordering::Acquire) > 0
                    || connection.used.elapsed() < idle_timeout)
        });
    }
}

pub(super) async fn send(
    upstream: &Arc<Upstream>,
    mut request: Request<Body>,
) -> Result<Response<Body>, Unanswered> {
    let addr = upstream.addr;
    // A reused connection may have been closed meanwhile; each turn removes one, so this ends.
    loop {
        let (mut sender, stream, fresh) = match upstream.http2.pick() {
            Some((sender, stream)) => (sender, stream, false),
            None => match connect(upstream).await {
                Ok(connected) => connected,
                Err(error) => return Err(error.unanswered(addr, request)),
            },
        };
        let mut error = match sender.try_send_request(request).await {
            Ok(response) => {
                return Ok(response.map(|incoming| Body::incoming(incoming).observed(Some(stream))));
            }
            Err(error) => error,
        };
        let unsent = error.take_message();
        if unsent.is_some() || sender.is_closed() {
            upstream.http2.remove(&stream.0);
        }
        match unsent {
            Some(unsent) if !fresh => request = unsent,
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
        }
    }
}

/// The connection, one stream of it reserved, and whether it is new.
async fn connect(upstream: &Arc<Upstream>) -> Result<(SendRequest<Body>, Stream, bool), ConnectError> {
    let _connecting = upstream.http2.connecting.lock().await;
    if let Some((sender, stream)) = upstream.http2.pick() {
        return Ok((sender, stream, false));
    }
    let open = upstream.reserve().ok_or(ConnectError::Exhausted)?;
    let stream = upstream.connect().await.map_err(ConnectError::Io)?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectError::Io(std::io::Error::other(error)))?;
    // Ends by itself: when the last sender is dropped or the upstream closes.
    tokio::spawn(async move {
        let _open = open;
        if let Err(error) = connection.await {
            tracing::debug!(%error, "Upstream connection ended");
        }
    });
    let streams = Arc::new(AtomicUsize::new(1));
    let connection = Connection {
        sender: sender.clone(),
        streams: streams.clone(),
        used: Instant::now(),
    };
    upstream.http2.shared.lock().push(connection);
    Ok((sender, Stream(streams), true))
}
