//! Services (`ValidateService` of `pkg/apis/core/validation`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::metadata::labels;
use super::names;
use super::path::Path;
use super::rule::{Errors, invalid, one_of, port, required_one_of};
use crate::json::{at, integer, items, text};

pub(super) fn service(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    let kind = text(spec, &["type"]);
    let headless = text(spec, &["clusterIP"]) == "None";
    if items(spec, &["ports"]).is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(path.child("ports"), ""));
    }
    match kind {
        "ExternalName" => external_name(errors, spec, &path),
        "NodePort" | "LoadBalancer" if headless => {
            let problem = format!("may not be set to 'None' for {kind} services");
            errors.push(FieldError::invalid(
                path.child("clusterIPs").index(0),
                &json!("None"),
                &problem,
            ));
        }
        _ => {}
    }
    ports(errors, spec, &path);
    labels(errors, spec, &["selector"], &path.child("selector"));
    required_one_of(errors, spec, &path, "sessionAffinity", &["ClientIP", "None"]);
    required_one_of(
        errors,
        spec,
        &path,
        "type",
        &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"],
    );
    one_of(
        errors,
        spec,
        &path,
        "externalTrafficPolicy",
        &["Cluster", "Local"],
    );
    one_of(
        errors,
        spec,
        &path,
        "internalTrafficPolicy",
        &["Cluster", "Local"],
    );
    one_of(
        errors,
        spec,
        &path,
        "ipFamilyPolicy",
        &["SingleStack", "PreferDualStack", "RequireDualStack"],
    );
    affinity_timeout(errors, spec, &path);
    addresses(errors, spec, &path);
}

fn external_name(errors: &mut Errors, spec: &Value, path: &Path) {
    if !text(spec, &["clusterIP"]).is_empty() {
        let problem = "may not be set when `type` is 'ExternalName'";
        errors.push(FieldError::forbidden(path.child("clusterIPs"), problem));
    }
    let name = text(spec, &["externalName"]);
    match name.strip_suffix('.').unwrap_or(name) {
        "" => errors.push(FieldError::required(path.child("externalName"), "")),
        name => invalid(errors, &path.child("externalName"), name, names::subdomain(name)),
    }
}

fn ports(errors: &mut Errors, spec: &Value, path: &Path) {
    let ports = items(spec, &["ports"]);
    let (mut names_seen, mut numbers_seen) = (BTreeSet::new(), BTreeSet::new());
    for (index, service_port) in ports.iter().enumerate() {
        let path = path.child("ports").index(index);
        let name = text(service_port, &["name"]);
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(FieldError::required(path.child("name"), ""));
            }
        } else {
            invalid(errors, &path.child("name"), name, names::label(name));
            if !names_seen.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), &json!(name)));
            }
        }
        let number = integer(service_port, &["port"]).unwrap_or_default();
        port(errors, Some(&json!(number)), &path.child("port"));
        required_one_of(errors, service_port, &path, "protocol", &["SCTP", "TCP", "UDP"]);
        port(errors, service_port.get("targetPort"), &path.child("targetPort"));
        if let Some(node_port) = integer(service_port, &["nodePort"])
            && node_port != 0
        {
            port(errors, Some(&json!(node_port)), &path.child("nodePort"));
            if text(spec, &["type"]) == "ClusterIP" {
                let problem = "may not be used when `type` is 'ClusterIP'";
                errors.push(FieldError::forbidden(path.child("nodePort"), problem));
            }
        }
        let protocol = text(service_port, &["protocol"]);
        if !numbers_seen.insert((protocol, number)) {
            errors.push(FieldError::duplicate(
                &path,
                &json!({"port": number, "protocol": protocol}),
            ));
        }
    }
}

fn affinity_timeout(errors: &mut Errors, spec: &Value, path: &Path) {
    if let Some(seconds) = integer(spec, &["sessionAffinityConfig", "clientIP", "timeoutSeconds"])
        && !(1..=86_400).contains(&seconds)
    {
        let path = path
            .child("sessionAffinityConfig")
            .child("clientIP")
            .child("timeoutSeconds");
        errors.push(FieldError::invalid(
            path,
            &json!(seconds),
            "must be greater than 0 and less than 86400",
        ));
    }
}

fn addresses(errors: &mut Errors, spec: &Value, path: &Path) {
    let problem = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
    let cluster_ip = text(spec, &["clusterIP"]);
    if !matches!(cluster_ip, "" | "None") && cluster_ip.parse::<IpAddr>().is_err() {
        errors.push(FieldError::invalid(
            path.child("clusterIPs").index(0),
            &json!(cluster_ip),
            problem,
        ));
    }
    for (index, ip) in items(spec, &["externalIPs"]).iter().enumerate() {
        if ip.as_str().is_none_or(|ip| ip.parse::<IpAddr>().is_err()) {
            errors.push(FieldError::invalid(
                path.child("externalIPs").index(index),
                ip,
                problem,
            ));
        }
    }
}

/// An address is given for life, unless the service stops having one.
pub(super) fn update(errors: &mut Errors, new: &Value, old: &Value) {
    let (after, before) = (
        text(new, &["spec", "clusterIP"]),
        text(old, &["spec", "clusterIP"]),
    );
    let needs = |object: &Value| text(object, &["spec", "type"]) != "ExternalName";
    if needs(new) && needs(old) && !before.is_empty() && after != before {
        errors.push(FieldError::invalid(
            "spec.clusterIPs[0]",
            &json!([after]),
            "may not change once set",
        ));
    }
}
