//! `spindrift webhook`: admission for API servers that do not have it built in.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certificates::{Identity, Profile, keep, text};
use crds::names;
use eventing::admission::Bindings;
use reconciler::{Caches, ConfigStore};
use serving::admission::Settings;
use tokio::sync::Notify;

use super::component::{beside_health, client, listen};
use crate::cli::WebhookArgs;
use crate::webhook::{Reached, register, register_converters, serve};
use crate::{events, hooks};

/// How often certificate and registration are looked at again.
const LOOK: Duration = Duration::from_secs(20);
/// Name of the Secret with the certificate, as an existing install has it.
const SECRET: &str = "webhook-certs";
/// Wait after a failed look.
const RETRY: Duration = Duration::from_secs(1);

pub async fn run(args: WebhookArgs) -> anyhow::Result<ExitCode> {
    let component = &args.component;
    let client = client(&component.process).await?;
    let listener = listen(args.listen).await?;
    let caches = Caches::new(client.clone());
    let store = ConfigStore::start(&caches, &component.system_namespace);
    let settings = Settings {
        cluster_domain: component.process.cluster_domain.clone(),
        system_namespace: component.system_namespace.clone(),
        ..Settings::default()
    };
    let reached = match &args.url {
        Some(url) => Reached::Url(url.clone()),
        None => Reached::Service {
            name: args.service.clone(),
            port: args.service_port,
        },
    };
    let reached_as = reached.names(&component.system_namespace, &component.process.cluster_domain);
    let of_events = ConfigStore::start(&caches, names::EVENTING_NAMESPACE);
    let mut hooks = hooks::serving(move || settings.with_present(&store));
    hooks.extend(hooks::eventing(move || {
        eventing::admission::Settings::default().with_present(&of_events)
    }));
    let mut converters = Vec::new();
    if args.pipelines {
        converters.push(hooks::PIPELINES_CONVERTER);
        let of_pipelines = ConfigStore::start(&caches, crds::tekton::names::NAMESPACE);
        hooks.extend(hooks::pipelines(move || {
            pipelines::admission::Settings::default().with_present(&of_pipelines)
        }));
        hooks.extend(hooks::push());
        hooks.extend(hooks::triggers());
    }
    let bindings = Bindings::new(&caches, events::selection_mode()?, names::EVENTING_NAMESPACE);
    // Which kinds the API server has to ask about changes with them.
    let changed = Arc::new(Notify::new());
    let notify = changed.clone();
    bindings.on_change(move || notify.notify_one());
    hooks.push(hooks::sink_bindings(move || Some(bindings.clone())));
    let (identity, ready) = (Arc::new(Identity::default()), Arc::new(AtomicBool::new(false)));
    let keeping = {
        let (identity, ready, client, hooks) =
            (identity.clone(), ready.clone(), client.clone(), hooks.clone());
        let converters = converters.clone();
        let namespace = &component.system_namespace;
        async move {
            caches.synced().await;
            loop {
                let kept = async {
                    let data = keep(&client, (namespace, SECRET), &reached_as, &Profile::WEBHOOK).await?;
                    let part = |key| text(&data, key).unwrap_or_default();
                    identity.set(part(Profile::WEBHOOK.certificate), part(Profile::WEBHOOK.key))?;
                    // Registered only now: whoever asks us gets an answer.
                    let bundle = part(Profile::WEBHOOK.authority);
                    register(&client, &hooks, &reached, namespace, bundle).await?;
                    register_converters(&client, &converters, &reached, namespace, bundle).await
                };
                let wait = match kept.await {
                    Ok(()) => {
                        ready.store(true, Ordering::Relaxed);
                        LOOK
                    }
                    Err(error) => {
                        tracing::warn!(error = format!("{error:#}"), "The webhook is not registered");
                        RETRY
                    }
                };
                // Not at once: many may be made in a row.
                tokio::time::sleep(RETRY.min(wait)).await;
                let _ = tokio::time::timeout(wait - RETRY.min(wait), changed.notified()).await;
            }
        }
    };
    let serving = serve(listener, identity, hooks, converters);
    let work = async {
        tokio::select! {
            () = keeping => {}
            result = serving => {
                if let Err(error) = result {
                    tracing::error!(%error, "The webhook does not serve");
                }
            }
        }
    };
    let readiness = move || {
        ready
            .load(Ordering::Relaxed)
            .then_some(())
            .ok_or_else(|| "the webhook is not registered yet".to_owned())
    };
    beside_health(&component.process, Arc::new(readiness), work).await
}
