//! Small changes that commands make themselves.

use serde_json::{Value, json};

use super::json::{at, object};
use crate::error::CliError;

/// Sets an annotation of the service.
pub fn annotate(service: &mut Value, key: &str, value: &str) {
    object(at(service, &["metadata", "annotations"])).insert(key.to_owned(), json!(value));
}

/// Sets the version that a replacement is based on.
pub fn set_resource_version(service: &mut Value, version: &Value) {
    *at(service, &["metadata", "resourceVersion"]) = version.clone();
}

/// Sets the traffic targets.
pub fn set_traffic(service: &mut Value, targets: Vec<Value>) {
    *at(service, &["spec", "traffic"]) = Value::Array(targets);
}

/// Tags the latest revision of a new service, which has all traffic.
///
/// # Errors
/// The tag names another revision.
pub fn tag_latest(service: &mut Value, flag: &str) -> Result<(), CliError> {
    let tag = match flag.split_once('=') {
        None => flag,
        Some(("@latest", tag)) => tag,
        Some((other, _)) => {
            return Err(CliError::usage(format!(
                "--tag {flag}: there is no revision '{other}' yet, a new service has @latest only"
            )));
        }
    };
    if tag.is_empty() {
        return Err(CliError::usage("--tag: the tag is empty"));
    }
    set_traffic(
        service,
        vec![json!({ "latestRevision": true, "percent": 100, "tag": tag })],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_revision_can_be_tagged_from_the_start() {
        let mut service = json!({});
        tag_latest(&mut service, "@latest=a").unwrap();
        tag_latest(&mut service, "b").unwrap();
        assert_eq!(
            service["spec"]["traffic"],
            json!([{ "latestRevision": true, "percent": 100, "tag": "b" }])
        );
        for wrong in ["", "@latest=", "web-00001=a"] {
            assert!(tag_latest(&mut service, wrong).is_err(), "{wrong}");
        }
    }
}
