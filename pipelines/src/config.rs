//! The ConfigMaps that steer pipelines, and those that an install creates.

use std::collections::BTreeMap;
use std::time::Duration;

use crds::config::{ConfigError, Data, Snapshot};
use crds::tekton::{PodTemplate, labels};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Namespace of the ConfigMaps.
pub const NAMESPACE: &str = "tekton-pipelines";

/// `feature-flags`, as far as this version knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureFlags {
    /// Does the first step wait until the sidecars are ready?
    pub await_sidecar_readiness: bool,
    /// May others put sidecars into the pods?
    pub injected_sidecars: bool,
    /// Do the containers that are not the user's drop all rights?
    pub set_security_context: bool,
}

impl Default for FeatureFlags {
    fn default() -> Self {
        Self {
            await_sidecar_readiness: true,
            injected_sidecars: true,
            set_security_context: false,
        }
    }
}

impl Snapshot for FeatureFlags {
    const NAME: &'static str = "feature-flags";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut flags = Self::default();
        for (key, flag) in [
            ("await-sidecar-readiness", &mut flags.await_sidecar_readiness),
            (
                "running-in-environment-with-injected-sidecars",
                &mut flags.injected_sidecars,
            ),
            ("set-security-context", &mut flags.set_security_context),
        ] {
            if let Some(text) = data.get(key) {
                *flag = match text.trim() {
                    "true" => true,
                    "false" => false,
                    other => {
                        return Err(parse_error(
                            key,
                            format!("{other:?} is neither \"true\" nor \"false\""),
                        ));
                    }
                };
            }
        }
        Ok(flags)
    }
}

/// `config-defaults`, as far as this version knows them.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// How long an attempt may take; zero is as long as it likes.
    pub timeout: Duration,
    /// Value of the label that says who looks after pods.
    pub managed_by: String,
    /// Fields of the pods of runs that do not say otherwise.
    pub pod_template: Option<PodTemplate>,
    /// Variables that templates may not set.
    pub forbidden_env: Vec<String>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60 * 60),
            managed_by: labels::MANAGED_BY_VALUE.to_owned(),
            pod_template: None,
            forbidden_env: Vec::new(),
        }
    }
}

impl Snapshot for Defaults {
    const NAME: &'static str = "config-defaults";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut defaults = Self::default();
        let given = |key: &str| {
            data.get(key)
                .map(|text| text.trim())
                .filter(|text| !text.is_empty())
        };
        let key = "default-timeout-minutes";
        if let Some(text) = given(key) {
            let minutes: u64 = text.parse().map_err(|error| parse_error(key, error))?;
            defaults.timeout = Duration::from_secs(minutes.saturating_mul(60));
        }
        if let Some(text) = given("default-managed-by-label-value") {
            text.clone_into(&mut defaults.managed_by);
        }
        let key = "default-pod-template";
        if let Some(text) = given(key) {
            defaults.pod_template = serde_saphyr::from_str(text).map_err(|error| parse_error(key, error))?;
        }
        if let Some(text) = given("default-forbidden-env") {
            defaults.forbidden_env = text.split(',').map(|name| name.trim().to_owned()).collect();
        }
        Ok(defaults)
    }
}

fn parse_error(key: &str, reason: impl std::fmt::Display) -> ConfigError {
    ConfigError::Parse {
        key: key.to_owned(),
        reason: reason.to_string(),
    }
}

/// The ConfigMaps of an install where volumes are on the one node and nobody else puts sidecars into pods: pods need
/// not be near to each other then, and first steps need not wait for a second look at their pod.
pub fn manifests() -> Vec<ConfigMap> {
    let settings: [(&str, &[(&str, &str)]); 2] = [
        (
            FeatureFlags::NAME,
            &[
                ("coschedule", "disabled"),
                ("running-in-environment-with-injected-sidecars", "false"),
            ],
        ),
        (Defaults::NAME, &[]),
    ];
    let map = |name: &str, settings: &[(&str, &str)]| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(BTreeMap::from([(
                labels::PART_OF.to_owned(),
                labels::PART_OF_PIPELINES.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(
            settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        ),
        ..ConfigMap::default()
    };
    settings
        .into_iter()
        .map(|(name, settings)| map(name, settings))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn what_is_set_is_read_and_the_rest_has_upstreams_defaults() {
        let flags =
            FeatureFlags::parse(&data(&[("set-security-context", "true"), ("unknown", "x")])).unwrap();
        assert_eq!(
            flags,
            FeatureFlags {
                set_security_context: true,
                ..FeatureFlags::default()
            }
        );
        let defaults = Defaults::parse(&data(&[
            ("default-timeout-minutes", "5"),
            ("default-pod-template", "nodeSelector:\n  a: b\n"),
            ("default-forbidden-env", "A, B"),
            ("default-managed-by-label-value", ""),
        ]))
        .unwrap();
        assert_eq!(defaults.timeout, Duration::from_secs(300));
        assert_eq!(defaults.pod_template.unwrap().node_selector.len(), 1);
        assert_eq!(defaults.forbidden_env, ["A", "B"]);
        assert_eq!(defaults.managed_by, "tekton-pipelines");
        for wrong in [("default-timeout-minutes", "soon"), ("default-pod-template", "[")] {
            assert!(Defaults::parse(&data(&[wrong])).is_err());
        }
        assert!(FeatureFlags::parse(&data(&[("set-security-context", "perhaps")])).is_err());
    }

    #[test]
    fn what_an_install_creates_can_be_read() {
        for map in manifests() {
            let data = map.data.unwrap_or_default();
            match map.metadata.name.as_deref() {
                Some(FeatureFlags::NAME) => assert!(!FeatureFlags::parse(&data).unwrap().injected_sidecars),
                _ => assert_eq!(Defaults::parse(&data).unwrap(), Defaults::default()),
            }
        }
    }
}
