//! The table itself: the rows of each API group, and the small vocabulary they are written in.
//!
//! Names, verbs and subresources are those of Kubernetes v1.37 discovery.

mod apps;
mod core;
mod other;
#[cfg(test)]
mod tests;

use crate::kind::{Kind, Scope, Subresource};

/// Verbs of an ordinary resource.
const ALL_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
/// Verbs of a resource whose objects cannot be deleted in bulk (namespaces).
const NO_COLLECTION: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
/// Verbs of a review: it is answered and never stored.
const CREATE: &[&str] = &["create"];
const GET: &[&str] = &["get"];
const UPDATE: &[&str] = &["update"];
const GET_PATCH_UPDATE: &[&str] = &["get", "patch", "update"];
const CONNECT: &[&str] = &["create", "get"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

/// Category that `kubectl get all` expands.
const ALL: &[&str] = &["all"];
const API_EXTENSIONS: &[&str] = &["api-extensions"];

/// Returns the rows of all groups.
pub(crate) fn all() -> Vec<Kind> {
    let mut kinds = Vec::new();
    kinds.extend_from_slice(core::KINDS);
    kinds.extend_from_slice(apps::APPS);
    kinds.extend_from_slice(apps::BATCH);
    kinds.extend_from_slice(apps::AUTOSCALING);
    kinds.extend_from_slice(apps::POLICY);
    for group in other::GROUPS {
        kinds.extend_from_slice(group);
    }
    kinds
}

/// A namespaced kind with all verbs; the methods below change what differs.
const fn namespaced(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    Kind {
        group,
        version,
        kind,
        plural,
        singular,
        short_names: &[],
        categories: &[],
        scope: Scope::Namespaced,
        verbs: ALL_VERBS,
        subresources: &[],
        stored_as: None,
        preferred: true,
    }
}

/// A cluster-scoped kind with all verbs.
const fn cluster(
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
) -> Kind {
    let mut row = namespaced(group, version, kind, plural, singular);
    row.scope = Scope::Cluster;
    row
}

impl Kind {
    const fn short(mut self, short_names: &'static [&'static str]) -> Self {
        self.short_names = short_names;
        self
    }

    const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    const fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    const fn subresources(mut self, subresources: &'static [Subresource]) -> Self {
        self.subresources = subresources;
        self
    }

    const fn stored_as(mut self, group: &'static str, version: &'static str) -> Self {
        self.stored_as = Some((group, version));
        self
    }

    const fn not_preferred(mut self) -> Self {
        self.preferred = false;
        self
    }
}

/// A subresource that answers with the named kind.
const fn sub(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    verbs: &'static [&'static str],
) -> Subresource {
    Subresource {
        name,
        group,
        version,
        kind,
        verbs,
    }
}

/// The `status` subresource: answers with the kind itself.
const fn status(group: &'static str, version: &'static str, kind: &'static str) -> Subresource {
    sub("status", group, version, kind, GET_PATCH_UPDATE)
}

/// The `scale` subresource of a workload.
const SCALE: Subresource = sub("scale", "autoscaling", "v1", "Scale", GET_PATCH_UPDATE);
