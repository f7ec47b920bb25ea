//! Columns of tables: those of the built-in kinds, and the printer columns of custom resources.

use serde_json::{Value, json};

use crate::resource::{Column, Origin, Resource};

const NAME_DESCRIPTION: &str = "Name must be unique within a namespace. Is required when creating resources, although some \
                                resources may allow a client to request the generation of an appropriate name automatically.";

/// Returns the `columnDefinitions` of a resource.
pub(super) fn definitions(resource: &Resource) -> Value {
    match &resource.origin {
        Origin::Builtin(kind) => kind
            .columns()
            .iter()
            .map(|column| {
                definition(
                    column.name,
                    column.kind,
                    column.format,
                    "",
                    column.priority.into(),
                )
            })
            .collect(),
        Origin::Custom(custom) => std::iter::once(definition("Name", "string", "name", NAME_DESCRIPTION, 0))
            .chain(custom.columns.iter().map(|column| {
                definition(
                    &column.name,
                    &column.kind,
                    &column.format,
                    &column.description,
                    column.priority,
                )
            }))
            .collect(),
    }
}

/// Returns the cells of one object, in the order of the columns.
pub(super) fn cells(resource: &Resource, object: &Value, now: jiff::Timestamp) -> Vec<Value> {
    match &resource.origin {
        Origin::Builtin(kind) => kind.row(object, now),
        Origin::Custom(custom) => std::iter::once(crate::meta::name(object).into())
            .chain(custom.columns.iter().map(|column| cell(column, object, now)))
            .collect(),
    }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}

/// Evaluates one printer column (`k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor`): values of
/// the wrong type are left out.
fn cell(column: &Column, object: &Value, now: jiff::Timestamp) -> Value {
    let Some(path) = &column.path else {
        return Value::Null;
    };
    let found = path.find(object);
    let Some(first) = found.first() else {
        return Value::Null;
    };
    match column.kind.as_str() {
        "integer" => first
            .as_i64()
            .map(Value::from)
            .or_else(|| first.as_f64().map(|n| json!(n as i64)))
            .unwrap_or_default(),
        "number" => first.as_f64().map(Value::from).unwrap_or_default(),
        "boolean" => first.as_bool().map(Value::from).unwrap_or_default(),
        "date" => first.as_str().map_or(Value::Null, |then| {
            cluster_kinds::printing::age_since(then, now).into()
        }),
        _ => match first {
            Value::Null => Value::Null,
            Value::String(text) if found.len() == 1 => text.clone().into(),
            _ => path.render(object).map(Value::from).unwrap_or_default(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::from_definition;

    #[test]
    fn printer_columns_reach_into_conditions() {
        let definition = json!({
            "metadata": { "name": "things.example.com" },
            "spec": { "group": "example.com", "scope": "Namespaced",
                "names": { "kind": "Thing", "plural": "things" },
                "versions": [{ "name": "v1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
                    "additionalPrinterColumns": [
                        { "name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status" },
                        { "name": "Owner", "type": "string", "jsonPath": r".metadata.labels['example\.com/owner']" } ] }] },
            "status": { "acceptedNames": { "kind": "Thing", "plural": "things" },
                "conditions": [{ "type": "Established", "status": "True" }] },
        });
        let resource = from_definition(1, &definition, None).remove(0);
        let object = json!({ "metadata": { "name": "a", "labels": { "example.com/owner": "me" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        assert_eq!(
            cells(&resource, &object, jiff::Timestamp::UNIX_EPOCH),
            [json!("a"), json!("True"), json!("me")]
        );
    }
}
