//! What a person needs to know when a service does not become ready: which condition says what, what became of the
//! container, the last lines of its log, and what to try next.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::{ListParams, LogParams};
use serde_json::Value;

use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;

mod report;

use report::{Container, Found};

/// Longest time that is spent on finding the cause, after the failure itself is known.
const LIMIT: Duration = Duration::from_secs(5);
/// Lines of the log that are shown.
const LINES: i64 = 10;
/// Warnings of the pod that are shown, the last ones.
const WARNINGS: usize = 3;

/// The error with all that can be found out about its cause. Other errors than those of waiting stay as they are.
pub async fn explain(context: &Context, namespace: &str, name: &str, error: CliError) -> CliError {
    if !matches!(error.exit, Exit::NotReady | Exit::Timeout) {
        return error;
    }
    let found = tokio::time::timeout(LIMIT, gather(context, namespace, name)).await;
    let found = found.ok().and_then(Result::ok).unwrap_or_default();
    let hint = found.next_step(namespace, name);
    let details = found.render();
    CliError {
        details: (!details.is_empty()).then_some(details),
        ..error
    }
    .with_hint(hint)
}

async fn gather(context: &Context, namespace: &str, name: &str) -> Result<Found, CliError> {
    let mut found = Found {
        service: context.get(Kind::Service, namespace, name).await?,
        ..Found::default()
    };
    let revision = text(&found.service, "/status/latestCreatedRevisionName");
    if revision.is_empty() {
        return Ok(found);
    }
    found.revision = context.get(Kind::Revision, namespace, &revision).await.ok();
    let client = context.client().await?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let labels = format!("serving.knative.dev/revision={revision}");
    // Whoever may not look at pods still gets the conditions.
    let Ok(listed) = pods.list(&ListParams::default().labels(&labels)).await else {
        return Ok(found);
    };
    let listed: Vec<Value> = listed
        .items
        .iter()
        .filter_map(|pod| serde_json::to_value(pod).ok())
        .collect();
    let Some(container) = report::troubled(&listed) else {
        return Ok(found);
    };
    found.log = log(&pods, &container).await;
    let events: Api<Event> = Api::namespaced(client, namespace);
    let about = format!("involvedObject.name={}", container.pod);
    if let Ok(events) = events.list(&ListParams::default().fields(&about)).await {
        let mut warnings: Vec<Event> = events
            .items
            .into_iter()
            .filter(|event| event.type_.as_deref() == Some("Warning"))
            .collect();
        warnings.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
        let skipped = warnings.len().saturating_sub(WARNINGS);
        found.warnings = warnings
            .into_iter()
            .skip(skipped)
            .map(|event| {
                format!(
                    "{}: {}",
                    event.reason.unwrap_or_default(),
                    event.message.unwrap_or_default().trim()
                )
            })
            .collect();
    }
    found.container = Some(container);
    Ok(found)
}

/// The end of the container's log; of its last run, if the present one has said nothing.
async fn log(pods: &Api<Pod>, container: &Container) -> Vec<String> {
    for previous in [false, true] {
        let params = LogParams {
            container: Some(container.name.clone()),
            tail_lines: Some(LINES),
            previous,
            ..LogParams::default()
        };
        let text = pods.logs(&container.pod, &params).await.unwrap_or_default();
        if !text.trim().is_empty() {
            return text.lines().map(str::to_owned).collect();
        }
    }
    Vec::new()
}
