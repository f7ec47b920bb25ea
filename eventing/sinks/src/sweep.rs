//! Removes Secrets whose Job was never made: the process was killed in between, and the event never came again.

use std::time::Duration;

use crds::labels::JOB_SINK_NAME;
use futures::TryStreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, PartialObjectMeta, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt};

use crate::jobs::belongs_to;

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(600);
/// A younger Secret may still get its Job.
const AGE: SignedDuration = SignedDuration::from_mins(10);
/// Secrets looked at in one request.
const PAGE: u32 = 500;

/// Looks for ever.
pub(crate) async fn run(client: Client) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(error) = sweep(&client, Timestamp::now()).await {
            tracing::warn!(%error, "Secrets of events without a Job were not removed; tried again later");
        }
    }
}

async fn sweep(client: &Client, now: Timestamp) -> Result<(), kube::Error> {
    let all: Api<Secret> = Api::all(client.clone());
    let mut params = ListParams::default().labels(JOB_SINK_NAME).limit(PAGE);
    loop {
        let page = all.list_metadata(&params).await?;
        futures::stream::iter(
            page.items
                .into_iter()
                .filter(|secret| is_left(secret, now))
                .map(Ok),
        )
        .try_for_each(|secret| settle(client, secret))
        .await?;
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(()),
        }
    }
}

/// Whether a Secret should have been handed over to its Job by now.
fn is_left(secret: &PartialObjectMeta<Secret>, now: Timestamp) -> bool {
    let owners = secret.metadata.owner_references.iter().flatten();
    let made = secret.metadata.creation_timestamp.as_ref();
    !owners.into_iter().any(|owner| owner.kind == "Job")
        && made.is_some_and(|made| now.duration_since(made.0) > AGE)
}

/// Gives it to its Job if there is one, and removes it otherwise.
async fn settle(client: &Client, secret: PartialObjectMeta<Secret>) -> Result<(), kube::Error> {
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    let result = match jobs.get_opt(&name).await? {
        Some(job) => {
            let owner = job.controller_owner_ref(&());
            let params = PatchParams::default();
            let patched = secrets
                .patch_metadata(&name, &params, &belongs_to(owner.as_ref()))
                .await;
            patched.map(drop)
        }
        None => {
            tracing::info!(namespace, name, "Removing the event of a Job that was never made");
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: secret.uid(),
                    resource_version: secret.resource_version(),
                }),
                ..DeleteParams::default()
            };
            secrets.delete(&name, &params).await.map(drop)
        }
    };
    match result {
        // Somebody else was faster.
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_old_secrets_without_a_job_are_left() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        for (made, owner, left) in [
            ("2026-01-01T11:00:00Z", "JobSink", true),
            ("2026-01-01T11:00:00Z", "Job", false),
            ("2026-01-01T11:55:00Z", "JobSink", false),
        ] {
            let secret = json!({
                "apiVersion": "v1", "kind": "PartialObjectMetadata",
                "metadata": {
                    "name": "s", "creationTimestamp": made,
                    "ownerReferences": [{"apiVersion": "x/v1", "kind": owner, "name": "o", "uid": "u"}],
                },
            });
            assert_eq!(
                is_left(&serde_json::from_value(secret).unwrap(), now),
                left,
                "{made} {owner}"
            );
        }
    }
}
