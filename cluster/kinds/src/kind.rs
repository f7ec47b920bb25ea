//! One built-in kind, and the look-ups over the table of all of them.

use std::sync::LazyLock;

use crate::table;

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Objects belong to one namespace.
    Namespaced,
    /// Objects belong to the whole cluster.
    Cluster,
}

/// A built-in kind of one API version, as discovery publishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version, such as `v1`.
    pub version: &'static str,
    /// Name of the kind, such as `Pod`.
    pub kind: &'static str,
    /// Resource name in paths, such as `pods`.
    pub plural: &'static str,
    /// Singular resource name, such as `pod`.
    pub singular: &'static str,
    /// Abbreviations that kubectl understands, such as `po`.
    pub short_names: &'static [&'static str],
    /// Groups of kinds that kubectl expands, such as `all`.
    pub categories: &'static [&'static str],
    /// Whether objects live in a namespace.
    pub scope: Scope,
    /// Verbs of the main resource, in the alphabetical order of discovery.
    pub verbs: &'static [&'static str],
    /// Subresources, in the alphabetical order of discovery.
    pub subresources: &'static [Subresource],
    /// Group and version under which objects are stored when this kind is another view of the same objects.
    pub stored_as: Option<(&'static str, &'static str)>,
    /// Whether another version of the group is preferred by discovery.
    pub preferred: bool,
}

/// A subresource of a built-in kind, and the kind that it answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// Last path segment, such as `status`.
    pub name: &'static str,
    /// Group of the response kind; empty for the core group.
    pub group: &'static str,
    /// Version of the response kind.
    pub version: &'static str,
    /// The response kind, such as `Scale`.
    pub kind: &'static str,
    /// Verbs, in alphabetical order.
    pub verbs: &'static [&'static str],
}

/// One API group with its versions, the preferred one first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiGroup {
    /// Name; empty for the core group.
    pub name: &'static str,
    /// Versions, the preferred one first.
    pub versions: Vec<&'static str>,
}

impl Kind {
    /// Returns `group/version`, or the bare version for the core group.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// Returns the name of the list kind, such as `PodList`.
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Returns whether objects live in a namespace.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    /// Returns whether discovery lists the verb for the main resource.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// Finds a subresource by its last path segment.
    pub fn subresource(&self, name: &str) -> Option<&'static Subresource> {
        self.subresources
            .iter()
            .find(|subresource| subresource.name == name)
    }

    /// Returns the kind whose objects are stored for this one: itself, unless it is another view of the same objects
    /// (`events.k8s.io` Events, `autoscaling/v1` HorizontalPodAutoscalers).
    pub fn storage(&'static self) -> &'static Kind {
        self.stored_as
            .and_then(|(group, version)| by_resource(group, version, self.plural))
            .unwrap_or(self)
    }
}

impl Subresource {
    /// Returns `group/version` of the response kind, or the bare version for the core group.
    pub fn api_version(&self) -> String {
        api_version(self.group, self.version)
    }

    /// Returns whether discovery lists the verb for this subresource.
    pub fn has_verb(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }
}

/// Returns every built-in kind, grouped by API group and version, each version in alphabetical order of plurals.
pub fn builtin() -> &'static [Kind] {
    static ALL: LazyLock<Vec<Kind>> = LazyLock::new(table::all);
    &ALL
}

/// Finds a kind by the segments of a path.
pub fn by_resource(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    builtin()
        .iter()
        .find(|kind| kind.plural == plural && kind.group == group && kind.version == version)
}

/// Finds a kind by the `apiVersion` and `kind` of an object.
pub fn by_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    builtin()
        .iter()
        .find(|candidate| candidate.kind == kind && candidate.group == group && candidate.version == version)
}

/// Returns the API groups in the order of the table, each with its preferred version first.
pub fn groups() -> Vec<ApiGroup> {
    let mut groups: Vec<ApiGroup> = Vec::new();
    for kind in builtin() {
        let index = groups.iter().position(|group| group.name == kind.group);
        let group = match index.and_then(|index| groups.get_mut(index)) {
            Some(group) => group,
            None => {
                groups.push(ApiGroup {
                    name: kind.group,
                    versions: vec![kind.version],
                });
                continue;
            }
        };
        if !group.versions.contains(&kind.version) {
            let position = if kind.preferred { 0 } else { group.versions.len() };
            group.versions.insert(position, kind.version);
        }
    }
    groups
}

fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}
