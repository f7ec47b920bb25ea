//! The ConfigMaps that an install creates for the events.

use k8s_openapi::api::core::v1::ConfigMap;

use super::{BrokerDefaults, ChannelDefaults, Features, KReferenceMapping, PingDefaults, Sugar};
use crate::config::Snapshot;
use crate::config::manifests::manifest_in;
use crate::names;

/// The ConfigMap with the channel of brokers that name none.
pub const DEFAULT_CHANNEL_MAP: &str = "config-br-default-channel";
/// Keys under which such a ConfigMap has the channel, the present one first.
pub const CHANNEL_TEMPLATE_KEYS: &[&str] = &["channel-template-spec", "channelTemplateSpec"];

/// The ConfigMaps that an install creates in the namespace of the events. Of those whose text is a whole
/// configuration, that text is what ships.
pub fn defaults_manifests() -> Vec<ConfigMap> {
    let manifest = |name, example, settings: &[(&str, &str)]| {
        manifest_in(
            names::EVENTING_NAMESPACE,
            "knative-eventing",
            name,
            example,
            settings,
        )
    };
    vec![
        manifest(Features::NAME, FEATURES, &[]),
        manifest(
            BrokerDefaults::NAME,
            BROKER_EXAMPLE,
            &[("default-br-config", BROKER_DEFAULTS)],
        ),
        manifest(
            DEFAULT_CHANNEL_MAP,
            CHANNEL_TEMPLATE_EXAMPLE,
            &[("channel-template-spec", CHANNEL_TEMPLATE)],
        ),
        manifest(
            ChannelDefaults::NAME,
            CHANNEL_EXAMPLE,
            &[("default-ch-config", CHANNEL_DEFAULTS)],
        ),
        manifest(PingDefaults::NAME, PING, &[]),
        manifest(KReferenceMapping::NAME, MAPPING, &[]),
        manifest(Sugar::NAME, SUGAR, &[]),
    ]
}

const FEATURES: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# References may name a group without a version.
kreference-group: "disabled"
# References may name kinds that config-kreference-mapping has URLs for.
kreference-mapping: "disabled"
# Fields of delivery specs.
delivery-retryafter: "disabled"
delivery-timeout: "enabled"
# Makes an EventType of each type of event that a broker or channel sees.
eventtype-auto-create: "disabled"
# Triggers and Subscriptions of brokers and channels in other namespaces.
cross-namespace-event-links: "disabled"
# The field filters of ApiServerSources.
new-apiserversource-filters: "disabled"
# Who may send to what no EventPolicy speaks of: allow-all, deny-all or allow-same-namespace.
default-authorization-mode: "allow-same-namespace"
# How long a RequestReply waits.
requestreply-default-timeout: "PT30S"
"#;

const BROKER_DEFAULTS: &str = r#"clusterDefault:
  brokerClass: MTChannelBasedBroker
  apiVersion: v1
  kind: ConfigMap
  name: config-br-default-channel
  namespace: knative-eventing
  delivery:
    retry: 10
    backoffPolicy: exponential
    backoffDelay: PT0.2S
"#;

const BROKER_EXAMPLE: &str = r#"# What brokers get that say nothing: for all, and by namespace.

default-br-config: |
  clusterDefault:
    brokerClass: MTChannelBasedBroker
    apiVersion: v1
    kind: ConfigMap
    name: config-br-default-channel
    namespace: knative-eventing
    delivery:
      retry: 10
      backoffPolicy: exponential
      backoffDelay: PT0.2S
    # Whether the ConfigMap has to be in the namespace of the broker.
    disallowDifferentNamespaceConfig: false
    # Configurations of other classes.
    brokerClasses:
      NatsJetStreamBroker:
        apiVersion: v1
        kind: ConfigMap
        name: config-nats-broker
        namespace: knative-eventing
  namespaceDefaults:
    some-namespace:
      brokerClass: NatsJetStreamBroker
      apiVersion: v1
      kind: ConfigMap
      name: config-nats-broker
      namespace: knative-eventing
"#;

const CHANNEL_TEMPLATE: &str = "apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel\n";

const CHANNEL_TEMPLATE_EXAMPLE: &str = r#"# The channel that stands behind brokers whose config is this ConfigMap.

channel-template-spec: |
  apiVersion: messaging.knative.dev/v1
  kind: InMemoryChannel
"#;

const CHANNEL_DEFAULTS: &str = r#"clusterDefault:
  apiVersion: messaging.knative.dev/v1
  kind: InMemoryChannel
"#;

const CHANNEL_EXAMPLE: &str = r#"# The channel of Channels, Sequences and Parallels that say nothing: for all, and by namespace.

default-ch-config: |
  clusterDefault:
    apiVersion: messaging.knative.dev/v1
    kind: InMemoryChannel
  namespaceDefaults:
    some-namespace:
      apiVersion: messaging.knative.dev/v1
      kind: InMemoryChannel
"#;

const PING: &str = r#"# Settings and their defaults. Copy what you want to change to the level of `_example`.

# Most bytes that the data of a PingSource may have; -1 is no limit.
data-max-size: "-1"
"#;

const MAPPING: &str = r#"# URLs of kinds that have no address: Go templates over Name, Namespace and SystemNamespace, by Kind.version.group.
# Only looked at if the feature kreference-mapping is enabled.

Pod.v1: "http://{{ .Name }}.{{ .Namespace }}.pod.cluster.local"
"#;

const SUGAR: &str = r#"# For whom a broker named default is made: label selectors, {} is all. Nothing is set by default.

# Namespaces that get one.
namespace-selector: |
  matchLabels:
    eventing.knative.dev/injection: enabled
# Triggers whose namespace gets one.
trigger-selector: |
  matchLabels:
    eventing.knative.dev/injection: enabled
"#;
