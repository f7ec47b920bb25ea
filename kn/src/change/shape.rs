//! Whether a service has the shape that changes rely on. Files are made by people; a list where an object belongs is told
//! with its place, before anything is changed.

use serde_json::Value;

use crate::error::CliError;

#[derive(Clone, Copy)]
enum Shape {
    Object,
    List,
    Text,
    /// An object whose values are texts.
    Texts,
}

/// Fields that changes go through. `[]` stands for each item of a list; what is absent or null is made when it is needed.
const FIELDS: [(&str, Shape); 39] = [
    ("apiVersion", Shape::Text),
    ("kind", Shape::Text),
    ("metadata", Shape::Object),
    ("metadata.name", Shape::Text),
    ("metadata.namespace", Shape::Text),
    ("metadata.labels", Shape::Texts),
    ("metadata.annotations", Shape::Texts),
    ("spec", Shape::Object),
    ("spec.traffic", Shape::List),
    ("spec.traffic[]", Shape::Object),
    ("spec.template", Shape::Object),
    ("spec.template.metadata", Shape::Object),
    ("spec.template.metadata.name", Shape::Text),
    ("spec.template.metadata.labels", Shape::Texts),
    ("spec.template.metadata.annotations", Shape::Texts),
    ("spec.template.spec", Shape::Object),
    ("spec.template.spec.imagePullSecrets", Shape::List),
    ("spec.template.spec.nodeSelector", Shape::Texts),
    ("spec.template.spec.tolerations", Shape::List),
    ("spec.template.spec.affinity", Shape::Object),
    ("spec.template.spec.affinity.nodeAffinity", Shape::Object),
    ("spec.template.spec.volumes", Shape::List),
    ("spec.template.spec.volumes[]", Shape::Object),
    ("spec.template.spec.containers", Shape::List),
    ("spec.template.spec.containers[]", Shape::Object),
    ("spec.template.spec.containers[].image", Shape::Text),
    ("spec.template.spec.containers[].env", Shape::List),
    ("spec.template.spec.containers[].env[]", Shape::Object),
    ("spec.template.spec.containers[].envFrom", Shape::List),
    ("spec.template.spec.containers[].envFrom[]", Shape::Object),
    ("spec.template.spec.containers[].volumeMounts", Shape::List),
    ("spec.template.spec.containers[].volumeMounts[]", Shape::Object),
    ("spec.template.spec.containers[].ports", Shape::List),
    ("spec.template.spec.containers[].resources", Shape::Object),
    (
        "spec.template.spec.containers[].resources.requests",
        Shape::Object,
    ),
    ("spec.template.spec.containers[].resources.limits", Shape::Object),
    ("spec.template.spec.containers[].securityContext", Shape::Object),
    ("spec.template.spec.containers[].livenessProbe", Shape::Object),
    ("spec.template.spec.containers[].readinessProbe", Shape::Object),
];

/// Checks all fields that changes go through.
///
/// # Errors
/// Names the first field that is something else than it must be.
pub fn check(service: &Value) -> Result<(), CliError> {
    if !service.is_object() {
        return Err(CliError::usage(format!(
            "a service must be an object, not {}",
            called(service)
        )));
    }
    for (path, shape) in FIELDS {
        let steps: Vec<&str> = path.split('.').collect();
        walk(service, &steps, String::new(), shape)?;
    }
    Ok(())
}

fn walk(value: &Value, steps: &[&str], place: String, shape: Shape) -> Result<(), CliError> {
    let Some((step, rest)) = steps.split_first() else {
        return is(value, &place, shape);
    };
    let name = step.trim_end_matches("[]");
    let Some(field) = value.get(name).filter(|field| !field.is_null()) else {
        return Ok(());
    };
    let place = if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    };
    if !step.ends_with("[]") {
        return walk(field, rest, place, shape);
    }
    for (index, item) in field.as_array().into_iter().flatten().enumerate() {
        walk(item, rest, format!("{place}[{index}]"), shape)?;
    }
    Ok(())
}

fn is(value: &Value, place: &str, shape: Shape) -> Result<(), CliError> {
    let (right, wanted) = match shape {
        Shape::Object => (value.is_object(), "an object"),
        Shape::List => (value.is_array(), "a list"),
        Shape::Text => (value.is_string(), "a text"),
        Shape::Texts => {
            let fields = value.as_object();
            if let Some((key, wrong)) = fields
                .into_iter()
                .flatten()
                .find(|(_, value)| !value.is_string() && !value.is_null())
            {
                return Err(CliError::usage(format!(
                    "{place}.{key} must be a text, not {}: put it into quotes",
                    called(wrong)
                )));
            }
            (fields.is_some(), "an object")
        }
    };
    if right {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "{place} must be {wanted}, not {}",
        called(value)
    )))
}

fn called(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_message_names_the_place() {
        let cases = [
            (json!([]), "must be an object, not a list"),
            (
                json!({ "metadata": "web" }),
                "metadata must be an object, not a text",
            ),
            (
                json!({ "metadata": { "labels": { "a": 1 } } }),
                "metadata.labels.a must be a text, not a number: put it into quotes",
            ),
            (
                json!({ "spec": { "template": [] } }),
                "spec.template must be an object, not a list",
            ),
            (
                json!({ "spec": { "template": { "spec": { "containers": [{}, 5] } } } }),
                "spec.template.spec.containers[1] must be an object, not a number",
            ),
            (
                json!({ "spec": { "template": { "spec": { "containers": [{ "env": { "A": "1" } }] } } } }),
                "spec.template.spec.containers[0].env must be a list, not an object",
            ),
            (
                json!({ "spec": { "traffic": [true] } }),
                "spec.traffic[0] must be an object, not true or false",
            ),
        ];
        for (service, message) in cases {
            assert!(
                check(&service).unwrap_err().message.ends_with(message),
                "{service}"
            );
        }
        check(&json!({ "metadata": null, "spec": { "template": { "spec": { "containers": [{ "env": [] }] } } } })).unwrap();
    }
}
