//! Rules that every object must keep: names, labels, owners.

use serde_json::Value;

use super::{Call, Registry};
use crate::meta;
use crate::status::{Cause, StatusError};

/// Longest name of an object.
const MAX_NAME: usize = 253;

impl Registry {
    /// Checks a new object.
    pub(super) fn validate_create(&self, call: &Call, object: &Value) -> Result<(), StatusError> {
        refuse(call, metadata_causes(call, object))
    }

    /// Checks a changed object.
    pub(super) fn validate_update(&self, call: &Call, new: &Value, old: &Value) -> Result<(), StatusError> {
        let mut causes = metadata_causes(call, new);
        if meta::is_deleting(old) {
            let known: Vec<&str> = meta::finalizers(old).collect();
            let added: Vec<&str> = meta::finalizers(new)
                .filter(|finalizer| !known.contains(finalizer))
                .collect();
            if !added.is_empty() {
                causes.push(Cause::forbidden(
                    "metadata.finalizers",
                    &format!(
                        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
                    ),
                ));
            }
        }
        refuse(call, causes)
    }
}

fn refuse(call: &Call, causes: Vec<Cause>) -> Result<(), StatusError> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid(
        call.resource.kind_subject(),
        &call.name,
        causes,
    ))
}

fn metadata_causes(call: &Call, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = meta::name(object);
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if let Some(problem) = name_problem(call, name) {
        causes.push(Cause::invalid("metadata.name", &name.into(), problem));
    }
    for (index, owner) in owners(object).enumerate() {
        for key in ["apiVersion", "kind", "name", "uid"] {
            if owner[key].as_str().is_none_or(str::is_empty) {
                causes.push(Cause::invalid(
                    &format!("metadata.ownerReferences[{index}].{key}"),
                    &owner[key],
                    "must not be empty",
                ));
            }
        }
    }
    if owners(object).filter(|owner| owner["controller"] == true).count() > 1 {
        causes.push(Cause::invalid(
            "metadata.ownerReferences",
            &object["metadata"]["ownerReferences"],
            "Only one reference can have Controller set to true",
        ));
    }
    causes
}

fn owners(object: &Value) -> impl Iterator<Item = &Value> {
    object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// Explains why a name cannot be used, in upstream's words (`k8s.io/apimachinery/pkg/util/validation`).
fn name_problem(call: &Call, name: &str) -> Option<&'static str> {
    let resource = &call.resource;
    if resource.group == "rbac.authorization.k8s.io" {
        // Names of roles are path segments: `system:node` is fine.
        return (matches!(name, "." | "..") || name.contains(['/', '%']))
            .then_some("may not be '.' or '..', and may not contain '/' or '%'");
    }
    if resource.is("", "services") || resource.is("", "namespaces") {
        return (!is_label(name)).then_some(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
             with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        );
    }
    (!is_subdomain(name)).then_some(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and \
         end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
         '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
    )
}

fn is_label(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

fn is_subdomain(text: &str) -> bool {
    // Each part is a label, but only the whole has a length limit.
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        part.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && edge(part.chars().next())
            && edge(part.chars().next_back())
    };
    text.len() <= MAX_NAME && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rfc_grammars() {
        for (text, label, subdomain) in [
            ("a", true, true),
            ("a-b", true, true),
            ("a.b", false, true),
            ("a..b", false, false),
            ("-a", false, false),
            ("A", false, false),
            ("", false, false),
        ] {
            assert_eq!((is_label(text), is_subdomain(text)), (label, subdomain), "{text}");
        }
        assert!(
            !is_label(&"a".repeat(64)) && is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254))
        );
    }
}
