//! Requests to what serves events.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event::{Event, Mode};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::error::{CliError, Exit, innermost};
use crate::table;

/// Longest time until the head of the answer is there.
const LIMIT: Duration = Duration::from_secs(30);
/// Longest answer that is read as a whole, in bytes.
const LONGEST_ANSWER: usize = 64 << 10;

/// A body that has not been read yet.
pub type Incoming = hyper::body::Incoming;

/// What was said.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Posts `event` to `url` in one piece, with the token if there is one. `authority` (PEM) is trusted beside the system's
/// roots.
///
/// # Errors
/// Nobody answered in time, or nobody that is trusted.
pub async fn post(
    url: &str,
    event: &Event,
    token: Option<&str>,
    authority: Option<&str>,
) -> Result<Answer, CliError> {
    let (headers, body) = event::http::write(event, Mode::Structured);
    let mut request = Request::post(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request
        .body(Full::new(body))
        .map_err(|error| wrong(url, &error))?;
    request.headers_mut().extend(headers);
    Ok(whole(send_to(url, request, authority).await?).await)
}

/// Sends a request; the body of its answer has not been read yet.
///
/// # Errors
/// Nobody answered in time.
pub async fn send(url: &str, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CliError> {
    send_to(url, request, None).await
}

/// Likewise; `authority` (PEM) is trusted beside the system's roots.
///
/// # Errors
/// Nobody answered in time, or nobody that is trusted.
pub async fn send_to(
    url: &str,
    request: Request<Full<Bytes>>,
    authority: Option<&str>,
) -> Result<Response<Incoming>, CliError> {
    let failed = |error: &dyn std::error::Error| {
        CliError::new(
            Exit::NoConnection,
            format!("cannot reach {url}: {}", innermost(error)),
        )
        .with_hint("is the platform running, and is this its address? `kn status` shows the local one")
    };
    let mut connector = HttpConnector::new_with_resolver(tower::service_fn(resolve));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(trusting(authority).map_err(|error| {
            CliError::new(
                Exit::Failure,
                format!("{url} has CACerts that cannot be used: {error}"),
            )
        })?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    match tokio::time::timeout(LIMIT, client.request(request)).await {
        Ok(answered) => answered.map_err(|error| failed(&error)),
        Err(_) => Err(CliError::new(
            Exit::Timeout,
            format!(
                "timeout: {url} has not answered within {} seconds",
                LIMIT.as_secs()
            ),
        )),
    }
}

/// Trusts the system's roots, and `authority`.
fn trusting(authority: Option<&str>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for certificate in CertificateDer::pem_slice_iter(authority.unwrap_or_default().as_bytes()) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// A URL, or a header, that no request can have.
pub fn wrong(url: &str, error: &http::Error) -> CliError {
    CliError::usage(format!("cannot send to {url}: {error}"))
}

/// The whole answer. What cannot be read of its body doesn't change what it says.
pub async fn whole(response: Response<Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let read = tokio::time::timeout(LIMIT, Limited::new(body, LONGEST_ANSWER).collect()).await;
    let body = read.ok().and_then(Result::ok);
    Answer {
        status: head.status,
        headers: head.headers,
        body: body
            .map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned())
            .unwrap_or_default(),
    }
}

impl Answer {
    /// Whether it says yes; `what` was asked for.
    ///
    /// # Errors
    /// It does not: with its status, its text, and when to come again.
    pub fn accepted(&self, url: &str, what: &str) -> Result<(), CliError> {
        if self.status.is_success() {
            return Ok(());
        }
        let said = match table::one_line(self.body.trim()) {
            body if body.is_empty() => String::new(),
            body => format!(": {body}"),
        };
        let exit = match self.status.as_u16() {
            401 | 403 => Exit::Forbidden,
            404 => Exit::NotFound,
            _ => Exit::Failure,
        };
        let error = CliError::new(exit, format!("{url} refused {what} with {}{said}", self.status));
        let later = self
            .headers
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        Err(match (self.status.as_u16(), later) {
            (_, Some(seconds)) => error.with_hint(format!("try again in {seconds} seconds")),
            (404, None) => error.with_hint("is the receiver there, and ready? `describe` tells"),
            _ => error,
        })
    }
}

/// Names below `localhost` mean this machine, as RFC 6761 says; many systems do not resolve them.
async fn resolve(name: Name) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let host = name.as_str();
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))].into_iter());
    }
    let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
    Ok(found.into_iter())
}

#[cfg(test)]
mod tests {
    use certificates::{Data, Identity, Profile, Tls, renewed, text};
    use http::HeaderValue;
    use proxy::server::{Opening, Transport as _};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_receiver_is_trusted_by_the_authority_of_its_address() {
        let made = || {
            let names = ["localhost".to_owned()];
            renewed(&Data::new(), &names, &Profile::TLS, jiff::Timestamp::now())
                .unwrap()
                .unwrap()
        };
        let (ours, other) = (made(), made());
        let identity = Arc::new(Identity::default());
        let part = |data: &Data, key: &str| text(data, key).unwrap().to_owned();
        identity
            .set(
                &part(&ours, Profile::TLS.certificate),
                &part(&ours, Profile::TLS.key),
            )
            .unwrap();
        let tls = Tls::new(identity).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let opened = match tls.open(stream) {
                    Opening::Done(stream) => Ok(stream),
                    Opening::Later(opening) => opening.await,
                };
                let Ok(mut stream) = opened else { continue };
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream
                    .write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
                    .await;
                let _ = stream.shutdown().await;
            }
        });
        let ask = async |authority: Option<&Data>| {
            let pem = authority.map(|data| part(data, Profile::TLS.authority));
            let request = Request::get(&url).body(Full::default()).unwrap();
            send_to(&url, request, pem.as_deref())
                .await
                .map(|answer| answer.status().as_u16())
        };
        assert_eq!(ask(Some(&ours)).await.unwrap(), 202);
        for untrusted in [None, Some(&other)] {
            assert_eq!(ask(untrusted).await.unwrap_err().exit, Exit::NoConnection);
        }
        serving.abort();
    }

    #[test]
    fn refusals_tell_what_the_receiver_said() {
        let answer = |status: u16, body: &str| Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned(),
        };
        answer(202, "").accepted("http://x", "it").unwrap();
        let refused = answer(400, "bad\nid\n")
            .accepted("http://x", "the event")
            .unwrap_err();
        assert_eq!(
            refused.message,
            "http://x refused the event with 400 Bad Request: bad id"
        );
        let missing = answer(404, "").accepted("http://x", "it").unwrap_err();
        assert_eq!(missing.exit, Exit::NotFound);
        let mut busy = answer(503, "");
        busy.headers.insert("retry-after", HeaderValue::from_static("5"));
        let busy = busy.accepted("http://x", "it").unwrap_err();
        assert!(busy.hint.unwrap().contains("5 seconds"));
    }
}
