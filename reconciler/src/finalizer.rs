//! Marks with which an object is kept until what it did elsewhere is undone.

use std::sync::Arc;

use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde_json::json;

use crate::error::is_not_found;
use crate::{Applier, Cache, Error, Key, Object};

/// Whether the object has it.
pub fn is_set<K: Resource>(object: &K, finalizer: &str) -> bool {
    let set = object.meta().finalizers.as_deref().unwrap_or_default();
    set.iter().any(|set| set == finalizer)
}

/// Sets it, if it is not set yet.
pub async fn set<K: Object<Scope = NamespaceResourceScope>>(
    applier: &Applier,
    cache: &Cache<K>,
    object: Arc<K>,
    finalizer: &str,
) -> Result<Arc<K>, Error> {
    if is_set(object.as_ref(), finalizer) {
        return Ok(object);
    }
    let mut all = object.meta().finalizers.clone().unwrap_or_default();
    all.push(finalizer.to_owned());
    write(applier, cache, object.as_ref(), &all).await
}

/// Takes it away, if it is set; an object that is gone meanwhile is fine.
pub async fn clear<K: Object<Scope = NamespaceResourceScope>>(
    applier: &Applier,
    cache: &Cache<K>,
    object: &K,
    finalizer: &str,
) -> Result<(), Error> {
    if !is_set(object, finalizer) {
        return Ok(());
    }
    let mut rest = object.meta().finalizers.clone().unwrap_or_default();
    rest.retain(|set| set != finalizer);
    match write(applier, cache, object, &rest).await {
        Ok(_) => Ok(()),
        Err(Error::Api { source, .. }) if is_not_found(&source) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Held to the version that was read: others have finalizers there, too.
async fn write<K: Object<Scope = NamespaceResourceScope>>(
    applier: &Applier,
    cache: &Cache<K>,
    object: &K,
    finalizers: &[String],
) -> Result<Arc<K>, Error> {
    let version = &object.meta().resource_version;
    let change = json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}});
    applier.merge(cache, &Key::of(object), &change).await
}
