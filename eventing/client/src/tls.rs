//! Whom we trust over TLS.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

/// How one target is spoken to.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// The system's roots, read when the first https target needs them.
#[derive(Debug, Default)]
pub(super) struct Trust {
    system: OnceLock<(RootCertStore, Arc<ClientConfig>)>,
}

impl Trust {
    /// # Errors
    /// When `ca_certs` holds no certificate, or a broken one.
    pub(super) fn config(&self, ca_certs: Option<&str>) -> Result<Arc<ClientConfig>, String> {
        let (roots, config) = match self.system.get() {
            Some(system) => system,
            None => {
                let roots = system_roots();
                let config = client_config(roots.clone())?;
                self.system.get_or_init(|| (roots, config))
            }
        };
        let Some(pem) = ca_certs else {
            return Ok(config.clone());
        };
        let mut roots = roots.clone();
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.len() == before {
            return Err("no certificate in it".to_owned());
        }
        client_config(roots)
    }
}

fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "Some of the system's root certificates cannot be read");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}

fn client_config(roots: RootCertStore) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
