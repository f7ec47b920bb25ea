//! References to tasks, pipelines and step actions.

use serde_json::Value;

use super::{FieldError, FieldErrors, params};
use crate::config::tekton::Configs;
use crate::dns;
use crate::resource::{get, list, text};

/// Checks a reference to something by name or by a resolver; the paths begin below it.
pub(super) fn reference(value: &Value, configs: &Configs) -> FieldErrors {
    let (name, resolver) = (text(value, "name"), text(value, "resolver"));
    let has_params = !list(value, "params").is_empty();
    let mut errors = FieldErrors::default();
    match (name.is_empty(), resolver.is_empty()) {
        (true, true) if has_params => errors.also(FieldError::missing("resolver")),
        (true, true) => errors.also(FieldError::missing("name")),
        (false, true) if has_params => errors.also(FieldError::missing("resolver")),
        (false, true) => errors.also(name_problem(name, configs)),
        (false, false) => errors.also(FieldError::multiple_one_of(&["name", "resolver"])),
        (true, false) => {}
    }
    errors.also(params::given(value));
    errors
}

fn name_problem(name: &str, configs: &Configs) -> Option<FieldError> {
    let is_address = configs.features.enable_concise_resolver_syntax && name.contains("://");
    if super::has_variable(name) || is_address {
        return None;
    }
    let reasons = dns::subdomain_1123(name);
    (!reasons.is_empty()).then(|| FieldError::invalid(name, "name").with_details(reasons.join(", ")))
}

/// Checks a reference to a task: with both `apiVersion` and `kind` it is a custom one, whose name is its own affair.
pub(super) fn task(value: &Value, configs: &Configs) -> FieldErrors {
    let (version, kind) = (text(value, "apiVersion"), text(value, "kind"));
    if !version.is_empty() && !kind.is_empty() {
        return custom(value);
    }
    let mut errors = reference(value, configs);
    match (version, kind) {
        (_, "ClusterTask") => errors.also(
            FieldError::invalid(kind, "kind")
                .with_details("ClusterTask was removed: use the resolver cluster"),
        ),
        // The kind has always been read whatever its case.
        ("", kind) if kind.is_empty() || kind.eq_ignore_ascii_case("Task") => {}
        // Without a version a kind of somebody else cannot be found.
        ("", _) => errors.also(FieldError::invalid(
            format_args!("custom task ref must specify apiVersion, kind is {kind}"),
            "apiVersion",
        )),
        (_, _) => errors.also(FieldError::missing("kind")),
    }
    errors
}

/// A custom task that is referred to.
fn custom(value: &Value) -> FieldErrors {
    ["resolver", "params"]
        .into_iter()
        .filter(|name| get(value, name).is_some_and(|value| !crate::resource::is_unset(value)))
        .map(|name| FieldError::disallowed(name).with_details("custom tasks are not resolved"))
        .collect()
}

/// Complains unless exactly one of several fields is given.
pub(super) fn exactly_one(holder: &Value, names: &[&'static str]) -> Option<FieldError> {
    let given: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| get(holder, name).is_some())
        .collect();
    match given.as_slice() {
        [] => Some(FieldError::missing_one_of(names)),
        [_] => None,
        several => Some(FieldError::multiple_one_of(several)),
    }
}
