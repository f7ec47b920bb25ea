//! One receiver's doors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certificates::{Identity, Profile, Tls, text};
use crds::config::events::{Features, TransportEncryption};
use futures::future::join_all;
use http::Extensions;
use informer::{Cache, Caches, Selection};
use k8s_openapi::api::core::v1::Secret;
use proxy::server::OverTls;
use proxy::{Handler, Server};
use reconciler::ConfigStore;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// A way in that is closed, answered with 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "transport-encryption of config-features lets no events in over {0}: send them to the address in the status"
)]
pub struct Closed(pub &'static str);

/// Which ways in are open, and the certificate that is shown.
pub struct Door {
    config: ConfigStore,
    namespace: String,
    secret: &'static str,
    secrets: Cache<Secret>,
    changed: Arc<Notify>,
    identity: Arc<Identity>,
    clear: AtomicBool,
    secure: AtomicBool,
}

impl Door {
    /// Begins to watch the configuration in `namespace`, and the Secret with the certificate there.
    pub fn start(caches: &Caches, namespace: &str, secret: &'static str) -> Arc<Self> {
        let secrets: Cache<Secret> = caches.cache_of(Selection {
            fields: Some(format!("metadata.name={secret}")),
            ..Selection::within(namespace)
        });
        let changed = Arc::new(Notify::new());
        let woken = changed.clone();
        secrets.on_change(move |_| woken.notify_one());
        Arc::new(Self {
            config: ConfigStore::start(caches, namespace),
            namespace: namespace.to_owned(),
            secret,
            secrets,
            changed,
            identity: Arc::default(),
            clear: AtomicBool::new(true),
            secure: AtomicBool::new(false),
        })
    }

    /// Follows the configuration and the Secret, for ever.
    pub async fn follow(self: Arc<Self>) {
        self.secrets.synced().await;
        let mut settings = self.config.changes();
        loop {
            let mode = self.config.get::<Features>().transport_encryption;
            self.secure
                .store(mode != TransportEncryption::Disabled, Ordering::Relaxed);
            self.clear
                .store(mode != TransportEncryption::Strict, Ordering::Relaxed);
            if let Some(secret) = self.secrets.named(&self.namespace, self.secret) {
                self.show(&secret);
            }
            tokio::select! {
                () = self.changed.notified() => {}
                // The store lives as long as this does.
                _ = settings.changed() => {}
            }
        }
    }

    /// Whether a request with these extensions came by a way that is open.
    ///
    /// # Errors
    /// If not.
    pub fn check(&self, extensions: &Extensions) -> Result<(), Closed> {
        let (open, scheme) = match extensions.get::<OverTls>() {
            Some(OverTls) => (&self.secure, "https"),
            None => (&self.clear, "http"),
        };
        match open.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err(Closed(scheme)),
        }
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
