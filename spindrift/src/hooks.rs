//! The platform's admission webhooks, whoever asks them: the embedded API server in process, others over HTTPS.

use std::sync::{Arc, OnceLock};

use cluster::{Admission, Rule};
use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use kube::core::DynamicObject;
use kube::core::admission::AdmissionReview;
use reconciler::ConfigStore;
use serving::admission::{Settings, Webhook, handle};

/// A review as it is asked and answered.
pub type Review = AdmissionReview<DynamicObject>;

/// One webhook.
#[derive(Clone)]
pub struct Hook {
    /// Its name, which refusals mention.
    pub name: &'static str,
    /// Where it is asked over HTTP.
    pub path: &'static str,
    /// May it change objects?
    pub mutating: bool,
    /// Which requests it has to be asked about.
    pub rules: Vec<RuleWithOperations>,
    /// The half of the platform that it belongs to, as `app.kubernetes.io/name` has it.
    pub part: &'static str,
    /// Of a hook for ConfigMaps: the namespace whose maps of this part it is asked about.
    pub only_in: Option<String>,
    /// Answers a review; waits for nothing.
    pub decide: Arc<dyn Fn(Review) -> Review + Send + Sync>,
}

/// The webhooks of serving, in the order in which they are asked. `settings` says what they go by at each moment.
pub fn serving(settings: impl Fn() -> Settings + Send + Sync + 'static) -> Vec<Hook> {
    let settings = Arc::new(settings);
    let namespace = settings().system_namespace;
    Webhook::ALL
        .into_iter()
        .map(|webhook| {
            let settings = settings.clone();
            Hook {
                name: webhook.name(),
                path: webhook.path(),
                mutating: webhook.is_mutating(),
                rules: webhook.rules(),
                part: "knative-serving",
                only_in: (webhook == Webhook::ConfigValidation).then(|| namespace.clone()),
                decide: Arc::new(move |review| handle(webhook, review, &settings())),
            }
        })
        .collect()
}

/// The webhooks of events; otherwise like [`serving`].
pub fn eventing(settings: impl Fn() -> eventing::admission::Settings + Send + Sync + 'static) -> Vec<Hook> {
    use eventing::admission::{Webhook, handle};
    let settings = Arc::new(settings);
    let namespace = settings().system_namespace;
    Webhook::ALL
        .into_iter()
        .map(|webhook| {
            let settings = settings.clone();
            Hook {
                name: webhook.name(),
                path: webhook.path(),
                mutating: webhook.is_mutating(),
                rules: webhook.rules(),
                part: "knative-eventing",
                only_in: (webhook == Webhook::ConfigValidation).then(|| namespace.clone()),
                decide: Arc::new(move |review| handle(webhook, review, &settings())),
            }
        })
        .collect()
}

/// The live configuration of both halves of the platform.
pub struct LiveConfig {
    pub serving: ConfigStore,
    pub eventing: ConfigStore,
}

/// Where hooks find it: it exists only after the API server that calls them.
pub type LateConfig = Arc<OnceLock<LiveConfig>>;

/// The hooks of the whole platform for the embedded API server. Until `config` is filled in they go by the defaults.
pub fn embedded(config: &LateConfig) -> Vec<Admission> {
    let late = config.clone();
    let of_serving = serving(move || match late.get() {
        Some(config) => Settings::default().with_present(&config.serving),
        None => Settings::default(),
    });
    let late = config.clone();
    let of_eventing = eventing(move || {
        let settings = eventing::admission::Settings::default();
        match late.get() {
            Some(config) => settings.with_present(&config.eventing),
            None => settings,
        }
    });
    of_serving
        .into_iter()
        .chain(of_eventing)
        .map(in_process)
        .collect()
}

fn in_process(hook: Hook) -> Admission {
    let decide = hook.decide;
    Admission {
        name: hook.name.to_owned(),
        mutating: hook.mutating,
        rules: hook.rules.into_iter().map(rule).collect(),
        handler: Arc::new(move |review: Review| std::future::ready(decide(review))),
    }
}

fn rule(rule: RuleWithOperations) -> Rule {
    Rule {
        operations: rule.operations.unwrap_or_default(),
        groups: rule.api_groups.unwrap_or_default(),
        versions: rule.api_versions.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
    }
}
