//! `config-domain`

use std::collections::BTreeMap;

use serde::Deserialize;

use super::data::ConfigError;
use super::{Data, Snapshot};

/// The domains that routes get their hosts under.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Domain {
    /// Domains, and which routes they are for.
    pub domains: BTreeMap<String, DomainConfig>,
}

/// Which routes a domain is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct DomainConfig {
    /// Labels that a route must have; none means all routes.
    pub selector: BTreeMap<String, String>,
    /// Whether one certificate may cover the domain.
    #[serde(rename = "type")]
    pub kind: DomainType,
}

/// Whether one certificate may cover a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DomainType {
    /// Yes, with a wildcard.
    #[default]
    Wildcard,
}

impl Snapshot for Domain {
    const NAME: &'static str = "config-domain";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let domains = data
            .iter()
            .filter(|(domain, _)| !domain.starts_with('_'))
            .map(|(domain, value)| Ok((domain.clone(), parse_entry(domain, value)?)))
            .collect::<Result<_, ConfigError>>()?;
        Ok(Self { domains })
    }
}

impl Domain {
    /// The domain for a route with these labels: of those that match, the one with most labels, then the smallest
    /// text; `svc.<cluster domain>` if none does.
    pub fn lookup(&self, labels: &BTreeMap<String, String>, cluster_domain: &str) -> String {
        self.domains
            .iter()
            .filter(|(_, config)| {
                config
                    .selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
            })
            .max_by(|(a_name, a), (b_name, b)| {
                a.selector
                    .len()
                    .cmp(&b.selector.len())
                    .then_with(|| b_name.cmp(a_name))
            })
            .map_or_else(|| format!("svc.{cluster_domain}"), |(domain, _)| domain.clone())
    }
}

fn parse_entry(domain: &str, value: &str) -> Result<DomainConfig, ConfigError> {
    if let Some(reason) = crate::dns::subdomain_1123(domain).first() {
        return Err(ConfigError::parse(domain, reason));
    }
    if value.trim().is_empty() {
        return Ok(DomainConfig::default());
    }
    let config: Option<DomainConfig> =
        serde_saphyr::from_str(value).map_err(|error| ConfigError::parse(domain, error))?;
    Ok(config.unwrap_or_default())
}
