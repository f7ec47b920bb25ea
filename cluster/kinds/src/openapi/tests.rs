use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{custom_resources, group_version};
use crate::kind::builtin;

fn all_documents() -> Vec<(String, Value)> {
    let versions: BTreeSet<_> = builtin().iter().map(|kind| (kind.group, kind.version)).collect();
    versions
        .into_iter()
        .map(|(group, version)| {
            (
                format!("{group}/{version}"),
                group_version(group, version).unwrap(),
            )
        })
        .collect()
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), field) {
                    ("$ref", Value::String(reference)) => {
                        found.insert(reference.strip_prefix("#/components/schemas/").unwrap());
                    }
                    _ => references(field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves_within_its_document() {
    for (name, document) in all_documents() {
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in found {
            assert!(
                document["components"]["schemas"].get(reference).is_some(),
                "{name}: {reference}"
            );
        }
    }
}

#[test]
fn operation_ids_are_unique() {
    for (name, document) in all_documents() {
        let mut seen = BTreeSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item
                .as_object()
                .unwrap()
                .values()
                .filter(|operation| operation.is_object())
            {
                let id = operation["operationId"].as_str().unwrap();
                assert!(seen.insert(id), "{name}: {id}");
            }
        }
    }
}

/// kubectl assumes that neither works unless PATCH lists the parameters.
#[test]
fn patch_supports_dry_run_and_field_validation() {
    let document = group_version("apps", "v1").unwrap();
    let patch = &document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"];
    let names: Vec<_> = patch["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["dryRun", "fieldManager", "fieldValidation", "force"]);
    assert_eq!(patch["x-kubernetes-action"], "patch");
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "apps", "version": "v1", "kind": "Deployment"})
    );
}

#[test]
fn schemas_are_found_by_kind_and_carry_merge_keys() {
    let document = group_version("", "v1").unwrap();
    let schemas = &document["components"]["schemas"];
    let pod = &schemas["io.k8s.api.core.v1.Pod"];
    assert_eq!(
        pod["x-kubernetes-group-version-kind"],
        json!([{"group": "", "version": "v1", "kind": "Pod"}])
    );
    assert_eq!(
        pod["properties"]["spec"]["allOf"],
        json!([{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}])
    );
    let containers = &schemas["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
    assert_eq!(containers["x-kubernetes-patch-merge-key"], "name");
    assert_eq!(containers["x-kubernetes-patch-strategy"], "merge");
    assert_eq!(
        schemas["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["oneOf"],
        json!([{"type": "integer"}, {"type": "string"}])
    );
}

#[test]
fn reviews_are_created_and_nothing_else() {
    let document = group_version("authorization.k8s.io", "v1").unwrap();
    let item = &document["paths"]["/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"];
    let methods: Vec<_> = item.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(methods, ["parameters", "post"]);
}

#[test]
fn scale_answers_with_its_own_kind() {
    let document = group_version("apps", "v1").unwrap();
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale";
    assert_eq!(
        document["paths"][path]["get"]["x-kubernetes-group-version-kind"]["kind"],
        "Scale"
    );
}

#[test]
fn unknown_versions_have_no_document() {
    assert!(group_version("apps", "v1beta1").is_none());
}

#[test]
fn custom_resources_get_paths_metadata_and_subresources() {
    let crd = json!({"spec": {
        "group": "example.com", "scope": "Namespaced",
        "names": {"kind": "Widget", "plural": "widgets"},
        "versions": [
            {
                "name": "v1", "served": true,
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": {"type": "object"}}}},
                "subresources": {"status": {}, "scale": {}},
            },
            {"name": "v2", "served": false},
        ],
    }});
    let document = custom_resources([&crd], "example.com", "v1").unwrap();
    let base = "/apis/example.com/v1/namespaces/{namespace}/widgets";
    for path in [
        base.to_owned(),
        format!("{base}/{{name}}/status"),
        format!("{base}/{{name}}/scale"),
    ] {
        assert!(document["paths"].get(&path).is_some(), "{path}");
    }
    let widget = &document["components"]["schemas"]["com.example.v1.Widget"];
    assert_eq!(widget["properties"]["spec"], json!({"type": "object"}));
    assert_eq!(widget["x-kubernetes-group-version-kind"][0]["kind"], "Widget");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(
        found
            .iter()
            .all(|name| document["components"]["schemas"].get(*name).is_some())
    );
    assert!(custom_resources([&crd], "example.com", "v2").is_none());
}
