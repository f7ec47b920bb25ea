//! The columns of each kind.

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub name: &'static str,
    /// JSON type of the cells: `string`, `integer`, `boolean` or `date`.
    pub kind: &'static str,
    /// Format of the cells; `name` marks the column with the object's name.
    pub format: &'static str,
    /// 0 is always shown, 1 with `-o wide`.
    pub priority: i32,
}

const fn text(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        format: "",
        priority: 0,
    }
}

const fn number(name: &'static str) -> Column {
    Column {
        name,
        kind: "integer",
        format: "",
        priority: 0,
    }
}

const fn wide(name: &'static str) -> Column {
    Column {
        name,
        kind: "string",
        format: "",
        priority: 1,
    }
}

const NAME: Column = Column {
    name: "Name",
    kind: "string",
    format: "name",
    priority: 0,
};
const AGE: Column = text("Age");
const CREATED: Column = Column {
    name: "Created At",
    kind: "date",
    format: "",
    priority: 0,
};
const CONTAINERS: Column = wide("Containers");
const IMAGES: Column = wide("Images");
const SELECTOR: Column = wide("Selector");

const REPLICAS: &[Column] = &[
    NAME,
    number("Desired"),
    number("Current"),
    number("Ready"),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// Group, kind, columns. Kinds that are not here show their name and creation time.
const TABLE: &[(&str, &str, &[Column])] = &[
    (
        "",
        "Pod",
        &[
            NAME,
            text("Ready"),
            text("Status"),
            text("Restarts"),
            AGE,
            wide("IP"),
            wide("Node"),
            wide("Nominated Node"),
            wide("Readiness Gates"),
        ],
    ),
    (
        "",
        "PodTemplate",
        &[NAME, text("Containers"), text("Images"), text("Pod Labels")],
    ),
    (
        "",
        "Service",
        &[
            NAME,
            text("Type"),
            text("Cluster-IP"),
            text("External-IP"),
            text("Port(s)"),
            AGE,
            SELECTOR,
        ],
    ),
    ("", "Endpoints", &[NAME, text("Endpoints"), AGE]),
    (
        "",
        "Node",
        &[
            NAME,
            text("Status"),
            text("Roles"),
            AGE,
            text("Version"),
            wide("Internal-IP"),
            wide("External-IP"),
            wide("OS-Image"),
            wide("Kernel-Version"),
            wide("Container-Runtime"),
        ],
    ),
    ("", "Event", EVENT),
    ("events.k8s.io", "Event", EVENT),
    ("", "Namespace", &[NAME, text("Status"), AGE]),
    ("", "Secret", &[NAME, text("Type"), number("Data"), AGE]),
    ("", "ConfigMap", &[NAME, number("Data"), AGE]),
    ("", "ServiceAccount", &[NAME, number("Secrets"), AGE]),
    ("", "ResourceQuota", &[NAME, text("Request"), text("Limit"), AGE]),
    (
        "",
        "PersistentVolume",
        &[
            NAME,
            text("Capacity"),
            text("Access Modes"),
            text("Reclaim Policy"),
            text("Status"),
            text("Claim"),
            text("StorageClass"),
            text("VolumeAttributesClass"),
            text("Reason"),
            AGE,
            wide("VolumeMode"),
        ],
    ),
    (
        "",
        "PersistentVolumeClaim",
        &[
            NAME,
            text("Status"),
            text("Volume"),
            text("Capacity"),
            text("Access Modes"),
            text("StorageClass"),
            text("VolumeAttributesClass"),
            AGE,
            wide("VolumeMode"),
        ],
    ),
    ("", "ReplicationController", REPLICAS),
    ("apps", "ReplicaSet", REPLICAS),
    (
        "apps",
        "Deployment",
        &[
            NAME,
            text("Ready"),
            number("Up-to-date"),
            number("Available"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "apps",
        "StatefulSet",
        &[NAME, text("Ready"), AGE, CONTAINERS, IMAGES],
    ),
    (
        "apps",
        "DaemonSet",
        &[
            NAME,
            number("Desired"),
            number("Current"),
            number("Ready"),
            number("Up-to-date"),
            number("Available"),
            text("Node Selector"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "apps",
        "ControllerRevision",
        &[NAME, text("Controller"), number("Revision"), AGE],
    ),
    (
        "batch",
        "Job",
        &[
            NAME,
            text("Status"),
            text("Completions"),
            text("Duration"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "batch",
        "CronJob",
        &[
            NAME,
            text("Schedule"),
            text("Timezone"),
            text("Suspend"),
            number("Active"),
            text("Last Schedule"),
            AGE,
            CONTAINERS,
            IMAGES,
            SELECTOR,
        ],
    ),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        &[
            NAME,
            text("Reference"),
            text("Targets"),
            text("MinPods"),
            number("MaxPods"),
            number("Replicas"),
            AGE,
        ],
    ),
    (
        "policy",
        "PodDisruptionBudget",
        &[
            NAME,
            text("Min Available"),
            text("Max Unavailable"),
            number("Allowed Disruptions"),
            AGE,
        ],
    ),
    (
        "discovery.k8s.io",
        "EndpointSlice",
        &[NAME, text("AddressType"), text("Ports"), text("Endpoints"), AGE],
    ),
    (
        "networking.k8s.io",
        "Ingress",
        &[
            NAME,
            text("Class"),
            text("Hosts"),
            text("Address"),
            text("Ports"),
            AGE,
        ],
    ),
    (
        "networking.k8s.io",
        "IngressClass",
        &[NAME, text("Controller"), text("Parameters"), AGE],
    ),
    (
        "networking.k8s.io",
        "NetworkPolicy",
        &[NAME, text("Pod-Selector"), AGE],
    ),
    ("coordination.k8s.io", "Lease", &[NAME, text("Holder"), AGE]),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding", BINDING),
    ("rbac.authorization.k8s.io", "RoleBinding", BINDING),
    (
        "apiregistration.k8s.io",
        "APIService",
        &[NAME, text("Service"), text("Available"), AGE],
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        &[NAME, number("Webhooks"), AGE],
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        &[NAME, number("Webhooks"), AGE],
    ),
    (
        "scheduling.k8s.io",
        "PriorityClass",
        &[
            NAME,
            number("Value"),
            Column {
                name: "Global-Default",
                kind: "boolean",
                format: "",
                priority: 0,
            },
            AGE,
            text("PreemptionPolicy"),
        ],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema",
        &[
            NAME,
            text("PriorityLevel"),
            text("MatchingPrecedence"),
            text("DistinguisherMethod"),
            AGE,
            text("MissingPL"),
        ],
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        &[
            NAME,
            text("Type"),
            text("NominalConcurrencyShares"),
            text("Queues"),
            text("HandSize"),
            text("QueueLengthLimit"),
            AGE,
        ],
    ),
    ("node.k8s.io", "RuntimeClass", &[NAME, text("Handler"), AGE]),
    (
        "storage.k8s.io",
        "StorageClass",
        &[
            NAME,
            text("Provisioner"),
            text("ReclaimPolicy"),
            text("VolumeBindingMode"),
            Column {
                name: "AllowVolumeExpansion",
                kind: "boolean",
                format: "",
                priority: 0,
            },
            AGE,
        ],
    ),
];

const EVENT: &[Column] = &[
    text("Last Seen"),
    text("Type"),
    text("Reason"),
    text("Object"),
    wide("Subobject"),
    wide("Source"),
    text("Message"),
    wide("First Seen"),
    Column {
        name: "Count",
        kind: "integer",
        format: "",
        priority: 1,
    },
    Column {
        name: "Name",
        kind: "string",
        format: "name",
        priority: 1,
    },
];

const BINDING: &[Column] = &[
    NAME,
    text("Role"),
    AGE,
    wide("Users"),
    wide("Groups"),
    wide("ServiceAccounts"),
];

/// Returns the columns of a kind.
pub(super) fn columns(group: &str, kind: &str) -> &'static [Column] {
    TABLE
        .iter()
        .find(|row| row.0 == group && row.1 == kind)
        .map_or(&[NAME, CREATED], |row| row.2)
}
