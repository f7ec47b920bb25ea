//! The pod as far as a template may hold it, with the fields of a Revision beside it.

use serde_json::Value;

use super::build::*;
use super::container::{container, flagged};

/// `spec.template`, whose metadata keeps what it does not know: other tools leave their marks there.
pub(super) fn template() -> Value {
    let mut metadata = anything();
    if let (Some(metadata), Value::Object(known)) = (
        metadata.as_object_mut(),
        object([
            ("annotations", string_map()),
            ("labels", string_map()),
            ("finalizers", list(string())),
            ("name", string()),
            ("namespace", string()),
        ]),
    ) {
        metadata.extend(known);
    }
    described(
        "How each revision looks. A change makes a new revision.",
        object([("metadata", metadata), ("spec", revision_spec())]),
    )
}

/// The spec of a Revision.
pub(super) fn revision_spec() -> Value {
    let own = object([
        (
            "containerConcurrency",
            described(
                "Requests that one pod may work on at once; 0 is unlimited.",
                int64(),
            ),
        ),
        (
            "timeoutSeconds",
            described("Seconds that a request may take in all.", int64()),
        ),
        (
            "responseStartTimeoutSeconds",
            described(
                "Seconds that a request may take until its response begins.",
                int64(),
            ),
        ),
        (
            "idleTimeoutSeconds",
            described(
                "Seconds that a request may go without a byte of the response.",
                int64(),
            ),
        ),
    ]);
    let free = with_fields(
        own,
        [
            (
                "automountServiceAccountToken",
                described("May only be false.", boolean()),
            ),
            (
                "containers",
                described(
                    "The containers; exactly one of them has a port.",
                    list(container()),
                ),
            ),
            ("enableServiceLinks", boolean()),
            (
                "imagePullSecrets",
                list_by("name", atomic(object([("name", defaulted(""))]))),
            ),
            ("serviceAccountName", string()),
            ("volumes", list_by("name", requiring(volume(), &["name"]))),
        ],
    );
    let flag = |name: &str, schema| flagged(&format!("kubernetes.podspec-{name}"), schema);
    let whole = with_fields(
        free,
        [
            ("affinity", flag("affinity", anything())),
            ("dnsConfig", flag("dnsconfig", anything())),
            ("dnsPolicy", flag("dnspolicy", string())),
            ("hostAliases", flag("hostaliases", list(anything()))),
            ("hostIPC", flag("hostipc", boolean())),
            ("hostNetwork", flag("hostnetwork", boolean())),
            ("hostPID", flag("hostpid", boolean())),
            ("initContainers", flag("init-containers", list(anything()))),
            ("nodeSelector", flag("nodeselector", atomic(string_map()))),
            ("priorityClassName", flag("priorityclassname", string())),
            ("runtimeClassName", flag("runtimeclassname", string())),
            ("schedulerName", flag("schedulername", string())),
            ("securityContext", flag("securitycontext", anything())),
            ("shareProcessNamespace", flag("shareprocessnamespace", boolean())),
            ("tolerations", flag("tolerations", list(anything()))),
            (
                "topologySpreadConstraints",
                flag("topologyspreadconstraints", list(anything())),
            ),
        ],
    );
    requiring(whole, &["containers"])
}

fn volume() -> Value {
    let flag = |name: &str| flagged(&format!("kubernetes.podspec-{name}"), anything());
    let items = || {
        list(requiring(
            object([("key", string()), ("mode", int32()), ("path", string())]),
            &["key", "path"],
        ))
    };
    let config_map = object([
        ("defaultMode", int32()),
        ("items", items()),
        ("name", defaulted("")),
        ("optional", boolean()),
    ]);
    let secret = object([
        ("defaultMode", int32()),
        ("items", items()),
        ("secretName", string()),
        ("optional", boolean()),
    ]);
    let part = || {
        object([
            ("items", items()),
            ("name", defaulted("")),
            ("optional", boolean()),
        ])
    };
    let field_ref = atomic(requiring(
        object([("apiVersion", string()), ("fieldPath", string())]),
        &["fieldPath"],
    ));
    let resource_field_ref = atomic(requiring(
        object([
            ("containerName", string()),
            ("divisor", int_or_string()),
            ("resource", string()),
        ]),
        &["resource"],
    ));
    let downward_item = object([
        ("fieldRef", field_ref),
        ("mode", int32()),
        ("path", string()),
        ("resourceFieldRef", resource_field_ref),
    ]);
    let token = object([
        ("audience", string()),
        ("expirationSeconds", int64()),
        ("path", string()),
    ]);
    let source = object([
        ("configMap", part()),
        ("secret", part()),
        (
            "downwardAPI",
            object([("items", list(requiring(downward_item, &["path"])))]),
        ),
        ("serviceAccountToken", requiring(token, &["path"])),
    ]);
    object([
        ("name", string()),
        ("configMap", config_map),
        ("secret", secret),
        (
            "projected",
            object([("defaultMode", int32()), ("sources", list(source))]),
        ),
        ("csi", flag("volumes-csi")),
        ("emptyDir", flag("volumes-emptydir")),
        ("ephemeral", flag("volumes-ephemeral")),
        ("hostPath", flag("volumes-hostpath")),
        ("image", flag("volumes-image")),
        ("persistentVolumeClaim", flag("persistent-volume-claim")),
    ])
}
