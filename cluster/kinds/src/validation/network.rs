//! Ingresses, endpoints and network policies.

use std::net::IpAddr;

use cluster_machinery::FieldError;
use serde_json::{Value, json};

use super::metadata::label_selector;
use super::names;
use super::path::Path;
use super::rule::{Errors, immutable, invalid, one_of, optional_name, port, required, required_one_of};
use crate::json::{at, integer, is_empty, items, text};

/// Most endpoints of one slice.
const MAX_ENDPOINTS: usize = 1000;
const NOT_AN_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

pub(super) fn ingress(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    if items(spec, &["rules"]).is_empty() && spec.get("defaultBackend").is_none() {
        let problem = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(&path, &json!([]), problem));
    }
    optional_name(errors, spec, &path, "ingressClassName", names::subdomain);
    if let Some(backend) = spec.get("defaultBackend") {
        self::backend(errors, backend, &path.child("defaultBackend"));
    }
    for (index, rule) in items(spec, &["rules"]).iter().enumerate() {
        let path = path.child("rules").index(index);
        host(errors, text(rule, &["host"]), &path.child("host"));
        let Some(http) = rule.get("http") else { continue };
        let path = path.child("http").child("paths");
        if items(http, &["paths"]).is_empty() {
            errors.push(FieldError::required(&path, ""));
        }
        for (index, entry) in items(http, &["paths"]).iter().enumerate() {
            ingress_path(errors, entry, &path.index(index));
        }
    }
}

fn host(errors: &mut Errors, host: &str, path: &Path) {
    if host.is_empty() {
        return;
    }
    if host.parse::<IpAddr>().is_ok() {
        errors.push(FieldError::invalid(
            path,
            &json!(host),
            "must be a DNS name, not an IP address",
        ));
    }
    let plain = host.strip_prefix("*.").unwrap_or(host);
    invalid(errors, path, host, names::subdomain(plain));
}

fn ingress_path(errors: &mut Errors, entry: &Value, path: &Path) {
    if is_empty(entry.get("pathType")) {
        errors.push(FieldError::required(
            path.child("pathType"),
            "pathType must be specified",
        ));
    } else {
        one_of(
            errors,
            entry,
            path,
            "pathType",
            &["Exact", "ImplementationSpecific", "Prefix"],
        );
    }
    let kind = text(entry, &["pathType"]);
    let target = text(entry, &["path"]);
    let must = matches!(kind, "Exact" | "Prefix");
    if (must || !target.is_empty()) && !target.starts_with('/') {
        errors.push(FieldError::invalid(
            path.child("path"),
            &json!(target),
            "must be an absolute path",
        ));
    }
    if must {
        for forbidden in ["//", "/./", "/../", "%2f", "%2F"]
            .into_iter()
            .filter(|part| target.contains(part))
        {
            let problem = format!("must not contain '{forbidden}'");
            errors.push(FieldError::invalid(path.child("path"), &json!(target), &problem));
        }
    }
    backend(
        errors,
        entry.get("backend").unwrap_or(&Value::Null),
        &path.child("backend"),
    );
}

fn backend(errors: &mut Errors, backend: &Value, path: &Path) {
    match (backend.get("service"), backend.get("resource")) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(
                path,
                &json!(""),
                "cannot set both resource and service backends",
            ));
        }
        (None, None) => errors.push(FieldError::required(path, "port name or number is required")),
        (Some(service), None) => {
            let path = path.child("service");
            super::rule::required_name(errors, service, &path, "name", names::label_1035);
            let (name, number) = (
                text(service, &["port", "name"]),
                integer(service, &["port", "number"]),
            );
            let path = path.child("port");
            match (name, number.unwrap_or_default()) {
                ("", 0) => errors.push(FieldError::required(path, "port name or number is required")),
                ("", number) => port(errors, Some(&json!(number)), &path.child("number")),
                (name, 0) => invalid(errors, &path.child("name"), name, names::port_name(name)),
                _ => errors.push(FieldError::invalid(
                    path,
                    &json!(""),
                    "cannot set both port name & port number",
                )),
            }
        }
        (None, Some(resource)) => {
            let path = path.child("resource");
            required(errors, resource, &path, "kind");
            required(errors, resource, &path, "name");
        }
    }
}

pub(super) fn ingress_class(errors: &mut Errors, object: &Value) {
    let controller = text(object, &["spec", "controller"]);
    let path = Path::new("spec.controller");
    if controller.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else if !controller.contains('/') {
        let problem = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(FieldError::invalid(path, &json!(controller), problem));
    }
}

pub(super) fn update_ingress_class(errors: &mut Errors, new: &Value, old: &Value) {
    immutable(errors, new, old, &["spec", "controller"]);
}

pub(super) fn network_policy(errors: &mut Errors, object: &Value) {
    let path = Path::new("spec");
    let spec = at(object, &["spec"]).unwrap_or(&Value::Null);
    if let Some(selector) = spec.get("podSelector") {
        label_selector(errors, selector, &path.child("podSelector"));
    }
    for (list, peers) in [("ingress", "from"), ("egress", "to")] {
        for (index, rule) in items(spec, &[list]).iter().enumerate() {
            let path = path.child(list).index(index);
            for (index, policy_port) in items(rule, &["ports"]).iter().enumerate() {
                let path = path.child("ports").index(index);
                one_of(errors, policy_port, &path, "protocol", &["SCTP", "TCP", "UDP"]);
                if let Some(value) = policy_port.get("port") {
                    port(errors, Some(value), &path.child("port"));
                }
            }
            for (index, peer) in items(rule, &[peers]).iter().enumerate() {
                let path = path.child(peers).index(index);
                if peer.as_object().is_none_or(serde_json::Map::is_empty) {
                    errors.push(FieldError::required(path, "must specify a peer"));
                } else if peer.get("ipBlock").is_some()
                    && (peer.get("podSelector").is_some() || peer.get("namespaceSelector").is_some())
                {
                    let problem = "may not specify both ipBlock and another peer";
                    errors.push(FieldError::forbidden(path, problem));
                }
            }
        }
    }
}

pub(super) fn endpoint_slice(errors: &mut Errors, object: &Value) {
    let root = Path::new("");
    required_one_of(errors, object, &root, "addressType", &["FQDN", "IPv4", "IPv6"]);
    let endpoints = items(object, &["endpoints"]);
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(FieldError::too_many(
            "endpoints",
            endpoints.len(),
            MAX_ENDPOINTS as u64,
        ));
    }
    let family = text(object, &["addressType"]);
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = Path::new("endpoints").index(index).child("addresses");
        let addresses = items(endpoint, &["addresses"]);
        if addresses.is_empty() {
            errors.push(FieldError::required(&path, "must contain at least 1 address"));
        }
        for (index, address) in addresses.iter().enumerate() {
            let path = path.index(index);
            let address = address.as_str().unwrap_or_default();
            match (family, address.parse::<IpAddr>()) {
                ("FQDN", _) => invalid(errors, &path, address, names::subdomain(address)),
                ("IPv4", Ok(IpAddr::V6(_))) => {
                    errors.push(FieldError::invalid(
                        path,
                        &json!(address),
                        "must be an IPv4 address",
                    ));
                }
                ("IPv6", Ok(IpAddr::V4(_))) => {
                    errors.push(FieldError::invalid(
                        path,
                        &json!(address),
                        "must be an IPv6 address",
                    ));
                }
                (_, Ok(_)) => {}
                (_, Err(_)) => errors.push(FieldError::invalid(path, &json!(address), NOT_AN_IP)),
            }
        }
    }
    let mut names_seen = std::collections::BTreeSet::new();
    for (index, slice_port) in items(object, &["ports"]).iter().enumerate() {
        let path = Path::new("ports").index(index);
        let name = text(slice_port, &["name"]);
        if !name.is_empty() {
            invalid(errors, &path.child("name"), name, names::label(name));
        }
        if !names_seen.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), &json!(name)));
        }
        required_one_of(errors, slice_port, &path, "protocol", &["SCTP", "TCP", "UDP"]);
    }
}

pub(super) fn update_endpoint_slice(errors: &mut Errors, new: &Value, old: &Value) {
    immutable(errors, new, old, &["addressType"]);
}

pub(super) fn endpoints(errors: &mut Errors, object: &Value) {
    for (index, subset) in items(object, &["subsets"]).iter().enumerate() {
        let path = Path::new("subsets").index(index);
        for list in ["addresses", "notReadyAddresses"] {
            for (index, address) in items(subset, &[list]).iter().enumerate() {
                let ip = text(address, &["ip"]);
                if ip.parse::<IpAddr>().is_err() {
                    let path = path.child(list).index(index).child("ip");
                    errors.push(FieldError::invalid(path, &json!(ip), NOT_AN_IP));
                }
            }
        }
        let ports = items(subset, &["ports"]);
        for (index, endpoint_port) in ports.iter().enumerate() {
            let path = path.child("ports").index(index);
            if ports.len() > 1 {
                required(errors, endpoint_port, &path, "name");
            }
            let number = integer(endpoint_port, &["port"]).unwrap_or_default();
            port(errors, Some(&json!(number)), &path.child("port"));
        }
    }
}
