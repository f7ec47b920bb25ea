//! The three webhooks: their names, paths and rules.

use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use reconciler::admission::rule;

/// One of the webhooks of tasks and pipelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Webhook {
    /// Fills in defaults.
    Defaulting,
    /// Checks resources.
    ResourceValidation,
    /// Checks the ConfigMaps of the install.
    ConfigValidation,
}

impl Webhook {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Defaulting, Self::ResourceValidation, Self::ConfigValidation];

    /// The name, which refusals mention.
    pub fn name(self) -> &'static str {
        match self {
            Self::Defaulting => "webhook.pipeline.tekton.dev",
            Self::ResourceValidation => "validation.webhook.pipeline.tekton.dev",
            Self::ConfigValidation => "config.webhook.pipeline.tekton.dev",
        }
    }

    /// The path it is asked at over HTTP; another one than those of the other halves, so that one server may answer for
    /// all.
    pub fn path(self) -> &'static str {
        match self {
            Self::Defaulting => "/pipelines/defaulting",
            Self::ResourceValidation => "/pipelines/resource-validation",
            Self::ConfigValidation => "/pipelines/config-validation",
        }
    }

    /// May it change objects?
    pub fn is_mutating(self) -> bool {
        self == Self::Defaulting
    }

    /// Which requests it has to be asked about.
    pub fn rules(self) -> Vec<RuleWithOperations> {
        if self == Self::ConfigValidation {
            return vec![rule(
                &["CREATE", "UPDATE"],
                "",
                "v1",
                vec!["configmaps".to_owned()],
            )];
        }
        // Deletions are listed though always allowed: an object in deletion may still be updated.
        let operations: &[&str] = if self.is_mutating() {
            &["CREATE", "UPDATE"]
        } else {
            &["CREATE", "UPDATE", "DELETE"]
        };
        KINDS
            .iter()
            .map(|(group, version, plurals)| {
                let resources = plurals
                    .iter()
                    .flat_map(|plural| [(*plural).to_owned(), format!("{plural}/status")]);
                rule(operations, group, version, resources.collect())
            })
            .collect()
    }
}

/// The kinds that are defaulted and checked.
const KINDS: &[(&str, &str, &[&str])] = &[
    (
        crds::tekton::GROUP,
        "v1",
        &["tasks", "taskruns", "pipelines", "pipelineruns"],
    ),
    (crds::tekton::GROUP, "v1beta1", &["stepactions", "customruns"]),
    (crds::tekton::RESOLUTION_GROUP, "v1beta1", &["resolutionrequests"]),
];
