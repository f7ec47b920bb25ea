//! What the server has: the legacy documents, and the aggregated one that current clients ask for first.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::resource::{Resource, ResourceRef, ResourceTable, Subresource, api_version};

/// `/api`
pub(crate) fn core_versions() -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []})
}

/// `/apis`
pub(crate) fn groups(table: &ResourceTable) -> Value {
    let groups: Vec<Value> = table
        .groups()
        .into_iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| group_value(group, &versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/{group}`
pub(crate) fn group(table: &ResourceTable, name: &str) -> Option<Value> {
    let (group, versions) = table
        .groups()
        .into_iter()
        .find(|(group, _)| *group == name && !group.is_empty())?;
    let mut value = group_value(group, &versions);
    value["kind"] = "APIGroup".into();
    value["apiVersion"] = "v1".into();
    Some(value)
}

fn group_value(group: &str, versions: &[&str]) -> Value {
    let version = |version: &&str| json!({"groupVersion": api_version(group, version), "version": version});
    json!({
        "name": group,
        "versions": versions.iter().map(version).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(version),
    })
}

/// `/api/v1` and `/apis/{group}/{version}`
pub(crate) fn resources(table: &ResourceTable, group: &str, version: &str) -> Option<Value> {
    let of_version: Vec<&ResourceRef> = in_version(table, group, version);
    if of_version.is_empty() {
        return None;
    }
    let list: Vec<Value> = of_version
        .iter()
        .flat_map(|resource| {
            std::iter::once(legacy_resource(resource)).chain(
                resource
                    .subresources
                    .iter()
                    .map(|subresource| legacy_subresource(resource, subresource)),
            )
        })
        .collect();
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": list,
    }))
}

fn legacy_resource(resource: &Resource) -> Value {
    let mut value = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": resource.verbs,
    });
    names(&mut value, resource);
    value
}

fn legacy_subresource(resource: &Resource, subresource: &Subresource) -> Value {
    let mut value = json!({
        "name": format!("{}/{}", resource.plural, subresource.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": subresource.kind,
        "verbs": subresource.verbs,
    });
    if (&subresource.group, &subresource.version) != (&resource.group, &resource.version) {
        value["group"] = subresource.group.clone().into();
        value["version"] = subresource.version.clone().into();
    }
    value
}

fn names(value: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        value["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        value["categories"] = json!(resource.categories);
    }
}

/// `/api` or `/apis` as `APIGroupDiscoveryList` (KEP-3352).
pub(crate) fn aggregated(table: &ResourceTable, core: bool, version: &str) -> Value {
    let items: Vec<Value> = table
        .groups()
        .into_iter()
        .filter(|(group, _)| group.is_empty() == core)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = in_version(table, group, version)
                        .into_iter()
                        .map(|resource| aggregated_resource(resource))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if group.is_empty() {
                json!({"creationTimestamp": Value::Null})
            } else {
                json!({"name": group, "creationTimestamp": Value::Null})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(resource: &Resource) -> Value {
    let subresources: Vec<Value> = resource
        .subresources
        .iter()
        .map(|subresource| {
            json!({
                "subresource": subresource.name,
                "responseKind": kind(&subresource.group, &subresource.version, &subresource.kind),
                "verbs": subresource.verbs,
            })
        })
        .collect();
    let mut value = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    names(&mut value, resource);
    if !subresources.is_empty() {
        value["subresources"] = subresources.into();
    }
    value
}

fn kind(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn in_version<'a>(table: &'a ResourceTable, group: &str, version: &str) -> Vec<&'a ResourceRef> {
    let mut resources: BTreeMap<&str, &ResourceRef> = BTreeMap::new();
    for resource in table
        .iter()
        .filter(|resource| resource.group == group && resource.version == version)
    {
        resources.insert(&resource.plural, resource);
    }
    resources.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_name_every_resource_once() {
        let table = ResourceTable::new([]);
        let core = resources(&table, "", "v1").unwrap();
        let pods: Vec<&Value> = core["resources"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|resource| resource["name"] == "pods")
            .collect();
        assert_eq!(pods.len(), 1);
        assert_eq!(pods[0]["shortNames"], json!(["po"]));
        assert!(
            core["resources"]
                .as_array()
                .unwrap()
                .iter()
                .any(|resource| resource["name"] == "pods/status")
        );
        assert!(resources(&table, "apps", "v9").is_none());
        let all = aggregated(&table, false, "v2");
        let apps = all["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|group| group["metadata"]["name"] == "apps")
            .unwrap();
        let deployments = apps["versions"][0]["resources"]
            .as_array()
            .unwrap()
            .iter()
            .find(|resource| resource["resource"] == "deployments")
            .unwrap();
        assert_eq!(deployments["scope"], "Namespaced");
        assert!(
            deployments["subresources"]
                .as_array()
                .unwrap()
                .iter()
                .any(|subresource| subresource["responseKind"]
                    == json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}))
        );
        assert_eq!(
            groups(&table)["groups"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|g| g["name"] == "apps")
                .count(),
            1
        );
    }
}
