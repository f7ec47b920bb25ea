//! Services, endpoints and network policies.

use serde_json::{Value, json};

use crate::json::{Object, is_empty, items_mut, object_mut, object_or_new, set_absent, set_zero};

/// A Service. Cluster IPs are allocated by the registry; families and policy are those of an IPv4 cluster.
pub(super) fn service(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    set_zero(spec, "sessionAffinity", "None");
    set_zero(spec, "type", "ClusterIP");
    session_affinity(spec);
    for port in items_mut(spec, "ports") {
        set_zero(port, "protocol", "TCP");
        if let Some(number) = port.get("port").cloned() {
            set_zero(port, "targetPort", number);
        }
    }
    let kind = spec
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let external_ips = !is_empty(spec.get("externalIPs"));
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") || (kind == "ClusterIP" && external_ips) {
        set_zero(spec, "externalTrafficPolicy", "Cluster");
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
        set_absent(spec, "internalTrafficPolicy", "Cluster");
        ip_families(spec);
    }
    if kind == "LoadBalancer" {
        set_absent(spec, "allocateLoadBalancerNodePorts", true);
    }
    if let Some(status) = object_or_new(object, "status") {
        set_absent(status, "loadBalancer", json!({}));
    }
}

fn session_affinity(spec: &mut Object) {
    match spec.get("sessionAffinity").and_then(Value::as_str) {
        Some("None") => {
            spec.remove("sessionAffinityConfig");
        }
        Some("ClientIP") => {
            if let Some(client) = object_or_new(spec, "sessionAffinityConfig")
                .and_then(|config| object_or_new(config, "clientIP"))
            {
                // Three hours.
                set_absent(client, "timeoutSeconds", 10_800);
            }
        }
        _ => {}
    }
}

/// Families are chosen by the cluster; only a headless service without selector may name families that the cluster
/// does not have, and gets both unless it says otherwise (`registry/core/service/storage/alloc.go`).
fn ip_families(spec: &mut Object) {
    let headless = spec.get("clusterIP").and_then(Value::as_str) == Some("None");
    if headless && is_empty(spec.get("selector")) {
        set_absent(spec, "ipFamilyPolicy", "RequireDualStack");
        if is_empty(spec.get("ipFamilies")) {
            let single = spec.get("ipFamilyPolicy").and_then(Value::as_str) == Some("SingleStack");
            let families = if single {
                json!(["IPv4"])
            } else {
                json!(["IPv4", "IPv6"])
            };
            spec.insert("ipFamilies".to_owned(), families);
        }
        return;
    }
    set_absent(spec, "ipFamilyPolicy", "SingleStack");
    if is_empty(spec.get("ipFamilies")) {
        spec.insert("ipFamilies".to_owned(), json!(["IPv4"]));
    }
}

pub(super) fn endpoints(object: &mut Object) {
    for subset in items_mut(object, "subsets") {
        for port in items_mut(subset, "ports") {
            set_zero(port, "protocol", "TCP");
        }
    }
}

pub(super) fn endpoint_slice(object: &mut Object) {
    for port in items_mut(object, "ports") {
        set_absent(port, "name", "");
        set_absent(port, "protocol", "TCP");
    }
}

pub(super) fn network_policy(object: &mut Object) {
    let Some(spec) = object_mut(object, "spec") else {
        return;
    };
    for direction in ["ingress", "egress"] {
        for rule in items_mut(spec, direction) {
            for port in items_mut(rule, "ports") {
                set_absent(port, "protocol", "TCP");
            }
        }
    }
    if is_empty(spec.get("policyTypes")) {
        let egress = !is_empty(spec.get("egress"));
        let types = if egress {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        spec.insert("policyTypes".to_owned(), types);
    }
}

pub(super) fn ingress_class(object: &mut Object) {
    if let Some(parameters) = object_mut(object, "spec").and_then(|spec| object_mut(spec, "parameters")) {
        set_absent(parameters, "scope", "Cluster");
    }
}
