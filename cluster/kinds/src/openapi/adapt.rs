//! From generated definitions to the form in which upstream publishes them.

use serde_json::{Map, Value, json};

/// Rewrites one definition in place.
pub(super) fn adapt(name: &str, schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else {
        return;
    };
    let short = name.rsplit('.').next().unwrap_or(name);
    match short {
        "IntOrString" => {
            fields.remove("x-kubernetes-int-or-string");
            fields.insert("format".to_owned(), json!("int-or-string"));
            fields.insert(
                "oneOf".to_owned(),
                json!([{"type": "integer"}, {"type": "string"}]),
            );
        }
        "Quantity" => {
            fields.remove("x-kubernetes-int-or-string");
            fields.insert(
                "oneOf".to_owned(),
                json!([{"type": "string"}, {"type": "number"}]),
            );
        }
        // Any JSON, or unions that OpenAPI v3 as Kubernetes uses it cannot say.
        "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            fields.retain(|field, _| field == "description");
        }
        _ => adapt_fields(fields),
    }
}

/// OpenAPI v3.0 ignores what stands beside `$ref`, so a described reference is wrapped in `allOf`.
fn adapt_fields(schema: &mut Map<String, Value>) {
    if schema.len() > 1
        && let Some(reference) = schema.remove("$ref")
    {
        schema.insert("allOf".to_owned(), json!([{"$ref": reference}]));
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(adapt_fields);
    }
    for name in ["items", "additionalProperties"] {
        if let Some(Value::Object(nested)) = schema.get_mut(name) {
            adapt_fields(nested);
        }
    }
}
