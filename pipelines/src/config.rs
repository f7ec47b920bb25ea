//! The ConfigMaps that an install creates to steer pipelines.

use std::collections::BTreeMap;

use crds::config::Snapshot;
use crds::config::tekton::{Coschedule, Defaults, Events, Features};
use crds::labels::APP_NAME;
use crds::tekton::labels;
use crds::tekton::names::NAMESPACE;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// The ConfigMaps of an install: what they do not say is as upstream has it.
pub fn manifests() -> Vec<ConfigMap> {
    let settings: [(&str, &[(&str, &str)]); 3] = [
        (Features::NAME, &[]),
        (Defaults::NAME, &[]),
        // Who is told of runs is for the operator to say.
        (Events::NAME, &[("formats", "tektonv1")]),
    ];
    let map = |name: &str, settings: &[(&str, &str)]| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            // By the second one admission is asked about them.
            labels: Some(BTreeMap::from(
                [labels::PART_OF, APP_NAME]
                    .map(|label| (label.to_owned(), labels::PART_OF_PIPELINES.to_owned())),
            )),
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

/// What an install sets in [`Features::NAME`] where all volumes are on one node and nobody else puts sidecars into
/// pods: pods need not be near to each other then, and first steps need not wait for a second look at their pod.
pub fn of_one_node() -> BTreeMap<&'static str, String> {
    [
        ("coschedule", Coschedule::Disabled.as_str()),
        ("running-in-environment-with-injected-sidecars", "false"),
    ]
    .map(|(key, value)| (key, value.to_owned()))
    .into()
}

/// Releases of upstream whose behaviour this is: `docs/compatibility.md`.
const VERSIONS: [(&str, &str); 2] = [("pipelines-info", "v1.15.0"), ("triggers-info", "v0.36.0")];

/// The ConfigMaps in which clients such as `tkn version` look for whom they talk to. They belong to the version that
/// runs, not to the one that was installed first.
pub fn versions() -> Vec<ConfigMap> {
    let map = |(name, version): (&str, &str)| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(BTreeMap::from([(
                APP_NAME.to_owned(),
                labels::PART_OF_PIPELINES.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([("version".to_owned(), version.to_owned())])),
        ..ConfigMap::default()
    };
    VERSIONS.into_iter().map(map).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_is_as_upstream_and_on_one_node_needs_no_assistants() {
        for map in manifests() {
            let data = map.data.unwrap_or_default();
            match map.metadata.name.as_deref() {
                Some(Features::NAME) => assert_eq!(Features::parse(&data).unwrap(), Features::default()),
                Some(Events::NAME) => assert_eq!(Events::parse(&data).unwrap(), Events::default()),
                _ => assert_eq!(Defaults::parse(&data).unwrap(), Defaults::default()),
            }
        }
        assert_eq!(Features::default().coschedule, Coschedule::Workspaces);
        let data = of_one_node().into_iter();
        let data = data.map(|(key, value)| (key.to_owned(), value)).collect();
        let features = Features::parse(&data).unwrap();
        assert_eq!(features.coschedule, Coschedule::Disabled);
        assert!(!features.running_in_environment_with_injected_sidecars);
    }
}
