//! `kn service describe`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::last_build;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::{GENERATION, Query, fetch, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::offline::TargetArgs;
use crate::output::Output;
use crate::{age, conditions, describe, revision_view};

/// Shows a service and its revisions.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service describe web\n  kn service describe web -o url\n  kn service describe web -v"
)]
pub struct Describe {
    #[command(flatten)]
    describe: DescribeArgs,
    #[command(flatten)]
    target: TargetArgs,
}

impl Describe {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let DescribeArgs {
            name,
            verbose,
            form,
            namespace,
        } = &self.describe;
        if let Some(target) = self.target.target()? {
            let namespace = context.namespace_offline(namespace).await;
            let service = target.require(&namespace, name)?;
            if !form.print(&service, output)? {
                output.line(render_file(&service, *verbose))?;
            }
            return Ok(Exit::Success);
        }
        let Some(service) = self.describe.fetch(context, Kind::Service, output).await? else {
            return Ok(Exit::Success);
        };
        let query = Query::within(&text(&service, "/metadata/namespace"))
            .labelled(format!("serving.knative.dev/service={name}"));
        let revisions = fetch(context, Kind::Revision, &query).await?;
        let build = last_build::section(context, &service).await;
        output.line(render(&service, &revisions, &build, *verbose, Timestamp::now()))?;
        Ok(Exit::Success)
    }
}

/// A service in a file has no status; what it would run is its template.
fn render_file(service: &Value, verbose: bool) -> String {
    let mut rows = describe::metadata(service, verbose, Timestamp::UNIX_EPOCH);
    rows.retain(|(label, _)| *label != "Age");
    rows.extend(
        revision_view::full(&service["spec"]["template"], verbose)
            .into_iter()
            .filter(|(label, _)| *label != "Replicas"),
    );
    describe::block(&rows)
}

fn render(service: &Value, revisions: &[Value], build: &str, verbose: bool, now: Timestamp) -> String {
    let mut rows = describe::metadata(service, verbose, now);
    rows.push(("URL", text(service, "/status/url")));
    if verbose {
        rows.push(("Cluster", text(service, "/status/address/url")));
    }
    rows.push((
        "Service Account",
        text(service, "/spec/template/spec/serviceAccountName"),
    ));
    rows.push((
        "Image Pull Secret",
        text(service, "/spec/template/spec/imagePullSecrets/0/name"),
    ));
    rows.retain(|(_, value)| !value.is_empty());
    let lines = revision_lines(service, revisions, verbose, now);
    let build = match build.is_empty() {
        true => String::new(),
        false => format!("\n\nBuild:\n{}", conditions::indent(build)),
    };
    format!(
        "{}{build}\n\nRevisions:\n{}\n\n{}",
        describe::block(&rows),
        conditions::indent(&lines.join("\n")),
        conditions::describe(service, verbose, now)
    )
}

/// The revisions that have traffic, then the latest ones that have none yet, and with `verbose` all others.
fn revision_lines(service: &Value, revisions: &[Value], verbose: bool, now: Timestamp) -> Vec<String> {
    let find = |name: &str| {
        revisions
            .iter()
            .find(|revision| text(revision, "/metadata/name") == name)
    };
    let mut lines = Vec::new();
    let mut shown: Vec<String> = Vec::new();
    let mut targets: Vec<&Value> = service["status"]["traffic"]
        .as_array()
        .into_iter()
        .flatten()
        .collect();
    targets.sort_by_key(|target| {
        std::cmp::Reverse(generation(
            find(&text(target, "/revisionName")).unwrap_or(&Value::Null),
        ))
    });
    for target in targets {
        let name = text(target, "/revisionName");
        lines.push(routed(target, find(&name), service, verbose, now));
        shown.push(name);
    }
    let mut others: Vec<String> = [
        "/status/latestCreatedRevisionName",
        "/status/latestReadyRevisionName",
    ]
    .map(|pointer| text(service, pointer))
    .into_iter()
    .filter(|name| !name.is_empty())
    .collect();
    if verbose {
        let mut rest: Vec<&Value> = revisions.iter().collect();
        rest.sort_by_key(|revision| std::cmp::Reverse(generation(revision)));
        others.extend(rest.into_iter().map(|revision| text(revision, "/metadata/name")));
    }
    for name in others {
        if shown.contains(&name) {
            continue;
        }
        let revision = find(&name);
        let share = format!("   {} ", mark(revision, 0));
        let head = with_note(&name, service);
        lines.push(revision_line(&share, &head, "", revision, verbose, now));
        shown.push(name);
    }
    lines
}

fn generation(revision: &Value) -> i64 {
    text(revision, GENERATION).parse().unwrap_or(0)
}

/// `%` ready with traffic, `+` ready without, `!` failed, `?` not settled.
fn mark(revision: Option<&Value>, percent: i64) -> &'static str {
    match revision.map(conditions::ready).as_deref() {
        Some("True") if percent > 0 => "%",
        Some("True") => "+",
        Some("False") => "!",
        _ => "?",
    }
}

/// A pinned revision's name, and whether it is the latest all the same.
fn with_note(name: &str, service: &Value) -> String {
    if name == text(service, "/status/latestReadyRevisionName") {
        format!("{name} (current @latest)")
    } else if name == text(service, "/status/latestCreatedRevisionName") {
        format!("{name} (latest created)")
    } else {
        name.to_owned()
    }
}

fn routed(
    target: &Value,
    revision: Option<&Value>,
    service: &Value,
    verbose: bool,
    now: Timestamp,
) -> String {
    let percent = target["percent"].as_i64().unwrap_or(0);
    let mark = mark(revision, percent);
    let share = if percent > 0 {
        format!("{percent:3}{mark} ")
    } else {
        format!("   {mark} ")
    };
    let name = text(target, "/revisionName");
    let head = if target["latestRevision"] == true {
        format!("@latest ({name})")
    } else {
        with_note(&name, service)
    };
    let tag = target["tag"]
        .as_str()
        .map(|tag| format!(" #{tag}"))
        .unwrap_or_default();
    revision_line(&share, &head, &tag, revision, verbose, now)
}

/// The head line of a revision and, beneath it, what it runs and what is wrong with it.
fn revision_line(
    share: &str,
    head: &str,
    tag: &str,
    revision: Option<&Value>,
    verbose: bool,
    now: Timestamp,
) -> String {
    let Some(revision) = revision else {
        return format!("{share} {head}{tag} (deleted)");
    };
    let generation = text(revision, GENERATION);
    let mut rows = Vec::new();
    if conditions::ready(revision) == "False" {
        rows.push(("Error", conditions::reason(revision)));
    }
    rows.extend(if verbose {
        revision_view::full(revision, verbose)
    } else {
        revision_view::brief(revision)
    });
    let indent = " ".repeat(share.chars().count() + 3);
    let block: Vec<String> = describe::block(&rows)
        .lines()
        .map(|line| format!("{indent}{line}"))
        .collect();
    format!(
        "{share} {head}{tag} [{generation}] ({})\n{}",
        age::of(revision, now),
        block.join("\n")
    )
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
        let text = render(&service, &revisions, "Commit:  c1", false, Timestamp::UNIX_EPOCH);
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
            text.contains("\n\nBuild:\n  Commit:  c1\n\nRevisions:\n"),
            "{text}"
        );
        assert!(
            text.contains("web-00003 (latest created) [3] (0s)\n")
                && text.contains("Error:     ExitCode1 : it broke"),
            "{text}"
        );
    }
}
