//! `config-network`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gotmpl::{MissingKey, Template, TemplateError, Value};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::data::{ConfigError, find, parse_bool, parse_duration, read_bool, read_text};
use super::{Data, Snapshot, data};

/// How routes get their hosts, certificates and ingress.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Ingress implementation that acts on routes without a class of their own.
    pub ingress_class: String,
    /// Certificate provider.
    pub certificate_class: String,
    /// Go template of a host; see [`Network::render_domain`].
    pub domain_template: String,
    /// Go template of the name that a tag gets in a host; see [`Network::render_tag`].
    pub tag_template: String,
    /// Certificates for hosts outside?
    pub external_domain_tls: bool,
    /// Certificates for hosts inside?
    pub cluster_local_domain_tls: bool,
    /// TLS between the platform's own parts?
    pub system_internal_tls: bool,
    /// What becomes of clear-text requests from outside.
    pub http_protocol: HttpProtocol,
    /// Scheme of URLs whose host has no certificate.
    pub default_external_scheme: String,
    /// How long a new revision takes to get all requests; zero is at once.
    pub rollout_duration: Duration,
    /// May any namespace claim any free domain?
    pub autocreate_cluster_domain_claims: bool,
    /// Namespaces that get a wildcard certificate; `None` is no namespace.
    pub namespace_wildcard_cert_selector: Option<LabelSelector>,
    /// Can pods be addressed directly although there is a mesh?
    pub enable_mesh_pod_addressability: bool,
    /// Whether a mesh stands between activator and pods.
    pub mesh_compatibility_mode: MeshCompatibilityMode,
}

/// What becomes of clear-text requests from outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpProtocol {
    /// They are served.
    #[default]
    Enabled,
    /// They are redirected to https.
    Redirected,
    /// They are not served; deprecated.
    Disabled,
}

/// Whether a mesh stands between activator and pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeshCompatibilityMode {
    /// Find out.
    #[default]
    Auto,
    /// Yes: pods are reached through their Service only.
    Enabled,
    /// No: pods are reached directly only.
    Disabled,
}

/// What a domain template can speak of.
#[derive(Clone, Copy, Debug)]
pub struct TemplateValues<'a> {
    /// Name of the route, or what the tag template made of it and a tag.
    pub name: &'a str,
    /// Namespace of the route.
    pub namespace: &'a str,
    /// Domain that `config-domain` has for the route.
    pub domain: &'a str,
    /// Annotations of the route.
    pub annotations: Option<&'a BTreeMap<String, String>>,
    /// Labels of the route.
    pub labels: Option<&'a BTreeMap<String, String>>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            ingress_class: "istio.ingress.networking.knative.dev".to_owned(),
            certificate_class: "cert-manager.certificate.networking.knative.dev".to_owned(),
            domain_template: "{{.Name}}.{{.Namespace}}.{{.Domain}}".to_owned(),
            tag_template: "{{.Tag}}-{{.Name}}".to_owned(),
            external_domain_tls: false,
            cluster_local_domain_tls: false,
            system_internal_tls: false,
            http_protocol: HttpProtocol::Enabled,
            default_external_scheme: "http".to_owned(),
            rollout_duration: Duration::ZERO,
            autocreate_cluster_domain_claims: false,
            namespace_wildcard_cert_selector: None,
            enable_mesh_pod_addressability: false,
            mesh_compatibility_mode: MeshCompatibilityMode::Auto,
        }
    }
}

impl Snapshot for Network {
    const NAME: &'static str = "config-network";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read_text(
            data,
            &["ingress-class", "ingress.class"],
            &mut config.ingress_class,
        );
        read_text(
            data,
            &["certificate-class", "certificate.class"],
            &mut config.certificate_class,
        );
        read_text(
            data,
            &["domain-template", "domainTemplate"],
            &mut config.domain_template,
        );
        read_text(data, &["tag-template", "tagTemplate"], &mut config.tag_template);
        read_switch(
            data,
            &["external-domain-tls", "auto-tls", "autoTLS"],
            &mut config.external_domain_tls,
        )?;
        read_switch(
            data,
            &["cluster-local-domain-tls"],
            &mut config.cluster_local_domain_tls,
        )?;
        read_switch(
            data,
            &["system-internal-tls", "internal-encryption"],
            &mut config.system_internal_tls,
        )?;
        config.read_http_protocol(data)?;
        read_text(
            data,
            &["default-external-scheme", "defaultExternalScheme"],
            &mut config.default_external_scheme,
        );
        config.read_rollout_duration(data)?;
        for (keys, field) in [
            (
                [
                    "autocreate-cluster-domain-claims",
                    "autocreateClusterDomainClaims",
                ],
                &mut config.autocreate_cluster_domain_claims,
            ),
            (
                ["enable-mesh-pod-addressability", "enableMeshPodAddressability"],
                &mut config.enable_mesh_pod_addressability,
            ),
        ] {
            if let Some((key, _)) = find(data, &keys) {
                read_bool(data, key, field)?;
            }
        }
        config.read_selector(data)?;
        config.read_mesh_mode(data)?;
        config.check_templates()?;
        Ok(config)
    }
}

impl Network {
    /// The host of a route or tag.
    ///
    /// # Errors
    /// When the template asks for what is not there.
    pub fn render_domain(&self, values: &TemplateValues<'_>) -> Result<String, TemplateError> {
        let data = Value::from_entries([
            ("Name".to_owned(), Value::from(values.name)),
            ("Namespace".to_owned(), Value::from(values.namespace)),
            ("Domain".to_owned(), Value::from(values.domain)),
            ("Annotations".to_owned(), string_map(values.annotations)),
            ("Labels".to_owned(), string_map(values.labels)),
        ]);
        render(&self.domain_template, &data)
    }

    /// The name that a tag of a route gets in its host.
    ///
    /// # Errors
    /// When the template asks for what is not there.
    pub fn render_tag(&self, name: &str, tag: &str) -> Result<String, TemplateError> {
        let data = Value::from_entries([
            ("Name".to_owned(), Value::from(name)),
            ("Tag".to_owned(), Value::from(tag)),
        ]);
        render(&self.tag_template, &data)
    }

    fn read_http_protocol(&mut self, data: &Data) -> Result<(), ConfigError> {
        if let Some((key, value)) = find(data, &["http-protocol", "httpProtocol"]) {
            self.http_protocol = match value.to_ascii_lowercase().as_str() {
                "enabled" => HttpProtocol::Enabled,
                "redirected" => HttpProtocol::Redirected,
                "disabled" => HttpProtocol::Disabled,
                _ => return Err(ConfigError::invalid(key, value, "must be Enabled or Redirected")),
            };
        }
        Ok(())
    }

    /// Whole seconds without a unit; a Go duration is understood too, as some have written one.
    fn read_rollout_duration(&mut self, data: &Data) -> Result<(), ConfigError> {
        if let Some((key, value)) = find(data, &["rollout-duration", "rolloutDuration"]) {
            self.rollout_duration = match value.trim().parse::<u64>() {
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => parse_duration(key, value.trim())?,
            };
            data::ensure_seconds(key, self.rollout_duration)?;
        }
        Ok(())
    }

    fn read_selector(&mut self, data: &Data) -> Result<(), ConfigError> {
        let keys = [
            "namespace-wildcard-cert-selector",
            "namespaceWildcardCertSelector",
        ];
        if let Some((key, value)) = find(data, &keys).filter(|(_, value)| !value.trim().is_empty()) {
            let selector = serde_saphyr::from_str(value).map_err(|error| ConfigError::parse(key, error))?;
            self.namespace_wildcard_cert_selector = Some(selector);
        }
        Ok(())
    }

    fn read_mesh_mode(&mut self, data: &Data) -> Result<(), ConfigError> {
        if let Some((key, value)) = find(data, &["mesh-compatibility-mode", "meshCompatibilityMode"]) {
            self.mesh_compatibility_mode = match value.to_ascii_lowercase().as_str() {
                "auto" => MeshCompatibilityMode::Auto,
                "enabled" => MeshCompatibilityMode::Enabled,
                "disabled" => MeshCompatibilityMode::Disabled,
                _ => {
                    return Err(ConfigError::invalid(
                        key,
                        value,
                        "must be auto, enabled or disabled",
                    ));
                }
            };
        }
        Ok(())
    }

    /// Tries the templates, so that a misspelt field is told when it is written and not when a route needs a host.
    fn check_templates(&self) -> Result<(), ConfigError> {
        let values = TemplateValues {
            name: "foo",
            namespace: "bar",
            domain: "baz.com",
            annotations: None,
            labels: None,
        };
        for (key, host) in [
            ("domain-template", self.render_domain(&values)),
            ("tag-template", self.render_tag("foo", "v1")),
        ] {
            let host = host.map_err(|error| ConfigError::parse(key, error))?;
            let valid =
                !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@:?#".contains(c));
            data::ensure(valid, key, host, "must make a host name")?;
        }
        Ok(())
    }
}

/// `Enabled` or `Disabled` in any case; the older keys also held truth values.
fn read_switch(data: &Data, keys: &[&'static str], field: &mut bool) -> Result<(), ConfigError> {
    if let Some((key, value)) = find(data, keys) {
        *field = match value.to_ascii_lowercase().as_str() {
            "enabled" => true,
            "disabled" => false,
            other => parse_bool(other)
                .ok_or_else(|| ConfigError::invalid(key, value, "must be Enabled or Disabled"))?,
        };
    }
    Ok(())
}

fn render(template: &str, values: &Value) -> Result<String, TemplateError> {
    let template = Template::new("host")
        .missing_key(MissingKey::ZeroValue)
        .parse(template)?;
    // A label or annotation that is not there is an empty text in a Go map; here it is nothing, which prints so.
    Ok(template.execute_to_string(values)?.replace("<no value>", ""))
}

/// A map as templates see it.
pub(super) fn string_map(map: Option<&BTreeMap<String, String>>) -> Value {
    let entries: BTreeMap<Arc<str>, Value> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| (Arc::from(key.as_str()), Value::from(value.as_str())))
        .collect();
    Value::from(entries)
}
