use serde_json::json;

use super::*;
use crate::config::{EXAMPLE_KEY, Flag, example_checksum};
use crate::types::KReference;

fn data(entries: &[(&str, &str)]) -> Data {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn parse<T: Snapshot>(entries: &[(&str, &str)]) -> Result<T, String> {
    T::parse(&data(entries)).map_err(|error| error.to_string())
}

#[test]
fn the_manifests_of_an_install_mean_the_defaults() {
    let mut configs = Configs::default();
    for manifest in defaults_manifests() {
        let name = manifest.metadata.name.clone().unwrap();
        assert_eq!(
            manifest.metadata.namespace.as_deref(),
            Some("knative-eventing"),
            "{name}"
        );
        let data = manifest.data.unwrap();
        configs.update(&name, &data).unwrap();
        let example = &data[EXAMPLE_KEY];
        assert_eq!(
            manifest.metadata.annotations.unwrap()["knative.dev/example-checksum"],
            example_checksum(example)
        );
        let example: Data = serde_saphyr::from_str(example).unwrap();
        Configs::default()
            .update(&name, &example)
            .unwrap_or_else(|error| panic!("the example of {name}: {error}"));
    }
    assert_eq!(configs.channels.template("any").kind, "InMemoryChannel");
    configs.channels = ChannelDefaults::default();
    assert_eq!(configs, Configs::default());
    let none = Configs::default().update(DEFAULT_CHANNEL_MAP, &data(&[("_example", "x")]));
    assert_eq!(
        none.unwrap_err().to_string(),
        "channel-template-spec is required, but it was not set"
    );
}

#[test]
fn features_are_read_in_any_case_and_words_are_checked() {
    let read: Features = parse(&[
        ("Delivery-Timeout", "disabled"),
        ("delivery-timeout", "Disabled"),
        ("kreference-group", "ALLOWED"),
        ("transport-encryption", "Strict"),
        ("default-authorization-mode", "Deny-All"),
        ("apiserversources-nodeselector-disk", "ssd"),
        ("eventtype-auto-create", "perhaps"),
    ])
    .unwrap();
    assert_eq!(read.delivery_timeout, Flag::Disabled);
    assert_eq!(read.kreference_group, Flag::Allowed);
    assert_eq!(read.transport_encryption, TransportEncryption::Strict);
    assert_eq!(read.default_authorization_mode, AuthorizationMode::DenyAll);
    assert_eq!(read.event_type_auto_create, Flag::Disabled);
    assert_eq!(read.api_server_node_selector["disk"], "ssd");
    assert_eq!(
        parse::<Features>(&[("transport-encryption", "some")]).unwrap_err(),
        "transport-encryption = some, must be disabled, permissive or strict"
    );
    assert!(parse::<Features>(&[("requestreply-default-timeout", "30s")]).is_err());
}

#[test]
fn brokers_get_the_configuration_of_their_namespace_and_class() {
    let text = r#"
clusterDefault:
  brokerClass: MTChannelBasedBroker
  apiVersion: v1
  kind: ConfigMap
  name: cluster
  delivery: {retry: 3}
  brokerClasses:
    Other: {apiVersion: v1, kind: ConfigMap, name: other}
namespaceDefaults:
  ns:
    brokerClass: Mine
    apiVersion: v1
    kind: ConfigMap
    name: mine
    disallowDifferentNamespaceConfig: true
  bare:
    brokerClass: Other
"#;
    let defaults: BrokerDefaults = parse(&[("default-br-config", text)]).unwrap();
    for (namespace, class, expected) in [
        ("a", "MTChannelBasedBroker", "cluster"),
        ("a", "Other", "other"),
        ("a", "Unheard", "cluster"),
        ("ns", "Mine", "mine"),
        ("ns", "Other", "other"),
        ("ns", "ConfigMap", "cluster"),
        ("bare", "Other", "other"),
    ] {
        let found = defaults.config(namespace, class).reference().unwrap();
        assert_eq!(found.name, expected, "{namespace} {class}");
    }
    assert_eq!(defaults.class("ns"), Some("Mine"));
    assert_eq!(defaults.class("a"), Some("MTChannelBasedBroker"));
    assert!(defaults.disallows_other_namespaces("ns", "Mine"));
    assert!(!defaults.disallows_other_namespaces("a", "MTChannelBasedBroker"));
    let none: BrokerDefaults = parse(&[("default-br-config", "clusterDefault: {}")]).unwrap();
    assert_eq!(none.class("a"), None);
    assert!(parse::<BrokerDefaults>(&[("default-br-config", "clusterDefault: [")]).is_err());
}

#[test]
fn channel_defaults_go_by_namespace() {
    let text = r#"
clusterDefault: {apiVersion: a/v1, kind: A}
namespaceDefaults:
  ns: {apiVersion: b/v1, kind: B, spec: {x: 1}}
"#;
    let defaults: ChannelDefaults = parse(&[("default-ch-config", text)]).unwrap();
    assert_eq!(defaults.template("other").kind, "A");
    assert_eq!(defaults.template("ns").spec, Some(json!({"x": 1})));
    assert!(parse::<ChannelDefaults>(&[("default-ch-config", "clusterDefault: {kind: A}")]).is_err());
    for key in CHANNEL_TEMPLATE_KEYS {
        let map = ChannelTemplateMap::parse(&data(&[(key, "{apiVersion: a/v1, kind: A}")])).unwrap();
        assert_eq!(map.template.kind, "A");
    }
}

#[test]
fn mapped_kinds_have_urls() {
    let mapping: KReferenceMapping = parse(&[
        ("Pod.v1", "http://{{ .Name }}.{{ .Namespace }}.pod"),
        ("Thing.v2.example.com", "https://{{.SystemNamespace}}/{{.Name}}"),
    ])
    .unwrap();
    let url = |kind: &str, api_version: &str| {
        let reference = KReference {
            kind: kind.to_owned(),
            name: "n".to_owned(),
            api_version: Some(api_version.to_owned()),
            ..KReference::default()
        };
        mapping.url(&reference, "ns", "sys").map(Result::unwrap)
    };
    assert_eq!(url("Pod", "v1").as_deref(), Some("http://n.ns.pod"));
    assert_eq!(url("Thing", "example.com/v2").as_deref(), Some("https://sys/n"));
    assert_eq!(url("Thing", "example.com/v1"), None);
    assert!(parse::<KReferenceMapping>(&[("Pod.v1", "{{ .Name ")]).is_err());
}

#[test]
fn selectors_of_sugar_tell_none_from_all() {
    let sugar: Sugar = parse(&[("namespace-selector", "{}"), ("trigger-selector", "")]).unwrap();
    assert_eq!(sugar.namespace_selector, Some(Default::default()));
    assert_eq!(sugar.trigger_selector, None);
    assert_eq!(
        parse::<PingDefaults>(&[("data-max-size", "7")])
            .unwrap()
            .data_max_size,
        7
    );
}
