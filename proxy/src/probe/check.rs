//! One attempt of a probe.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::spec::{Action, HttpHeader};

/// Kubelet's own name: applications treat it specially, and must not see a difference.
const AGENT: &str = "kube-probe/1.37";
/// Bytes of a health answer that are read at most.
const MAX_ANSWER: usize = 4096;
/// `grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING`.
const SERVING: u8 = 1;

/// One attempt. Bound it by a timeout: this waits for as long as the other side does.
///
/// # Errors
/// What was wrong, in a few words that name the port.
pub async fn check(action: &Action, autodetect_http2: bool) -> Result<(), String> {
    match action {
        Action::Tcp { host, port } => connect(host, *port).await.map(drop),
        Action::Http {
            host,
            port,
            path,
            headers,
        } => {
            let ask = async |http2| {
                let status = http_status(host, *port, path, headers, http2).await?;
                match status {
                    200..400 => Ok(()),
                    _ => Err(format!("status {status} from {path} at port {port}")),
                }
            };
            if autodetect_http2 && ask(true).await.is_ok() {
                return Ok(());
            }
            ask(false).await
        }
        Action::Grpc { port, service } => match grpc_status(*port, service).await? {
            SERVING => Ok(()),
            status => Err(format!("health status {status} over gRPC at port {port}")),
        },
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("connection refused at port {port}"),
            _ => format!("{error} at port {port}"),
        })?;
    stream
        .set_nodelay(true)
        .map_err(|error| format!("{error} at port {port}"))?;
    Ok(stream)
}

/// A request that cannot be formed: the probe itself is wrong.
fn malformed(error: impl Into<http::Error>) -> String {
    format!("the probe's request cannot be sent: {}", error.into())
}

async fn http_status(
    host: &str,
    port: u16,
    path: &str,
    headers: &[HttpHeader],
    http2: bool,
) -> Result<u16, String> {
    let uri = if http2 {
        format!("http://{host}:{port}{path}")
    } else {
        path.to_owned()
    };
    let mut request = Request::builder()
        .uri(uri)
        .header(USER_AGENT, AGENT)
        .body(Full::new(Bytes::new()))
        .map_err(malformed)?;
    if !http2 {
        request.headers_mut().insert(
            HOST,
            HeaderValue::try_from(format!("{host}:{port}")).map_err(malformed)?,
        );
    }
    for header in headers {
        let name = HeaderName::try_from(&header.name).map_err(malformed)?;
        let value = HeaderValue::try_from(&header.value).map_err(malformed)?;
        if name == HOST || name == USER_AGENT {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    let stream = connect(host, port).await?;
    let response = if http2 {
        send_http2(stream, request).await
    } else {
        send_http1(stream, request).await
    };
    response
        .map(|response| response.status().as_u16())
        .map_err(|_| format!("no HTTP answer at port {port}"))
}

async fn send_http1(stream: TcpStream, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    drive(connection, sender.send_request(request)).await
}

async fn send_http2(stream: TcpStream, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    drive(connection, sender.send_request(request)).await
}

/// Runs the connection only until the head of the response is there.
async fn drive<C, R>(connection: C, response: R) -> hyper::Result<Response<Incoming>>
where
    C: Future<Output = hyper::Result<()>>,
    R: Future<Output = hyper::Result<Response<Incoming>>>,
{
    tokio::pin!(connection);
    tokio::pin!(response);
    tokio::select! {
        response = &mut response => response,
        _ = &mut connection => response.await,
    }
}

async fn grpc_status(port: u16, service: &str) -> Result<u8, String> {
    let stream = connect("127.0.0.1", port).await?;
    let message = health_request(service)
        .ok_or_else(|| "the probe's service name is longer than 127 bytes".to_owned())?;
    let request = Request::post(format!("http://127.0.0.1:{port}/grpc.health.v1.Health/Check"))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .body(Full::new(message))
        .map_err(malformed)?;
    grpc_exchange(stream, request)
        .await
        .ok_or_else(|| format!("no answer of the gRPC health service at port {port}"))
}

async fn grpc_exchange(stream: TcpStream, request: Request<Full<Bytes>>) -> Option<u8> {
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .ok()?;
    let exchange = async {
        let response = sender.send_request(request).await.ok()?;
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await
            .ok()?;
        let succeeded = body
            .trailers()
            .and_then(|trailers| trailers.get("grpc-status"))
            .is_some_and(|code| code == "0");
        if succeeded {
            health_status(&body.to_bytes())
        } else {
            None
        }
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        status = &mut exchange => status,
        _ = &mut connection => exchange.await,
    }
}

/// `HealthCheckRequest{service = 1}` in a gRPC message frame.
fn health_request(service: &str) -> Option<Bytes> {
    let mut message = Vec::with_capacity(service.len() + 2);
    if !service.is_empty() {
        message.push(0x0a);
        // Longer names would need a longer varint; no service is called so.
        message.push(u8::try_from(service.len()).ok().filter(|length| *length < 0x80)?);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend(u32::try_from(message.len()).ok()?.to_be_bytes());
    frame.extend(message);
    Some(frame.into())
}

/// The status of a framed `HealthCheckResponse{status = 1}`.
fn health_status(frame: &[u8]) -> Option<u8> {
    match frame {
        // An absent field is UNKNOWN.
        [0, 0, 0, 0, 0, ..] => Some(0),
        [0, 0, 0, 0, _, 0x08, status, ..] => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_messages_have_the_grpc_wire_format() {
        assert_eq!(health_request("").unwrap(), &[0u8, 0, 0, 0, 0][..]);
        assert_eq!(
            health_request("ab").unwrap(),
            &[0u8, 0, 0, 0, 4, 0x0a, 2, b'a', b'b'][..]
        );
        assert_eq!(health_request(&"x".repeat(200)), None);
        assert_eq!(health_status(&[0, 0, 0, 0, 2, 8, 1]), Some(SERVING));
        assert_eq!(health_status(&[0, 0, 0, 0, 2, 8, 2]), Some(2));
        assert_eq!(health_status(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(health_status(&[1, 0]), None);
    }
}
