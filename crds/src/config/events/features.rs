//! `config-features` of the events.

use std::collections::BTreeMap;

use crate::config::data::{ConfigError, ensure};
use crate::config::{Data, Flag, Snapshot};
use crate::iso_duration;

/// Keys with this prefix are labels of the nodes that ApiServerSources run on.
const NODE_SELECTOR_PREFIX: &str = "apiserversources-nodeselector-";

/// Who may send events to something that no policy speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthorizationMode {
    /// Everybody.
    AllowAll,
    /// Nobody.
    DenyAll,
    /// Those of the same namespace.
    #[default]
    AllowSameNamespace,
}

impl AuthorizationMode {
    /// The wire text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowAll => "allow-all",
            Self::DenyAll => "deny-all",
            Self::AllowSameNamespace => "allow-same-namespace",
        }
    }
}

/// Whether events travel by https.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransportEncryption {
    /// No.
    #[default]
    Disabled,
    /// If the sender likes.
    Permissive,
    /// Always.
    Strict,
}

/// The features of an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// `kreference-group`: references by group without a version.
    pub kreference_group: Flag,
    /// `kreference-mapping`: addresses of kinds from templates.
    pub kreference_mapping: Flag,
    /// `delivery-retryafter`: `retryAfterMax` in delivery specs.
    pub delivery_retry_after: Flag,
    /// `delivery-timeout`: `timeout` in delivery specs.
    pub delivery_timeout: Flag,
    /// `transport-encryption`
    pub transport_encryption: TransportEncryption,
    /// `eventtype-auto-create`: EventTypes for what brokers and channels see.
    pub event_type_auto_create: Flag,
    /// `authentication-oidc`: identities of senders.
    pub authentication_oidc: Flag,
    /// `oidc-discovery-base-url`: who issues tokens.
    pub oidc_discovery_base_url: String,
    /// `default-authorization-mode`
    pub default_authorization_mode: AuthorizationMode,
    /// `cross-namespace-event-links`: triggers and subscriptions of what is in another namespace.
    pub cross_namespace_event_links: Flag,
    /// `new-apiserversource-filters`: `filters` in ApiServerSources.
    pub new_api_server_filters: Flag,
    /// `requestreply-default-timeout`, ISO 8601.
    pub request_reply_default_timeout: String,
    /// `apiserversources-nodeselector-<label>`: labels of the nodes that ApiServerSources run on.
    pub api_server_node_selector: BTreeMap<String, String>,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            kreference_group: Flag::Disabled,
            kreference_mapping: Flag::Disabled,
            delivery_retry_after: Flag::Disabled,
            delivery_timeout: Flag::Enabled,
            transport_encryption: TransportEncryption::Disabled,
            event_type_auto_create: Flag::Disabled,
            authentication_oidc: Flag::Disabled,
            oidc_discovery_base_url: "https://kubernetes.default.svc".to_owned(),
            default_authorization_mode: AuthorizationMode::AllowSameNamespace,
            cross_namespace_event_links: Flag::Disabled,
            new_api_server_filters: Flag::Disabled,
            request_reply_default_timeout: "PT30S".to_owned(),
            api_server_node_selector: BTreeMap::new(),
        }
    }
}

impl Snapshot for Features {
    const NAME: &'static str = "config-features";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut features = Self::default();
        for (key, field) in [
            ("kreference-group", &mut features.kreference_group),
            ("kreference-mapping", &mut features.kreference_mapping),
            ("delivery-retryafter", &mut features.delivery_retry_after),
            ("delivery-timeout", &mut features.delivery_timeout),
            ("eventtype-auto-create", &mut features.event_type_auto_create),
            ("authentication-oidc", &mut features.authentication_oidc),
            (
                "cross-namespace-event-links",
                &mut features.cross_namespace_event_links,
            ),
            (
                "new-apiserversource-filters",
                &mut features.new_api_server_filters,
            ),
        ] {
            if let Some(flag) = data.get(key).and_then(|text| Flag::parse(text)) {
                *field = flag;
            }
        }
        if let Some((key, word)) = word(data, "transport-encryption") {
            features.transport_encryption = match word.as_str() {
                "disabled" => TransportEncryption::Disabled,
                "permissive" => TransportEncryption::Permissive,
                "strict" => TransportEncryption::Strict,
                _ => {
                    return Err(ConfigError::invalid(
                        key,
                        word,
                        "must be disabled, permissive or strict",
                    ));
                }
            };
        }
        if let Some((key, word)) = word(data, "default-authorization-mode") {
            let all = [
                AuthorizationMode::AllowAll,
                AuthorizationMode::DenyAll,
                AuthorizationMode::AllowSameNamespace,
            ];
            let Some(mode) = all.into_iter().find(|mode| mode.as_str() == word) else {
                let allowed = "must be allow-all, deny-all or allow-same-namespace";
                return Err(ConfigError::invalid(key, word, allowed));
            };
            features.default_authorization_mode = mode;
        }
        if let Some(url) = text(data, "oidc-discovery-base-url") {
            features.oidc_discovery_base_url = url.to_owned();
        }
        let key = "requestreply-default-timeout";
        if let Some(timeout) = text(data, key) {
            let valid = iso_duration::parse(timeout).is_ok_and(|timeout| !timeout.is_zero());
            ensure(valid, key, timeout, "must be an ISO 8601 duration above zero")?;
            features.request_reply_default_timeout = timeout.to_owned();
        }
        features.api_server_node_selector = data
            .iter()
            .filter_map(|(key, value)| {
                Some((key.strip_prefix(NODE_SELECTOR_PREFIX)?.to_owned(), value.clone()))
            })
            .collect();
        Ok(features)
    }
}

fn text<'a>(data: &'a Data, key: &str) -> Option<&'a str> {
    data.get(key)
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
}

/// A value whose case does not matter.
fn word<'a>(data: &Data, key: &'a str) -> Option<(&'a str, String)> {
    text(data, key).map(|text| (key, text.to_ascii_lowercase()))
}
