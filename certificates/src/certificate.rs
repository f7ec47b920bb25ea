//! An authority and a certificate: when they are good enough, and how new ones are made.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PublicKeyData as _,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// Certificates start a little in the past, for clocks that run behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);

/// What certificates of a sort are like, and the keys of their Secrets.
#[derive(Debug, Clone)]
pub struct Profile {
    pub certificate: &'static str,
    pub key: &'static str,
    pub authority: &'static str,
    pub authority_key: &'static str,
    /// Common name of the authority.
    pub authority_name: &'static str,
    pub life: SignedDuration,
    /// A certificate is replaced when it has less left.
    pub renew_before: SignedDuration,
    /// Type of a Secret that is made; `None` is Kubernetes' own default.
    pub secret_type: Option<&'static str>,
    /// Whether a certificate without the key of its authority is somebody else's, such as a certificate manager's, and is
    /// left alone. A key that stayed from an authority of ours is not that key; one that cannot be read is, beside an
    /// authority of our name.
    pub yields: bool,
}

impl Profile {
    /// Admission webhooks; keys as an existing install has them.
    pub const WEBHOOK: Self = Self {
        certificate: "server-cert.pem",
        key: "server-key.pem",
        authority: "ca-cert.pem",
        authority_key: "ca-key.pem",
        authority_name: "spindrift-webhook-ca",
        life: SignedDuration::from_hours(24 * 365),
        renew_before: SignedDuration::from_hours(24 * 30),
        secret_type: None,
        yields: false,
    };
    /// Servers whose certificates may also come from a certificate manager; keys and times as those have them.
    pub const TLS: Self = Self {
        certificate: "tls.crt",
        key: "tls.key",
        authority: "ca.crt",
        authority_key: "ca.key",
        authority_name: "spindrift-ca",
        life: SignedDuration::from_hours(24 * 90),
        renew_before: SignedDuration::from_hours(24 * 15),
        secret_type: Some("kubernetes.io/tls"),
        yields: true,
    };
}

/// A key or a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot make a key")]
    Key(#[source] rcgen::Error),
    #[error("these cannot be names in a certificate: {names}")]
    Names {
        names: String,
        #[source]
        error: rcgen::Error,
    },
    #[error("cannot sign a certificate")]
    Sign(#[source] rcgen::Error),
}

/// Data of the Secret.
pub type Data = BTreeMap<String, ByteString>;

/// Returns the data that has to replace `present`; `None` if that is good for these names for long enough.
///
/// An authority that is good is kept, so that what trusts it need not change. One that ends stays in the bundle beside its
/// successor until it has ended: other replicas still serve its certificates.
///
/// # Errors
/// If keys or certificates cannot be made, as for a name that cannot be in a certificate.
pub fn renewed(
    present: &Data,
    names: &[String],
    profile: &Profile,
    now: Timestamp,
) -> Result<Option<Data>, CertificateError> {
    let filled = |key: &str| present.get(key).is_some_and(|bytes| !bytes.0.is_empty());
    let authority = text(present, profile.authority);
    let key = text(present, profile.authority_key).and_then(|pem| KeyPair::from_pem(pem).ok());
    let ours = key.as_ref().is_some_and(|key| is_of(authority, key));
    // A certificate manager replaces what it knows of and leaves the key of our authority where it was. But beside an
    // authority of ours, a key that cannot be read is a damaged one of ours.
    let damaged = key.is_none() && is_named(authority, profile.authority_name);
    let foreign = !filled(profile.authority_key) || (!ours && !damaged && is_readable(authority));
    if profile.yields && filled(profile.certificate) && foreign {
        return Ok(None);
    }
    // With the key of another authority, what is signed would not be trusted by anybody.
    let authority_signs = ours && lasts(authority, now, profile.life);
    if authority_signs
        && fits(text(present, profile.certificate), text(present, profile.key))
        && lasts(text(present, profile.certificate), now, profile.renew_before)
        && covers(text(present, profile.certificate), names)
    {
        return Ok(None);
    }
    let (authority_key, authority_pem) = match (key, authority) {
        (Some(key), Some(pem)) if authority_signs => (key, pem.to_owned()),
        _ => new_authority(authority, profile, now)?,
    };
    let key = KeyPair::generate().map_err(CertificateError::Key)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(|error| CertificateError::Names {
        names: names.join(", "),
        error,
    })?;
    params.distinguished_name = distinguished_name(names.first().map_or("server", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // Authorities of a bundle have the same name: this says which one to look at, and strict clients ask for it.
    params.use_authority_key_identifier_extension = true;
    validity(&mut params, now, profile.life);
    let issuer = Issuer::new(authority_params(profile, now), &authority_key);
    let certificate = params.signed_by(&key, &issuer).map_err(CertificateError::Sign)?;
    let entry = |name: &str, text: String| (name.to_owned(), ByteString(text.into_bytes()));
    Ok(Some(Data::from([
        entry(profile.authority_key, authority_key.serialize_pem()),
        entry(profile.authority, authority_pem),
        entry(profile.key, key.serialize_pem()),
        entry(profile.certificate, certificate.pem()),
    ])))
}

/// Whether something is kept as the key of the authority that is no key.
pub(crate) fn has_unreadable_key(present: &Data, profile: &Profile) -> bool {
    let kept = present.get(profile.authority_key);
    kept.is_some_and(|bytes| !bytes.0.is_empty())
        && text(present, profile.authority_key).is_none_or(|pem| KeyPair::from_pem(pem).is_err())
}

/// A text of the Secret.
pub fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key).and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
}

fn new_authority(
    old: Option<&str>,
    profile: &Profile,
    now: Timestamp,
) -> Result<(KeyPair, String), CertificateError> {
    let key = KeyPair::generate().map_err(CertificateError::Key)?;
    let certificate = authority_params(profile, now)
        .self_signed(&key)
        .map_err(CertificateError::Sign)?;
    let mut bundle = certificate.pem();
    if let Some(old) = old.filter(|old| lasts(Some(old), now, SignedDuration::ZERO)) {
        // Only the newest of the old ones: the bundle does not grow.
        if let Some(end) = old.find("-----END CERTIFICATE-----") {
            bundle.push_str(old.get(..end).unwrap_or_default());
            bundle.push_str("-----END CERTIFICATE-----\n");
        }
    }
    Ok((key, bundle))
}

fn authority_params(profile: &Profile, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(profile.authority_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut params, now, AUTHORITY_LIFE);
    params
}

fn distinguished_name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn validity(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let date = |at: Timestamp| {
        let date = at.to_zoned(k8s_openapi::jiff::tz::TimeZone::UTC).date();
        rcgen::date_time_ymd(
            i32::from(date.year()),
            u8::try_from(date.month()).unwrap_or(1),
            u8::try_from(date.day()).unwrap_or(1),
        )
    };
    params.not_before = date(now.checked_sub(BACKDATE).unwrap_or(now));
    params.not_after = date(now.checked_add(life).unwrap_or(now));
}

/// Whether the first certificate of a PEM is valid now and for `more` from now.
fn lasts(pem: Option<&str>, now: Timestamp, more: SignedDuration) -> bool {
    with_certificate(pem, |certificate| {
        let validity = certificate.validity();
        let until = now.as_second().saturating_add(more.as_secs());
        validity.not_before.timestamp() <= now.as_second() && validity.not_after.timestamp() > until
    })
    .unwrap_or(false)
}

fn is_readable(pem: Option<&str>) -> bool {
    with_certificate(pem, |_| ()).is_some()
}

/// Whether the first certificate of a PEM is of somebody with this common name.
fn is_named(pem: Option<&str>, name: &str) -> bool {
    with_certificate(pem, |certificate| {
        let mut names = certificate.subject().iter_common_name();
        names.any(|found| found.as_str() == Ok(name))
    })
    .unwrap_or(false)
}

/// Whether the first certificate of a PEM is about this key.
fn is_of(pem: Option<&str>, key: &KeyPair) -> bool {
    with_certificate(pem, |certificate| {
        certificate.public_key().raw == key.subject_public_key_info().as_slice()
    })
    .unwrap_or(false)
}

/// Whether certificate and key belong together: servers refuse those that do not.
fn fits(certificate: Option<&str>, key: Option<&str>) -> bool {
    key.and_then(|pem| KeyPair::from_pem(pem).ok())
        .is_some_and(|key| is_of(certificate, &key))
}

/// Whether the certificate is for all of these names.
fn covers(pem: Option<&str>, names: &[String]) -> bool {
    with_certificate(pem, |certificate| {
        let Ok(Some(found)) = certificate.subject_alternative_name() else {
            return false;
        };
        let found: Vec<String> = found
            .value
            .general_names
            .iter()
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some((*name).to_owned()),
                GeneralName::IPAddress(bytes) => address(bytes),
                _ => None,
            })
            .collect();
        names.iter().all(|name| found.contains(name))
    })
    .unwrap_or(false)
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(bytes).to_string());
    }
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(std::net::Ipv6Addr::from(bytes).to_string())
}

fn with_certificate<T>(
    pem: Option<&str>,
    look: impl FnOnce(&x509_parser::certificate::X509Certificate<'_>) -> T,
) -> Option<T> {
    let pem = Pem::iter_from_buffer(pem?.as_bytes()).next()?.ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(look(&certificate))
}

#[cfg(test)]
mod tests {
    use x509_parser::extensions::ParsedExtension;

    use super::*;

    const WEBHOOK: &Profile = &Profile::WEBHOOK;
    const AUTHORITY: &str = WEBHOOK.authority;

    fn names() -> Vec<String> {
        vec!["webhook.knative-serving.svc".to_owned(), "10.0.0.1".to_owned()]
    }

    fn after(start: Timestamp, days: i64) -> Timestamp {
        start + SignedDuration::from_hours(24 * days)
    }

    #[test]
    fn a_good_certificate_is_kept_until_a_month_before_its_end() {
        let now = Timestamp::now();
        let first = renewed(&Data::new(), &names(), WEBHOOK, now).unwrap().unwrap();
        for days in [0, 200, 330] {
            assert!(
                renewed(&first, &names(), WEBHOOK, after(now, days))
                    .unwrap()
                    .is_none(),
                "{days}"
            );
        }
        let second = renewed(&first, &names(), WEBHOOK, after(now, 340))
            .unwrap()
            .unwrap();
        assert_ne!(first[WEBHOOK.certificate], second[WEBHOOK.certificate]);
        assert_eq!(first[AUTHORITY], second[AUTHORITY], "trust goes on");
    }

    #[test]
    fn a_certificate_for_other_names_or_a_damaged_one_is_replaced() {
        let now = Timestamp::now();
        let first = renewed(&Data::new(), &names(), WEBHOOK, now).unwrap().unwrap();
        let more = [names(), vec!["webhook".to_owned()]].concat();
        assert!(renewed(&first, &more, WEBHOOK, now).unwrap().is_some());
        for key in [AUTHORITY, WEBHOOK.authority_key, WEBHOOK.certificate, WEBHOOK.key] {
            let mut damaged = first.clone();
            damaged.insert(key.to_owned(), ByteString(b"nonsense".to_vec()));
            assert!(
                renewed(&damaged, &names(), WEBHOOK, now).unwrap().is_some(),
                "{key}"
            );
        }
    }

    #[test]
    fn what_does_not_fit_together_is_replaced() {
        let now = Timestamp::now();
        let made = || renewed(&Data::new(), &names(), WEBHOOK, now).unwrap().unwrap();
        let (first, other) = (made(), made());
        for (key, authority_stays) in [
            (WEBHOOK.key, true),
            (WEBHOOK.certificate, true),
            (WEBHOOK.authority_key, false),
            (AUTHORITY, false),
        ] {
            let mut mixed = first.clone();
            mixed.insert(key.to_owned(), other[key].clone());
            let second = renewed(&mixed, &names(), WEBHOOK, now).unwrap().expect(key);
            assert_eq!(second[AUTHORITY] == mixed[AUTHORITY], authority_stays, "{key}");
            assert!(
                fits(text(&second, AUTHORITY), text(&second, WEBHOOK.authority_key)),
                "{key}"
            );
            assert!(
                fits(text(&second, WEBHOOK.certificate), text(&second, WEBHOOK.key)),
                "{key}"
            );
        }
    }

    #[test]
    fn a_certificate_says_which_authority_signed_it() {
        let made = renewed(&Data::new(), &names(), WEBHOOK, Timestamp::now());
        let made = made.unwrap().unwrap();
        let said = with_certificate(text(&made, WEBHOOK.certificate), |certificate| {
            certificate
                .extensions()
                .iter()
                .find_map(|extension| match extension.parsed_extension() {
                    ParsedExtension::AuthorityKeyIdentifier(said) => {
                        said.key_identifier.as_ref().map(|id| id.0.to_vec())
                    }
                    _ => None,
                })
        });
        let is = with_certificate(text(&made, AUTHORITY), |certificate| {
            certificate
                .extensions()
                .iter()
                .find_map(|extension| match extension.parsed_extension() {
                    ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
                    _ => None,
                })
        });
        assert!(said.clone().flatten().is_some());
        assert_eq!(said, is);
    }

    #[test]
    fn a_certificate_manager_may_take_over_a_secret() {
        let now = Timestamp::now();
        let tls = &Profile::TLS;
        let made = || renewed(&Data::new(), &names(), tls, now).unwrap().unwrap();
        let (ours, mut taken) = (made(), made());
        taken.insert(tls.authority_key.to_owned(), ours[tls.authority_key].clone());
        for days in [0, 76, 200] {
            let found = renewed(&taken, &["other".to_owned()], tls, after(now, days));
            assert!(found.unwrap().is_none(), "{days}");
        }
        taken.insert(tls.authority.to_owned(), ByteString(b"nonsense".to_vec()));
        assert!(
            renewed(&taken, &names(), tls, now).unwrap().is_some(),
            "that is nobody's authority"
        );
    }

    #[test]
    fn a_damaged_key_of_our_authority_makes_nobody_elses_certificate() {
        let now = Timestamp::now();
        let tls = &Profile::TLS;
        let nonsense = || ByteString(b"nonsense".to_vec());
        let ours = renewed(&Data::new(), &names(), tls, now).unwrap().unwrap();
        assert!(!has_unreadable_key(&ours, tls));
        let mut damaged = ours.clone();
        damaged.insert(tls.authority_key.to_owned(), nonsense());
        assert!(has_unreadable_key(&damaged, tls));
        let mended = renewed(&damaged, &names(), tls, now).unwrap().unwrap();
        assert!(!has_unreadable_key(&mended, tls));
        assert!(fits(
            text(&mended, tls.authority),
            text(&mended, tls.authority_key)
        ));
        let old = text(&ours, tls.authority).unwrap().trim();
        assert!(
            text(&mended, tls.authority).unwrap().contains(old),
            "who trusts the old one still may"
        );

        let theirs = Profile {
            authority_name: "somebody",
            ..Profile::TLS
        };
        let mut given = renewed(&Data::new(), &names(), &theirs, now).unwrap().unwrap();
        given.insert(tls.authority_key.to_owned(), nonsense());
        assert!(has_unreadable_key(&given, tls));
        assert!(renewed(&given, &names(), tls, after(now, 80)).unwrap().is_none());
    }

    #[test]
    fn an_authority_that_ends_is_trusted_beside_its_successor() {
        let now = Timestamp::now();
        let first = renewed(&Data::new(), &names(), WEBHOOK, now).unwrap().unwrap();
        let later = after(now, 3650 - 300);
        let second = renewed(&first, &names(), WEBHOOK, later).unwrap().unwrap();
        let bundle = text(&second, AUTHORITY).unwrap();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(bundle.contains(text(&first, AUTHORITY).unwrap().trim()));
        let third = renewed(&second, &names(), WEBHOOK, after(later, 3650 - 300))
            .unwrap()
            .unwrap();
        assert_eq!(
            text(&third, AUTHORITY)
                .unwrap()
                .matches("BEGIN CERTIFICATE")
                .count(),
            2
        );
    }

    #[test]
    fn certificates_of_others_are_left_alone() {
        let now = Timestamp::now();
        let tls = &Profile::TLS;
        let mut given = renewed(&Data::new(), &names(), tls, now).unwrap().unwrap();
        assert!(renewed(&given, &names(), tls, after(now, 74)).unwrap().is_none());
        assert!(
            renewed(&given, &names(), tls, after(now, 76)).unwrap().is_some(),
            "ours is renewed"
        );
        given.remove(tls.authority_key);
        for days in [0, 76, 200] {
            assert!(
                renewed(&given, &["other".to_owned()], tls, after(now, days))
                    .unwrap()
                    .is_none()
            );
        }
        given.remove(tls.certificate);
        assert!(
            renewed(&given, &names(), tls, now).unwrap().is_some(),
            "there is none"
        );
    }
}
