//! What `kn service describe` tells of how a service is built.

use serde_json::Value;

use crate::commands::list::{Query, fetch, text};
use crate::conditions;
use crate::context::Context;
use crate::describe;
use crate::kind::Kind;
use crate::tekton::{self, Marks, PIPELINE_RUN};

/// Rows about builds.
type Rows = Vec<(&'static str, String)>;

/// The section about builds; nothing for a service that was not built here. Who may not read runs or Repositories sees
/// what the service itself tells.
pub async fn section(context: &Context, service: &Value) -> String {
    let told = told(service);
    if told.is_empty() {
        return String::new();
    }
    let namespace = text(service, "/metadata/namespace");
    let name = of_template(service, "build");
    let run = match name.is_empty() {
        true => Value::Null,
        false => {
            let run = context.get(Kind::PipelineRun, &namespace, &name).await;
            run.unwrap_or_default()
        }
    };
    let query = Query::within(&namespace).labelled(format!("{PIPELINE_RUN}={name}"));
    let task_runs = match run.is_null() {
        true => Vec::new(),
        false => fetch(context, Kind::TaskRun, &query).await.unwrap_or_default(),
    };
    let repository = match text(&run, "/metadata/labels/spindrift.dev~1repository") {
        none if none.is_empty() => text(service, "/metadata/name"),
        name => name,
    };
    let repository = context.get(Kind::Repository, &namespace, &repository).await;
    let webhook = text(&repository.unwrap_or_default(), "/status/address/url");
    let webhook = match context.local_url(&webhook).await {
        Some(here) => here,
        None => webhook,
    };
    render(told, &run, &task_runs, webhook)
}

fn render(mut rows: Rows, run: &Value, task_runs: &[Value], webhook: String) -> String {
    let place = rows.iter().position(|(label, _)| *label == "Build");
    let place = place.unwrap_or(rows.len());
    rows.splice(place..place, tekton::build_facts(run, task_runs));
    rows.push(("Webhook", webhook));
    rows.retain(|(_, value)| !value.is_empty());
    let mut section = describe::block(&rows);
    if let Some(steps) = tekton::step_table(task_runs) {
        section.push_str(&format!("\nSteps:\n{}", conditions::indent(&steps)));
    }
    section
}

/// The annotation `spindrift.dev/<name>` of a service's template.
fn of_template(service: &Value, name: &str) -> String {
    text(
        service,
        &format!("/spec/template/metadata/annotations/spindrift.dev~1{name}"),
    )
}

/// What the service itself tells: which build it runs, and how the last one went if that is another.
fn told(service: &Value) -> Rows {
    let last = service["metadata"]["annotations"][Marks::LAST_BUILD].as_str();
    let last: Value = serde_json::from_str(last.unwrap_or_default()).unwrap_or_default();
    let mut rows = vec![
        ("Commit", of_template(service, "commit")),
        ("Ref", of_template(service, "ref")),
        ("Build", of_template(service, "build")),
    ];
    let run = text(&last, "/run");
    if !run.is_empty() {
        let state = match (text(&last, "/state"), text(&last, "/reason")) {
            (state, reason) if reason.is_empty() => state,
            (state, reason) => format!("{state} ({reason})"),
        };
        rows.push(("Last Build", format!("{run}: {state}")));
        if text(&last, "/state") == "failed" {
            rows.push(("Last Failure", text(&last, "/message")));
        }
    }
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_last_build_is_told_with_what_runs() {
        let service = json!({ "metadata": { "annotations": { "spindrift.dev/last-build": json!({ "run": "web-2", "commit": "c2", "state": "failed",
                "reason": "Failed", "message": "it broke" }).to_string() } },
            "spec": { "template": { "metadata": { "annotations": { "spindrift.dev/commit": "c1", "spindrift.dev/build": "web-1" } } } } });
        let rows = told(&service);
        assert_eq!(
            rows,
            [
                ("Commit", "c1"),
                ("Build", "web-1"),
                ("Last Build", "web-2: failed (Failed)"),
                ("Last Failure", "it broke")
            ]
            .map(|(label, value)| (label, value.to_owned()))
        );
        assert!(told(&json!({})).is_empty());

        let run = json!({ "metadata": { "annotations": { "spindrift.dev/author": "Ada" } },
            "status": { "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:00:30Z" } });
        let task_run = json!({ "metadata": { "labels": { "tekton.dev/pipelineTask": "build" } }, "status": {
            "results": [{ "name": "IMAGE_DIGEST", "value": "sha256:1" }],
            "steps": [{ "name": "clone", "terminated": { "exitCode": 0, "reason": "Completed",
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:02Z" } }] } });
        let shown = render(rows.clone(), &run, &[task_run], "http://push/web".to_owned());
        for part in [
            "Commit:        c1\nAuthor:        Ada\nImage:         sha256:1\nDuration:      30s\nBuild:         web-1\n",
            "Webhook:       http://push/web\n",
            "Steps:\n  TASK     STEP     DURATION   STATUS\n  build    clone    2s         Completed",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
        // The run is gone, or may not be read.
        assert_eq!(
            render(rows.clone(), &Value::Null, &[], String::new()),
            describe::block(&rows)
        );
    }
}
