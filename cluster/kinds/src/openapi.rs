//! OpenAPI v3 documents, one per group and version, made on demand: they are large and rarely asked for.
//!
//! kubectl reads them before apply, diff and explain, and helm before install. They look for the paths of a resource
//! (`explain`), for `dryRun` and `fieldValidation` among the parameters of its PATCH (`apply`), and for the merge keys
//! in its schema (strategic merge patches).

mod adapt;
mod custom;
mod operation;
mod paths;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use custom::custom_resources;

use crate::kind::{Kind, builtin};
use crate::schema::{Definitions, definition_name, definitions};
use paths::Resource;

/// Kubernetes release whose API the documents describe.
pub const API_RELEASE: &str = "v1.37.0";

/// Kinds that operations of every group refer to, as `(apiVersion, kind)`.
const SHARED: [(&str, &str); 4] = [
    ("v1", "Status"),
    ("meta.k8s.io/v1", "DeleteOptions"),
    ("meta.k8s.io/v1", "ListMeta"),
    ("meta.k8s.io/v1", "ObjectMeta"),
];

/// Makes the document of the built-in kinds of one group and version; `None` when there are none.
pub fn group_version(group: &str, version: &str) -> Option<Value> {
    let kinds: Vec<&Kind> = builtin()
        .iter()
        .filter(|kind| kind.group == group && kind.version == version)
        .collect();
    if kinds.is_empty() {
        return None;
    }
    let mut wanted: Vec<(String, &str)> = Vec::new();
    for kind in &kinds {
        wanted.push((kind.api_version(), kind.kind));
        for subresource in kind.subresources {
            wanted.push((subresource.api_version(), subresource.kind));
        }
    }
    let mut schemas = shared_and(wanted.iter().map(|(version, kind)| (version.as_str(), *kind)));
    for (api_version, kind) in &wanted {
        mark(&mut schemas, api_version, kind);
    }
    let mut all_paths = Map::new();
    for kind in kinds {
        let Some(definition) = definition_name(&kind.api_version(), kind.kind) else {
            continue;
        };
        if kind.has_verb("list") {
            let list = paths::list_schema(&definition, kind.group, kind.version, kind.kind);
            schemas.insert(format!("{definition}List"), list);
        }
        all_paths.extend(paths::paths(&Resource::builtin(kind, &definition)));
    }
    Some(document(all_paths, schemas))
}

/// Generates definitions in the form of a document, with those that every operation refers to.
fn shared_and<'a>(kinds: impl IntoIterator<Item = (&'a str, &'a str)>) -> Definitions {
    let mut schemas = definitions(SHARED.into_iter().chain(kinds));
    for (name, schema) in &mut schemas {
        adapt::adapt(name, schema);
    }
    mark(&mut schemas, "v1", "Status");
    schemas.insert(
        "io.k8s.apimachinery.pkg.apis.meta.v1.Patch".to_owned(),
        json!({"description": "Body of a PATCH request, in the form its content type names.", "type": "object"}),
    );
    schemas
}

/// Notes on the definition of a kind which kind it is: clients find schemas by this extension.
fn mark(schemas: &mut Definitions, api_version: &str, kind: &str) {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let name = definition_name(api_version, kind);
    if let Some(Value::Object(schema)) = name.and_then(|name| schemas.get_mut(&name)) {
        schema.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!([{"group": group, "version": version, "kind": kind}]),
        );
    }
}

fn document(paths: Map<String, Value>, schemas: Definitions) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": API_RELEASE},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "in": "header", "name": "authorization",
                "description": "Bearer Token authentication",
            }},
        },
    })
}
