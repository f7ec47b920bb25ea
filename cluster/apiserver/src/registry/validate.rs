//! Rules that every object must keep.

use cluster_kinds::{NameRule, validate_metadata};
use cluster_machinery::{FieldError, Schema};
use serde_json::Value;

use super::{Call, Registry};
use crate::meta;
use crate::resource::Origin;
use crate::status::StatusError;

impl Registry {
    /// Checks a new object.
    pub(super) fn validate_create(&self, call: &Call, object: &Value) -> Result<(), StatusError> {
        let mut errors = against_schema(call.resource.schema(), object, None);
        errors.extend(match &call.resource.origin {
            // The rules beyond the schema assume its types.
            Origin::Builtin(_) if !errors.is_empty() => Vec::new(),
            Origin::Builtin(kind) => kind.validate_create(object),
            Origin::Custom(_) => validate_metadata(object, NameRule::Subdomain),
        });
        if call
            .resource
            .is("apiextensions.k8s.io", "customresourcedefinitions")
            && errors.is_empty()
        {
            errors.extend(super::definition::errors(object, None));
        }
        if call.resource.group == "admissionregistration.k8s.io" && errors.is_empty() {
            errors.extend(crate::admission::configuration_errors(object));
        }
        refuse(call, errors)
    }

    /// Checks a changed object.
    pub(super) fn validate_update(&self, call: &Call, new: &Value, old: &Value) -> Result<(), StatusError> {
        let mut errors = against_schema(call.resource.schema(), new, Some(old));
        errors.extend(match &call.resource.origin {
            Origin::Builtin(_) if !errors.is_empty() => Vec::new(),
            Origin::Builtin(kind) => kind.validate_update(new, old, &call.subresource),
            Origin::Custom(_) => validate_metadata(new, NameRule::Subdomain),
        });
        if meta::is_deleting(old) {
            let known: Vec<&str> = meta::finalizers(old).collect();
            let added: Vec<&str> = meta::finalizers(new)
                .filter(|finalizer| !known.contains(finalizer))
                .collect();
            if !added.is_empty() {
                errors.push(FieldError::forbidden(
                    "metadata.finalizers",
                    &format!(
                        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
                    ),
                ));
            }
        }
        if call
            .resource
            .is("apiextensions.k8s.io", "customresourcedefinitions")
            && errors.is_empty()
        {
            errors.extend(super::definition::errors(new, Some(old)));
        }
        if call.resource.group == "admissionregistration.k8s.io" && errors.is_empty() {
            errors.extend(crate::admission::configuration_errors(new));
        }
        refuse(call, errors)
    }
}

fn against_schema(schema: Option<Schema>, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
    schema.map(|schema| schema.validate(new, old)).unwrap_or_default()
}

fn refuse(call: &Call, errors: Vec<FieldError>) -> Result<(), StatusError> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(StatusError::invalid(
        call.resource.kind_subject(),
        &call.name,
        errors,
    ))
}
