//! Schemas of `networking.internal.knative.dev`.

use serde_json::{Value, json};

use super::autoscaling::object_reference;
use super::build::*;
use super::status::status;

pub(super) fn ingress() -> Value {
    let tls = object([
        ("hosts", list(string())),
        ("secretName", string()),
        ("secretNamespace", string()),
    ]);
    let rule = object([
        ("hosts", list(string())),
        ("visibility", described("ExternalIP or ClusterLocal.", string())),
        (
            "http",
            requiring(
                object([("paths", list(requiring(path(), &["splits"])))]),
                &["paths"],
            ),
        ),
    ]);
    let balancer = || {
        let address = object([
            ("ip", string()),
            ("domain", string()),
            ("domainInternal", string()),
            ("meshOnly", boolean()),
        ]);
        object([("ingress", list(address))])
    };
    resource(
        "Hosts and paths with weighted backends, for whichever ingress implementation is installed.",
        object([
            ("httpOption", described("Enabled or Redirected.", string())),
            (
                "rules",
                described("Hosts and where their requests go.", list(rule)),
            ),
            ("tls", described("Certificates by host.", list(tls))),
        ]),
        Some(status([
            (
                "publicLoadBalancer",
                described("Where everybody reaches the hosts.", balancer()),
            ),
            (
                "privateLoadBalancer",
                described("Where the cluster reaches the hosts.", balancer()),
            ),
        ])),
    )
}

fn path() -> Value {
    let split = object([
        ("serviceNamespace", string()),
        ("serviceName", string()),
        ("servicePort", int_or_string()),
        ("percent", int64()),
        ("appendHeaders", string_map()),
    ]);
    object([
        (
            "path",
            described("Literal prefix of the path; empty means all.", string()),
        ),
        ("rewriteHost", described("Replaces the Host header.", string())),
        (
            "headers",
            map_of(requiring(object([("exact", string())]), &["exact"])),
        ),
        (
            "splits",
            list(requiring(
                split,
                &["serviceName", "serviceNamespace", "servicePort"],
            )),
        ),
        ("appendHeaders", string_map()),
    ])
}

pub(super) fn serverless_service() -> Value {
    let activators = json!({
        "type": "integer", "format": "int32", "default": 0,
        "description": "Activators to use in proxy mode; 0 is all of them.",
    });
    let spec = object([
        (
            "mode",
            described(
                "Who stands behind the public Service.",
                one_of(&["Serve", "Proxy"]),
            ),
        ),
        ("numActivators", activators),
        ("objectRef", object_reference()),
        (
            "protocolType",
            described("Protocol of the application: http1 or h2c.", string()),
        ),
    ]);
    resource(
        "Two Services for one revision: a private one with its pods, a public one with its pods or with activators.",
        requiring(spec, &["objectRef", "protocolType"]),
        Some(status([
            ("serviceName", described("The public Service.", string())),
            ("privateServiceName", described("The private Service.", string())),
        ])),
    )
}

pub(super) fn certificate() -> Value {
    let challenge = object([
        ("url", string()),
        ("serviceName", string()),
        ("serviceNamespace", string()),
        ("servicePort", int_or_string()),
    ]);
    let spec = object([
        (
            "dnsNames",
            described("Hosts that the certificate covers.", list(string())),
        ),
        (
            "domain",
            described("Domain that every one of them ends with.", string()),
        ),
        (
            "secretName",
            described("Secret that receives the certificate.", string()),
        ),
    ]);
    resource(
        "A certificate that a provider is asked to keep in a secret.",
        requiring(spec, &["dnsNames", "secretName"]),
        Some(status([
            (
                "notAfter",
                json!({"type": "string", "format": "date-time", "description": "When the certificate expires."}),
            ),
            (
                "http01Challenges",
                described(
                    "Challenges that have to be answered over HTTP.",
                    list(requiring(
                        challenge,
                        &["serviceName", "serviceNamespace", "servicePort"],
                    )),
                ),
            ),
        ])),
    )
}

pub(super) fn cluster_domain_claim() -> Value {
    let spec = object([(
        "namespace",
        described("The namespace that may map the domain.", string()),
    )]);
    resource(
        "The right of one namespace to map a domain. The name of the object is the domain.",
        requiring(spec, &["namespace"]),
        None,
    )
}
