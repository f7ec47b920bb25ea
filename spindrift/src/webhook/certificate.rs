//! The authority and certificate of the webhook: when they are good enough, and how new ones are made.

use std::collections::BTreeMap;

use anyhow::Context;
use k8s_openapi::ByteString;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// Keys of the Secret; the first three are those of an existing install.
pub const CERTIFICATE: &str = "server-cert.pem";
pub const KEY: &str = "server-key.pem";
pub const AUTHORITY: &str = "ca-cert.pem";
const AUTHORITY_KEY: &str = "ca-key.pem";

/// Certificates start a little in the past, for clocks that run behind.
const BACKDATE: SignedDuration = SignedDuration::from_hours(1);
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(24 * 3650);
const LIFE: SignedDuration = SignedDuration::from_hours(24 * 365);
/// A certificate is replaced when it has less left.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(24 * 30);
const AUTHORITY_NAME: &str = "spindrift-webhook-ca";

/// Data of the Secret.
pub type Data = BTreeMap<String, ByteString>;

/// Returns the data that has to replace `present`; `None` if that is good for these names for long enough.
///
/// An authority that is good is kept, so that what trusts it need not change. One that ends stays in the bundle beside its
/// successor until it has ended: other replicas still serve its certificates.
///
/// # Errors
/// If keys or certificates cannot be made, as for a name that cannot be in a certificate.
pub fn renewed(present: &Data, names: &[String], now: Timestamp) -> anyhow::Result<Option<Data>> {
    let authority_lasts = lasts(text(present, AUTHORITY), now, LIFE);
    let key = text(present, AUTHORITY_KEY).and_then(|pem| KeyPair::from_pem(pem).ok());
    let complete = key.is_some() && text(present, KEY).is_some_and(|pem| KeyPair::from_pem(pem).is_ok());
    if complete
        && authority_lasts
        && lasts(text(present, CERTIFICATE), now, RENEW_BEFORE)
        && covers(present, names)
    {
        return Ok(None);
    }
    let (authority_key, authority_pem) = match (key, text(present, AUTHORITY)) {
        (Some(key), Some(pem)) if authority_lasts => (key, pem.to_owned()),
        _ => new_authority(text(present, AUTHORITY), now)?,
    };
    let key = KeyPair::generate().context("cannot make a key")?;
    let mut params = CertificateParams::new(names.to_vec())
        .with_context(|| format!("these cannot be names in a certificate: {}", names.join(", ")))?;
    params.distinguished_name = distinguished_name(names.first().map_or("webhook", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    validity(&mut params, now, LIFE);
    let issuer = Issuer::new(authority_params(now), &authority_key);
    let certificate = params
        .signed_by(&key, &issuer)
        .context("cannot sign a certificate")?;
    let entry = |name: &str, text: String| (name.to_owned(), ByteString(text.into_bytes()));
    Ok(Some(Data::from([
        entry(AUTHORITY_KEY, authority_key.serialize_pem()),
        entry(AUTHORITY, authority_pem),
        entry(KEY, key.serialize_pem()),
        entry(CERTIFICATE, certificate.pem()),
    ])))
}

/// A text of the Secret.
pub fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key).and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
}

fn new_authority(old: Option<&str>, now: Timestamp) -> anyhow::Result<(KeyPair, String)> {
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = authority_params(now)
        .self_signed(&key)
        .context("cannot make an authority")?;
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

fn authority_params(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished_name(AUTHORITY_NAME);
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

/// Whether the certificate is for all of these names.
fn covers(data: &Data, names: &[String]) -> bool {
    with_certificate(text(data, CERTIFICATE), |certificate| {
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
    use super::*;

    fn names() -> Vec<String> {
        vec!["webhook.knative-serving.svc".to_owned(), "10.0.0.1".to_owned()]
    }

    fn after(start: Timestamp, days: i64) -> Timestamp {
        start + SignedDuration::from_hours(24 * days)
    }

    #[test]
    fn a_good_certificate_is_kept_until_a_month_before_its_end() {
        let now = Timestamp::now();
        let first = renewed(&Data::new(), &names(), now).unwrap().unwrap();
        for days in [0, 200, 330] {
            assert!(
                renewed(&first, &names(), after(now, days)).unwrap().is_none(),
                "{days}"
            );
        }
        let second = renewed(&first, &names(), after(now, 340)).unwrap().unwrap();
        assert_ne!(first[CERTIFICATE], second[CERTIFICATE]);
        assert_eq!(first[AUTHORITY], second[AUTHORITY], "trust goes on");
    }

    #[test]
    fn a_certificate_for_other_names_or_a_damaged_one_is_replaced() {
        let now = Timestamp::now();
        let first = renewed(&Data::new(), &names(), now).unwrap().unwrap();
        let more = [names(), vec!["webhook".to_owned()]].concat();
        assert!(renewed(&first, &more, now).unwrap().is_some());
        for key in [AUTHORITY, AUTHORITY_KEY, CERTIFICATE, KEY] {
            let mut damaged = first.clone();
            damaged.insert(key.to_owned(), ByteString(b"nonsense".to_vec()));
            assert!(renewed(&damaged, &names(), now).unwrap().is_some(), "{key}");
        }
    }

    #[test]
    fn an_authority_that_ends_is_trusted_beside_its_successor() {
        let now = Timestamp::now();
        let first = renewed(&Data::new(), &names(), now).unwrap().unwrap();
        let later = after(now, 3650 - 300);
        let second = renewed(&first, &names(), later).unwrap().unwrap();
        let bundle = text(&second, AUTHORITY).unwrap();
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 2);
        assert!(bundle.contains(text(&first, AUTHORITY).unwrap().trim()));
        let third = renewed(&second, &names(), after(later, 3650 - 300))
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
}
