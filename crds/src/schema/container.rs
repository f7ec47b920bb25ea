//! Containers as far as a template may hold them.

use serde_json::{Value, json};

use super::build::*;

pub(super) fn container() -> Value {
    object([
        ("name", string()),
        (
            "image",
            described(
                "The image to run; resolved to a digest once per revision.",
                string(),
            ),
        ),
        ("imagePullPolicy", string()),
        ("command", list(string())),
        ("args", list(string())),
        ("workingDir", string()),
        ("env", list_by("name", requiring(env(), &["name"]))),
        ("envFrom", list(env_from())),
        ("ports", list(port())),
        ("livenessProbe", probe()),
        ("readinessProbe", probe()),
        ("startupProbe", probe()),
        (
            "resources",
            object([("limits", quantities()), ("requests", quantities())]),
        ),
        ("securityContext", security_context()),
        ("terminationMessagePath", string()),
        ("terminationMessagePolicy", string()),
        (
            "volumeMounts",
            list_by("mountPath", requiring(volume_mount(), &["mountPath", "name"])),
        ),
    ])
}

/// A key of a ConfigMap or Secret.
fn key_ref() -> Value {
    atomic(requiring(
        object([
            ("key", string()),
            ("name", defaulted("")),
            ("optional", boolean()),
        ]),
        &["key"],
    ))
}

fn env() -> Value {
    object([
        ("name", string()),
        ("value", string()),
        (
            "valueFrom",
            object([
                ("configMapKeyRef", key_ref()),
                ("secretKeyRef", key_ref()),
                (
                    "fieldRef",
                    flagged("kubernetes.podspec-fieldref", atomic(anything())),
                ),
                (
                    "resourceFieldRef",
                    flagged("kubernetes.podspec-fieldref", atomic(anything())),
                ),
            ]),
        ),
    ])
}

fn env_from() -> Value {
    let reference = || atomic(object([("name", defaulted("")), ("optional", boolean())]));
    object([
        ("configMapRef", reference()),
        ("secretRef", reference()),
        ("prefix", string()),
    ])
}

fn port() -> Value {
    object([
        ("containerPort", int32()),
        ("name", string()),
        ("protocol", defaulted("TCP")),
    ])
}

fn probe() -> Value {
    let header = requiring(
        object([("name", string()), ("value", string())]),
        &["name", "value"],
    );
    object([
        ("exec", object([("command", list(string()))])),
        ("grpc", object([("port", int32()), ("service", defaulted(""))])),
        (
            "httpGet",
            object([
                ("host", string()),
                ("httpHeaders", list(header)),
                ("path", string()),
                ("port", int_or_string()),
                ("scheme", string()),
            ]),
        ),
        (
            "tcpSocket",
            object([("host", string()), ("port", int_or_string())]),
        ),
        ("initialDelaySeconds", int32()),
        ("timeoutSeconds", int32()),
        (
            "periodSeconds",
            described(
                "Seconds between attempts; absent or 0 probes many times a second until the first success.",
                int32(),
            ),
        ),
        ("successThreshold", int32()),
        ("failureThreshold", int32()),
    ])
}

fn security_context() -> Value {
    object([
        ("allowPrivilegeEscalation", boolean()),
        (
            "capabilities",
            object([
                (
                    "add",
                    flagged("kubernetes.containerspec-addcapabilities", list(string())),
                ),
                ("drop", list(string())),
            ]),
        ),
        ("privileged", described("May only be false.", boolean())),
        ("readOnlyRootFilesystem", boolean()),
        ("runAsGroup", int64()),
        ("runAsNonRoot", boolean()),
        ("runAsUser", int64()),
        (
            "seccompProfile",
            requiring(
                object([("localhostProfile", string()), ("type", string())]),
                &["type"],
            ),
        ),
    ])
}

fn volume_mount() -> Value {
    object([
        ("mountPath", string()),
        (
            "mountPropagation",
            flagged("kubernetes.podspec-volumes-mount-propagation", string()),
        ),
        ("name", string()),
        ("readOnly", boolean()),
        ("subPath", string()),
    ])
}

/// A field that only a feature flag lets pass.
pub(super) fn flagged(flag: &str, mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert(
            "description".to_owned(),
            json!(format!("Needs the feature flag {flag}.")),
        );
    }
    schema
}
