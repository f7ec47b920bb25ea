//! The Secret with the keys: made if it is missing, and followed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use crds::names::REQUEST_REPLY_KEYS;
use informer::{Cache, Caches, Selection};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::sync::Notify;

use crate::keyring::Keyring;

/// Bytes of a key that is made here: AES-256.
const KEY: usize = 32;
/// Between two attempts to make the Secret.
const PAUSE: Duration = Duration::from_secs(5);

/// The keys as they are now.
pub(crate) struct Keys {
    client: kube::Client,
    namespace: String,
    secrets: Cache<Secret>,
    changed: Arc<Notify>,
    now: ArcSwap<Keyring>,
}

impl Keys {
    /// Begins to watch the Secret in `namespace`.
    pub fn start(caches: &Caches, namespace: &str) -> Arc<Self> {
        let secrets: Cache<Secret> = caches.cache_of(Selection {
            fields: Some(format!("metadata.name={REQUEST_REPLY_KEYS}")),
            ..Selection::within(namespace)
        });
        let changed = Arc::new(Notify::new());
        let woken = changed.clone();
        secrets.on_change(move |_| woken.notify_one());
        Arc::new(Self {
            client: caches.client().clone(),
            namespace: namespace.to_owned(),
            secrets,
            changed,
            now: ArcSwap::default(),
        })
    }

    pub fn now(&self) -> Arc<Keyring> {
        self.now.load_full()
    }

    /// Follows the Secret, and makes it when it is missing, for ever.
    pub async fn follow(self: Arc<Self>) {
        self.secrets.synced().await;
        loop {
            match self.secrets.named(&self.namespace, REQUEST_REPLY_KEYS) {
                Some(secret) => self.now.store(Arc::new(keyring(&secret))),
                None => {
                    if let Err(error) = self.make().await {
                        tracing::warn!(%error, "The keys of RequestReplies are not made yet; tried again soon");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                }
            }
            self.changed.notified().await;
        }
    }

    /// Whoever is first makes it for all.
    async fn make(&self) -> Result<(), String> {
        let mut key = [0; KEY];
        let random = SystemRandom::new();
        random
            .fill(&mut key)
            .map_err(|_| "the system has no random numbers".to_owned())?;
        // Names sort by age.
        let name = format!("key-{}", Timestamp::now().strftime("%Y%m%d%H%M%S"));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(REQUEST_REPLY_KEYS.to_owned()),
                ..ObjectMeta::default()
            },
            data: Some(BTreeMap::from([(name, ByteString(key.to_vec()))])),
            ..Secret::default()
        };
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(made) => self.secrets.record(made),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }
}

fn keyring(secret: &Secret) -> Keyring {
    let data = secret.data.iter().flatten();
    let data = data.map(|(name, bytes)| (name.clone(), bytes.0.as_slice()));
    let (keyring, unusable) = Keyring::new(&data.collect());
    if !unusable.is_empty() || keyring.is_empty() {
        tracing::warn!(
            ?unusable,
            secret = REQUEST_REPLY_KEYS,
            "Keys of RequestReplies must have 16 or 32 bytes"
        );
    }
    keyring
}
