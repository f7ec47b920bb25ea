//! Reads from the cluster, each at most once a second however many events come.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, ListParams};
use parking_lot::Mutex;
use reconciler::object::{Object, Scoped, api};

use super::attempts::{Attempts, is_passing};
use crate::interceptors::SecretRef;

/// How long something that was read is believed.
const FRESH: Duration = Duration::from_secs(1);
/// Attempts at a server that does not answer, and the first pause between two.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// Things that are remembered.
const MOST: usize = 1024;
/// Objects on one page of a list.
const PAGE: u32 = 500;

/// What was read: its type, namespace, and name or selector.
type Place = (TypeId, String, String);

/// When it was read, and what was.
type Known = (Instant, Arc<dyn Any + Send + Sync>);

/// Reads objects.
#[derive(Clone)]
pub(super) struct Reader {
    client: Client,
    known: Arc<Mutex<HashMap<Place, Known>>>,
}

impl Reader {
    pub fn new(client: Client) -> Self {
        Self {
            client,
            known: Arc::default(),
        }
    }

    /// An object; `None` if there is none, which is asked anew each time: it may just be on its way.
    pub async fn get<K>(&self, namespace: &str, name: &str) -> Result<Option<Arc<K>>, kube::Error>
    where
        K: Object,
        K::Scope: Scoped,
    {
        let place = (TypeId::of::<K>(), namespace.to_owned(), name.to_owned());
        if let Some(known) = self.known::<K>(&place) {
            return Ok(Some(known));
        }
        let api = api::<K>(&self.client, namespace);
        let mut attempts = Attempts::new(ATTEMPTS, PAUSE);
        let found = loop {
            match api.get_opt(name).await {
                Ok(found) => break found.map(Arc::new),
                Err(error) if is_passing(&error) && attempts.another().await => {}
                Err(error) => return Err(error),
            }
        };
        if let Some(found) = &found {
            self.remember(place, found.clone());
        }
        Ok(found)
    }

    /// The objects of a namespace, or of all, that a selector selects.
    pub async fn list<K>(&self, namespace: Option<&str>, selector: &str) -> Result<Arc<Vec<K>>, kube::Error>
    where
        K: Object<Scope = kube::core::NamespaceResourceScope>,
    {
        let at = namespace.unwrap_or("*").to_owned();
        let place = (TypeId::of::<Vec<K>>(), at, selector.to_owned());
        if let Some(known) = self.known::<Vec<K>>(&place) {
            return Ok(known);
        }
        let api: Api<K> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params = ListParams::default().labels(selector).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page = api.list(&params).await?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => break,
            }
        }
        let found = Arc::new(found);
        self.remember(place, found.clone());
        Ok(found)
    }

    /// A secret; `None` if there is none, or an empty one, with which everybody could sign.
    pub async fn secret(&self, namespace: &str, at: &SecretRef) -> Result<Option<Vec<u8>>, kube::Error> {
        let secret: Option<Arc<Secret>> = self.get(namespace, &at.secret_name).await?;
        let value = secret.and_then(|secret| Some(secret.data.as_ref()?.get(&at.secret_key)?.0.clone()));
        Ok(value.filter(|value| !value.is_empty()))
    }

    fn known<T: Any + Send + Sync>(&self, place: &Place) -> Option<Arc<T>> {
        let known = self.known.lock();
        let (read, found) = known.get(place)?;
        if read.elapsed() > FRESH {
            return None;
        }
        found.clone().downcast().ok()
    }

    fn remember(&self, place: Place, found: Arc<dyn Any + Send + Sync>) {
        let mut known = self.known.lock();
        if known.len() >= MOST {
            known.retain(|_, (read, _)| read.elapsed() <= FRESH);
        }
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(place, (Instant::now(), found));
    }

    /// Forgets what is not believed any more.
    pub fn expire(&self) {
        self.known.lock().retain(|_, (read, _)| read.elapsed() <= FRESH);
    }
}
