//! How big queue-proxy may be: the configuration, then a share of the user's container, then explicit annotations.

use std::collections::BTreeMap;

use crds::annotations;
use crds::serving::Revision;
use formats::quantity::Quantity as Amount;
use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata::serving_container;
use super::settings::Settings;
use crate::shared::first_annotation;

type Resources = BTreeMap<String, Quantity>;

/// Bounds of a share of the user's container: CPU in millicores, memory in bytes (upstream's).
const CPU_REQUEST: (i128, i128) = (25, 100);
const CPU_LIMIT: (i128, i128) = (40, 500);
const MEMORY_REQUEST: (i128, i128) = (50 << 20, 200 << 20);
const MEMORY_LIMIT: (i128, i128) = (200 << 20, 500 << 20);

pub(super) fn queue_resources(revision: &Revision, settings: &Settings) -> ResourceRequirements {
    let (mut requests, mut limits) = configured(settings);
    if let Some(share) = share(revision) {
        let user = serving_container(revision)
            .and_then(|container| container.resources.clone())
            .unwrap_or_default();
        take_share(
            &mut requests,
            user.requests.as_ref(),
            share,
            CPU_REQUEST,
            MEMORY_REQUEST,
        );
        take_share(&mut limits, user.limits.as_ref(), share, CPU_LIMIT, MEMORY_LIMIT);
    }
    for (name, keys) in [
        ("cpu", annotations::QUEUE_SIDECAR_CPU_REQUEST_KEYS),
        ("memory", annotations::QUEUE_SIDECAR_MEMORY_REQUEST_KEYS),
        (
            "ephemeral-storage",
            annotations::QUEUE_SIDECAR_EPHEMERAL_STORAGE_REQUEST_KEYS,
        ),
    ] {
        take_annotation(&mut requests, revision, name, keys);
    }
    for (name, keys) in [
        ("cpu", annotations::QUEUE_SIDECAR_CPU_LIMIT_KEYS),
        ("memory", annotations::QUEUE_SIDECAR_MEMORY_LIMIT_KEYS),
        (
            "ephemeral-storage",
            annotations::QUEUE_SIDECAR_EPHEMERAL_STORAGE_LIMIT_KEYS,
        ),
    ] {
        take_annotation(&mut limits, revision, name, keys);
    }
    let some = |resources: Resources| (!resources.is_empty()).then_some(resources);
    ResourceRequirements {
        requests: some(requests),
        limits: some(limits),
        claims: None,
    }
}

/// What config-deployment says, or the defaults of the feature that has some.
fn configured(settings: &Settings) -> (Resources, Resources) {
    let given = &settings.deployment.queue_sidecar_resources;
    let defaults = settings.features.queue_proxy_resource_defaults.is_enabled();
    let resources = |entries: [(&str, &Option<Quantity>, Option<&str>); 3]| {
        let entries = entries.into_iter().filter_map(|(name, given, default)| {
            let default = default.filter(|_| defaults).map(|text| Quantity(text.to_owned()));
            Some((name.to_owned(), given.clone().or(default)?))
        });
        entries.collect::<Resources>()
    };
    let requests = resources([
        ("cpu", &given.cpu_request, None),
        ("memory", &given.memory_request, Some("400Mi")),
        ("ephemeral-storage", &given.ephemeral_storage_request, None),
    ]);
    let limits = resources([
        ("cpu", &given.cpu_limit, Some("1000m")),
        ("memory", &given.memory_limit, Some("800Mi")),
        ("ephemeral-storage", &given.ephemeral_storage_limit, None),
    ]);
    (requests, limits)
}

/// The wanted share of the user's resources, as a fraction; admission allows 0.1 to 100 percent.
fn share(revision: &Revision) -> Option<f64> {
    let text = first_annotation(
        &revision.metadata,
        annotations::QUEUE_SIDECAR_RESOURCE_PERCENTAGE_KEYS,
    )?;
    text.parse::<f64>()
        .ok()
        .filter(|percent| (0.1..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
}

fn take_share(
    resources: &mut Resources,
    user: Option<&Resources>,
    share: f64,
    cpu: (i128, i128),
    memory: (i128, i128),
) {
    let amount = |name: &str| {
        let amount: Amount = user?.get(name)?.0.parse().ok()?;
        (!amount.is_zero()).then_some(amount)
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "sizes, clamped right after"
    )]
    let part = |whole: i128, bounds: (i128, i128)| ((whole as f64 * share) as i128).clamp(bounds.0, bounds.1);
    if let Some(whole) = amount("cpu") {
        resources.insert(
            "cpu".to_owned(),
            Quantity(format!("{}m", part(whole.milli(), cpu))),
        );
    }
    if let Some(whole) = amount("memory") {
        resources.insert(
            "memory".to_owned(),
            Quantity(part(whole.value(), memory).to_string()),
        );
    }
}

fn take_annotation(resources: &mut Resources, revision: &Revision, name: &str, keys: &[&'static str]) {
    if let Some(text) = first_annotation(&revision.metadata, keys)
        && text.parse::<Amount>().is_ok()
    {
        resources.insert(name.to_owned(), Quantity(text.to_owned()));
    }
}
