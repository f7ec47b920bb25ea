use serde_json::json;

use super::compact::build;
use super::definitions::TYPES;
use super::lists::{ATOMIC_TYPES, LISTS, MAPS, PATCHES};
use super::{definition_name, definitions, schema_of};
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

#[test]
fn every_schema_is_built_and_small() {
    let mut nodes = 0;
    for row in TYPES {
        let schema = build(row).unwrap_or_else(|error| panic!("{} {}: {error}", row.api_version, row.kind));
        nodes += schema.node_count();
    }
    // Some 150 bytes each: all kinds together stay under five megabytes.
    assert!(nodes < 33_000, "{nodes} nodes");
    for kind in builtin() {
        assert!(kind.schema().is_some(), "{}", kind.kind);
    }
}

#[test]
fn unknown_fields_are_found_at_any_depth() {
    let schema = schema_of("apps/v1", "Deployment").unwrap();
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "colour": "red"},
        "spec": {
            "replica": 1,
            "template": {"spec": {"containers": [{"name": "a", "imagePullpolicy": "Always"}]}},
        },
        "status": {"replicas": 1},
    });
    assert_eq!(
        schema.unknown_fields(&deployment),
        [
            "metadata.colour",
            "spec.replica",
            "spec.template.spec.containers[0].imagePullpolicy"
        ]
    );
}

#[test]
fn free_form_fields_take_anything_and_typed_ones_do_not() {
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "spec": {"versions": [{"name": "v1", "schema": {"openAPIV3Schema": {
            "type": "object",
            "properties": {"a": {"type": "array", "items": {"type": "string", "default": {"x": 1}}}},
            "additionalProperties": false,
        }}}]},
    });
    let schema = schema_of("apiextensions.k8s.io/v1", "CustomResourceDefinition").unwrap();
    assert_eq!(schema.unknown_fields(&crd), Vec::<String>::new());
    assert_eq!(schema.validate(&crd, None), []);

    let revision = json!({"revision": 1, "data": {"anything": [{"goes": null}]}});
    let schema = schema_of("apps/v1", "ControllerRevision").unwrap();
    assert_eq!(schema.unknown_fields(&revision), Vec::<String>::new());

    let pod = schema_of("v1", "Pod").unwrap();
    let wrong = json!({"spec": {"containers": [{"name": "a", "ports": [{"containerPort": "http"}]}]}});
    let errors = pod.validate(&wrong, None);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].path, "spec.containers[0].ports[0].containerPort");
}

#[test]
fn nothing_is_required_by_shape_and_quantities_may_be_numbers() {
    let pod = schema_of("v1", "Pod").unwrap();
    let resources = json!({"limits": {"cpu": 1, "memory": "64Mi"}});
    assert_eq!(
        pod.validate(&json!({"spec": {"containers": [{"resources": resources}]}}), None),
        []
    );
}
