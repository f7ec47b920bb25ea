//! References and destinations.

use serde_json::Value;

use super::super::{FieldError, FieldErrors};
use crate::resource::events::Context;
use crate::resource::{field, get, text};

const ABSOLUTE: &str = "Absolute URI is not allowed when Ref or [apiVersion, kind, name] is present";
const RELATIVE: &str = "Relative URI is not allowed when Ref and [apiVersion, kind, name] is absent";

/// Checks a destination; the paths begin below it.
pub(super) fn destination(destination: &Value, context: &Context<'_>) -> FieldErrors {
    let reference = get(destination, "ref");
    let uri = get(destination, "uri").map(|_| text(destination, "uri"));
    let mut errors = match (reference, uri) {
        (None, None) => one_of_none(&["ref", "uri"]).into(),
        (Some(_), Some(uri)) if scheme(uri).is_some() => FieldError {
            paths: ["[apiVersion, kind, name]", "ref", "uri"]
                .map(str::to_owned)
                .to_vec(),
            ..FieldError::without_path(ABSOLUTE)
        }
        .into(),
        (None, Some(uri)) if !is_absolute(uri) => FieldError::invalid(RELATIVE, "uri").into(),
        _ => FieldErrors::default(),
    };
    if let Some(reference) = reference {
        errors.also(k_reference(reference, context).via_field("ref"));
    }
    if get(destination, "CACerts").is_some() && !is_certificate(text(destination, "CACerts")) {
        errors.also(FieldError::invalid("CA Cert provided is invalid", "caCert"));
    }
    errors
}

/// The same for a destination that may be left out.
pub(super) fn optional(holder: &Value, name: &str, context: &Context<'_>) -> FieldErrors {
    match get(holder, name) {
        Some(found) => destination(found, context).via_field(name),
        None => FieldErrors::default(),
    }
}

/// The same for a destination that has to be there.
pub(super) fn required(holder: &Value, name: &str, context: &Context<'_>) -> FieldErrors {
    destination(field(holder, name), context).via_field(name)
}

/// Checks a reference; the paths begin below it.
pub(super) fn k_reference(reference: &Value, context: &Context<'_>) -> FieldErrors {
    let mut errors: FieldErrors = ["kind", "name"]
        .into_iter()
        .filter(|name| text(reference, name).is_empty())
        .map(FieldError::missing)
        .collect();
    let by_group = !text(reference, "group").is_empty();
    if by_group && !context.configs.features.kreference_group.is_allowed() {
        errors.also(FieldError::disallowed("group"));
    } else if !by_group && text(reference, "apiVersion").is_empty() {
        errors.also(FieldError::missing("apiVersion"));
    }
    errors
}

/// None of several fields of which at least one must be given.
pub(super) fn one_of_none(paths: &[&str]) -> FieldError {
    FieldError {
        paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        ..FieldError::without_path("expected at least one, got none")
    }
}

/// A URL with a scheme and a host?
pub(super) fn is_absolute(uri: &str) -> bool {
    let host = scheme(uri).and_then(|(_, rest)| rest.strip_prefix("//"));
    host.is_some_and(|rest| rest.chars().next().is_some_and(|first| !"/?#:".contains(first)))
}

/// The scheme of a URI, and what comes after the colon (RFC 3986 §3.1).
fn scheme(uri: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = uri.split_once(':')?;
    let mut letters = scheme.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic());
    let goes_on = letters.all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    (begins && goes_on).then_some((scheme, rest))
}

/// PEM of type CERTIFICATE? What is in it is for the TLS library to judge.
fn is_certificate(pem: &str) -> bool {
    let body = pem
        .trim()
        .strip_prefix("-----BEGIN CERTIFICATE-----")
        .and_then(|rest| rest.split_once("-----END CERTIFICATE-----"));
    body.is_some_and(|(body, _)| {
        let mut letters = body.chars().filter(|letter| !letter.is_whitespace()).peekable();
        letters.peek().is_some()
            && letters.all(|letter| letter.is_ascii_alphanumeric() || "+/=".contains(letter))
    })
}
