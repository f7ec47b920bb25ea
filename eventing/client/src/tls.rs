//! Whom we trust over TLS.

use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};

/// Certificates that are trusted beside the system's roots, by all endpoints; they may change at any time. Cheap to
/// clone, and clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Anchors(Arc<Mutex<Current>>);

#[derive(Debug, Default)]
struct Current {
    bundles: Arc<[String]>,
    /// Counts the changes.
    version: u64,
}

impl Anchors {
    /// From the next connection on these are trusted (PEM, each any number of certificates), and no others. What cannot
    /// be read in one of them is told in the log, and the rest is trusted.
    pub fn set(&self, bundles: impl IntoIterator<Item = String>) {
        let bundles: Arc<[String]> = bundles.into_iter().collect();
        let mut current = self.0.lock();
        if current.bundles != bundles {
            current.bundles = bundles;
            current.version += 1;
        }
    }

    fn version(&self) -> u64 {
        self.0.lock().version
    }

    fn now(&self) -> (u64, Arc<[String]>) {
        let current = self.0.lock();
        (current.version, current.bundles.clone())
    }
}

/// How one target is spoken to.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) name: ServerName<'static>,
    ca_certs: Option<String>,
    trust: Arc<Trust>,
    /// For a version of the anchors.
    made: Mutex<(u64, Arc<ClientConfig>)>,
}

impl Settings {
    /// # Errors
    /// When `ca_certs` holds no certificate, or a broken one.
    pub(super) fn new(
        trust: &Arc<Trust>,
        name: ServerName<'static>,
        ca_certs: Option<String>,
    ) -> Result<Self, String> {
        let made = trust.config(ca_certs.as_deref())?;
        Ok(Self {
            name,
            ca_certs,
            trust: trust.clone(),
            made: Mutex::new(made),
        })
    }

    /// By what is trusted now.
    pub(super) fn config(&self) -> Arc<ClientConfig> {
        let mut made = self.made.lock();
        if made.0 != self.trust.anchors.version() {
            match self.trust.config(self.ca_certs.as_deref()) {
                Ok(newer) => *made = newer,
                Err(error) => tracing::warn!(%error, "Trust anchors that changed cannot be used"),
            }
        }
        made.1.clone()
    }
}

/// The system's roots, read when the first https target needs them, and the anchors beside them.
#[derive(Debug)]
pub(super) struct Trust {
    anchors: Anchors,
    system: OnceLock<RootCertStore>,
    /// What targets without certificates of their own share, for a version of the anchors.
    shared: Mutex<Option<(u64, Arc<ClientConfig>)>>,
}

impl Trust {
    pub(super) fn new(anchors: Anchors) -> Self {
        Self {
            anchors,
            system: OnceLock::new(),
            shared: Mutex::default(),
        }
    }

    /// The version of the anchors, and what follows from them.
    fn config(&self, ca_certs: Option<&str>) -> Result<(u64, Arc<ClientConfig>), String> {
        let (version, bundles) = self.anchors.now();
        let Some(pem) = ca_certs else {
            let mut shared = self.shared.lock();
            return match &*shared {
                Some(made) if made.0 == version => Ok(made.clone()),
                _ => {
                    let made = (version, client_config(self.roots(&bundles))?);
                    Ok(shared.insert(made).clone())
                }
            };
        };
        let mut roots = self.roots(&bundles);
        let before = roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            roots.add(certificate).map_err(|error| error.to_string())?;
        }
        if roots.len() == before {
            return Err("no certificate in it".to_owned());
        }
        Ok((version, client_config(roots)?))
    }

    fn roots(&self, bundles: &[String]) -> RootCertStore {
        let mut roots = self.system.get_or_init(system_roots).clone();
        for certificate in bundles
            .iter()
            .flat_map(|pem| CertificateDer::pem_slice_iter(pem.as_bytes()))
        {
            let added = certificate
                .map_err(|error| error.to_string())
                .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
            if let Err(error) = added {
                tracing::warn!(error, "A certificate in a trust bundle cannot be read");
            }
        }
        roots
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
