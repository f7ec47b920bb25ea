use serde_json::json;

use super::lists::{ATOMIC_TYPES, LISTS, MAPS, PATCHES};
use super::{definition_name, definitions};
use crate::kind::builtin;

#[test]
fn every_kind_has_a_definition() {
    for kind in builtin() {
        assert!(
            definition_name(&kind.api_version(), kind.kind).is_some(),
            "{} {}",
            kind.api_version(),
            kind.kind
        );
    }
}

/// A row that names no existing field is a typing error, or was renamed upstream.
#[test]
fn every_table_row_names_an_existing_field() {
    let kinds: Vec<_> = builtin()
        .iter()
        .map(|kind| (kind.api_version(), kind.kind))
        .collect();
    let all = definitions(kinds.iter().map(|(version, kind)| (version.as_str(), *kind)));
    let field = |name: &str, field: &str| all[&format!("io.k8s.{name}")]["properties"].get(field).is_some();
    for (name, name_field, _) in LISTS {
        assert!(field(name, name_field), "{name} {name_field}");
    }
    for (name, name_field, _) in PATCHES {
        assert!(field(name, name_field), "{name} {name_field}");
    }
    for (name, name_field, _) in MAPS {
        assert!(field(name, name_field), "{name} {name_field}");
    }
    for name in ATOMIC_TYPES {
        assert!(all.contains_key(&format!("io.k8s.{name}")), "{name}");
    }
}

#[test]
fn container_ports_have_two_apply_keys_and_one_merge_key() {
    let all = definitions([("v1", "Pod")]);
    let ports = &all["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(
        ports["x-kubernetes-list-map-keys"],
        json!(["containerPort", "protocol"])
    );
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    assert_eq!(
        all["io.k8s.api.core.v1.ContainerPort"]["properties"]["protocol"]["default"],
        "TCP"
    );
    assert_eq!(
        all["io.k8s.api.core.v1.Container"]["properties"]["command"]["x-kubernetes-list-type"],
        "atomic"
    );
}

#[test]
fn metadata_is_never_required() {
    let all = definitions([("v1", "ConfigMap")]);
    assert!(all["io.k8s.api.core.v1.ConfigMap"].get("required").is_none());
}
