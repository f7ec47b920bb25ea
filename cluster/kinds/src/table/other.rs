//! Rows of the smaller groups.

use super::{API_EXTENSIONS, CREATE, cluster, namespaced, status};
use crate::kind::Kind;

const ADMISSION: &str = "admissionregistration.k8s.io";
const APIEXTENSIONS: &str = "apiextensions.k8s.io";
const APIREGISTRATION: &str = "apiregistration.k8s.io";
const AUTHENTICATION: &str = "authentication.k8s.io";
const AUTHORIZATION: &str = "authorization.k8s.io";
const COORDINATION: &str = "coordination.k8s.io";
const DISCOVERY: &str = "discovery.k8s.io";
const EVENTS: &str = "events.k8s.io";
const FLOWCONTROL: &str = "flowcontrol.apiserver.k8s.io";
const NETWORKING: &str = "networking.k8s.io";
const NODE: &str = "node.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const SCHEDULING: &str = "scheduling.k8s.io";
const STORAGE: &str = "storage.k8s.io";

pub(super) const GROUPS: &[&[Kind]] = &[
    &[
        cluster(
            ADMISSION,
            "v1",
            "MutatingWebhookConfiguration",
            "mutatingwebhookconfigurations",
            "mutatingwebhookconfiguration",
        )
        .categories(API_EXTENSIONS),
        cluster(
            ADMISSION,
            "v1",
            "ValidatingWebhookConfiguration",
            "validatingwebhookconfigurations",
            "validatingwebhookconfiguration",
        )
        .categories(API_EXTENSIONS),
    ],
    &[cluster(
        APIEXTENSIONS,
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "customresourcedefinition",
    )
    .short(&["crd", "crds"])
    .categories(API_EXTENSIONS)
    .subresources(&[status(APIEXTENSIONS, "v1", "CustomResourceDefinition")])],
    &[
        cluster(APIREGISTRATION, "v1", "APIService", "apiservices", "apiservice")
            .categories(API_EXTENSIONS)
            .subresources(&[status(APIREGISTRATION, "v1", "APIService")]),
    ],
    &[
        cluster(
            AUTHENTICATION,
            "v1",
            "SelfSubjectReview",
            "selfsubjectreviews",
            "selfsubjectreview",
        )
        .verbs(CREATE),
        cluster(AUTHENTICATION, "v1", "TokenReview", "tokenreviews", "tokenreview").verbs(CREATE),
    ],
    &[
        namespaced(
            AUTHORIZATION,
            "v1",
            "LocalSubjectAccessReview",
            "localsubjectaccessreviews",
            "localsubjectaccessreview",
        )
        .verbs(CREATE),
        cluster(
            AUTHORIZATION,
            "v1",
            "SelfSubjectAccessReview",
            "selfsubjectaccessreviews",
            "selfsubjectaccessreview",
        )
        .verbs(CREATE),
        cluster(
            AUTHORIZATION,
            "v1",
            "SelfSubjectRulesReview",
            "selfsubjectrulesreviews",
            "selfsubjectrulesreview",
        )
        .verbs(CREATE),
        cluster(
            AUTHORIZATION,
            "v1",
            "SubjectAccessReview",
            "subjectaccessreviews",
            "subjectaccessreview",
        )
        .verbs(CREATE),
    ],
    &[namespaced(COORDINATION, "v1", "Lease", "leases", "lease")],
    &[namespaced(
        DISCOVERY,
        "v1",
        "EndpointSlice",
        "endpointslices",
        "endpointslice",
    )],
    &[namespaced(EVENTS, "v1", "Event", "events", "event")
        .short(&["ev"])
        .stored_as("", "v1")],
    &[
        cluster(FLOWCONTROL, "v1", "FlowSchema", "flowschemas", "flowschema").subresources(&[status(
            FLOWCONTROL,
            "v1",
            "FlowSchema",
        )]),
        cluster(
            FLOWCONTROL,
            "v1",
            "PriorityLevelConfiguration",
            "prioritylevelconfigurations",
            "prioritylevelconfiguration",
        )
        .subresources(&[status(FLOWCONTROL, "v1", "PriorityLevelConfiguration")]),
    ],
    &[
        cluster(NETWORKING, "v1", "IngressClass", "ingressclasses", "ingressclass"),
        namespaced(NETWORKING, "v1", "Ingress", "ingresses", "ingress")
            .short(&["ing"])
            .subresources(&[status(NETWORKING, "v1", "Ingress")]),
        namespaced(
            NETWORKING,
            "v1",
            "NetworkPolicy",
            "networkpolicies",
            "networkpolicy",
        )
        .short(&["netpol"]),
    ],
    &[cluster(
        NODE,
        "v1",
        "RuntimeClass",
        "runtimeclasses",
        "runtimeclass",
    )],
    &[
        cluster(
            RBAC,
            "v1",
            "ClusterRoleBinding",
            "clusterrolebindings",
            "clusterrolebinding",
        ),
        cluster(RBAC, "v1", "ClusterRole", "clusterroles", "clusterrole"),
        namespaced(RBAC, "v1", "RoleBinding", "rolebindings", "rolebinding"),
        namespaced(RBAC, "v1", "Role", "roles", "role"),
    ],
    &[cluster(
        SCHEDULING,
        "v1",
        "PriorityClass",
        "priorityclasses",
        "priorityclass",
    )
    .short(&["pc"])],
    &[cluster(STORAGE, "v1", "StorageClass", "storageclasses", "storageclass").short(&["sc"])],
];
