//! The certificates of what takes events in: kept in Secrets of the system namespace while `transport-encryption` is on.
//!
//! A Secret that a certificate manager keeps is used as it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use certificates::{Profile, text};
use crds::config::events::{Features, TransportEncryption};
use crds::names;
use k8s_openapi::api::core::v1::Secret;
use reconciler::error::chain;
use reconciler::{Cache, Caches, Selection};
use tokio::sync::Notify;

use crate::addresses::Certificate;
use crate::shared::Shared;

/// How often certificates are looked at: whether they are about to expire.
const LOOK: Duration = Duration::from_secs(600);
/// Wait after a failed look.
const RETRY: Duration = Duration::from_secs(5);

/// A part of the data plane that takes events in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Receiver {
    /// Of brokers and channels.
    Brokers,
    JobSinks,
    RequestReplies,
}

impl Receiver {
    const ALL: [Self; 3] = [Self::Brokers, Self::JobSinks, Self::RequestReplies];

    /// Name of the Secret with its certificate.
    fn secret(self) -> &'static str {
        match self {
            Self::Brokers => names::BROKER_INGRESS_TLS,
            Self::JobSinks => names::JOB_SINK_TLS,
            Self::RequestReplies => names::REQUEST_REPLY_TLS,
        }
    }

    /// The Services by which it is reached.
    fn services(self) -> &'static [&'static str] {
        match self {
            Self::Brokers => &[names::BROKER_INGRESS_SERVICE, names::CHANNEL_DISPATCHER_SERVICE],
            Self::JobSinks => &[names::JOB_SINK_SERVICE],
            Self::RequestReplies => &[names::REQUEST_REPLY_SERVICE],
        }
    }

    /// What its certificate is for: the Services by all their names.
    fn names(self, namespace: &str, domain: &str) -> Vec<String> {
        let all = self.services().iter().flat_map(|service| {
            let short = format!("{service}.{namespace}");
            let name = format!("{short}.svc");
            [format!("{name}.{domain}"), name, short, (*service).to_owned()]
        });
        all.collect()
    }
}

/// The Secrets, as they are now.
#[derive(Clone)]
pub(crate) struct Encryption {
    secrets: BTreeMap<Receiver, Cache<Secret>>,
    namespace: String,
    changed: Arc<Notify>,
}

impl Encryption {
    /// Begins to watch the Secrets in `namespace`.
    pub(crate) fn new(caches: &Caches, namespace: &str) -> Self {
        let changed = Arc::new(Notify::new());
        let secrets = Receiver::ALL.map(|receiver| {
            let secrets: Cache<Secret> = caches.cache_of(Selection {
                fields: Some(format!("metadata.name={}", receiver.secret())),
                ..Selection::within(namespace)
            });
            let woken = changed.clone();
            secrets.on_change(move |_| woken.notify_one());
            (receiver, secrets)
        });
        Self {
            secrets: secrets.into(),
            namespace: namespace.to_owned(),
            changed,
        }
    }

    /// What wakes whoever has addresses at `receiver`.
    pub(crate) fn secrets(&self, receiver: Receiver) -> &Cache<Secret> {
        &self.secrets[&receiver]
    }

    pub(crate) fn certificate(&self, receiver: Receiver) -> Certificate {
        let name = receiver.secret();
        let found = self.secrets(receiver).named(&self.namespace, name);
        certificate(found.as_deref(), name)
    }

    /// Keeps the certificates, for ever.
    pub(crate) async fn keep(self, shared: Shared) {
        let mut settings = shared.config.changes();
        loop {
            let mode = shared.config.get::<Features>().transport_encryption;
            let mut wait = LOOK;
            if mode != TransportEncryption::Disabled {
                for receiver in Receiver::ALL {
                    let name = receiver.secret();
                    let names = receiver.names(&self.namespace, &shared.cluster_domain);
                    let place = (self.namespace.as_str(), name);
                    let kept = certificates::keep(&shared.client, place, &names, &Profile::TLS).await;
                    if let Err(error) = kept {
                        tracing::warn!(
                            error = chain(&error),
                            secret = name,
                            "A certificate is not kept; tried again soon"
                        );
                        wait = RETRY;
                    }
                }
            }
            // The store lives as long as this does.
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = settings.changed() => {}
                () = self.changed.notified(), if wait == LOOK => {}
            }
        }
    }
}

fn certificate(secret: Option<&Secret>, name: &'static str) -> Certificate {
    let data = secret.and_then(|secret| secret.data.as_ref());
    let part = |key| {
        let text = data.and_then(|data| text(data, key));
        text.filter(|text| !text.trim().is_empty())
    };
    if part(Profile::TLS.certificate).is_none() || part(Profile::TLS.key).is_none() {
        return Certificate::Missing(name);
    }
    Certificate::Ready {
        authority: part(Profile::TLS.authority).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn certificates_are_read_as_managers_write_them() {
        // "eA==" is "x".
        let ready = |authority: Option<&str>| Certificate::Ready {
            authority: authority.map(str::to_owned),
        };
        let missing = || Certificate::Missing("s");
        for (data, expected) in [
            (json!(null), missing()),
            (json!({}), missing()),
            (json!({"tls.crt": "eA=="}), missing()),
            (json!({"tls.crt": "", "tls.key": "eA=="}), missing()),
            (json!({"tls.crt": "eA==", "tls.key": "eA=="}), ready(None)),
            (
                json!({"tls.crt": "eA==", "tls.key": "eA==", "ca.crt": ""}),
                ready(None),
            ),
            (
                json!({"tls.crt": "eA==", "tls.key": "eA==", "ca.crt": "eA=="}),
                ready(Some("x")),
            ),
        ] {
            let secret: Secret =
                serde_json::from_value(json!({"metadata": {"name": "s"}, "data": data})).unwrap();
            assert_eq!(certificate(Some(&secret), "s"), expected, "{data}");
        }
        assert_eq!(certificate(None, "s"), missing());
    }

    #[test]
    fn one_certificate_is_for_brokers_and_channels() {
        let names = Receiver::Brokers.names("sys", "example");
        for name in [
            "broker-ingress.sys.svc.example",
            "broker-ingress.sys.svc",
            "imc-dispatcher.sys.svc.example",
        ] {
            assert!(names.iter().any(|found| found == name), "{name} in {names:?}");
        }
    }
}
