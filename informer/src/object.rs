//! What every object that a controller reads or writes has in common.

use std::fmt::Debug;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A statically typed Kubernetes object.
pub trait Object:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

impl<K> Object for K where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}

/// Builds the client of one kind, whether it lives in a namespace or not.
pub trait Scoped: kube::core::ResourceScope + Sized {
    fn api<K: Resource<Scope = Self, DynamicType = ()>>(
        client: kube::Client,
        namespace: &str,
    ) -> kube::Api<K>;
}

impl Scoped for NamespaceResourceScope {
    fn api<K: Resource<Scope = Self, DynamicType = ()>>(
        client: kube::Client,
        namespace: &str,
    ) -> kube::Api<K> {
        kube::Api::namespaced(client, namespace)
    }
}

impl Scoped for ClusterResourceScope {
    fn api<K: Resource<Scope = Self, DynamicType = ()>>(client: kube::Client, _: &str) -> kube::Api<K> {
        kube::Api::all(client)
    }
}

/// The client of `K` in `namespace`; the namespace is ignored for cluster-scoped kinds.
pub fn api<K>(client: &kube::Client, namespace: &str) -> kube::Api<K>
where
    K: Resource<DynamicType = ()>,
    K::Scope: Scoped,
{
    K::Scope::api(client.clone(), namespace)
}

/// The owner reference that makes `owner` the one controller of a child.
///
/// `None` while the owner has no name or uid, that is before it was stored.
pub fn controller_reference<K: Resource<DynamicType = ()>>(owner: &K) -> Option<OwnerReference> {
    owner.controller_owner_ref(&()).map(|reference| OwnerReference {
        block_owner_deletion: Some(true),
        ..reference
    })
}

/// The reference to the controller of this object, if it has one.
pub fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references
        .iter()
        .flatten()
        .find(|owner| owner.controller == Some(true))
}

/// Whether the object with `owner_uid` controls the object with `meta`. Children match by UID, never by name:
/// a deleted and recreated owner must not inherit them (CVE-2023-37264 in a peer).
pub fn is_controlled_by(meta: &ObjectMeta, owner_uid: &str) -> bool {
    !owner_uid.is_empty() && controller_of(meta).is_some_and(|owner| owner.uid == owner_uid)
}

/// The version as a number; versions of one kind are comparable since Kubernetes 1.35. Zero if it is not a number.
pub(crate) fn version<K: Resource>(object: &K) -> u64 {
    let version = object.meta().resource_version.as_deref();
    version.and_then(|version| version.parse().ok()).unwrap_or(0)
}
