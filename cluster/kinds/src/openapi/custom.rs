//! Documents of custom resources, made from their definitions.

use serde_json::{Map, Value, json};

use super::paths::{Resource, Sub, list_schema, paths};
use super::{document, shared_and};
use crate::json::{at, flag, items, text};
use crate::schema::definition_name;

/// Verbs of a custom resource.
const VERBS: [&str; 8] = [
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// Makes the document of one group and version from the CustomResourceDefinitions that serve it; `None` when none of
/// them does. Others may be passed in: they are ignored.
pub fn custom_resources<'a>(
    definitions: impl IntoIterator<Item = &'a Value>,
    group: &str,
    version: &str,
) -> Option<Value> {
    let (mut all_paths, mut schemas) = (Map::new(), Map::new());
    for crd in definitions {
        let served =
            |candidate: &&Value| text(candidate, &["name"]) == version && flag(candidate, &["served"]);
        if text(crd, &["spec", "group"]) != group {
            continue;
        }
        let Some(served) = items(crd, &["spec", "versions"]).iter().find(served) else {
            continue;
        };
        let kind = text(crd, &["spec", "names", "kind"]);
        let name = definition(group, version, kind);
        schemas.insert(name.clone(), schema(served, group, version, kind));
        schemas.insert(format!("{name}List"), list_schema(&name, group, version, kind));
        all_paths.extend(paths(&Resource {
            group,
            version,
            kind,
            plural: text(crd, &["spec", "names", "plural"]),
            namespaced: text(crd, &["spec", "scope"]) == "Namespaced",
            verbs: VERBS.to_vec(),
            definition: &name,
            subresources: subresources(served, group, version, kind, &name),
        }));
    }
    if all_paths.is_empty() {
        return None;
    }
    // `kubectl apply` takes this list at its word, and strategic merge needs types that are compiled in.
    for path in all_paths.values_mut() {
        let patch = path.pointer_mut("/patch/requestBody/content");
        if let Some(types) = patch.and_then(Value::as_object_mut) {
            types.remove("application/strategic-merge-patch+json");
        }
    }
    schemas.extend(shared_and([("autoscaling/v1", "Scale")]));
    Some(document(all_paths, schemas))
}

/// Names the definition of a custom kind: `example.com` `v1` Widget is `com.example.v1.Widget`.
fn definition(group: &str, version: &str, kind: &str) -> String {
    let reversed: Vec<&str> = group.rsplit('.').collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

/// The schema of a version with what every object has; a version without schema accepts anything.
fn schema(version: &Value, group: &str, version_name: &str, kind: &str) -> Value {
    let open = || json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let mut schema = at(version, &["schema", "openAPIV3Schema"])
        .cloned()
        .unwrap_or_else(open);
    let Some(fields) = schema.as_object_mut() else {
        return open();
    };
    if let Some(properties) = fields
        .entry("properties")
        .or_insert_with(|| json!({}))
        .as_object_mut()
    {
        properties.insert(
            "apiVersion".to_owned(),
            json!({"type": "string", "description": "Version of the schema of this object."}),
        );
        properties.insert(
            "kind".to_owned(),
            json!({"type": "string", "description": "Kind of this object."}),
        );
        properties.insert(
            "metadata".to_owned(),
            json!({
                "description": "Standard object's metadata.",
                "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}],
            }),
        );
    }
    fields.insert(
        "x-kubernetes-group-version-kind".to_owned(),
        json!([{"group": group, "version": version_name, "kind": kind}]),
    );
    schema
}

fn subresources<'a>(
    served: &'a Value,
    group: &'a str,
    version: &'a str,
    kind: &'a str,
    definition: &str,
) -> Vec<Sub<'a>> {
    let verbs = || vec!["get", "patch", "update"];
    let mut subresources = Vec::new();
    if at(served, &["subresources", "status"]).is_some() {
        let definition = Some(definition.to_owned());
        subresources.push(Sub {
            name: "status",
            group,
            version,
            kind,
            verbs: verbs(),
            definition,
        });
    }
    if at(served, &["subresources", "scale"]).is_some() {
        subresources.push(Sub {
            name: "scale",
            group: "autoscaling",
            version: "v1",
            kind: "Scale",
            verbs: verbs(),
            definition: definition_name("autoscaling/v1", "Scale"),
        });
    }
    subresources
}
