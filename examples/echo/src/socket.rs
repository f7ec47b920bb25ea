//! WebSocket: every message comes back.

use example_server::{Body, full};
use futures::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// Largest message that is sent back.
const MAX_MESSAGE: usize = 1 << 20;

pub fn accept(mut request: Request<Incoming>, key: &HeaderValue) -> Response<Body> {
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        let mut refused = Response::new(full("the WebSocket key is not valid\n"));
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return refused;
    };
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            echo(TokioIo::new(upgraded)).await;
        }
    });
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}

async fn echo(stream: TokioIo<hyper::upgrade::Upgraded>) {
    let limits = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limits)).await;
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
