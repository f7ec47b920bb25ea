//! `kn service describe`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::{ListScope, NamespaceArgs};
use crate::commands::list::{fetch, text};
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::{age, conditions, describe};

/// Shows a service and its revisions.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service describe web\n  kn service describe web -o url\n  kn service describe web -v"
)]
pub struct Describe {
    /// Name of the service
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    form: OutputArgs,
    /// Show more
    #[arg(short, long)]
    verbose: bool,
}

impl Describe {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let service = context.get(Kind::Service, &namespace, &self.name).await?;
        if self.form.print(&service, output)? {
            return Ok(Exit::Success);
        }
        let scope = ListScope {
            namespace: NamespaceArgs {
                namespace: Some(namespace),
            },
            ..ListScope::default()
        };
        let labels = format!("serving.knative.dev/service={}", self.name);
        let revisions = fetch(context, Kind::Revision, &scope, None, Some(&labels)).await?;
        output.line(render(&service, &revisions, self.verbose, Timestamp::now()))?;
        Ok(Exit::Success)
    }
}

fn render(service: &Value, revisions: &[Value], verbose: bool, now: Timestamp) -> String {
    let mut rows = describe::metadata(service, verbose, now);
    rows.push(("URL", text(service, "/status/url")));
    if verbose {
        rows.push(("Cluster", text(service, "/status/address/url")));
    }
    let account = text(service, "/spec/template/spec/serviceAccountName");
    if !account.is_empty() {
        rows.push(("Service Account", account));
    }
    let mut lines = Vec::new();
    let mut shown = Vec::new();
    for target in service["status"]["traffic"].as_array().into_iter().flatten() {
        let name = text(target, "/revisionName");
        lines.push(routed(
            target,
            revisions.iter().find(|r| text(r, "/metadata/name") == name),
            service,
            now,
        ));
        shown.push(name);
    }
    // Revisions that were made last say why they have no traffic yet.
    for pointer in [
        "/status/latestCreatedRevisionName",
        "/status/latestReadyRevisionName",
    ] {
        let name = text(service, pointer);
        if !name.is_empty() && !shown.contains(&name) {
            let revision = revisions.iter().find(|r| text(r, "/metadata/name") == name);
            lines.push(revision_line("     ", &name, "", revision, now));
            shown.push(name);
        }
    }
    format!(
        "{}\n\nRevisions:\n{}\n\n{}",
        describe::block(&rows),
        conditions::indent(&lines.join("\n")),
        conditions::describe(service, verbose, now)
    )
}

fn routed(target: &Value, revision: Option<&Value>, service: &Value, now: Timestamp) -> String {
    let percent = target["percent"].as_i64().unwrap_or(0);
    let mark = match revision.map(conditions::ready).as_deref() {
        Some("True") if percent > 0 => "%",
        Some("True") => "+",
        Some("False") => "!",
        _ => "?",
    };
    let share = if percent > 0 {
        format!("{percent:3}{mark} ")
    } else {
        format!("   {mark} ")
    };
    let name = text(target, "/revisionName");
    let head = if target["latestRevision"] == true {
        format!("@latest ({name})")
    } else if name == text(service, "/status/latestReadyRevisionName") {
        format!("{name} (current @latest)")
    } else {
        name.clone()
    };
    let tag = target["tag"]
        .as_str()
        .map(|tag| format!(" #{tag}"))
        .unwrap_or_default();
    revision_line(&share, &head, &tag, revision, now)
}

/// The head line of a revision and, beneath it, what it runs and what is wrong with it.
fn revision_line(share: &str, head: &str, tag: &str, revision: Option<&Value>, now: Timestamp) -> String {
    let Some(revision) = revision else {
        return format!("{share} {head}{tag} (deleted)");
    };
    let generation = text(
        revision,
        "/metadata/labels/serving.knative.dev~1configurationGeneration",
    );
    let mut lines = vec![format!(
        "{share} {head}{tag} [{generation}] ({})",
        age::of(revision, now)
    )];
    let indent = " ".repeat(share.chars().count() + 3);
    let reason = conditions::reason(revision);
    if conditions::ready(revision) == "False" {
        lines.push(format!("{indent}Error:     {reason}"));
    }
    lines.push(format!("{indent}Image:     {}", image(revision)));
    let count = |field: &str| revision["status"][field].as_i64().unwrap_or(0);
    lines.push(format!(
        "{indent}Replicas:  {}/{}",
        count("actualReplicas"),
        count("desiredReplicas")
    ));
    lines.join("\n")
}

/// `image (pinned to abc123)`: what was typed, and the first six digits of what runs.
fn image(revision: &Value) -> String {
    let written = text(revision, "/spec/containers/0/image");
    let typed = text(revision, "/metadata/annotations/client.knative.dev~1user-image");
    let digest = text(revision, "/status/containerStatuses/0/imageDigest");
    let short: String = digest
        .rsplit_once("sha256:")
        .map_or("", |(_, hex)| hex)
        .chars()
        .take(6)
        .collect();
    let shown = if typed.is_empty() { written.clone() } else { typed };
    match (short.is_empty(), written.contains("@sha256:")) {
        (true, _) => shown,
        (false, true) => format!("{shown} (pinned to {short})"),
        (false, false) => format!("{shown} (at {short})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revisions_show_share_image_and_error() {
        let revision = |name: &str, ready: &str, generation: &str| {
            json!({ "metadata": { "name": name, "creationTimestamp": "1970-01-01T00:00:00Z",
                "labels": { "serving.knative.dev/configurationGeneration": generation } },
                "spec": { "containers": [{ "image": "localhost:5000/hello" }] },
                "status": { "actualReplicas": 1, "desiredReplicas": 2, "containerStatuses": [{ "imageDigest": "localhost:5000/hello@sha256:abcdef0123" }],
                    "conditions": [{ "type": "Ready", "status": ready, "reason": "ExitCode1", "message": "it broke" }] } })
        };
        let service = json!({ "metadata": { "name": "web" }, "status": { "url": "http://web",
            "latestReadyRevisionName": "web-00002", "latestCreatedRevisionName": "web-00003",
            "traffic": [{ "revisionName": "web-00001", "percent": 90 }, { "revisionName": "web-00002", "percent": 10, "latestRevision": true, "tag": "next" }] } });
        let revisions = [
            revision("web-00001", "True", "1"),
            revision("web-00002", "True", "2"),
            revision("web-00003", "False", "3"),
        ];
        let text = render(&service, &revisions, false, Timestamp::UNIX_EPOCH);
        assert!(text.contains("   90%  web-00001 [1] (0s)\n"), "{text}");
        assert!(
            text.contains("   10%  @latest (web-00002) #next [2] (0s)\n"),
            "{text}"
        );
        assert!(
            text.contains("Image:     localhost:5000/hello (at abcdef)\n"),
            "{text}"
        );
        assert!(text.contains("Replicas:  1/2"), "{text}");
        assert!(
            text.contains("web-00003 [3] (0s)\n") && text.contains("Error:     ExitCode1 : it broke"),
            "{text}"
        );
    }
}
