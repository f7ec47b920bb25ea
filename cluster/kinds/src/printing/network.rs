//! Services, endpoints, ingresses and network policies.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::text::{NONE, at_most_three, labels, or, selector};
use super::{age, name};
use crate::json::{at, integer, items, text};

pub(super) fn service(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = items(object, &["spec", "ports"])
        .iter()
        .map(service_port)
        .collect();
    vec![
        name(object),
        text(object, &["spec", "type"]).into(),
        or(text(object, &["spec", "clusterIP"]), NONE).into(),
        external_ip(object).into(),
        or(&ports.join(","), NONE).into(),
        age(object, now),
        labels(at(object, &["spec", "selector"])).into(),
    ]
}

fn service_port(port: &Value) -> String {
    let number = integer(port, &["port"]).unwrap_or_default();
    let protocol = text(port, &["protocol"]);
    match integer(port, &["nodePort"]) {
        Some(node_port) if node_port > 0 => format!("{number}:{node_port}/{protocol}"),
        _ => format!("{number}/{protocol}"),
    }
}

fn external_ip(service: &Value) -> String {
    let external: Vec<&str> = items(service, &["spec", "externalIPs"])
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match text(service, &["spec", "type"]) {
        "ClusterIP" | "NodePort" => or(&external.join(","), NONE).to_owned(),
        "LoadBalancer" => {
            let mut all = addresses(service);
            all.extend(external.iter().map(|ip| (*ip).to_owned()));
            or(&all.join(","), "<pending>").to_owned()
        }
        "ExternalName" => text(service, &["spec", "externalName"]).to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses of a load balancer, sorted, each once.
fn addresses(object: &Value) -> Vec<String> {
    let ingress = items(object, &["status", "loadBalancer", "ingress"]).iter();
    let addresses: BTreeSet<&str> = ingress
        .map(|point| or(text(point, &["ip"]), text(point, &["hostname"])))
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().map(str::to_owned).collect()
}

pub(super) fn endpoints(object: &Value, now: Timestamp) -> Vec<Value> {
    let mut list = Vec::new();
    for subset in items(object, &["subsets"]) {
        let ips: Vec<&str> = items(subset, &["addresses"])
            .iter()
            .map(|address| text(address, &["ip"]))
            .collect();
        let ports = items(subset, &["ports"]);
        if ports.is_empty() {
            // A headless service may have no ports.
            list.extend(ips.iter().map(|ip| (*ip).to_owned()));
        }
        for port in ports {
            let port = integer(port, &["port"]).unwrap_or_default();
            list.extend(ips.iter().map(|ip| match ip.contains(':') {
                true => format!("[{ip}]:{port}"),
                false => format!("{ip}:{port}"),
            }));
        }
    }
    vec![name(object), at_most_three(&list, NONE).into(), age(object, now)]
}

pub(super) fn endpoint_slice(object: &Value, now: Timestamp) -> Vec<Value> {
    let ports: Vec<String> = items(object, &["ports"])
        .iter()
        .map(|port| match integer(port, &["port"]) {
            Some(number) => number.to_string(),
            None => or(text(port, &["name"]), "*").to_owned(),
        })
        .collect();
    let addresses: Vec<String> = items(object, &["endpoints"])
        .iter()
        .flat_map(|endpoint| items(endpoint, &["addresses"]))
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    vec![
        name(object),
        text(object, &["addressType"]).into(),
        at_most_three(&ports, "<unset>").into(),
        at_most_three(&addresses, "<unset>").into(),
        age(object, now),
    ]
}

pub(super) fn ingress(object: &Value, now: Timestamp) -> Vec<Value> {
    let hosts: Vec<String> = items(object, &["spec", "rules"])
        .iter()
        .map(|rule| text(rule, &["host"]).to_owned())
        .filter(|host| !host.is_empty())
        .collect();
    let ports = if items(object, &["spec", "tls"]).is_empty() {
        "80"
    } else {
        "80, 443"
    };
    vec![
        name(object),
        or(text(object, &["spec", "ingressClassName"]), NONE).into(),
        at_most_three(&hosts, "*").into(),
        addresses(object).join(",").into(),
        ports.into(),
        age(object, now),
    ]
}

pub(super) fn ingress_class(object: &Value, now: Timestamp) -> Vec<Value> {
    let parameters = match at(object, &["spec", "parameters"]) {
        None => NONE.to_owned(),
        Some(parameters) => {
            let kind = text(parameters, &["kind"]);
            let name = text(parameters, &["name"]);
            match text(parameters, &["apiGroup"]) {
                "" => format!("{kind}/{name}"),
                group => format!("{kind}.{group}/{name}"),
            }
        }
    };
    vec![
        name(object),
        text(object, &["spec", "controller"]).into(),
        parameters.into(),
        age(object, now),
    ]
}

pub(super) fn network_policy(object: &Value, now: Timestamp) -> Vec<Value> {
    vec![
        name(object),
        selector(at(object, &["spec", "podSelector"])).into(),
        age(object, now),
    ]
}
