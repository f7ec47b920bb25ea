//! Label keys, and their values where they are fixed.

/// On children of a Service: its name.
pub const SERVICE: &str = "serving.knative.dev/service";
/// On children of a Service: its UID.
pub const SERVICE_UID: &str = "serving.knative.dev/serviceUID";
/// On children of a Configuration: its name.
pub const CONFIGURATION: &str = "serving.knative.dev/configuration";
/// On revisions: the generation of the Configuration that they were made from, a number.
pub const CONFIGURATION_GENERATION: &str = "serving.knative.dev/configurationGeneration";
/// On children of a Configuration: its UID.
pub const CONFIGURATION_UID: &str = "serving.knative.dev/configurationUID";
/// On children of a Route: its name.
pub const ROUTE: &str = "serving.knative.dev/route";
/// On children of a Route: its namespace.
pub const ROUTE_NAMESPACE: &str = "serving.knative.dev/routeNamespace";
/// On children of a DomainMapping: its UID.
pub const DOMAIN_MAPPING_UID: &str = "serving.knative.dev/domainMappingUID";
/// On children of a DomainMapping: its namespace.
pub const DOMAIN_MAPPING_NAMESPACE: &str = "serving.knative.dev/domainMappingNamespace";
/// On children of a Revision: its name.
pub const REVISION: &str = "serving.knative.dev/revision";
/// On children of a Revision: its UID; alone it selects the revision's pods.
pub const REVISION_UID: &str = "serving.knative.dev/revisionUID";
/// On revisions: see the `ROUTING_STATE_*` values.
pub const ROUTING_STATE: &str = "serving.knative.dev/routingState";
/// Value of [`ROUTING_STATE`]: not yet known whether a route points at the revision.
pub const ROUTING_STATE_PENDING: &str = "pending";
/// Value of [`ROUTING_STATE`]: a route points at the revision.
pub const ROUTING_STATE_ACTIVE: &str = "active";
/// Value of [`ROUTING_STATE`]: no route points at the revision.
pub const ROUTING_STATE_RESERVE: &str = "reserve";
/// On Deployments: hash over what was last applied.
pub const DEPLOYMENT_HASH: &str = "serving.knative.dev/deployment-hash";
/// On pods and Deployments: the revision's name, unless the user set it.
pub const APP: &str = "app";

/// On Services and Routes: who may reach them.
pub const VISIBILITY: &str = "networking.knative.dev/visibility";
/// Value of [`VISIBILITY`]: only the cluster itself.
pub const VISIBILITY_CLUSTER_LOCAL: &str = "cluster-local";
/// On Kubernetes Services of a revision: `Public` or `Private`.
pub const SERVICE_TYPE: &str = "networking.internal.knative.dev/serviceType";
/// Value of [`SERVICE_TYPE`].
pub const SERVICE_TYPE_PUBLIC: &str = "Public";
/// Value of [`SERVICE_TYPE`].
pub const SERVICE_TYPE_PRIVATE: &str = "Private";
/// On children of a ServerlessService: its name.
pub const SERVERLESS_SERVICE: &str = "networking.internal.knative.dev/serverlessservice";
/// On certificates that cover a whole domain: that domain.
pub const WILDCARD_DOMAIN: &str = "networking.knative.dev/wildcardDomain";
/// On certificates: who they are for (`external-domain`, `cluster-local-domain`, `system-internal`).
pub const CERTIFICATE_TYPE: &str = "networking.knative.dev/certificate-type";
/// On ConfigMaps of the system namespace that hold trusted certificate authorities.
pub const TRUST_BUNDLE: &str = "networking.knative.dev/trust-bundle";

/// On every CRD of an install.
pub const CRD_INSTALL: &str = "knative.dev/crd-install";
/// On CRDs whose status has an address.
pub const DUCK_ADDRESSABLE: &str = "duck.knative.dev/addressable";
/// On CRDs whose template holds a pod.
pub const DUCK_PODSPECABLE: &str = "duck.knative.dev/podspecable";
/// On namespaces that admission webhooks pass by.
pub const WEBHOOK_EXCLUDE: &str = "webhooks.knative.dev/exclude";
/// Standard label: the application an object is a part of.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// Standard label: the component an object belongs to.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Standard label: the application's name.
pub const APP_NAME: &str = "app.kubernetes.io/name";

/// On triggers: name of the broker; set by admission.
pub const BROKER: &str = "eventing.knative.dev/broker";
/// On children of a Trigger: its name.
pub const TRIGGER: &str = "eventing.knative.dev/trigger";
/// On ServiceAccounts that are identities of senders: `enabled`.
pub const OIDC: &str = "eventing.knative.dev/oidc";
/// On namespaces, and by sugar: whether they get a broker (`enabled`, `disabled`).
pub const INJECTION: &str = "eventing.knative.dev/injection";
/// On the Service of a channel: which sort of channel.
pub const CHANNEL: &str = "messaging.knative.dev/channel";
/// Value of [`CHANNEL`] for InMemoryChannels.
pub const CHANNEL_IN_MEMORY: &str = "in-memory-channel";
/// On the Service of a channel: what it is for the channel.
pub const CHANNEL_ROLE: &str = "messaging.knative.dev/role";
/// On CRDs, and as an annotation on the objects: the version of the duck type that can be subscribed to.
pub const SUBSCRIBABLE: &str = "messaging.knative.dev/subscribable";
/// On CRDs of sources.
pub const DUCK_SOURCE: &str = "duck.knative.dev/source";
/// On CRDs of bindings.
pub const DUCK_BINDING: &str = "duck.knative.dev/binding";
/// On workloads and namespaces: `"true"` keeps sink bindings away.
pub const BINDING_EXCLUDE: &str = "bindings.knative.dev/exclude";
/// On workloads and namespaces: `"true"` lets sink bindings in, where they have to be let in.
pub const BINDING_INCLUDE: &str = "bindings.knative.dev/include";
/// On the pods of a ContainerSource, and on its children: its name.
pub const CONTAINER_SOURCE: &str = "sources.knative.dev/containerSource";
/// On the pods of sources: which controller made them.
pub const SOURCE: &str = "sources.knative.dev/source";
/// Value of [`SOURCE`] for ContainerSources.
pub const SOURCE_CONTAINER: &str = "container-source-controller";
/// On the Jobs of a JobSink: its name.
pub const JOB_SINK_NAME: &str = "sinks.knative.dev/job-sink-name";
/// On the Jobs of a JobSink: which event it is for.
pub const JOB_SINK_ID: &str = "sinks.knative.dev/job-sink-id";
