//! GitHubSources keep a webhook at GitHub, played by a server that keeps what it is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/git_hub.rs"]
mod git_hub;

use cluster::{Cluster, eventually};
use crds::sources::GitHubSource;
use git_hub::GitHub;
use k8s_openapi::api::core::v1::{Secret, Service};
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};

const REASON: &str = "CreationFailed";

async fn secret(cluster: &Cluster, name: &str, value: &str) {
    let secret = json!({"metadata": {"name": name}, "stringData": {"value": value}});
    cluster.create::<Secret>(secret).await;
}

/// The Service in front of the receiver, as an install makes it.
async fn receiver(cluster: &Cluster, url: Option<&str>) {
    let annotations = url.map(|url| json!({"eventing.spindrift.dev/external-url": url}));
    cluster
        .create::<Service>(json!({
            "metadata": {"name": "github-source", "namespace": cluster::SYSTEM, "annotations": annotations},
            "spec": {"ports": [{"port": 80}]},
        }))
        .await;
}

async fn source(cluster: &Cluster, github: &GitHub) {
    let key = |name: &str| json!({"secretKeyRef": {"name": name, "key": "value"}});
    cluster
        .create::<GitHubSource>(json!({
            "metadata": {"name": "web", "namespace": "default"},
            "spec": {
                "ownerAndRepository": "me/web", "eventTypes": ["push"], "githubAPIURL": github.url,
                "accessToken": key("access"), "secretToken": key("signing"), "sink": {"uri": "http://sink.example.com"},
            },
        }))
        .await;
}

/// A cluster with all that a source needs, and the source.
async fn ready() -> (Cluster, GitHub) {
    let (cluster, github) = (Cluster::start().await, GitHub::start().await);
    receiver(&cluster, Some("http://hooks.example.com")).await;
    secret(&cluster, "access", "token-1\n").await;
    secret(&cluster, "signing", "hush-1").await;
    source(&cluster, &github).await;
    cluster.ready::<GitHubSource>("web").await;
    (cluster, github)
}

fn hook(secret: &str, events: Value) -> Value {
    let url = "http://hooks.example.com/default/web";
    let config = json!({"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"});
    json!({"name": "web", "active": true, "events": events, "config": config})
}

async fn has_hooks(github: &GitHub, expected: Vec<(&str, u64, Value)>) {
    let expected: Vec<_> = expected
        .into_iter()
        .map(|(place, id, hook)| (place.to_owned(), id, hook))
        .collect();
    eventually(&format!("the webhooks {expected:?}"), async || {
        (github.hooks() == expected).then_some(())
    })
    .await;
}

const PLACE: &str = "/api/v3/repos/me/web";

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_once_everything_is_there_and_follows_the_spec_and_the_secret() {
    let (cluster, github) = (Cluster::start().await, GitHub::start().await);
    source(&cluster, &github).await;
    let found = cluster
        .condition::<GitHubSource>("web", "SecretsProvided", "False", "AccessTokenNotFound")
        .await;
    assert_eq!(found.message.as_deref(), Some("secret \"access\" not found"));
    cluster
        .create::<Secret>(json!({"metadata": {"name": "access"}, "stringData": {"other": "x"}}))
        .await;
    eventually("the missing key to be told", async || {
        let found = cluster::conditions(&cluster.get::<GitHubSource>("web").await?);
        found
            .iter()
            .any(|found| found.message.as_deref() == Some("secret \"access\" has no key \"value\""))
            .then_some(())
    })
    .await;
    cluster
        .patch::<Secret>("access", json!({"stringData": {"value": "token-1\n"}}))
        .await;
    cluster
        .condition::<GitHubSource>("web", "SecretsProvided", "False", "SecretTokenNotFound")
        .await;
    secret(&cluster, "signing", "hush-1").await;
    cluster
        .condition::<GitHubSource>("web", "SecretsProvided", "True", "")
        .await;
    cluster
        .condition::<GitHubSource>("web", "WebhookConfigured", "False", "MissingReceiveAdapter")
        .await;
    assert_eq!(
        github.state(|state| state.calls.len()),
        0,
        "nothing is asked before everything is there"
    );

    receiver(&cluster, None).await;
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), cluster::SYSTEM);
    let url = json!({"metadata": {"annotations": {"eventing.spindrift.dev/external-url": "http://hooks.example.com"}}});
    services
        .patch("github-source", &PatchParams::default(), &Patch::Merge(url))
        .await
        .unwrap();
    let source = cluster.ready::<GitHubSource>("web").await;
    has_hooks(&github, vec![(PLACE, 1, hook("hush-1", json!(["push"])))]).await;
    assert!(github.state(|state| state.calls.iter().all(|(.., token)| token == "Bearer token-1")));
    let status = source.status.unwrap();
    assert_eq!(status.webhook_id_key.as_deref(), Some("1"));
    assert_eq!(status.sink_uri.as_deref(), Some("http://sink.example.com"));
    assert_eq!(
        status.ce_attributes[0].type_.as_deref(),
        Some("dev.knative.source.github.push")
    );
    let annotations = status.annotations.unwrap();
    assert_eq!(
        annotations["eventing.spindrift.dev/webhook-url"],
        "http://hooks.example.com/default/web"
    );

    // Nothing is asked again while nothing changes, not even by those who come next.
    cluster.settle().await;
    let calls = github.state(|state| state.calls.len());
    let mut cluster = cluster;
    cluster.restart();
    cluster
        .patch::<GitHubSource>("web", json!({"metadata": {"labels": {"a": "b"}}}))
        .await;
    cluster.settle().await;
    assert_eq!(github.state(|state| state.calls.len()), calls);

    cluster
        .patch::<GitHubSource>("web", json!({"spec": {"eventTypes": ["push", "issues"]}}))
        .await;
    has_hooks(
        &github,
        vec![(PLACE, 1, hook("hush-1", json!(["push", "issues"])))],
    )
    .await;
    cluster
        .patch::<Secret>("signing", json!({"stringData": {"value": "hush-2"}}))
        .await;
    has_hooks(
        &github,
        vec![(PLACE, 1, hook("hush-2", json!(["push", "issues"])))],
    )
    .await;

    // Another repository: the old webhook goes.
    cluster
        .patch::<GitHubSource>("web", json!({"spec": {"ownerAndRepository": "corp"}}))
        .await;
    has_hooks(
        &github,
        vec![("/api/v3/orgs/corp", 2, hook("hush-2", json!(["push", "issues"])))],
    )
    .await;
    // Deleted by hand at GitHub: the next change makes it anew.
    github.state(|state| state.hooks.clear());
    cluster
        .patch::<GitHubSource>("web", json!({"spec": {"eventTypes": ["push"]}}))
        .await;
    has_hooks(
        &github,
        vec![("/api/v3/orgs/corp", 3, hook("hush-2", json!(["push"])))],
    )
    .await;
    eventually("the new id in the status", async || {
        let id = cluster.get::<GitHubSource>("web").await?.status?.webhook_id_key?;
        (id == "3").then_some(())
    })
    .await;

    let all = serde_json::to_string(&cluster.get::<GitHubSource>("web").await.unwrap()).unwrap();
    assert!(
        !all.contains("hush-") && !all.contains("token-1"),
        "a secret is in the object: {all}"
    );
    assert!(github.state(|state| {
        state
            .calls
            .iter()
            .all(|(_, path, _)| !path.contains("token") && !path.contains("hush"))
    }));

    cluster.delete::<GitHubSource>("web").await;
    has_hooks(&github, vec![]).await;
    eventually("the source to be gone", async || {
        cluster.get::<GitHubSource>("web").await.is_none().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_and_a_changed_secret_is_tried_at_once() {
    let (cluster, github) = (Cluster::start().await, GitHub::start().await);
    receiver(&cluster, Some("http://hooks.example.com")).await;
    secret(&cluster, "access", "token-1").await;
    secret(&cluster, "signing", "hush-1").await;
    let refused = |status, message: &str| (status, json!({"message": message}));
    let told = async |text: &str| {
        let what = format!("to be told {text:?}");
        eventually(&what, async || {
            let found = cluster::conditions(&cluster.get::<GitHubSource>("web").await?);
            let found = found
                .into_iter()
                .find(|found| found.type_ == "WebhookConfigured")?;
            let told = found.status.as_str() == "False" && found.reason.as_deref() == Some(REASON);
            (told && found.message?.contains(text)).then_some(())
        })
        .await;
    };
    github.state(|state| state.next.push_back(refused(401, "Bad credentials token-1")));
    source(&cluster, &github).await;
    told("was answered with 401 Unauthorized: Bad credentials ***").await;
    github.state(|state| state.next.push_back(refused(404, "Not Found")));
    cluster
        .patch::<Secret>("access", json!({"stringData": {"value": "token-2"}}))
        .await;
    told("may the access token administer its webhooks?").await;
    github.state(|state| state.next.push_back(refused(500, "")));
    cluster
        .patch::<Secret>("access", json!({"stringData": {"value": "token-3"}}))
        .await;
    told("500 Internal Server Error").await;
    github.state(|state| state.next.push_back((200, json!("surprise"))));
    cluster
        .patch::<Secret>("access", json!({"stringData": {"value": "token-4"}}))
        .await;
    told("something that is no webhook").await;
    // Somebody was faster: theirs is taken over, and made as it has to be.
    github.state(|state| state.taken = 1);
    cluster
        .patch::<Secret>("access", json!({"stringData": {"value": "token-5"}}))
        .await;
    cluster.ready::<GitHubSource>("web").await;
    has_hooks(&github, vec![(PLACE, 1, hook("hush-1", json!(["push"])))]).await;
    assert_eq!((github.count("POST"), github.count("PATCH")), (1, 1));

    cluster
        .patch::<GitHubSource>("web", json!({"spec": {"githubAPIURL": "ftp://x"}}))
        .await;
    let found = cluster
        .condition::<GitHubSource>("web", "WebhookConfigured", "False", "ReconciliationFailed")
        .await;
    assert_eq!(
        found.message.as_deref(),
        Some("spec.githubAPIURL \"ftp://x\" is no http:// or https:// URL of a host")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_made_but_not_recorded_is_found_again() {
    let (cluster, github) = ready().await;
    cluster.settle().await;
    // As if the process had died between the answer and the status.
    let sources: Api<GitHubSource> = Api::namespaced(cluster.client.clone(), "default");
    let forgotten = json!({"status": {"webhookIDKey": null, "annotations": null}});
    sources
        .patch_status("web", &PatchParams::default(), &Patch::Merge(forgotten))
        .await
        .unwrap();
    eventually("the id in the status", async || {
        let id = cluster.get::<GitHubSource>("web").await?.status?.webhook_id_key?;
        (id == "1").then_some(())
    })
    .await;
    assert_eq!(github.count("POST"), 1);
    has_hooks(&github, vec![(PLACE, 1, hook("hush-1", json!(["push"])))]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_at_github_keeps_a_source_from_being_deleted() {
    let gone = async |cluster: &Cluster| {
        cluster.delete::<GitHubSource>("web").await;
        eventually("the source to be gone", async || {
            cluster.get::<GitHubSource>("web").await.is_none().then_some(())
        })
        .await;
    };
    for (status, deletes) in [(404, 1), (410, 1), (401, 1)] {
        let (cluster, github) = ready().await;
        cluster.settle().await;
        github.state(|state| state.next.push_back((status, json!({"message": "no"}))));
        gone(&cluster).await;
        assert_eq!(github.count("DELETE"), deletes, "{status}");
    }
    // Without the token nothing can be asked.
    let (cluster, github) = ready().await;
    cluster.delete::<Secret>("access").await;
    cluster
        .condition::<GitHubSource>("web", "SecretsProvided", "False", "AccessTokenNotFound")
        .await;
    gone(&cluster).await;
    assert_eq!(github.count("DELETE"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_not_shown_to_another_api() {
    let (cluster, github) = ready().await;
    cluster.settle().await;
    let other = GitHub::start().await;
    let before = github.state(|state| state.calls.len());
    cluster
        .patch::<GitHubSource>("web", json!({"spec": {"githubAPIURL": other.url}}))
        .await;
    has_hooks(&other, vec![(PLACE, 1, hook("hush-1", json!(["push"])))]).await;
    assert_eq!(github.state(|state| state.calls.len()), before);
}
