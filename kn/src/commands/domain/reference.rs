//! What a domain is mapped to, as it is typed.

use serde_json::{Value, json};

use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::sink;

/// Longest name of an object.
const LONGEST_NAME: usize = 253;

/// The kind, name and namespace that `value` names.
fn parse(value: &str) -> Result<(Kind, &str, Option<&str>), CliError> {
    let wrong = |why: &str| {
        CliError::usage(format!(
            "--ref {value}: {why}: expected NAME, ksvc:NAME, kroute:NAME, or one of these with :NAMESPACE"
        ))
    };
    let (prefix, name, namespace) = sink::split(value).map_err(wrong)?;
    let kind = match prefix {
        "ksvc" | "kservice" => Kind::Service,
        "kroute" => Kind::Route,
        _ => return Err(wrong(&format!("a domain cannot be mapped to '{prefix}'"))),
    };
    Ok((kind, name, namespace))
}

/// The reference to what `value` names, which exists.
///
/// # Errors
/// The value makes no sense, there is no such object, or it is not in `namespace`: a mapping cannot lead to another.
pub async fn resolve(context: &Context, value: &str, namespace: &str) -> Result<Value, CliError> {
    let (kind, name, other) = parse(value)?;
    if other.is_some_and(|other| other != namespace) {
        return Err(CliError::usage(format!(
            "--ref {value}: a domain is mapped to what is in the namespace of the mapping, which is '{namespace}': \
             choose another with --namespace"
        )));
    }
    context.get(kind, namespace, name).await.map_err(|error| {
        let message = format!("--ref: {}", error.message);
        let missing = error.exit == Exit::NotFound;
        let error = CliError { message, ..error };
        match missing {
            true => error.with_hint("create it first, or see what there is with `kn service list`"),
            false => error,
        }
    })?;
    let resource = kind.resource();
    Ok(
        json!({ "apiVersion": resource.api_version, "kind": resource.kind, "name": name, "namespace": namespace }),
    )
}

/// How tables show a reference: the name of a service, and what else it is in front of others.
pub fn cell(reference: &Value) -> String {
    let (kind, name) = (text(reference, "/kind"), text(reference, "/name"));
    let of_serving = text(reference, "/apiVersion").starts_with("serving.knative.dev/")
        || text(reference, "/group") == "serving.knative.dev";
    match (of_serving, kind.as_str()) {
        (true, "Service") => name,
        (true, "Route") => format!("kroute:{name}"),
        _ => format!("{kind}:{name}"),
    }
}

/// The name of a secret with a certificate.
///
/// # Errors
/// It cannot be one.
pub fn secret(value: &str) -> Result<&str, CliError> {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let ends = (label.bytes().next(), label.bytes().next_back());
        matches!(ends, (Some(first), Some(last)) if word(first) && word(last))
            && label.bytes().all(|byte| word(byte) || byte == b'-')
    };
    match value.len() <= LONGEST_NAME && value.split('.').all(is_label) {
        true => Ok(value),
        false => Err(CliError::usage(format!(
            "--tls {value}: this is no name of a secret: expected lower-case letters, digits, '-' and '.', with a letter \
             or digit at both ends"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_services_and_routes() {
        for (value, expected) in [
            ("web", (Kind::Service, "web", None)),
            ("ksvc:web", (Kind::Service, "web", None)),
            ("kroute:web:ns", (Kind::Route, "web", Some("ns"))),
        ] {
            assert_eq!(parse(value).unwrap(), expected, "{value}");
        }
        for value in ["svc:web", "broker:default", "", "ksvc:", "ksvc:a:", "a:b:c:d"] {
            let message = parse(value).unwrap_err().message;
            assert!(message.contains("kroute:NAME"), "{message}");
        }
    }

    #[test]
    fn references_are_shown_by_what_they_are() {
        for (reference, expected) in [
            (
                json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "a"}),
                "a",
            ),
            (
                json!({"group": "serving.knative.dev", "kind": "Route", "name": "a"}),
                "kroute:a",
            ),
            (
                json!({"apiVersion": "v1", "kind": "Service", "name": "a"}),
                "Service:a",
            ),
        ] {
            assert_eq!(cell(&reference), expected);
        }
    }

    #[test]
    fn names_of_secrets_are_checked() {
        assert_eq!(secret("my-cert.x").unwrap(), "my-cert.x");
        for wrong in ["My-Cert", "a_b", "-a", "a.-b", "a..b", &"a".repeat(254)] {
            assert!(secret(wrong).is_err(), "{wrong}");
        }
    }
}
