//! Rows of the core group.

use super::{
    ALL, CONNECT, CREATE, GET, GET_PATCH_UPDATE, NO_COLLECTION, PROXY, SCALE, UPDATE, cluster, namespaced,
    status, sub,
};
use crate::kind::Kind;

pub(super) const KINDS: &[Kind] = &[
    namespaced("", "v1", "Binding", "bindings", "binding").verbs(CREATE),
    namespaced("", "v1", "ConfigMap", "configmaps", "configmap").short(&["cm"]),
    namespaced("", "v1", "Endpoints", "endpoints", "endpoints").short(&["ep"]),
    namespaced("", "v1", "Event", "events", "event").short(&["ev"]),
    namespaced("", "v1", "LimitRange", "limitranges", "limitrange").short(&["limits"]),
    cluster("", "v1", "Namespace", "namespaces", "namespace")
        .short(&["ns"])
        .verbs(NO_COLLECTION)
        .subresources(&[
            sub("finalize", "", "v1", "Namespace", UPDATE),
            status("", "v1", "Namespace"),
        ]),
    cluster("", "v1", "Node", "nodes", "node")
        .short(&["no"])
        .subresources(&[
            sub("proxy", "", "v1", "NodeProxyOptions", PROXY),
            status("", "v1", "Node"),
        ]),
    namespaced(
        "",
        "v1",
        "PersistentVolumeClaim",
        "persistentvolumeclaims",
        "persistentvolumeclaim",
    )
    .short(&["pvc"])
    .subresources(&[status("", "v1", "PersistentVolumeClaim")]),
    cluster(
        "",
        "v1",
        "PersistentVolume",
        "persistentvolumes",
        "persistentvolume",
    )
    .short(&["pv"])
    .subresources(&[status("", "v1", "PersistentVolume")]),
    namespaced("", "v1", "Pod", "pods", "pod")
        .short(&["po"])
        .categories(ALL)
        .subresources(&[
            sub("attach", "", "v1", "PodAttachOptions", CONNECT),
            sub("binding", "", "v1", "Binding", CREATE),
            sub("ephemeralcontainers", "", "v1", "Pod", GET_PATCH_UPDATE),
            sub("eviction", "policy", "v1", "Eviction", CREATE),
            sub("exec", "", "v1", "PodExecOptions", CONNECT),
            sub("log", "", "v1", "Pod", GET),
            sub("portforward", "", "v1", "PodPortForwardOptions", CONNECT),
            sub("proxy", "", "v1", "PodProxyOptions", PROXY),
            sub("resize", "", "v1", "Pod", GET_PATCH_UPDATE),
            status("", "v1", "Pod"),
        ]),
    namespaced("", "v1", "PodTemplate", "podtemplates", "podtemplate"),
    namespaced(
        "",
        "v1",
        "ReplicationController",
        "replicationcontrollers",
        "replicationcontroller",
    )
    .short(&["rc"])
    .categories(ALL)
    .subresources(&[SCALE, status("", "v1", "ReplicationController")]),
    namespaced("", "v1", "ResourceQuota", "resourcequotas", "resourcequota")
        .short(&["quota"])
        .subresources(&[status("", "v1", "ResourceQuota")]),
    namespaced("", "v1", "Secret", "secrets", "secret"),
    namespaced("", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount")
        .short(&["sa"])
        .subresources(&[sub(
            "token",
            "authentication.k8s.io",
            "v1",
            "TokenRequest",
            CREATE,
        )]),
    namespaced("", "v1", "Service", "services", "service")
        .short(&["svc"])
        .categories(ALL)
        .subresources(&[
            sub("proxy", "", "v1", "ServiceProxyOptions", PROXY),
            status("", "v1", "Service"),
        ]),
];
