//! The platform's admission webhooks, whoever asks them: the embedded API server in process, others over HTTPS.

use std::sync::{Arc, OnceLock};

use cluster::{Admission, Concern, Conversion, Rule};
use eventing::admission::{Bindings, Reach};
use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use kube::core::conversion::ConversionReview;
use reconciler::ConfigStore;
use reconciler::admission::{Review, Webhook, Webhooks};
use serving::admission::Settings;

/// One webhook.
#[derive(Clone)]
pub struct Hook {
    /// Its name, which refusals mention.
    pub name: String,
    /// Where it is asked over HTTP.
    pub path: String,
    /// May it change objects?
    pub mutating: bool,
    /// Which requests it has to be asked about.
    pub rules: Vec<RuleWithOperations>,
    /// The half of the platform that it belongs to, as `app.kubernetes.io/name` has it.
    pub part: &'static str,
    /// Of a hook for ConfigMaps: the namespace whose maps of this part it is asked about.
    pub only_in: Option<String>,
    /// Of a hook whose requests change with what is stored; its own rules are the widest that it may have.
    pub live: Option<Live>,
    /// Answers a review; waits for nothing.
    pub decide: Arc<dyn Fn(Review) -> Review + Send + Sync>,
}

/// Which requests a hook has to be asked about at the moment.
#[derive(Clone)]
pub struct Live {
    /// For those who register it.
    pub reach: Arc<dyn Fn() -> Reach + Send + Sync>,
    /// For those who ask it in process.
    pub concern: Concern,
}

/// A webhook that converts between the versions of kinds.
#[derive(Clone, Copy)]
pub struct Converter {
    /// Where it is asked over HTTP.
    pub path: &'static str,
    /// The definitions whose objects it converts.
    pub definitions: &'static [&'static str],
    /// Answers a review; waits for nothing.
    pub convert: fn(ConversionReview) -> ConversionReview,
}

/// Converts tasks, pipelines and their runs.
pub const PIPELINES_CONVERTER: Converter = Converter {
    path: crds::tekton::names::CONVERSION_PATH,
    definitions: &pipelines::conversion::DEFINITIONS,
    convert: pipelines::conversion::handle,
};

/// The webhooks of serving, in the order in which they are asked. `settings` says what they go by at each moment.
pub fn serving(settings: impl Fn() -> Settings + Send + Sync + 'static) -> Vec<Hook> {
    let namespace = settings().system_namespace;
    hooks(
        &serving::admission::WEBHOOKS,
        &namespace,
        move |webhook, review| serving::admission::handle(webhook, review, &settings()),
    )
}

/// The webhooks of events; otherwise like [`serving`].
pub fn eventing(settings: impl Fn() -> eventing::admission::Settings + Send + Sync + 'static) -> Vec<Hook> {
    let namespace = settings().system_namespace;
    hooks(
        &eventing::admission::WEBHOOKS,
        &namespace,
        move |webhook, review| eventing::admission::handle(webhook, review, &settings()),
    )
}

/// The webhooks of tasks and pipelines; otherwise like [`serving`].
pub fn pipelines(settings: impl Fn() -> pipelines::admission::Settings + Send + Sync + 'static) -> Vec<Hook> {
    let namespace = settings().system_namespace;
    hooks(
        &pipelines::admission::WEBHOOKS,
        &namespace,
        move |webhook, review| pipelines::admission::handle(webhook, review, &settings()),
    )
}

/// The webhooks of Repositories, which no configuration steers.
pub fn push() -> Vec<Hook> {
    let handle = ::push::admission::handle;
    let mut hooks = hooks(&::push::admission::WEBHOOKS, "", handle);
    hooks.retain(|hook| hook.only_in.is_none());
    hooks
}

/// The webhooks of triggers. They go by nothing but what they are asked about.
pub fn triggers() -> Vec<Hook> {
    hooks(
        &triggers::admission::WEBHOOKS,
        crds::tekton::names::NAMESPACE,
        triggers::admission::handle,
    )
    .into_iter()
    .filter(|hook| hook.only_in.is_none())
    .collect()
}

/// The webhooks of one part of the platform; `namespace` has its ConfigMaps.
fn hooks(
    webhooks: &Webhooks,
    namespace: &str,
    handle: impl Fn(Webhook, Review) -> Review + Send + Sync + 'static,
) -> Vec<Hook> {
    let handle = Arc::new(handle);
    Webhook::ALL
        .into_iter()
        .map(|webhook| {
            let handle = handle.clone();
            Hook {
                name: webhooks.name(webhook),
                path: webhooks.path(webhook),
                mutating: webhook.is_mutating(),
                rules: webhooks.rules(webhook),
                part: webhooks.part,
                live: None,
                only_in: (webhook == Webhook::ConfigValidation).then(|| namespace.to_owned()),
                decide: Arc::new(move |review| handle(webhook, review)),
            }
        })
        .collect()
}

/// The webhook that binds workloads to sinks. Until `bindings` yields something it lets all through as it is.
pub fn sink_bindings(bindings: impl Fn() -> Option<Bindings> + Send + Sync + 'static) -> Hook {
    let bindings = Arc::new(bindings);
    let (known, concerned) = (bindings.clone(), bindings.clone());
    let all = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    Hook {
        name: Bindings::NAME.to_owned(),
        path: Bindings::PATH.to_owned(),
        mutating: true,
        rules: vec![RuleWithOperations {
            api_groups: all(&["*"]),
            api_versions: all(&["*"]),
            operations: all(&["CREATE", "UPDATE"]),
            resources: all(&["*"]),
            scope: Some("Namespaced".to_owned()),
        }],
        part: "knative-eventing",
        only_in: None,
        live: Some(Live {
            reach: Arc::new(move || known().map(|bindings| bindings.reach()).unwrap_or_default()),
            concern: Arc::new(move |group, resource, namespace| {
                concerned().is_some_and(|bindings| bindings.concern(group, resource, namespace))
            }),
        }),
        decide: Arc::new(move |review| match bindings() {
            Some(bindings) => bindings.handle(review),
            None => Bindings::pass(review),
        }),
    }
}

/// The live configuration of the parts of the platform, and the bindings of workloads.
pub struct LiveConfig {
    pub serving: ConfigStore,
    pub eventing: ConfigStore,
    pub pipelines: ConfigStore,
    pub bindings: Bindings,
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
    let late = config.clone();
    let of_pipelines = pipelines(move || {
        let settings = pipelines::admission::Settings::default();
        match late.get() {
            Some(config) => settings.with_present(&config.pipelines),
            None => settings,
        }
    });
    let late = config.clone();
    let of_bindings = sink_bindings(move || Some(late.get()?.bindings.clone()));
    of_serving
        .into_iter()
        .chain(of_eventing)
        .chain(of_pipelines)
        .chain(push())
        .chain(triggers())
        .chain([of_bindings])
        .map(in_process)
        .collect()
}

/// The conversions of the whole platform for the embedded API server.
pub fn embedded_conversions() -> Vec<Conversion> {
    let Converter {
        definitions, convert, ..
    } = PIPELINES_CONVERTER;
    definitions
        .iter()
        .map(|definition| Conversion {
            definition: (*definition).to_owned(),
            handler: Arc::new(move |review| std::future::ready(convert(review))),
        })
        .collect()
}

fn in_process(hook: Hook) -> Admission {
    let decide = hook.decide;
    Admission {
        name: hook.name,
        mutating: hook.mutating,
        rules: hook.rules.into_iter().map(rule).collect(),
        only: hook.live.map(|live| live.concern),
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
