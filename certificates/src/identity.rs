//! The certificate that a server shows, which may change while it serves.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use k8s_openapi::jiff::Timestamp;
use proxy::server::{Opening, Transport};
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate or key that cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the certificate is no PEM")]
    Certificate(#[source] rustls_pki_types::pem::Error),
    #[error("there is no certificate in the PEM")]
    Empty,
    #[error("the key is no PEM")]
    Key(#[source] rustls_pki_types::pem::Error),
    #[error("the key cannot be used with the certificate")]
    Unusable(#[source] rustls::Error),
}

/// The certificate that is shown now; none at first.
#[derive(Debug, Default)]
pub struct Identity {
    current: ArcSwapOption<CertifiedKey>,
    /// When that one ends.
    ends: ArcSwapOption<Timestamp>,
}

impl Identity {
    /// Shows this certificate from the next handshake on. Both are PEM.
    ///
    /// # Errors
    /// If it cannot be read, or the key is that of another certificate; what was shown is shown still.
    pub fn set(&self, certificate: &str, key: &str) -> Result<(), IdentityError> {
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(IdentityError::Certificate)?;
        if chain.is_empty() {
            return Err(IdentityError::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(IdentityError::Key)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(IdentityError::Unusable)?;
        let ends = certified.cert.first().and_then(|first| end_of(first));
        self.current.store(Some(Arc::new(certified)));
        self.ends.store(ends.map(Arc::new));
        Ok(())
    }

    /// When the certificate ends that is shown now.
    pub fn ends(&self) -> Option<Timestamp> {
        self.ends.load().as_deref().copied()
    }
}

fn end_of(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// TLS 1.3 with the certificate of an [`Identity`], for a [`proxy::Server`].
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// # Errors
    /// If TLS cannot be set up at all.
    pub fn new(identity: Arc<Identity>) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(identity);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

impl Transport for Tls {
    type Io = TlsStream<TcpStream>;
    const SECURE: bool = true;

    fn open(&self, stream: TcpStream) -> Opening<Self::Io> {
        let handshake = tokio::time::timeout(HANDSHAKE, self.0.accept(stream));
        Opening::Later(Box::pin(async {
            handshake
                .await
                .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake takes too long"))?
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use http::{Request, Response};
    use k8s_openapi::jiff::SignedDuration;
    use proxy::server::OverTls;
    use proxy::{Body, Handler, Server, ServerConfig};
    use rustls::{ClientConfig, RootCertStore};
    use rustls_pki_types::ServerName;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsConnector;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Data, Profile, renewed, text};

    const NAME: &str = "here.example";

    /// Says whether the request came over TLS.
    struct Tell;

    impl Handler for Tell {
        async fn handle(self: Arc<Self>, request: Request<Body>, _: SocketAddr) -> Response<Body> {
            let secure = request.extensions().get::<OverTls>().is_some();
            Response::new(Body::full(format!("secure: {secure}")))
        }
    }

    fn made() -> Data {
        renewed(&Data::new(), &[NAME.to_owned()], &Profile::TLS, Timestamp::now())
            .unwrap()
            .unwrap()
    }

    fn show(identity: &Identity, data: &Data) {
        let part = |key| text(data, key).unwrap();
        identity
            .set(part(Profile::TLS.certificate), part(Profile::TLS.key))
            .unwrap();
    }

    async fn ask(
        at: SocketAddr,
        trusted: &Data,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> io::Result<String> {
        let mut roots = RootCertStore::empty();
        let pem = text(trusted, Profile::TLS.authority).unwrap();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let stream = TcpStream::connect(at).await?;
        let mut stream = connector
            .connect(ServerName::try_from(NAME).unwrap(), stream)
            .await?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: here.example\r\nconnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        // Whether it says good-bye does not matter.
        let _ = stream.read_to_end(&mut answer).await;
        Ok(String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn requests_come_over_tls_with_the_certificate_of_the_moment() {
        let (identity, shutdown) = (Arc::new(Identity::default()), CancellationToken::new());
        let server = Server::new(Arc::new(Tell), ServerConfig::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let tls = Tls::new(identity.clone()).unwrap();
        let serving = tokio::spawn(server.run_over(tls, listener, shutdown.clone(), Duration::from_secs(1)));
        let (first, second) = (made(), made());
        let tls13: &[_] = &[&rustls::version::TLS13];
        ask(at, &first, tls13)
            .await
            .expect_err("there is no certificate yet");
        assert_eq!(identity.ends(), None);
        show(&identity, &first);
        let lasts = identity.ends().unwrap().duration_since(Timestamp::now());
        assert!(
            (lasts - Profile::TLS.life).abs() < SignedDuration::from_hours(25),
            "{lasts}"
        );
        let answer = ask(at, &first, tls13).await.unwrap();
        assert!(answer.ends_with("secure: true"), "{answer}");
        ask(at, &second, tls13).await.expect_err("another authority");
        ask(at, &first, &[&rustls::version::TLS12])
            .await
            .expect_err("too old a protocol");
        show(&identity, &second);
        ask(at, &second, tls13).await.unwrap();
        ask(at, &first, tls13).await.expect_err("it changed");
        let part = |data, key| text(data, key).unwrap().to_owned();
        let mixed = identity.set(
            &part(&first, Profile::TLS.certificate),
            &part(&second, Profile::TLS.key),
        );
        assert!(matches!(mixed, Err(IdentityError::Unusable(_))), "{mixed:?}");
        ask(at, &second, tls13).await.unwrap();
        shutdown.cancel();
        serving.await.unwrap();
    }
}
