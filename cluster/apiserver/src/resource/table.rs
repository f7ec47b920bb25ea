//! All resources that are served at one moment.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Resource, ResourceRef};

/// An immutable set of resources; a change of the custom resource definitions makes a new one.
#[derive(Debug, Default)]
pub(crate) struct ResourceTable {
    resources: Vec<ResourceRef>,
    by_path: HashMap<(String, String, String), usize>,
}

impl ResourceTable {
    /// The built-in kinds, then `custom`; a custom resource cannot take the place of a built-in one.
    pub(crate) fn new(custom: impl IntoIterator<Item = ResourceRef>) -> Self {
        let mut table = Self::default();
        for kind in cluster_kinds::builtin() {
            table.add(Arc::new(Resource::builtin(kind)));
        }
        for resource in custom {
            table.add(resource);
        }
        table
    }

    fn add(&mut self, resource: ResourceRef) {
        let path = (
            resource.group.clone(),
            resource.version.clone(),
            resource.plural.clone(),
        );
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.by_path.entry(path) {
            vacant.insert(self.resources.len());
            self.resources.push(resource);
        }
    }

    pub(crate) fn get(&self, group: &str, version: &str, plural: &str) -> Option<&ResourceRef> {
        let index = self
            .by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))?;
        self.resources.get(*index)
    }

    /// Returns the resources that were made from this revision of a definition.
    pub(crate) fn of_definition(&self, name: &str, revision: u64) -> Vec<ResourceRef> {
        let made_from = |resource: &&ResourceRef| {
            resource
                .custom()
                .is_some_and(|custom| custom.definition == name && custom.revision == revision)
        };
        self.resources.iter().filter(made_from).cloned().collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ResourceRef> {
        self.resources.iter()
    }

    /// Returns the groups in the order of their first resource, each with its versions, the preferred one first.
    pub(crate) fn groups(&self) -> Vec<(&str, Vec<&str>)> {
        let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
        for resource in &self.resources {
            let (group, version) = (resource.group.as_str(), resource.version.as_str());
            match groups.iter_mut().find(|(name, _)| *name == group) {
                Some((_, versions)) if versions.contains(&version) => {}
                Some((_, versions)) => versions.push(version),
                None => groups.push((group, vec![version])),
            }
        }
        for (_, versions) in &mut groups {
            versions.sort_by(|a, b| version_order(b).cmp(&version_order(a)));
        }
        groups
    }
}

/// Kubernetes' order of versions: GA above beta above alpha, then by numbers; anything else last, by name.
fn version_order(version: &str) -> (u8, u64, u64, std::cmp::Reverse<&str>) {
    let parsed = (|| {
        let rest = version.strip_prefix('v')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (major, rest) = rest.split_at_checked(digits)?;
        let major: u64 = major.parse().ok()?;
        let (stage, minor) = if rest.is_empty() {
            (3, 0)
        } else if let Some(minor) = rest.strip_prefix("beta") {
            (2, minor.parse().ok()?)
        } else if let Some(minor) = rest.strip_prefix("alpha") {
            (1, minor.parse().ok()?)
        } else {
            return None;
        };
        Some((stage, major, minor))
    })();
    let (stage, major, minor) = parsed.unwrap_or((0, 0, 0));
    (stage, major, minor, std::cmp::Reverse(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_priority() {
        let mut versions = vec![
            "v1alpha1", "v2", "foo", "v1", "v11beta2", "v10", "v1beta1", "bar", "v3beta1",
        ];
        versions.sort_by(|a, b| version_order(b).cmp(&version_order(a)));
        assert_eq!(
            versions,
            [
                "v10", "v2", "v1", "v11beta2", "v3beta1", "v1beta1", "v1alpha1", "bar", "foo"
            ]
        );
    }

    #[test]
    fn built_in_kinds_are_found_by_path() {
        let table = ResourceTable::new([]);
        assert_eq!(table.get("apps", "v1", "deployments").unwrap().kind, "Deployment");
        assert!(table.get("apps", "v2", "deployments").is_none());
    }
}
