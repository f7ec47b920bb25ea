//! The components of tasks and pipelines against any cluster.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use reconciler::Caches;

use super::component::{candidate, client, listen, until_told};
use crate::cli::{PipelinesArgs, ProcessArgs, PushArgs, RunArchiveArgs};

pub async fn controller(args: PipelinesArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.process).await?;
    let defaults = pipelines::Config::new(args.entrypoint_image);
    let config = pipelines::Config {
        outgoing: pipelines::Outgoing {
            cluster_domain: args.process.cluster_domain.clone(),
            ..defaults.outgoing.clone()
        },
        election: Some(candidate()),
        ..defaults
    };
    let listeners = args.event_listener_image.map(|image| triggers::Config {
        cluster_domain: args.process.cluster_domain.clone(),
        election: Some(candidate()),
        ..triggers::Config::new(image)
    });
    let caches = Caches::new(client);
    let start = |until: BoxFuture<'static, ()>| -> BoxFuture<'static, ()> {
        let until = until.shared();
        let runs = pipelines::run_until(caches.clone(), config, Box::pin(until.clone()));
        match listeners {
            Some(listeners) => {
                let listeners = triggers::run_until(caches.clone(), listeners, Box::pin(until));
                Box::pin(async {
                    tokio::join!(runs, listeners);
                })
            }
            None => runs,
        }
    };
    until_told(&args.process, &caches, "the caches are not filled yet", start).await
}

pub async fn push(args: PushArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.process).await?;
    let registry = pod_registry(&args)?;
    let secret = registry
        .clone()
        .map(|registry| -> push::SecretOf { Arc::new(move |namespace| registry.secret(namespace)) });
    let settings = builds::Settings {
        builder_image: args.builder_image,
        insecure_registries: args.insecure_registries,
        registry,
        ..builds::Settings::default()
    };
    let pipeline = crate::push::pipeline(move || Ok(settings.clone()));
    let defaults = push::Config::new(args.registry, pipeline);
    let config = push::Config {
        parallel: args.parallel_builds,
        secret,
        outgoing: push::Outgoing {
            cluster_domain: args.process.cluster_domain.clone(),
            allowed: push::Allowed {
                loopback: args.allow_loopback,
                ..push::Allowed::default()
            },
            ..defaults.outgoing.clone()
        },
        election: Some(candidate()),
        ..defaults
    };
    let listeners = vec![listen(args.listen).await?];
    let caches = Caches::new(client);
    let start = |until| push::run_until(caches.clone(), config, listeners, until);
    until_told(
        &args.process,
        &caches,
        "the Repositories are not known yet",
        start,
    )
    .await
}

/// The registry of a machine, for builds whose pods have to show a password there.
fn pod_registry(args: &PushArgs) -> anyhow::Result<Option<builds::PodRegistry>> {
    let (Some(address), Some(file)) = (&args.pod_registry, &args.pod_registry_key) else {
        return Ok(None);
    };
    let key = std::fs::read(file).with_context(|| format!("cannot read the key {}", file.display()))?;
    anyhow::ensure!(!key.is_empty(), "the key {} is empty", file.display());
    Ok(Some(builds::PodRegistry::new(&args.registry, address, key)))
}

pub async fn resolvers(args: ProcessArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args).await?;
    let config = ::resolvers::Config {
        cluster_domain: args.cluster_domain.clone(),
        election: Some(candidate()),
        ..::resolvers::Config::default()
    };
    let caches = Caches::new(client);
    let start = |until| ::resolvers::run_until(caches.clone(), config, until);
    until_told(&args, &caches, "the caches are not filled yet", start).await
}

pub async fn archive(args: RunArchiveArgs) -> anyhow::Result<ExitCode> {
    let client = client(&args.process).await?;
    let bounds = archive::Bounds {
        bytes: args.runs_size << 20,
        age: args.runs_age,
        ..archive::Bounds::default()
    };
    let config = archive::Config {
        listeners: vec![listen(args.listen).await?],
        election: Some(candidate()),
        ..archive::Config::new(Arc::new(archive::Store::open(&args.runs_dir, bounds)?))
    };
    let caches = Caches::new(client);
    let start = |until| archive::run_until(caches.clone(), config, until);
    until_told(&args.process, &caches, "the caches are not filled yet", start).await
}

/// What runs in the pods of EventListeners, here.
pub async fn event_listener(args: triggers::listener::Args) -> anyhow::Result<ExitCode> {
    triggers::listener::main(args).await?;
    Ok(ExitCode::SUCCESS)
}
