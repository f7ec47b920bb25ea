//! Sends statistics to the autoscaler over a WebSocket that reconnects by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crds::stat::{WireStatMessage, WireStatMessages};
use futures::{SinkExt, StreamExt};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::metrics::Metrics;

/// Frames that wait for a connection; a full queue drops the newest, the next second brings another.
const QUEUE: usize = 256;
const MIN_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct StatsSocket {
    frames: mpsc::Sender<Vec<WireStatMessage>>,
    connected: Arc<AtomicBool>,
}

impl StatsSocket {
    /// The socket, and the task that must run for it.
    pub(crate) fn new(url: String, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send) {
        let (frames, queue) = mpsc::channel(QUEUE);
        let connected = Arc::new(AtomicBool::new(false));
        (
            Self {
                frames,
                connected: connected.clone(),
            },
            run(url, queue, connected, metrics),
        )
    }

    /// Whether the autoscaler can be reached.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Hands messages over without waiting.
    pub(crate) fn send(&self, messages: Vec<WireStatMessage>) {
        if self.frames.try_send(messages).is_err() {
            tracing::debug!("Statistics were dropped: the autoscaler does not take them");
        }
    }
}

async fn run(
    url: String,
    mut queue: mpsc::Receiver<Vec<WireStatMessage>>,
    connected: Arc<AtomicBool>,
    metrics: Arc<Metrics>,
) {
    let mut pause = MIN_PAUSE;
    loop {
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, tokio_tungstenite::connect_async(&url));
        match connecting.await {
            Ok(Ok((socket, _))) => {
                pause = MIN_PAUSE;
                connected.store(true, Ordering::Release);
                metrics.autoscaler_reachable(true);
                let finished = pump(socket, &mut queue).await;
                connected.store(false, Ordering::Release);
                metrics.autoscaler_reachable(false);
                if finished {
                    return;
                }
                tracing::info!("Connection to the autoscaler was lost");
            }
            Ok(Err(error)) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "Autoscaler cannot be reached"
            ),
            Err(_) => tracing::debug!("Autoscaler does not answer"),
        }
        metrics.autoscaler_error();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

/// Moves frames until the connection ends; true when nobody will send any more.
async fn pump<S>(
    socket: tokio_tungstenite::WebSocketStream<S>,
    queue: &mut mpsc::Receiver<Vec<WireStatMessage>>,
) -> bool
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut sink, mut incoming) = socket.split();
    loop {
        tokio::select! {
            messages = queue.recv() => {
                let Some(messages) = messages else { return true };
                let frame = WireStatMessages { messages }.encode_to_vec();
                if sink.send(Message::Binary(frame.into())).await.is_err() {
                    return false;
                }
            }
            // The autoscaler sends nothing but pings and its farewell; pongs are written when we poll.
            message = incoming.next() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return false,
                Some(Ok(_)) => {}
            },
        }
    }
}
