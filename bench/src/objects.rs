//! The API server under many small objects: writes, reads, watches, and memory for each.

use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use anyhow::{Context, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::instance::Instance;
use crate::{process, say};

/// Writes in flight.
const IN_FLIGHT: usize = 32;
/// Watches that all see each change.
const WATCHES: usize = 10;
/// Changes they see.
const CHANGES: usize = 1000;

/// Measures and prints.
pub fn measure(bin: &Path, count: usize) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("spindrift-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (instance, _) = Instance::start(bin, &folder)?;
    // One thread: the client is not what is measured.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measure_api(&instance, count))?;
    instance.stop()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn measure_api(instance: &Instance, count: usize) -> anyhow::Result<()> {
    let maps: Api<ConfigMap> = Api::namespaced(instance.client().await?, "default");
    let pid = instance.child.id();
    let before = process::resident_mib(pid)?;

    let start = Instant::now();
    stream::iter(0..count)
        .map(|index| {
            let maps = maps.clone();
            async move {
                maps.create(&PostParams::default(), &object(index)?)
                    .await
                    .map_err(anyhow::Error::new)
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let seconds = start.elapsed().as_secs_f64();
    let after = process::resident_mib(pid)?;
    say(&format!(
        "create {count} ConfigMaps             {:8.0} objects/s, each on disk ({IN_FLIGHT} in flight)",
        count as f64 / seconds
    ));
    say(&format!(
        "memory for each of them              {:8.2} KiB resident; {:.2} KiB as JSON",
        (after - before) * 1024.0 / count as f64,
        serde_json::to_vec(&maps.get("bench-0").await?)?.len() as f64 / 1024.0
    ));

    let start = Instant::now();
    let listed = maps.list(&ListParams::default()).await?.items.len();
    ensure!(listed >= count, "{listed} of {count} listed");
    say(&format!(
        "list them, in one answer             {:8.0} objects/s",
        listed as f64 / start.elapsed().as_secs_f64()
    ));
    let start = Instant::now();
    let (mut listed, mut page) = (0, ListParams::default().limit(500));
    loop {
        let list = maps.list(&page).await?;
        listed += list.items.len();
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    say(&format!(
        "list them, 500 in an answer          {:8.0} objects/s",
        listed as f64 / start.elapsed().as_secs_f64()
    ));
    fan_out(&maps).await
}

/// Every watch sees every change; the time is until the last has seen the last.
async fn fan_out(maps: &Api<ConfigMap>) -> anyhow::Result<()> {
    let from = maps
        .list(&ListParams::default().limit(1))
        .await?
        .metadata
        .resource_version
        .context("a list without a version")?;
    let watches = futures::future::try_join_all((0..WATCHES).map(|_| async {
        let params = WatchParams::default();
        anyhow::Ok(maps.watch(&params, &from).await?.boxed())
    }))
    .await?;
    let start = Instant::now();
    let seen = futures::future::try_join_all(watches.into_iter().map(|events| async move {
        let mut events = pin!(
            events.try_filter(|event| { futures::future::ready(matches!(event, WatchEvent::Modified(_))) })
        );
        for _ in 0..CHANGES {
            events.try_next().await?.context("a watch ended")?;
        }
        anyhow::Ok(())
    }));
    let changes = stream::iter(0..CHANGES)
        .map(|index| async move {
            let patch = Patch::Merge(json!({"data": {"changed": index.to_string()}}));
            maps.patch(&format!("bench-{}", index % 100), &PatchParams::default(), &patch)
                .await
                .map_err(anyhow::Error::new)
        })
        .buffer_unordered(IN_FLIGHT)
        .try_for_each(|_| async { Ok(()) });
    futures::future::try_join(seen, changes).await?;
    say(&format!(
        "changes seen by {WATCHES} watches          {:8.0} events/s",
        (WATCHES * CHANGES) as f64 / start.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn object(index: usize) -> anyhow::Result<ConfigMap> {
    Ok(serde_json::from_value(json!({
        "metadata": {"name": format!("bench-{index}"), "labels": {"bench": "objects"}},
        "data": {"key": "value", "text": "x".repeat(256)},
    }))?)
}
