//! What all lists have in common: which objects, in which order, and their typed list object.

use kube::api::ListParams;
use serde_json::{Value, json};

use crate::cli::ListScope;
use crate::context::{Context, Kind};
use crate::error::CliError;

/// Fetches the objects of a list, sorted by namespace and name, with apiVersion and kind filled in.
pub async fn fetch(
    context: &Context,
    kind: Kind,
    scope: &ListScope,
    name: Option<&str>,
    labels: Option<&str>,
) -> Result<Vec<Value>, CliError> {
    let api = if scope.all_namespaces {
        context.api_all(kind).await?
    } else {
        let namespace = context.namespace(&scope.namespace).await?;
        context.api(kind, &namespace).await?
    };
    let mut params = ListParams::default();
    if let Some(name) = name {
        params = params.fields(&format!("metadata.name={name}"));
    }
    if let Some(labels) = labels {
        params = params.labels(labels);
    }
    let resource = kind.resource();
    let listed = api.list(&params).await?;
    let mut objects: Vec<Value> = listed
        .items
        .into_iter()
        .filter_map(|object| serde_json::to_value(object).ok())
        .map(|mut object| {
            // The API leaves them out of list items.
            object["apiVersion"] = json!(resource.api_version);
            object["kind"] = json!(resource.kind);
            object
        })
        .collect();
    objects.sort_by_key(|object| {
        let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
        (field("namespace"), field("name"))
    });
    Ok(objects)
}

/// `ServiceList` and the like, as `-o` prints it.
pub fn list_object(kind: Kind, items: &[Value]) -> Value {
    let resource = kind.resource();
    json!({ "apiVersion": resource.api_version, "kind": format!("{}List", resource.kind), "metadata": {}, "items": items })
}

/// A text field by JSON pointer; empty if it is not there.
pub fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
