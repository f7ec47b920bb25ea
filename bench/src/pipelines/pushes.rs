//! Pushes that change no file: the receiver and the Repository are real, nothing is built.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::apart::Apart;
use super::millis;
use crate::{percentile, say};

const NAME: &str = "unchanged";
const MAIN: &str = "refs/heads/main";
/// How long the receiver has to come up.
const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// From a push of the files that run already to its answer, and what was made of it.
pub async fn measure(apart: &mut Apart, count: usize) -> anyhow::Result<()> {
    let client = apart.client().await?;
    let tree = "7".repeat(40);
    repository(&client, &tree).await?;
    let receiver = apart.start_push()?;
    ready(receiver).await?;
    let (runs, revisions) = (
        all(&client, "tekton.dev", "v1", "PipelineRun").await?,
        all(&client, "serving.knative.dev", "v1", "Revision").await?,
    );
    let mut times = Vec::new();
    for index in 1..=count {
        let (before, after) = (format!("{:040x}", index), format!("{:040x}", index + 1));
        let body = format!("push {before} {after} {MAIN}\ntree {tree}\nmessage unchanged\n");
        let start = Instant::now();
        let answer = post(receiver, "X-Spindrift-Event: push", &body).await?;
        times.push(millis(start.elapsed()));
        ensure!(answer.contains("the same files run already"), "{answer}");
    }
    times.sort_by(f64::total_cmp);
    let made = all(&client, "tekton.dev", "v1", "PipelineRun").await? - runs;
    let revised = all(&client, "serving.knative.dev", "v1", "Revision").await? - revisions;
    say(&format!(
        "push of the same tree, to its answer {:8.1} ms p50, {:.1} ms p99 ({count} pushes; {made} runs, {revised} revisions made)",
        percentile(&times, 0.5),
        percentile(&times, 0.99)
    ));
    Ok(())
}

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    let mut resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    if kind == "Repository" {
        "repositories".clone_into(&mut resource.plural);
    }
    resource
}

/// A Repository whose branch runs these files.
async fn repository(client: &Client, tree: &str) -> anyhow::Result<()> {
    let kind = resource("spindrift.dev", "v1alpha1", "Repository");
    let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &kind);
    let spec = json!({
        "url": "http://git.invalid/app.git", "branch": "main", "service": NAME, "webhook": {"allowUnsigned": true},
    });
    let object = DynamicObject::new(NAME, &kind).data(json!({ "spec": spec }));
    let stored = api.create(&PostParams::default(), &object).await?;
    let commit = format!("{:040x}", 1);
    let run = "a-run-of-before";
    let status = json!({
        "sequence": 1,
        "deployed": {
            "sequence": 1, "ref": MAIN, "commit": commit, "tree": tree, "run": run,
            "generation": stored.metadata.generation,
        },
        "pushes": [{"sequence": 1, "ref": MAIN, "after": commit, "tree": tree, "run": run, "state": "Started"}],
    });
    let change = Patch::Merge(json!({ "status": status }));
    api.patch_status(NAME, &PatchParams::default(), &change).await?;
    Ok(())
}

/// How many objects of a kind there are.
async fn all(client: &Client, group: &str, version: &str, kind: &str) -> anyhow::Result<usize> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource(group, version, kind));
    Ok(api.list(&ListParams::default()).await?.items.len())
}

/// Waits until the receiver knows the Repository.
async fn ready(receiver: SocketAddr) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let answer = post(receiver, "X-GitHub-Event: ping", "{}").await;
        if answer
            .as_ref()
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            return Ok(());
        }
        ensure!(start.elapsed() < LIMIT, "no receiver of pushes: {answer:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Delivers by a connection of its own, as git hosts do; the whole answer.
async fn post(receiver: SocketAddr, event: &str, body: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(receiver).await?;
    let head = format!(
        "POST /default/{NAME} HTTP/1.1\r\nHost: push\r\nConnection: close\r\n{event}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .await
        .context("the receiver broke off")?;
    Ok(answer)
}
