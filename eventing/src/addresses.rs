//! The addresses of what takes events in, as `transport-encryption` has them.

use crds::Addressable;
use crds::config::events::TransportEncryption;
use reconciler::Conditions;

/// Reason of a condition: there is no certificate, and no way in without one.
pub(crate) const NO_CERTIFICATE: &str = "CertificateNotReady";
/// Reason of a condition: the Service has no port for TLS.
pub(crate) const NO_PORT: &str = "ServicePortMissing";

/// The certificate of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Certificate {
    /// There is none yet in the Secret of this name.
    Missing(&'static str),
    /// It can be served. Without an authority of its own, clients know its issuer by themselves.
    Ready { authority: Option<String> },
}

/// The port of a URL with https that names none.
pub(crate) const SECURE_PORT: i32 = 443;

/// How a receiver is reached over TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secure {
    /// `https://…`
    pub url: String,
    /// The Service of that URL.
    pub service: &'static str,
    /// Whether the Service has the port that the URL means.
    pub has_port: bool,
    pub certificate: Certificate,
}

/// Why there are fewer addresses than `transport-encryption` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub reason: &'static str,
    pub message: String,
}

/// Where something takes events in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Addresses {
    /// The one; `None` if there is no way in that is open.
    pub address: Option<Addressable>,
    /// All, the best first, if there may be several.
    pub all: Vec<Addressable>,
    /// Why an address is missing: the only one, or in permissive mode the one over TLS.
    pub problem: Option<Problem>,
}

impl Addresses {
    /// `http` and `secure` are how it would be reached.
    pub(crate) fn new(
        mode: TransportEncryption,
        http: String,
        secure: Secure,
        audience: Option<String>,
    ) -> Self {
        let Secure {
            url: https,
            service,
            has_port,
            certificate,
        } = secure;
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
        let no_port = |mode: &str| Problem {
            reason: NO_PORT,
            message: format!(
                "transport-encryption is {mode}, and the Service {service:?} has no port {SECURE_PORT}: there is no \
                 address with https until it has."
            ),
        };
        match (mode, certificate) {
            (TransportEncryption::Disabled, _) => Self {
                address: Some(clear),
                ..Self::default()
            },
            (TransportEncryption::Permissive, _) if !has_port => Self {
                address: Some(clear.clone()),
                all: vec![clear],
                problem: Some(no_port("permissive")),
            },
            (TransportEncryption::Strict, _) if !has_port => Self {
                problem: Some(no_port("strict")),
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
                problem: Some(Problem {
                    reason: NO_CERTIFICATE,
                    message: format!(
                        "transport-encryption is strict, and the Secret {secret:?} has no certificate yet."
                    ),
                }),
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

    /// Says in a condition whether there is an address, and if one is missing, why.
    pub(crate) fn mark(&self, conditions: &mut Conditions<'_>, type_: &str) {
        match (&self.problem, &self.address) {
            (None, _) => conditions.mark_true(type_),
            (Some(problem), Some(_)) => conditions.mark_true_with(type_, problem.reason, &problem.message),
            (Some(problem), None) => conditions.mark_false(type_, problem.reason, &problem.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Certificate {
        Certificate::Missing("s")
    }

    fn ready(authority: Option<&str>) -> Certificate {
        Certificate::Ready {
            authority: authority.map(str::to_owned),
        }
    }

    #[test]
    fn modes_say_which_addresses_there_are() {
        use TransportEncryption::{Disabled, Permissive, Strict};
        let (http, https) = ("http://a/b", "https://a/b");
        let clear = Some((http, None));
        let secure = Some((https, Some("ca")));
        for (mode, certificate, has_port, address, all, best, problem) in [
            (Disabled, missing(), true, Some(http), vec![], clear, None),
            (Disabled, ready(Some("ca")), true, Some(http), vec![], clear, None),
            (
                Disabled,
                ready(Some("ca")),
                false,
                Some(http),
                vec![],
                clear,
                None,
            ),
            (Permissive, missing(), true, Some(http), vec![http], clear, None),
            (
                Permissive,
                ready(Some("ca")),
                true,
                Some(http),
                vec![https, http],
                secure,
                None,
            ),
            (
                Permissive,
                ready(Some("ca")),
                false,
                Some(http),
                vec![http],
                clear,
                Some(NO_PORT),
            ),
            (Strict, missing(), true, None, vec![], None, Some(NO_CERTIFICATE)),
            (Strict, missing(), false, None, vec![], None, Some(NO_PORT)),
            (
                Strict,
                ready(Some("ca")),
                false,
                None,
                vec![],
                None,
                Some(NO_PORT),
            ),
            (
                Strict,
                ready(Some("ca")),
                true,
                Some(https),
                vec![https],
                secure,
                None,
            ),
            (
                Strict,
                ready(None),
                true,
                Some(https),
                vec![https],
                Some((https, None)),
                None,
            ),
        ] {
            let case = format!("{mode:?} {certificate:?} {has_port}");
            let secure = Secure {
                url: https.to_owned(),
                service: "a",
                has_port,
                certificate,
            };
            let found = Addresses::new(mode, http.to_owned(), secure, Some("me".to_owned()));
            let url = |address: &Addressable| address.url.clone().unwrap();
            let all: Vec<_> = all.into_iter().map(str::to_owned).collect();
            assert_eq!(
                found.address.as_ref().map(url),
                address.map(str::to_owned),
                "{case}"
            );
            assert_eq!(found.all.iter().map(url).collect::<Vec<_>>(), all, "{case}");
            let is = found
                .best()
                .map(|best| (best.url.as_deref().unwrap(), best.ca_certs.as_deref()));
            assert_eq!(is, best, "{case}");
            for address in found.all.iter().chain(&found.address) {
                assert_eq!(address.audience.as_deref(), Some("me"));
                let secure = url(address).starts_with("https");
                assert_eq!(
                    address.name.as_deref(),
                    Some(if secure { "https" } else { "http" })
                );
            }
            assert_eq!(found.problem.map(|problem| problem.reason), problem, "{case}");
        }
    }
}
