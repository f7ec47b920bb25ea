//! The addresses of what takes events in, as `transport-encryption` has them.

use crds::Addressable;
use crds::config::events::TransportEncryption;

/// Reason of a condition: there is no certificate, and no way in without one.
pub(crate) const NO_CERTIFICATE: &str = "CertificateNotReady";

/// The certificate of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// There is none yet in the Secret of this name.
    Missing(&'static str),
    /// It can be served. Without an authority of its own, clients know its issuer by themselves.
    Ready { authority: Option<String> },
}

/// Where something takes events in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The one; `None` if there is no way in that is open.
    pub address: Option<Addressable>,
    /// All, the best first, if there may be several.
    pub all: Vec<Addressable>,
    /// Why `address` is missing.
    pub problem: Option<String>,
}

impl Addresses {
    /// `http` and `https` are the URLs by which it would be reached.
    pub(crate) fn new(
        mode: TransportEncryption,
        certificate: Certificate,
        (http, https): (String, String),
        audience: Option<String>,
    ) -> Self {
        let clear = Addressable {
            name: Some("http".to_owned()),
            url: Some(http),
            ca_certs: None,
            audience: audience.clone(),
        };
        let secure = |authority: Option<String>| Addressable {
            name: Some("https".to_owned()),
            url: Some(https),
            ca_certs: authority,
            audience,
        };
        match (mode, certificate) {
            (TransportEncryption::Disabled, _) => Self {
                address: Some(clear),
                ..Self::default()
            },
            (TransportEncryption::Permissive, Certificate::Missing(_)) => Self {
                address: Some(clear.clone()),
                all: vec![clear],
                problem: None,
            },
            (TransportEncryption::Permissive, Certificate::Ready { authority }) => Self {
                address: Some(clear.clone()),
                all: vec![secure(authority), clear],
                problem: None,
            },
            (TransportEncryption::Strict, Certificate::Missing(secret)) => Self {
                problem: Some(format!(
                    "transport-encryption is strict, and the Secret {secret:?} has no certificate yet."
                )),
                ..Self::default()
            },
            (TransportEncryption::Strict, Certificate::Ready { authority }) => {
                let secure = secure(authority);
                Self {
                    address: Some(secure.clone()),
                    all: vec![secure],
                    problem: None,
                }
            }
        }
    }

    /// The one that our own senders use.
    pub(crate) fn best(&self) -> Option<&Addressable> {
        self.all.first().or(self.address.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_say_which_addresses_there_are() {
        use TransportEncryption::{Disabled, Permissive, Strict};
        let missing = || Certificate::Missing("s");
        let ready = |authority: Option<&str>| Certificate::Ready {
            authority: authority.map(str::to_owned),
        };
        let (http, https) = ("http://a/b", "https://a/b");
        for (mode, certificate, address, all, best) in [
            (Disabled, missing(), Some(http), vec![], Some((http, None))),
            (
                Disabled,
                ready(Some("ca")),
                Some(http),
                vec![],
                Some((http, None)),
            ),
            (Permissive, missing(), Some(http), vec![http], Some((http, None))),
            (
                Permissive,
                ready(Some("ca")),
                Some(http),
                vec![https, http],
                Some((https, Some("ca"))),
            ),
            (Strict, missing(), None, vec![], None),
            (
                Strict,
                ready(Some("ca")),
                Some(https),
                vec![https],
                Some((https, Some("ca"))),
            ),
            (Strict, ready(None), Some(https), vec![https], Some((https, None))),
        ] {
            let found = Addresses::new(
                mode,
                certificate,
                (http.to_owned(), https.to_owned()),
                Some("me".to_owned()),
            );
            let url = |address: &Addressable| address.url.clone().unwrap();
            let all: Vec<_> = all.into_iter().map(str::to_owned).collect();
            assert_eq!(
                found.address.as_ref().map(url),
                address.map(str::to_owned),
                "{mode:?}"
            );
            assert_eq!(found.all.iter().map(url).collect::<Vec<_>>(), all, "{mode:?}");
            let is = found
                .best()
                .map(|best| (best.url.as_deref().unwrap(), best.ca_certs.as_deref()));
            assert_eq!(is, best, "{mode:?}");
            for address in found.all.iter().chain(&found.address) {
                assert_eq!(address.audience.as_deref(), Some("me"));
                let secure = url(address).starts_with("https");
                assert_eq!(
                    address.name.as_deref(),
                    Some(if secure { "https" } else { "http" })
                );
            }
            assert_eq!(found.problem.is_some(), found.address.is_none(), "{mode:?}");
        }
    }
}
