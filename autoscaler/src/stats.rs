//! Receives the reports that activators push: binary WebSocket frames of `WireStatMessages`.

use std::sync::Arc;
use std::time::Duration;

use crds::stat::WireStatMessages;
use futures::StreamExt;
use prost::Message as _;
use reconciler::Key;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::clock::unix_second;
use crate::registry::Registry;

/// Activators and gateways that may be connected at the same time.
const MAX_CONNECTIONS: usize = 256;
/// A frame holds some hundred bytes per revision; this is room for ten thousand of them.
const MAX_FRAME: usize = 2 << 20;
/// The WebSocket handshake must be over by then.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// Pause after a failed accept, for instance when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until dropped. `poke` hears of revisions at zero that have load.
pub async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    poke: impl Fn(Key) + Clone + Send + Sync + 'static,
) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (registry, poke) = (registry.clone(), poke.clone());
                connections.spawn(async move {
                    if let Err(error) = receive(stream, &registry, &poke).await {
                        tracing::debug!(%error, %peer, "Stats connection ended");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "Cannot accept a stats connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn receive(
    stream: TcpStream,
    registry: &Registry,
    poke: &impl Fn(Key),
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    stream.set_nodelay(true)?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let accepted = tokio_tungstenite::accept_async_with_config(stream, Some(limits));
    let mut socket = tokio::time::timeout(HANDSHAKE, accepted).await??;
    while let Some(message) = socket.next().await {
        // Pings are answered by the library as part of reading on.
        if let Message::Binary(frame) = message? {
            take_in(WireStatMessages::decode(frame)?, unix_second(), registry, poke);
        }
    }
    Ok(())
}

fn take_in(frame: WireStatMessages, now: u64, registry: &Registry, poke: &impl Fn(Key)) {
    for message in frame.messages {
        let Some(stat) = message.stat else { continue };
        // A sender without a clock leaves the time to us; one whose clock is ahead does not write into the future.
        let second = match u64::try_from(stat.timestamp) {
            Ok(millis) if millis > 0 => (millis / 1000).min(now),
            _ => now,
        };
        let key = Key::new(message.namespace, message.name);
        if registry.record(&key, second, &stat) {
            poke(key);
        }
    }
}
