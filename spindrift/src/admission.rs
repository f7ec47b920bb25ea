//! The platform's admission handlers, as the embedded API server calls them.

use std::sync::{Arc, OnceLock};

use cluster::{Admission, Rule};
use reconciler::ConfigStore;
use serving::admission::{Review, Settings, Webhook, handle};

/// Where the handlers find the live configuration, which exists only after the API server that calls them.
pub type LateConfig = Arc<OnceLock<ConfigStore>>;

/// One admission per webhook of the platform. Until `config` is filled in they go by the defaults.
pub fn handlers(config: &LateConfig) -> Vec<Admission> {
    [
        Webhook::Defaulting,
        Webhook::ResourceValidation,
        Webhook::ConfigValidation,
    ]
    .into_iter()
    .map(|webhook| {
        let config = config.clone();
        Admission {
            name: webhook.name().to_owned(),
            mutating: webhook.is_mutating(),
            rules: webhook.rules().into_iter().map(rule).collect(),
            handler: Arc::new(move |review: Review| {
                let settings = match config.get() {
                    Some(store) => Settings::default().with_present(store),
                    None => Settings::default(),
                };
                std::future::ready(handle(webhook, review, &settings))
            }),
        }
    })
    .collect()
}

fn rule(rule: k8s_openapi::api::admissionregistration::v1::RuleWithOperations) -> Rule {
    Rule {
        operations: rule.operations.unwrap_or_default(),
        groups: rule.api_groups.unwrap_or_default(),
        versions: rule.api_versions.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
    }
}
