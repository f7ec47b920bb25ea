//! Writes children and status: server-side apply with one field manager per controller, and no write at all when
//! the live object already is as wanted.

mod sync;

use std::fmt::Debug;
use std::sync::{Arc, LazyLock};

use informer::object::{api, controller_reference, is_controlled_by};
use informer::{Cache, Key, Object, Scoped, registered};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use prometheus::{IntCounterVec, Opts};
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::debug;

use crate::error::{Error, is_not_found};

pub use sync::in_sync;

/// Applies that turned out to change nothing.
static EMPTY: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let options = Opts::new("kn_empty_applies_total", "Applies that changed nothing.");
    registered(IntCounterVec::new(options, &["manager", "kind"]))
});

/// Writes on behalf of one controller.
#[derive(Clone)]
pub struct Applier {
    client: kube::Client,
    manager: &'static str,
}

/// Whether a write was needed.
#[derive(Clone, Debug)]
pub enum Applied<K> {
    Unchanged(Arc<K>),
    Created(Arc<K>),
    Updated(Arc<K>),
}

impl<K> Applied<K> {
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Unchanged(object) | Self::Created(object) | Self::Updated(object) => object,
        }
    }

    pub fn into_object(self) -> Arc<K> {
        match self {
            Self::Unchanged(object) | Self::Created(object) | Self::Updated(object) => object,
        }
    }

    pub fn is_created(&self) -> bool {
        matches!(self, Self::Created(_))
    }
}

impl Applier {
    /// `manager` is the field manager, unique per controller.
    pub fn new(client: kube::Client, manager: &'static str) -> Self {
        Self { client, manager }
    }

    pub fn client(&self) -> &kube::Client {
        &self.client
    }

    /// Makes `desired` so, with `owner` as its only controller. Fields that `desired` leaves out and this manager
    /// applied before are taken back; fields of others stay.
    ///
    /// # Errors
    /// [`Error::NotOwned`] if an object of this name exists that `owner` does not control; it is left alone.
    pub async fn apply<O, K>(&self, owner: &O, cache: &Cache<K>, mut desired: K) -> Result<Applied<K>, Error>
    where
        O: Resource<DynamicType = ()>,
        K: Object,
        K::Scope: Scoped,
    {
        let Some(reference) = controller_reference(owner) else {
            return Err(Error::Terminal("the owner has not been stored yet".to_owned()));
        };
        let owner_uid = reference.uid.clone();
        desired.meta_mut().owner_references = Some(vec![reference]);
        let key = Key::of(&desired);
        let wanted = body(&desired)?;

        let live = match cache.get(&key) {
            Some(live) => Some(live),
            // Only the API server knows whether the name is free: an object must never be adopted by accident.
            None => self.read(&key).await?.map(Arc::new),
        };
        let Some(live) = live else {
            // Without force a same-named object that appears right now makes a conflict, and the next round sees it.
            let created = self.patch::<K>(&key, &wanted, false).await?;
            cache.record(created.clone());
            return Ok(Applied::Created(Arc::new(created)));
        };
        if !is_controlled_by(live.meta(), &owner_uid) {
            return Err(Error::NotOwned {
                kind: K::kind(&()).into_owned(),
                name: key.name,
            });
        }
        if in_sync(
            &body(live.as_ref())?,
            live.meta().managed_fields.as_deref(),
            &wanted,
            self.manager,
        ) {
            return Ok(Applied::Unchanged(live));
        }
        let updated = self.patch::<K>(&key, &wanted, true).await?;
        if updated.resource_version() == live.resource_version() {
            // `in_sync` could have known: not wrong, but a request for nothing each time.
            EMPTY.with_label_values(&[self.manager, &K::kind(&())]).inc();
            debug!(kind = %K::kind(&()), %key, "Apply changed nothing");
        }
        cache.record(updated.clone());
        Ok(Applied::Updated(Arc::new(updated)))
    }

    /// Stores `updated` over `live`, whose version must still be the newest. For children that are wanted exactly
    /// as given, so that labels added by hand go away, which apply cannot do.
    pub async fn replace<K>(&self, cache: &Cache<K>, updated: &K) -> Result<Arc<K>, Error>
    where
        K: Object,
        K::Scope: Scoped,
    {
        let key = Key::of(updated);
        let stored = api::<K>(&self.client, &key.namespace)
            .replace(&key.name, &self.post(), &without_fields(updated))
            .await
            .map_err(|error| Error::api(doing::<K>("update", &key), error))?;
        cache.record(stored.clone());
        Ok(Arc::new(stored))
    }

    /// Creates `object` with `owner` as its controller.
    pub async fn create<O, K>(&self, owner: &O, cache: &Cache<K>, mut object: K) -> Result<Arc<K>, Error>
    where
        O: Resource<DynamicType = ()>,
        K: Object,
        K::Scope: Scoped,
    {
        object.meta_mut().owner_references = controller_reference(owner).map(|reference| vec![reference]);
        let key = Key::of(&object);
        let stored = api::<K>(&self.client, &key.namespace)
            .create(&self.post(), &object)
            .await
            .map_err(|error| Error::api(doing::<K>("create", &key), error))?;
        cache.record(stored.clone());
        Ok(Arc::new(stored))
    }

    /// Merges `changes` into an object that somebody else owns too, for labels, annotations and finalizers.
    pub async fn merge<K>(&self, cache: &Cache<K>, key: &Key, changes: &Value) -> Result<Arc<K>, Error>
    where
        K: Object,
        K::Scope: Scoped,
    {
        let params = PatchParams {
            field_manager: Some(self.manager.to_owned()),
            ..PatchParams::default()
        };
        let stored = api::<K>(&self.client, &key.namespace)
            .patch(&key.name, &params, &Patch::Merge(changes))
            .await
            .map_err(|error| Error::api(doing::<K>("patch", key), error))?;
        cache.record(stored.clone());
        Ok(Arc::new(stored))
    }

    /// Stores the status of `updated`, which is `live` but for its status, if it differs. Returns what is stored.
    pub async fn update_status<K>(
        &self,
        cache: &Cache<K>,
        live: &Arc<K>,
        updated: &K,
    ) -> Result<Arc<K>, Error>
    where
        K: Object + PartialEq,
        K::Scope: Scoped,
    {
        if **live == *updated {
            return Ok(live.clone());
        }
        let key = Key::of(updated);
        let stored = api::<K>(&self.client, &key.namespace)
            .replace_status(&key.name, &self.post(), &without_fields(updated))
            .await
            .map_err(|error| Error::api(doing::<K>("update the status of", &key), error))?;
        cache.record(stored.clone());
        Ok(Arc::new(stored))
    }

    /// Deletes exactly this object: one of the same name but another UID stays. Gone already is fine.
    pub async fn delete<K>(&self, object: &K) -> Result<(), Error>
    where
        K: Object,
        K::Scope: Scoped,
    {
        let key = Key::of(object);
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: object.uid(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match api::<K>(&self.client, &key.namespace)
            .delete(&key.name, &params)
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(Error::api(doing::<K>("delete", &key), error)),
        }
    }

    async fn read<K>(&self, key: &Key) -> Result<Option<K>, Error>
    where
        K: Object,
        K::Scope: Scoped,
    {
        api::<K>(&self.client, &key.namespace)
            .get_opt(&key.name)
            .await
            .map_err(|error| Error::api(doing::<K>("read", key), error))
    }

    async fn patch<K>(&self, key: &Key, wanted: &Value, force: bool) -> Result<K, Error>
    where
        K: Object,
        K::Scope: Scoped,
    {
        let params = PatchParams {
            force,
            ..PatchParams::apply(self.manager)
        };
        api::<K>(&self.client, &key.namespace)
            .patch(&key.name, &params, &Patch::Apply(wanted))
            .await
            .map_err(|error| Error::api(doing::<K>("apply", key), error))
    }

    fn post(&self) -> PostParams {
        PostParams {
            field_manager: Some(self.manager.to_owned()),
            ..PostParams::default()
        }
    }
}

impl Debug for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier")
            .field("manager", &self.manager)
            .finish_non_exhaustive()
    }
}

/// Whether two objects carry the same labels and annotations.
pub fn same_metadata(a: &ObjectMeta, b: &ObjectMeta) -> bool {
    a.labels.clone().unwrap_or_default() == b.labels.clone().unwrap_or_default()
        && a.annotations.clone().unwrap_or_default() == b.annotations.clone().unwrap_or_default()
}

/// The object as it goes over the wire in an update: without managed fields the server keeps those it has, whereas
/// what a cache kept of them would replace them.
fn without_fields<K: Object>(object: &K) -> K {
    let mut object = object.clone();
    object.meta_mut().managed_fields = None;
    object
}

fn doing<K: Resource<DynamicType = ()>>(verb: &str, key: &Key) -> String {
    format!("{verb} {} {key}", K::kind(&()))
}

/// The object as it goes over the wire in an apply: no status, no nulls, nothing the server sets.
fn body<K: Serialize>(object: &K) -> Result<Value, Error> {
    let mut value = serde_json::to_value(object).map_err(Error::fault)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
        if let Some(meta) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for set_by_server in ["creationTimestamp", "managedFields", "generation", "selfLink"] {
                meta.remove(set_by_server);
            }
        }
    }
    sync::drop_nulls(&mut value);
    if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        // No labels and empty labels are the same, and the server stores neither.
        meta.retain(|_, field| !field.as_object().is_some_and(Map::is_empty));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    #[test]
    fn body_leaves_out_what_the_server_would_not_store() {
        let map: ConfigMap = serde_json::from_value(json!({
            "metadata": {"name": "a", "labels": {}, "annotations": {"k": "v"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "data": {},
        }))
        .unwrap();
        let expected = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": {},
            "metadata": {"name": "a", "annotations": {"k": "v"}},
        });
        assert_eq!(
            body(&map).unwrap(),
            expected,
            "only empty labels and annotations mean nothing"
        );
    }
}
