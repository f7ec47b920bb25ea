//! One receiver's doors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certificates::{Identity, Profile, Tls, text};
use crds::config::events::{Features, TransportEncryption};
use futures::future::join_all;
use http::{Extensions, StatusCode};
use informer::{Cache, Caches, Selection};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use prometheus::Registry;
use proxy::server::OverTls;
use proxy::{Handler, Server};
use reconciler::ConfigStore;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::metrics::Remaining;

/// How long a way stays open once the configuration closes it: senders learn the other address a little later, and events
/// of those who do not try again would be lost.
const LINGER: Duration = Duration::from_secs(30);

/// A way in that is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// To events over this scheme.
    #[error(
        "transport-encryption of config-features lets no events in over {0}: send them to the address in the status"
    )]
    Scheme(&'static str),
    /// For now: events in the clear may be what is not wanted.
    #[error("transport-encryption of config-features is not known yet: try again")]
    Unknown,
}

impl Closed {
    /// The status that a request is answered with.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Scheme(_) => StatusCode::NOT_FOUND,
            Self::Unknown => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Ways in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ways {
    clear: bool,
    secure: bool,
}

impl Ways {
    fn of(mode: TransportEncryption) -> Self {
        Self {
            clear: mode != TransportEncryption::Strict,
            secure: mode != TransportEncryption::Disabled,
        }
    }

    fn and(self, more: Self) -> Self {
        Self {
            clear: self.clear || more.clear,
            secure: self.secure || more.secure,
        }
    }
}

/// The ways that are open; none at first.
#[derive(Debug, Default)]
struct Open {
    known: AtomicBool,
    clear: AtomicBool,
    secure: AtomicBool,
}

impl Open {
    fn set(&self, ways: Ways) {
        self.clear.store(ways.clear, Ordering::Relaxed);
        self.secure.store(ways.secure, Ordering::Relaxed);
        self.known.store(true, Ordering::Release);
    }

    fn check(&self, extensions: &Extensions) -> Result<(), Closed> {
        if !self.known.load(Ordering::Acquire) {
            return Err(Closed::Unknown);
        }
        let (open, scheme) = match extensions.get::<OverTls>() {
            Some(OverTls) => (&self.secure, "https"),
            None => (&self.clear, "http"),
        };
        match open.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Closed::Scheme(scheme)),
        }
    }
}

/// Which ways in are open, and the certificate that is shown.
pub struct Door {
    config: ConfigStore,
    /// What `config` is read from.
    maps: Cache<ConfigMap>,
    namespace: String,
    secret: &'static str,
    secrets: Cache<Secret>,
    changed: Arc<Notify>,
    identity: Arc<Identity>,
    open: Open,
}

impl Door {
    /// Begins to watch the configuration in `namespace`, and the Secret with the certificate there.
    ///
    /// # Errors
    /// If metrics cannot be registered.
    pub fn start(
        caches: &Caches,
        namespace: &str,
        secret: &'static str,
        registry: &Registry,
    ) -> prometheus::Result<Arc<Self>> {
        let identity = Arc::<Identity>::default();
        registry.register(Box::new(Remaining::new(identity.clone(), secret)?))?;
        let secrets: Cache<Secret> = caches.cache_of(Selection {
            fields: Some(format!("metadata.name={secret}")),
            ..Selection::within(namespace)
        });
        let changed = Arc::new(Notify::new());
        let woken = changed.clone();
        secrets.on_change(move |_| woken.notify_one());
        Ok(Arc::new(Self {
            config: ConfigStore::start(caches, namespace),
            maps: caches.cache_of(Selection::within(namespace)),
            namespace: namespace.to_owned(),
            secret,
            secrets,
            changed,
            identity,
            open: Open::default(),
        }))
    }

    /// Follows the configuration and the Secret, for ever.
    pub async fn follow(self: Arc<Self>) {
        self.maps.synced().await;
        let mut settings = self.config.changes();
        // What was open before this process is not known: nothing is kept open for it.
        let mut open = self.wanted();
        loop {
            let wanted = self.wanted();
            open = open.and(wanted);
            self.open.set(open);
            if let Some(secret) = self.secrets.named(&self.namespace, self.secret) {
                self.show(&secret);
            }
            tokio::select! {
                () = self.changed.notified() => {}
                // The store lives as long as this does.
                _ = settings.changed() => {}
                // Begins anew with every change of the two above, which are rare.
                () = tokio::time::sleep(LINGER), if open != wanted => open = wanted,
            }
        }
    }

    fn wanted(&self) -> Ways {
        Ways::of(self.config.get::<Features>().transport_encryption)
    }

    /// Whether a request with these extensions came by a way that is open.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, extensions: &Extensions) -> Result<(), Closed> {
        self.open.check(extensions)
    }

    /// Serves until `shutdown`, in the clear on some listeners and over TLS on others, and then until requests in flight have
    /// ended, at most for `grace`.
    pub async fn serve<H: Handler>(
        &self,
        server: &Server<H>,
        (clear, secure): (Vec<TcpListener>, Vec<TcpListener>),
        shutdown: &CancellationToken,
        grace: Duration,
    ) {
        let mut serving: Vec<_> = clear
            .into_iter()
            .map(|listener| tokio::spawn(server.clone().run(listener, shutdown.clone(), grace)))
            .collect();
        for listener in secure {
            match Tls::new(self.identity.clone()) {
                Ok(tls) => {
                    let server = server.clone();
                    serving.push(tokio::spawn(server.run_over(
                        tls,
                        listener,
                        shutdown.clone(),
                        grace,
                    )));
                }
                Err(error) => tracing::error!(%error, "Events are not taken over TLS"),
            }
        }
        join_all(serving).await;
    }

    fn show(&self, secret: &Secret) {
        let empty = Default::default();
        let data = secret.data.as_ref().unwrap_or(&empty);
        let part = |key: &str| text(data, key).unwrap_or_default();
        let (certificate, key) = (part(Profile::TLS.certificate), part(Profile::TLS.key));
        if let Err(error) = self.identity.set(certificate, key) {
            tracing::warn!(
                %error, secret = self.secret,
                "The Secret has no certificate that can be shown; the last one that could be is shown still"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(open: &Open) -> [Result<(), Closed>; 2] {
        let mut over_tls = Extensions::new();
        over_tls.insert(OverTls);
        [open.check(&Extensions::new()), open.check(&over_tls)]
    }

    #[test]
    fn the_mode_says_which_ways_are_open_once_it_is_known() {
        let open = Open::default();
        assert_eq!(found(&open), [Err(Closed::Unknown); 2]);
        let (http, https) = (Err(Closed::Scheme("http")), Err(Closed::Scheme("https")));
        for (mode, expected) in [
            (TransportEncryption::Disabled, [Ok(()), https]),
            (TransportEncryption::Permissive, [Ok(()), Ok(())]),
            (TransportEncryption::Strict, [http, Ok(())]),
        ] {
            open.set(Ways::of(mode));
            assert_eq!(found(&open), expected, "{mode:?}");
        }
        let changing = Ways::of(TransportEncryption::Disabled).and(Ways::of(TransportEncryption::Strict));
        assert_eq!(changing, Ways::of(TransportEncryption::Permissive));
    }

    #[test]
    fn who_cannot_be_let_in_yet_is_told_to_try_again() {
        assert_eq!(Closed::Scheme("http").status(), StatusCode::NOT_FOUND);
        assert_eq!(Closed::Unknown.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
