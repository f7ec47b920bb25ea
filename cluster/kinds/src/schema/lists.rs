//! How lists and maps of the built-in kinds merge, as upstream v1.37 declares it.
//!
//! Every list is `atomic` unless it is named here, so the tables hold the exceptions only. Two sets of keys exist:
//! server-side apply identifies items by all keys of a list, strategic merge patches by one of them.

/// How server-side apply merges a list that is not atomic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    /// Items are objects identified by these fields.
    Map(&'static [&'static str]),
    /// Items are scalars, each present once.
    Set,
}

/// How a strategic merge patch treats a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Value of `x-kubernetes-patch-strategy`.
    pub strategy: &'static str,
    /// Value of `x-kubernetes-patch-merge-key`.
    pub merge_key: Option<&'static str>,
}

const NAME: List = List::Map(&["name"]);
const TYPE: List = List::Map(&["type"]);

/// Definition (without `io.k8s.`), field, list type.
pub(super) const LISTS: &[(&str, &str, List)] = &[
    (
        "api.admissionregistration.v1.MutatingWebhook",
        "matchConditions",
        NAME,
    ),
    (
        "api.admissionregistration.v1.MutatingWebhookConfiguration",
        "webhooks",
        NAME,
    ),
    (
        "api.admissionregistration.v1.ValidatingWebhook",
        "matchConditions",
        NAME,
    ),
    (
        "api.admissionregistration.v1.ValidatingWebhookConfiguration",
        "webhooks",
        NAME,
    ),
    ("api.apps.v1.DaemonSetStatus", "conditions", TYPE),
    ("api.apps.v1.DeploymentStatus", "conditions", TYPE),
    ("api.apps.v1.ReplicaSetStatus", "conditions", TYPE),
    ("api.apps.v1.StatefulSetStatus", "conditions", TYPE),
    (
        "api.autoscaling.v2.HorizontalPodAutoscalerStatus",
        "conditions",
        TYPE,
    ),
    ("api.batch.v1.JobSchedulingConfiguration", "resourceClaims", NAME),
    (
        "api.batch.v1.PodFailurePolicyOnExitCodesRequirement",
        "values",
        List::Set,
    ),
    ("api.batch.v1.UncountedTerminatedPods", "failed", List::Set),
    ("api.batch.v1.UncountedTerminatedPods", "succeeded", List::Set),
    ("api.core.v1.Container", "env", NAME),
    (
        "api.core.v1.Container",
        "ports",
        List::Map(&["containerPort", "protocol"]),
    ),
    (
        "api.core.v1.Container",
        "volumeDevices",
        List::Map(&["devicePath"]),
    ),
    ("api.core.v1.Container", "volumeMounts", List::Map(&["mountPath"])),
    ("api.core.v1.ContainerRestartRuleOnExitCodes", "values", List::Set),
    ("api.core.v1.ContainerStatus", "allocatedResourcesStatus", NAME),
    (
        "api.core.v1.ContainerStatus",
        "volumeMounts",
        List::Map(&["mountPath"]),
    ),
    ("api.core.v1.EphemeralContainer", "env", NAME),
    (
        "api.core.v1.EphemeralContainer",
        "ports",
        List::Map(&["containerPort", "protocol"]),
    ),
    (
        "api.core.v1.EphemeralContainer",
        "volumeDevices",
        List::Map(&["devicePath"]),
    ),
    (
        "api.core.v1.EphemeralContainer",
        "volumeMounts",
        List::Map(&["mountPath"]),
    ),
    ("api.core.v1.NamespaceStatus", "conditions", TYPE),
    (
        "api.core.v1.NodeAllocatableResourceClaimStatus",
        "containers",
        List::Set,
    ),
    ("api.core.v1.NodeAllocatableResourceClaimStatus", "mapping", NAME),
    ("api.core.v1.NodeAllocatableResourceClaimStatus", "overhead", NAME),
    (
        "api.core.v1.NodePodPreemptionPolicy",
        "disableResizePreemption",
        List::Set,
    ),
    ("api.core.v1.NodeSpec", "podCIDRs", List::Set),
    ("api.core.v1.NodeStatus", "addresses", TYPE),
    ("api.core.v1.NodeStatus", "conditions", TYPE),
    ("api.core.v1.PersistentVolumeClaimStatus", "conditions", TYPE),
    ("api.core.v1.PodSpec", "containers", NAME),
    ("api.core.v1.PodSpec", "ephemeralContainers", NAME),
    ("api.core.v1.PodSpec", "evictionResponders", NAME),
    ("api.core.v1.PodSpec", "hostAliases", List::Map(&["ip"])),
    ("api.core.v1.PodSpec", "imagePullSecrets", NAME),
    ("api.core.v1.PodSpec", "initContainers", NAME),
    ("api.core.v1.PodSpec", "resourceClaims", NAME),
    ("api.core.v1.PodSpec", "schedulingGates", NAME),
    (
        "api.core.v1.PodSpec",
        "topologySpreadConstraints",
        List::Map(&["topologyKey", "whenUnsatisfiable"]),
    ),
    ("api.core.v1.PodSpec", "volumes", NAME),
    ("api.core.v1.PodStatus", "conditions", TYPE),
    (
        "api.core.v1.PodStatus",
        "nodeAllocatableResourceClaimStatuses",
        List::Map(&["resourceClaimName"]),
    ),
    ("api.core.v1.PodStatus", "podIPs", List::Map(&["ip"])),
    ("api.core.v1.PodStatus", "resourceClaimStatuses", NAME),
    ("api.core.v1.PodStatus", "volumeHealth", NAME),
    (
        "api.core.v1.PodVolumeHealth",
        "healthConditions",
        List::Map(&["status", "reason"]),
    ),
    ("api.core.v1.ReplicationControllerStatus", "conditions", TYPE),
    ("api.core.v1.ResourceRequirements", "claims", NAME),
    (
        "api.core.v1.ResourceStatus",
        "resources",
        List::Map(&["resourceID"]),
    ),
    ("api.core.v1.ServiceAccount", "secrets", NAME),
    (
        "api.core.v1.ServiceSpec",
        "ports",
        List::Map(&["port", "protocol"]),
    ),
    ("api.core.v1.ServiceStatus", "conditions", TYPE),
    (
        "api.core.v1.VolumeHealthStatus",
        "healthConditions",
        List::Map(&["status", "reason"]),
    ),
    ("api.core.v1.VolumeMount", "bindMountOptions", List::Set),
    ("api.discovery.v1.Endpoint", "addresses", List::Set),
    ("api.flowcontrol.v1.FlowSchemaStatus", "conditions", TYPE),
    (
        "api.flowcontrol.v1.NonResourcePolicyRule",
        "nonResourceURLs",
        List::Set,
    ),
    ("api.flowcontrol.v1.NonResourcePolicyRule", "verbs", List::Set),
    (
        "api.flowcontrol.v1.PriorityLevelConfigurationStatus",
        "conditions",
        TYPE,
    ),
    ("api.flowcontrol.v1.ResourcePolicyRule", "apiGroups", List::Set),
    ("api.flowcontrol.v1.ResourcePolicyRule", "namespaces", List::Set),
    ("api.flowcontrol.v1.ResourcePolicyRule", "resources", List::Set),
    ("api.flowcontrol.v1.ResourcePolicyRule", "verbs", List::Set),
    ("api.policy.v1.PodDisruptionBudgetStatus", "conditions", TYPE),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
        "conditions",
        TYPE,
    ),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps",
        "x-kubernetes-validations",
        List::Map(&["rule"]),
    ),
    (
        "apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "finalizers",
        List::Set,
    ),
    (
        "apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "ownerReferences",
        List::Map(&["uid"]),
    ),
    (
        "kube-aggregator.pkg.apis.apiregistration.v1.APIServiceStatus",
        "conditions",
        TYPE,
    ),
];

/// Fields whose strategic merge does not follow from the list type. By default a map list merges by its first key, and
/// everything else is replaced.
pub(super) const PATCHES: &[(&str, &str, Option<Patch>)] = &[
    (
        "api.apps.v1.DeploymentSpec",
        "strategy",
        Some(Patch {
            strategy: "retainKeys",
            merge_key: None,
        }),
    ),
    (
        "api.batch.v1.JobStatus",
        "conditions",
        Some(Patch {
            strategy: "merge",
            merge_key: Some("type"),
        }),
    ),
    (
        "api.core.v1.NodeSpec",
        "podCIDRs",
        Some(Patch {
            strategy: "merge",
            merge_key: None,
        }),
    ),
    (
        "api.core.v1.PodSpec",
        "resourceClaims",
        Some(Patch {
            strategy: "merge,retainKeys",
            merge_key: Some("name"),
        }),
    ),
    (
        "api.core.v1.PodSpec",
        "volumes",
        Some(Patch {
            strategy: "merge,retainKeys",
            merge_key: Some("name"),
        }),
    ),
    (
        "api.core.v1.PodStatus",
        "hostIPs",
        Some(Patch {
            strategy: "merge",
            merge_key: Some("ip"),
        }),
    ),
    (
        "api.core.v1.PodStatus",
        "resourceClaimStatuses",
        Some(Patch {
            strategy: "merge,retainKeys",
            merge_key: Some("name"),
        }),
    ),
    ("api.core.v1.PodStatus", "volumeHealth", None),
    ("api.core.v1.ResourceRequirements", "claims", None),
    ("api.core.v1.ResourceStatus", "resources", None),
    (
        "api.policy.v1.PodDisruptionBudgetSpec",
        "selector",
        Some(Patch {
            strategy: "replace",
            merge_key: None,
        }),
    ),
    (
        "apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
        "conditions",
        None,
    ),
    (
        "apimachinery.pkg.apis.meta.v1.ObjectMeta",
        "finalizers",
        Some(Patch {
            strategy: "merge",
            merge_key: None,
        }),
    ),
];

/// Definitions (without `io.k8s.`) that are always applied as a whole.
pub(super) const ATOMIC_TYPES: &[&str] = &[
    "api.autoscaling.v1.CrossVersionObjectReference",
    "api.core.v1.ConfigMapKeySelector",
    "api.core.v1.EndpointAddress",
    "api.core.v1.EndpointPort",
    "api.core.v1.EvictionResponder",
    "api.core.v1.FileKeySelector",
    "api.core.v1.LocalObjectReference",
    "api.core.v1.NodeSelector",
    "api.core.v1.NodeSelectorTerm",
    "api.core.v1.ObjectFieldSelector",
    "api.core.v1.ObjectReference",
    "api.core.v1.ResourceFieldSelector",
    "api.core.v1.ScopeSelector",
    "api.core.v1.SecretKeySelector",
    "api.core.v1.SecretReference",
    "api.core.v1.TopologySelectorTerm",
    "api.core.v1.TypedLocalObjectReference",
    "api.discovery.v1.EndpointPort",
    "api.networking.v1.ServiceBackendPort",
    "api.rbac.v1.RoleRef",
    "api.rbac.v1.Subject",
    "apimachinery.pkg.apis.meta.v1.LabelSelector",
    "apimachinery.pkg.apis.meta.v1.OwnerReference",
];

/// Map fields, and fields whose type is atomic elsewhere: definition (without `io.k8s.`), field, map type.
pub(super) const MAPS: &[(&str, &str, &str)] = &[
    (
        "api.core.v1.PersistentVolumeClaimStatus",
        "allocatedResourceStatuses",
        "granular",
    ),
    ("api.core.v1.PersistentVolumeSpec", "claimRef", "granular"),
    ("api.core.v1.PodSpec", "nodeSelector", "atomic"),
    ("api.core.v1.ReplicationControllerSpec", "selector", "atomic"),
    ("api.core.v1.ServiceSpec", "selector", "atomic"),
    ("api.node.v1.Scheduling", "nodeSelector", "atomic"),
];

/// Key fields that may be left out of an item: definition (without `io.k8s.`), field, default. Apply computes keys
/// with them, otherwise ordinary manifests would fail for want of `protocol`.
pub(super) const KEY_DEFAULTS: &[(&str, &str, &str)] = &[
    ("api.core.v1.ContainerPort", "protocol", "TCP"),
    ("api.core.v1.ServicePort", "protocol", "TCP"),
];
