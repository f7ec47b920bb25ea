//! How many runs are kept, and how long: the ConfigMaps of the field's pruner.

use std::collections::BTreeMap;

use crds::config::{ConfigError, Data, Snapshot};
use crds::tekton::names::NAMESPACE;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

/// Key of the settings in the ConfigMap of the install.
const GLOBAL: &str = "global-config";
/// Key of the settings in the ConfigMap of a namespace.
const OF_NAMESPACE: &str = "ns-config";
/// Name of the ConfigMap of a namespace.
pub(crate) const NAMESPACE_MAP: &str = "tekton-pruner-namespace-spec";
/// Label of both; its value is `global` or `namespace`.
pub(crate) const CONFIG_TYPE: &str = "pruner.tekton.dev/config-type";
/// What a namespace may keep where the install says nothing, as upstream.
const MOST: Limits = Limits {
    ttl: Some(2_592_000),
    successful: Some(100),
    failed: Some(100),
    history: Some(100),
};

/// What is kept of the runs of one pipeline or task. What is not said is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Limits {
    /// Seconds after the end.
    #[serde(default, rename = "ttlSecondsAfterFinished")]
    pub ttl: Option<u32>,
    /// Runs that succeeded.
    #[serde(default, rename = "successfulHistoryLimit")]
    pub successful: Option<u32>,
    /// Runs that did not.
    #[serde(default, rename = "failedHistoryLimit")]
    pub failed: Option<u32>,
    /// Either, where the two above do not say.
    #[serde(default, rename = "historyLimit")]
    pub history: Option<u32>,
}

impl Limits {
    /// How many runs of this outcome are kept.
    pub fn count(&self, succeeded: bool) -> Option<u32> {
        let own = if succeeded { self.successful } else { self.failed };
        own.or(self.history)
    }

    /// These, and what they do not say from `other`. A count that is said here for all is not overruled by one for some.
    fn over(self, other: Self) -> Self {
        let counts =
            |own: Option<u32>, other: Option<u32>| own.or(if self.history.is_some() { None } else { other });
        Self {
            ttl: self.ttl.or(other.ttl),
            successful: counts(self.successful, other.successful),
            failed: counts(self.failed, other.failed),
            history: self.history.or(other.history),
        }
    }

    /// These, but nothing above `most`.
    fn within(self, most: Self) -> Self {
        let least = |own: Option<u32>, most: Option<u32>| match (own, most) {
            (Some(own), Some(most)) => Some(own.min(most)),
            (own, most) => own.or(most),
        };
        Self {
            ttl: least(self.ttl, most.ttl),
            successful: least(self.count(true), most.count(true)),
            failed: least(self.count(false), most.count(false)),
            history: None,
        }
    }
}

/// Up to where settings are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// Only those of the install.
    #[default]
    Global,
    Namespace,
    Resource,
}

/// Settings of some runs of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    /// Name of the pipeline or task.
    #[serde(default)]
    name: Option<String>,
    /// Any of these.
    #[serde(default)]
    selector: Vec<Selector>,
    #[serde(flatten)]
    limits: Limits,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_annotations: BTreeMap<String, String>,
}

/// Settings of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OfNamespace {
    #[serde(flatten)]
    limits: Limits,
    #[serde(default)]
    pipeline_runs: Vec<Group>,
    #[serde(default)]
    task_runs: Vec<Group>,
}

/// The settings of the install: `tekton-pruner-default-spec`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pruning {
    #[serde(default)]
    enforced_config_level: Level,
    #[serde(flatten)]
    limits: Limits,
    #[serde(default)]
    namespaces: BTreeMap<String, OfNamespace>,
}

impl Default for Pruning {
    /// What holds where nobody has said anything: an API server gets slow with some thousand runs.
    fn default() -> Self {
        Self {
            enforced_config_level: Level::Namespace,
            limits: Limits {
                ttl: Some(2_592_000),
                successful: Some(25),
                failed: Some(25),
                history: None,
            },
            namespaces: BTreeMap::new(),
        }
    }
}

impl Snapshot for Pruning {
    const NAME: &'static str = "tekton-pruner-default-spec";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        match data.get(GLOBAL) {
            None => Ok(Self::default()),
            Some(text) => parse(GLOBAL, text),
        }
    }
}

impl OfNamespace {
    /// Of a ConfigMap `tekton-pruner-namespace-spec`.
    pub fn parse(data: &Data) -> Result<Self, ConfigError> {
        data.get(OF_NAMESPACE)
            .map_or_else(|| Ok(Self::default()), |text| parse(OF_NAMESPACE, text))
    }
}

fn parse<T: serde::de::DeserializeOwned>(key: &str, text: &str) -> Result<T, ConfigError> {
    // An empty text is an empty map: nothing is limited.
    let text = if text.trim().is_empty() { "{}" } else { text };
    serde_saphyr::from_str(text).map_err(|error| ConfigError::Parse {
        key: key.to_owned(),
        reason: error.to_string(),
    })
}

/// What settings may speak of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About<'a> {
    pub namespace: &'a str,
    /// Whether it is a run of a task.
    pub task: bool,
    /// Name of its pipeline or task.
    pub name: &'a str,
    pub labels: &'a BTreeMap<String, String>,
    pub annotations: &'a BTreeMap<String, String>,
}

impl Pruning {
    /// What holds for a run; `own` is what the ConfigMap of its namespace says.
    pub(crate) fn limits(&self, about: About<'_>, own: Option<&OfNamespace>) -> Limits {
        if self.enforced_config_level == Level::Global {
            return self.limits;
        }
        let listed = self.namespaces.get(about.namespace);
        let Some(settings) = own.or(listed) else {
            return self.limits;
        };
        let groups = if about.task {
            &settings.task_runs
        } else {
            &settings.pipeline_runs
        };
        let group = groups.iter().find(|group| group.covers(about));
        let wanted = group.map_or(settings.limits, |group| group.limits.over(settings.limits));
        wanted.over(self.limits).within(self.limits.over(MOST))
    }
}

impl Group {
    fn covers(&self, about: About<'_>) -> bool {
        let holds = |wanted: &BTreeMap<String, String>, found: &BTreeMap<String, String>| {
            wanted.iter().all(|(key, value)| found.get(key) == Some(value))
        };
        let selected = |selector: &Selector| {
            let says = !selector.match_labels.is_empty() || !selector.match_annotations.is_empty();
            says && holds(&selector.match_labels, about.labels)
                && holds(&selector.match_annotations, about.annotations)
        };
        match &self.name {
            Some(name) => name == about.name,
            None => self.selector.iter().any(selected),
        }
    }
}

/// The ConfigMap of an install.
pub fn manifest() -> ConfigMap {
    let labels = [
        ("app.kubernetes.io/part-of", "tekton-pruner"),
        (CONFIG_TYPE, "global"),
    ];
    let text = "enforcedConfigLevel: namespace\nttlSecondsAfterFinished: 2592000\nsuccessfulHistoryLimit: 25\nfailedHistoryLimit: 25\n";
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(Pruning::NAME.to_owned()),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(
                labels
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            ),
            ..ObjectMeta::default()
        },
        data: Some([(GLOBAL.to_owned(), text.to_owned())].into()),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(text: &str) -> Result<Pruning, ConfigError> {
        Pruning::parse(&[(GLOBAL.to_owned(), text.to_owned())].into())
    }

    fn own(text: &str) -> OfNamespace {
        OfNamespace::parse(&[(OF_NAMESPACE.to_owned(), text.to_owned())].into()).unwrap()
    }

    fn found(
        pruning: &Pruning,
        own: Option<&OfNamespace>,
        name: &str,
        labels: &[(&str, &str)],
    ) -> [Option<u32>; 3] {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let about = About {
            namespace: "team",
            task: false,
            name,
            labels: &labels,
            annotations: &BTreeMap::new(),
        };
        let limits = pruning.limits(about, own);
        [limits.ttl, limits.count(true), limits.count(false)]
    }

    #[test]
    fn the_install_says_what_holds_without_it() {
        assert_eq!(
            Pruning::parse(&manifest().data.unwrap()).unwrap(),
            Pruning::default()
        );
        assert_eq!(Pruning::parse(&Data::new()).unwrap(), Pruning::default());
    }

    #[test]
    fn an_empty_map_limits_nothing() {
        for text in ["", "{}"] {
            assert_eq!(
                found(&global(text).unwrap(), None, "p", &[]),
                [None; 3],
                "{text:?}"
            );
        }
    }

    #[test]
    fn settings_of_a_namespace_are_below_those_of_the_install() {
        let pruning = global(
            "enforcedConfigLevel: namespace\nttlSecondsAfterFinished: 3600\nhistoryLimit: 10\nnamespaces:\n  team:\n    successfulHistoryLimit: 3\n",
        )
        .unwrap();
        assert_eq!(found(&pruning, None, "p", &[]), [Some(3600), Some(3), Some(10)]);
        // The ConfigMap of the namespace wins, within what the install allows.
        let team = own("ttlSecondsAfterFinished: 60\nhistoryLimit: 50\n");
        assert_eq!(
            found(&pruning, Some(&team), "p", &[]),
            [Some(60), Some(10), Some(10)]
        );
    }

    #[test]
    fn groups_are_found_by_name_and_labels_the_first_wins() {
        let pruning = global("enforcedConfigLevel: resource\n").unwrap();
        let team = own(
            "failedHistoryLimit: 7\npipelineRuns:\n- name: release\n  successfulHistoryLimit: 90\n- selector:\n  - matchLabels: {env: dev}\n  historyLimit: 1\n- selector:\n  - matchLabels: {env: dev}\n  historyLimit: 2\n- selector: [{}]\n  historyLimit: 0\n",
        );
        for (name, labels, expected) in [
            (
                "release",
                &[("env", "dev")][..],
                [Some(2_592_000), Some(90), Some(7)],
            ),
            ("other", &[("env", "dev")], [Some(2_592_000), Some(1), Some(1)]),
            ("other", &[], [Some(2_592_000), Some(100), Some(7)]),
        ] {
            assert_eq!(
                found(&pruning, Some(&team), name, labels),
                expected,
                "{name} {labels:?}"
            );
        }
    }

    #[test]
    fn the_level_decides_who_is_heard() {
        let pruning =
            global("enforcedConfigLevel: global\nhistoryLimit: 4\nnamespaces: {team: {historyLimit: 1}}")
                .unwrap();
        assert_eq!(
            found(&pruning, Some(&own("historyLimit: 2")), "p", &[]),
            [None, Some(4), Some(4)]
        );
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for text in [
            "historyLimit: -1",
            "enforcedConfigLevel: cluster",
            "ttlSecondsAfterFinished: soon",
            "- a",
        ] {
            assert!(global(text).is_err(), "{text}");
        }
    }
}
