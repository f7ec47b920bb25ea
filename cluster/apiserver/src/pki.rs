//! Keys and certificates of one server: its own authority, a fresh serving certificate at each start, the admin's
//! token, and the key that signs service-account tokens.
//!
//! Everything secret is a file that only the owner can read, in `pki/` of the data directory.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// Certificates start a little in the past, for clocks that run behind.
const BACKDATE: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);
const CA_DAYS: i64 = 3650;
const LEAF_DAYS: i64 = 398;

/// Why keys or certificates could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate is damaged.
    #[error("{what}: {message}")]
    Crypto {
        /// What was being made or read.
        what: &'static str,
        /// What the library says.
        message: String,
    },
}

/// The authority and the secrets.
pub(crate) struct Pki {
    ca_key: KeyPair,
    /// The authority's certificate, PEM.
    pub(crate) ca_pem: String,
    pub(crate) ca_der: CertificateDer<'static>,
    pub(crate) admin_token: String,
    /// PKCS#8 of the P-256 key for service-account tokens.
    pub(crate) token_key: Vec<u8>,
}

/// A certificate with its key.
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Pki {
    /// Reads what is there and makes what is missing.
    ///
    /// # Errors
    /// When a file cannot be used. Damaged files are never replaced silently: clients trust the old ones.
    pub(crate) fn open(data_dir: &Path, now: jiff::Timestamp) -> Result<Self, PkiError> {
        let dir = data_dir.join("pki");
        fs::create_dir_all(&dir).map_err(|source| file_error(&dir, source))?;
        let ca_key = KeyPair::from_pem(&secret(&dir.join("ca.key"), new_key)?)
            .map_err(crypto("reading pki/ca.key"))?;
        let ca_pem = secret(&dir.join("ca.crt"), || {
            let certificate = ca_params(now)?
                .self_signed(&ca_key)
                .map_err(crypto("making the CA certificate"))?;
            Ok(certificate.pem())
        })?;
        let ca_der = pem_to_der(&ca_pem).ok_or_else(|| PkiError::Crypto {
            what: "reading pki/ca.crt",
            message: "it is not a PEM certificate".into(),
        })?;
        let admin_token = secret(&dir.join("admin.token"), || Ok(random_token()))?;
        let token_key = KeyPair::from_pem(&secret(&dir.join("sa.key"), new_key)?)
            .map_err(crypto("reading pki/sa.key"))?;
        Ok(Self {
            ca_key,
            ca_pem,
            ca_der,
            admin_token,
            token_key: token_key.serialize_der(),
        })
    }

    /// Makes the serving certificate, for loopback, the API's names inside the cluster, and `extra`.
    pub(crate) fn serving(
        &self,
        first_service_ip: Ipv4Addr,
        extra: &[String],
        now: jiff::Timestamp,
    ) -> Result<Leaf, PkiError> {
        let mut names: Vec<String> = [
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        .map(str::to_owned)
        .to_vec();
        names.extend([
            IpAddr::from([127, 0, 0, 1]).to_string(),
            "::1".into(),
            first_service_ip.to_string(),
        ]);
        names.extend(
            fs::read_to_string("/proc/sys/kernel/hostname")
                .ok()
                .map(|name| name.trim().to_owned()),
        );
        names.extend_from_slice(extra);
        names.sort();
        names.dedup();
        // A host name that is no DNS name cannot be in a certificate; it is not worth failing for.
        names.retain(|name| CertificateParams::new(vec![name.clone()]).is_ok());
        let mut params = CertificateParams::new(names).map_err(crypto("names of the serving certificate"))?;
        params.distinguished_name = distinguished_name("kube-apiserver", None);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params, now)
    }

    /// Makes a client certificate: the common name is the user, the organisation is a group.
    #[cfg(test)]
    pub(crate) fn client(&self, user: &str, group: &str, now: jiff::Timestamp) -> Result<Leaf, PkiError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = distinguished_name(user, Some(group));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params, now)
    }

    fn sign(&self, mut params: CertificateParams, now: jiff::Timestamp) -> Result<Leaf, PkiError> {
        validity(&mut params, now, LEAF_DAYS)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().map_err(crypto("making a key"))?;
        let issuer = Issuer::new(ca_params(now)?, &self.ca_key);
        let certificate: Certificate = params
            .signed_by(&key, &issuer)
            .map_err(crypto("signing a certificate"))?;
        Ok(Leaf {
            chain: vec![certificate.der().clone(), self.ca_der.clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn ca_params(now: jiff::Timestamp) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name("spindrift-ca", None);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    validity(&mut params, now, CA_DAYS)?;
    Ok(params)
}

fn validity(params: &mut CertificateParams, now: jiff::Timestamp, days: i64) -> Result<(), PkiError> {
    let from = now.checked_sub(BACKDATE).unwrap_or(now);
    let until = now
        .checked_add(jiff::SignedDuration::from_hours(24 * days))
        .unwrap_or(now);
    let date = |at: jiff::Timestamp| {
        let date = at.to_zoned(jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            u8::try_from(date.month()).unwrap_or(1),
            u8::try_from(date.day()).unwrap_or(1),
        )
    };
    params.not_before = date(from);
    params.not_after = date(until);
    Ok(())
}

fn distinguished_name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}

fn new_key() -> Result<String, PkiError> {
    Ok(KeyPair::generate()
        .map_err(crypto("making a key"))?
        .serialize_pem())
}

fn random_token() -> String {
    let mut bytes = [0u8; 32];
    rand::rng().fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads a file, or writes what `make` returns into it: whole or not at all, and for the owner only.
fn secret(path: &Path, make: impl FnOnce() -> Result<String, PkiError>) -> Result<String, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => return Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(file_error(path, error)),
    }
    let text = make()?;
    write_private(path, text.as_bytes()).map_err(|source| file_error(path, source))?;
    Ok(text)
}

/// Replaces a file at once, readable by the owner only.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary: PathBuf = path.with_file_name(name);
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn pem_to_der(pem: &str) -> Option<CertificateDer<'static>> {
    use rustls_pki_types::pem::PemObject;
    CertificateDer::from_pem_slice(pem.as_bytes()).ok()
}

fn file_error(path: &Path, source: std::io::Error) -> PkiError {
    PkiError::File {
        path: path.display().to_string(),
        source,
    }
}

fn crypto(what: &'static str) -> impl Fn(rcgen::Error) -> PkiError {
    move |error| PkiError::Crypto {
        what,
        message: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_client_certificate_names_the_user_and_a_group() {
        let dir = tempfile::tempdir().unwrap();
        let now = jiff::Timestamp::now();
        let pki = Pki::open(dir.path(), now).unwrap();
        let leaf = pki.client("jane", "devs", now).unwrap();
        let peer = crate::authn::peer_of(&leaf.chain[0]).unwrap();
        assert_eq!(
            (peer.common_name.as_str(), peer.organizations),
            ("jane", vec!["devs".to_owned()])
        );
        // The certificate chains to the authority that the server trusts.
        let (_, certificate) = x509_parser::parse_x509_certificate(&leaf.chain[0]).unwrap();
        let (_, authority) = x509_parser::parse_x509_certificate(&pki.ca_der).unwrap();
        assert_eq!(certificate.issuer(), authority.subject());
    }

    #[test]
    fn secrets_are_kept_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let now = jiff::Timestamp::now();
        let first = Pki::open(dir.path(), now).unwrap();
        let second = Pki::open(dir.path(), now).unwrap();
        assert_eq!(first.ca_pem, second.ca_pem);
        assert_eq!(first.admin_token, second.admin_token);
        assert_eq!(first.token_key, second.token_key);
        for name in ["ca.key", "admin.token", "sa.key"] {
            let mode = fs::metadata(dir.path().join("pki").join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
