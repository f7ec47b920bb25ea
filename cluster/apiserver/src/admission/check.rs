//! What a webhook configuration must be to be of use here, beyond the rules of its kind.

use cluster_machinery::FieldError;
use cluster_machinery::selector::LabelSelector;
use serde_json::{Value, json};

use crate::webhook::bundle_problem;

/// Checks the webhooks of a configuration.
pub(crate) fn errors(configuration: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let webhooks = configuration["webhooks"].as_array().into_iter().flatten();
    for (index, webhook) in webhooks.enumerate() {
        let path = format!("webhooks[{index}]");
        for field in ["namespaceSelector", "objectSelector"] {
            let selector = &webhook[field];
            if !selector.is_null()
                && let Err(error) = LabelSelector::from_json(selector)
            {
                errors.push(FieldError::invalid(
                    format!("{path}.{field}"),
                    selector,
                    &error.to_string(),
                ));
            }
        }
        if let Some(why) = bundle_problem(&webhook["clientConfig"]) {
            errors.push(FieldError::invalid(
                format!("{path}.clientConfig.caBundle"),
                &json!("<PEM>"),
                &why,
            ));
        }
        // Ignoring them would ask the webhook about requests that it must not see.
        if webhook["matchConditions"]
            .as_array()
            .is_some_and(|conditions| !conditions.is_empty())
        {
            errors.push(FieldError::forbidden(
                format!("{path}.matchConditions"),
                "this API server does not evaluate CEL match conditions: use rules, namespaceSelector and objectSelector",
            ));
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_never_work_is_refused() {
        let table = [
            (json!({}), None),
            (
                json!({"clientConfig": {"caBundle": "bm8="}}),
                Some("webhooks[0].clientConfig.caBundle"),
            ),
            (
                json!({"objectSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}),
                Some("webhooks[0].objectSelector"),
            ),
            (
                json!({"matchConditions": [{"name": "a", "expression": "true"}]}),
                Some("webhooks[0].matchConditions"),
            ),
        ];
        for (webhook, expected) in table {
            let found = errors(&json!({"webhooks": [webhook]}));
            let paths: Vec<&str> = found.iter().map(|error| error.path.as_str()).collect();
            assert_eq!(paths, expected.into_iter().collect::<Vec<_>>());
        }
    }
}
