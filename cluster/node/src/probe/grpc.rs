//! gRPC probes: `grpc.health.v1.Health/Check` over plain HTTP/2.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{Method, Request, Version};
use tokio::net::TcpStream;

/// A health answer is two bytes; more than this is no health answer.
const MAX_ANSWER_BYTES: usize = 4096;

/// Asks the health service.
///
/// # Errors
/// Fails unless the service says SERVING.
pub(super) async fn check(address: SocketAddr, service: &str) -> Result<(), String> {
    let stream = TcpStream::connect(address)
        .await
        .map_err(|_| format!("timeout: failed to connect service \"{address}\": connection refused"))?;
    let failed = |error: h2::Error| format!("error: health rpc failed: {error}");
    let (sender, connection) = h2::client::handshake(stream).await.map_err(failed)?;
    let exchange = exchange(sender, address, service);
    tokio::select! {
        answer = exchange => answer,
        ended = connection => Err(match ended {
            Ok(()) => "error: health rpc failed: connection closed".to_owned(),
            Err(error) => failed(error),
        }),
    }
}

async fn exchange(
    sender: h2::client::SendRequest<Bytes>,
    address: SocketAddr,
    service: &str,
) -> Result<(), String> {
    let failed = |error: h2::Error| format!("error: health rpc failed: {error}");
    let mut sender = sender.ready().await.map_err(failed)?;
    let request = Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| error.to_string())?;
    let (response, mut body) = sender.send_request(request, false).map_err(failed)?;
    body.send_data(frame(service), true).map_err(failed)?;
    let response = response.await.map_err(failed)?;
    let status = grpc_status(response.headers());
    let mut stream = response.into_body();
    let mut answer = BytesMut::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk.map_err(failed)?;
        let _ = stream.flow_control().release_capacity(chunk.len());
        answer.extend_from_slice(&chunk);
        if answer.len() > MAX_ANSWER_BYTES {
            return Err("error: health rpc failed: the answer is too long".to_owned());
        }
    }
    let trailers = stream.trailers().await.map_err(failed)?;
    let status = status
        .or_else(|| trailers.as_ref().and_then(grpc_status))
        .unwrap_or_default();
    match status.as_str() {
        "" | "0" => verdict(&answer),
        code => Err(format!("error: health rpc failed: rpc error: code = {code}")),
    }
}

fn grpc_status(headers: &http::HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().ok()?.to_owned())
}

/// A length-prefixed `HealthCheckRequest { service = 1 }`.
fn frame(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(0x0a);
        let mut length = service.len();
        while length >= 0x80 {
            message.put_u8((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message);
    frame.freeze()
}

/// Reads `HealthCheckResponse { status = 1 }`: 1 is SERVING.
fn verdict(answer: &[u8]) -> Result<(), String> {
    let mut message = answer.get(5..).unwrap_or_default();
    let mut status = 0;
    if message.has_remaining() && message.get_u8() == 0x08 && message.has_remaining() {
        status = message.get_u8();
    }
    let name = match status {
        1 => return Ok(()),
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        _ => "SERVICE_UNKNOWN",
    };
    Err(format!("service unhealthy (responded with \"{name}\")"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_health_protocol() {
        assert_eq!(frame("").as_ref(), [0, 0, 0, 0, 0]);
        assert_eq!(frame("ab").as_ref(), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        assert_eq!(verdict(&[0, 0, 0, 0, 2, 0x08, 1]), Ok(()));
        assert!(
            verdict(&[0, 0, 0, 0, 2, 0x08, 2])
                .unwrap_err()
                .contains("NOT_SERVING")
        );
        assert!(verdict(&[]).unwrap_err().contains("UNKNOWN"));
    }
}
