//! Kinds that extend the API: custom resource definitions and webhook configurations.

use std::collections::BTreeSet;

use cluster_machinery::FieldError;
use cluster_machinery::schema::structural_errors;
use serde_json::{Value, json};

use super::names;
use super::path::Path;
use super::rule::{Errors, immutable, invalid, one_of, required, required_name, required_one_of};
use crate::json::{at, flag, integer, items, text};

pub(super) fn definition(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    let (group, plural) = (text(spec, &["group"]), text(spec, &["names", "plural"]));
    if text(object, &["metadata", "name"]) != format!("{plural}.{group}") {
        let name = json!(text(object, &["metadata", "name"]));
        errors.push(FieldError::invalid(
            "metadata.name",
            &name,
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if required(errors, spec, &path, "group") {
        invalid(errors, &path.child("group"), group, names::subdomain(group));
        if !group.contains('.') {
            let problem = "should be a domain with at least one dot";
            errors.push(FieldError::invalid(path.child("group"), &json!(group), problem));
        }
    }
    required_one_of(errors, spec, &path, "scope", &["Cluster", "Namespaced"]);
    definition_names(
        errors,
        spec.get("names").unwrap_or(&Value::Null),
        &path.child("names"),
    );
    versions(errors, spec, &path.child("versions"));
    let conversion = path.child("conversion");
    if let Some(wanted) = spec.get("conversion") {
        required_one_of(errors, wanted, &conversion, "strategy", &["None", "Webhook"]);
        if text(wanted, &["strategy"]) == "Webhook" {
            match wanted.get("webhook") {
                None => errors.push(FieldError::required(
                    conversion.child("webhook"),
                    "required when strategy is set to Webhook",
                )),
                Some(webhook) => {
                    let path = conversion.child("webhook");
                    client(errors, webhook, &path);
                    required(errors, webhook, &path, "conversionReviewVersions");
                }
            }
        }
    }
}

fn definition_names(errors: &mut Errors, wanted: &Value, path: &Path) {
    required_name(errors, wanted, path, "plural", names::label_1035);
    let singular = text(wanted, &["singular"]);
    if !singular.is_empty() {
        invalid(
            errors,
            &path.child("singular"),
            singular,
            names::label_1035(singular),
        );
    }
    for field in ["kind", "listKind"] {
        if required(errors, wanted, path, field) {
            let kind = text(wanted, &[field]);
            for problem in names::label_1035(&kind.to_lowercase()) {
                let problem = format!("may have mixed case, but should otherwise match: {problem}");
                errors.push(FieldError::invalid(path.child(field), &json!(kind), &problem));
            }
        }
    }
    let (kind, list) = (text(wanted, &["kind"]), text(wanted, &["listKind"]));
    if !list.is_empty() && kind == list {
        let problem = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(path.child("listKind"), &json!(list), problem));
    }
    for (index, short) in items(wanted, &["shortNames"]).iter().enumerate() {
        let short = short.as_str().unwrap_or_default();
        invalid(
            errors,
            &path.child("shortNames").index(index),
            short,
            names::label_1035(short),
        );
    }
}

fn versions(errors: &mut Errors, spec: &Value, path: &Path) {
    let versions = items(spec, &["versions"]);
    if versions.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        let name = text(version, &["name"]);
        required_name(errors, version, &path, "name", names::label_1035);
        if !seen.insert(name) {
            errors.push(FieldError::invalid(
                path.child("name"),
                &json!(name),
                "must contain unique version names",
            ));
        }
        let schema = path.child("schema").child("openAPIV3Schema");
        match at(version, &["schema", "openAPIV3Schema"]) {
            None => errors.push(FieldError::required(schema, "schemas are required")),
            Some(wanted) => errors.extend(structural_errors(wanted, &String::from(&schema))),
        }
        for (index, column) in items(version, &["additionalPrinterColumns"]).iter().enumerate() {
            let path = path.child("additionalPrinterColumns").index(index);
            required(errors, column, &path, "name");
            required_one_of(
                errors,
                column,
                &path,
                "type",
                &["boolean", "date", "integer", "number", "string"],
            );
            required(errors, column, &path, "jsonPath");
        }
        if let Some(scale) = at(version, &["subresources", "scale"]) {
            let path = path.child("subresources").child("scale");
            for (field, under) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
                if required(errors, scale, &path, field) && !text(scale, &[field]).starts_with(under) {
                    let problem = format!("should be a json path under {}", under.trim_end_matches('.'));
                    errors.push(FieldError::invalid(
                        path.child(field),
                        &json!(text(scale, &[field])),
                        &problem,
                    ));
                }
            }
        }
    }
    if versions
        .iter()
        .filter(|version| flag(version, &["storage"]))
        .count()
        != 1
    {
        let problem = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(path, &json!(versions), problem));
    }
}

pub(super) fn update_definition(errors: &mut Errors, new: &Value, old: &Value) {
    for field in [
        &["spec", "group"][..],
        &["spec", "scope"],
        &["spec", "names", "plural"],
        &["spec", "names", "kind"],
    ] {
        immutable(errors, new, old, field);
    }
    let known: Vec<&str> = items(new, &["spec", "versions"])
        .iter()
        .map(|version| text(version, &["name"]))
        .collect();
    for (index, stored) in items(new, &["status", "storedVersions"])
        .iter()
        .filter_map(Value::as_str)
        .enumerate()
    {
        if !known.contains(&stored) {
            let problem = format!(
                "missing from spec.versions; {stored} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {stored} and removes {stored} from status.storedVersions"
            );
            errors.push(FieldError::invalid(
                Path::new("status.storedVersions").index(index),
                &json!(stored),
                &problem,
            ));
        }
    }
}

/// How a webhook is reached.
fn client(errors: &mut Errors, webhook: &Value, path: &Path) {
    let path = path.child("clientConfig");
    let config = webhook.get("clientConfig").unwrap_or(&Value::Null);
    match (config.get("url"), config.get("service")) {
        (None, None) | (Some(_), Some(_)) => {
            errors.push(FieldError::required(
                &path,
                "exactly one of url or service is required",
            ));
        }
        (Some(url), None) => {
            if !url.as_str().is_some_and(|url| url.starts_with("https://")) {
                let problem = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
                errors.push(FieldError::invalid(path.child("url"), url, problem));
            }
        }
        (None, Some(service)) => {
            let path = path.child("service");
            for (field, problem) in [
                ("name", "service name is required"),
                ("namespace", "service namespace is required"),
            ] {
                if text(service, &[field]).is_empty() {
                    errors.push(FieldError::required(path.child(field), problem));
                }
            }
            if let Some(port) = integer(service, &["port"]) {
                for problem in names::port_number(port) {
                    let problem = format!("port is not valid: {problem}");
                    errors.push(FieldError::invalid(path.child("port"), &json!(port), &problem));
                }
            }
        }
    }
}

pub(super) fn webhooks(errors: &mut Errors, object: &Value) {
    let mut seen = BTreeSet::new();
    for (index, webhook) in items(object, &["webhooks"]).iter().enumerate() {
        let path = Path::new("webhooks").index(index);
        let name = text(webhook, &["name"]);
        if required(errors, webhook, &path, "name") {
            if name.split('.').count() < 3 {
                let problem = "should be a domain with at least three segments separated by dots";
                errors.push(FieldError::invalid(path.child("name"), &json!(name), problem));
            }
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), &json!(name)));
            }
        }
        let versions = items(webhook, &["admissionReviewVersions"]);
        if versions.is_empty() {
            let problem = "must specify one of v1, v1beta1";
            errors.push(FieldError::required(
                path.child("admissionReviewVersions"),
                problem,
            ));
        } else if !versions
            .iter()
            .any(|version| version == "v1" || version == "v1beta1")
        {
            let problem = "must include at least one of v1, v1beta1";
            errors.push(FieldError::invalid(
                path.child("admissionReviewVersions"),
                &json!(versions),
                problem,
            ));
        }
        required_one_of(errors, webhook, &path, "sideEffects", &["None", "NoneOnDryRun"]);
        one_of(errors, webhook, &path, "failurePolicy", &["Fail", "Ignore"]);
        one_of(errors, webhook, &path, "matchPolicy", &["Equivalent", "Exact"]);
        one_of(
            errors,
            webhook,
            &path,
            "reinvocationPolicy",
            &["IfNeeded", "Never"],
        );
        if let Some(seconds) = integer(webhook, &["timeoutSeconds"])
            && !(1..=30).contains(&seconds)
        {
            let problem = "the timeout value must be between 1 and 30 seconds";
            errors.push(FieldError::invalid(
                path.child("timeoutSeconds"),
                &json!(seconds),
                problem,
            ));
        }
        for (index, rule) in items(webhook, &["rules"]).iter().enumerate() {
            let path = path.child("rules").index(index);
            for field in ["apiGroups", "apiVersions", "operations", "resources"] {
                required(errors, rule, &path, field);
            }
            one_of(errors, rule, &path, "scope", &["*", "Cluster", "Namespaced"]);
        }
        client(errors, webhook, &path);
    }
}
