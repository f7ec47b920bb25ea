//! Requests and limits.

use serde_json::Value;

use super::json::{at, drop_empty, object};
use super::pairs;
use crate::error::CliError;

/// Applies `--request` or `--limit` to `field` of the container's resources.
pub fn apply(container: &mut Value, flag: &str, field: &str, values: &[String]) -> Result<(), CliError> {
    if values.is_empty() {
        return Ok(());
    }
    let pairs = pairs::parse(flag, values, false)?;
    let resources = at(container, &["resources"]);
    let map = object(at(resources, &[field]));
    for (name, quantity) in pairs.set {
        if quantity.parse::<formats::quantity::Quantity>().is_err() {
            return Err(CliError::usage(format!(
                "--{flag} {name}={quantity}: not a quantity such as 100m, 1.5 or 64Mi"
            )));
        }
        map.insert(name, Value::from(quantity));
    }
    for name in pairs.remove {
        map.remove(&name);
    }
    drop_empty(resources, field);
    drop_empty(container, "resources");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn set_and_remove() {
        let mut container = json!({ "resources": { "limits": { "cpu": "1" } } });
        apply(
            &mut container,
            "limit",
            "limits",
            &["memory=64Mi".into(), "cpu-".into()],
        )
        .unwrap();
        assert_eq!(
            container,
            json!({ "resources": { "limits": { "memory": "64Mi" } } })
        );
        apply(&mut container, "limit", "limits", &["memory-".into()]).unwrap();
        assert_eq!(container, json!({}));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for wrong in ["cpu=", "cpu=m", "cpu=1.2.3", "memory=64mi", "memory"] {
            let message = apply(&mut json!({}), "limit", "limits", &[wrong.into()])
                .unwrap_err()
                .message;
            assert!(message.contains("--limit"), "{message}");
        }
    }
}
