//! `kn route describe`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::describe::DescribeArgs;
use crate::commands::list::{SERVICE, text};
use crate::context::Context;
use crate::describe;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Shows a route.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn route describe web\n  kn route describe web -o url")]
pub struct Describe {
    #[command(flatten)]
    describe: DescribeArgs,
}

impl Describe {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        self.describe.run(context, Kind::Route, render, output).await
    }
}

fn render(route: &Value, verbose: bool, now: Timestamp) -> String {
    let targets: Vec<String> = route["status"]["traffic"]
        .as_array()
        .into_iter()
        .flatten()
        .map(target)
        .collect();
    let head = vec![
        ("URL", text(route, "/status/url")),
        ("Service", text(route, SERVICE)),
    ];
    describe::page(
        route,
        verbose,
        now,
        head,
        &[("Traffic Targets", targets.join("\n"))],
    )
}

/// `50% web-00002 #tag`, for each target.
pub fn shares(route: &Value) -> Vec<String> {
    let targets = route["status"]["traffic"].as_array().into_iter().flatten();
    let share = |target: &Value| {
        let tag = target["tag"]
            .as_str()
            .map(|tag| format!(" #{tag}"))
            .unwrap_or_default();
        format!(
            "{}% {}{tag}",
            target["percent"].as_i64().unwrap_or(0),
            revision(target)
        )
    };
    targets.map(share).collect()
}

/// `web-00002`, or `@latest (web-00002)`.
fn revision(target: &Value) -> String {
    let revision = target["revisionName"].as_str().unwrap_or_default();
    match target["latestRevision"] == true {
        true => format!("@latest ({revision})"),
        false => revision.to_owned(),
    }
}

/// `50%  web-00002 #tag`, with the tag's URL beneath.
fn target(target: &Value) -> String {
    let head = format!(
        "{:3}%  {}",
        target["percent"].as_i64().unwrap_or(0),
        revision(target)
    );
    match target["tag"].as_str() {
        Some(tag) => format!(
            "{head} #{tag}\n      URL:  {}",
            target["url"].as_str().unwrap_or_default()
        ),
        None => head,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_show_percent_revision_and_tag() {
        let route = json!({ "metadata": { "name": "web", "labels": { "serving.knative.dev/service": "web" } },
            "status": { "url": "http://web", "traffic": [
                { "revisionName": "web-00001", "percent": 90 },
                { "revisionName": "web-00002", "percent": 10, "latestRevision": true, "tag": "next", "url": "http://next-web" } ] } });
        let text = render(&route, false, Timestamp::UNIX_EPOCH);
        assert!(text.contains("   90%  web-00001\n"), "{text}");
        assert!(
            text.contains("   10%  @latest (web-00002) #next\n        URL:  http://next-web"),
            "{text}"
        );
        assert!(text.contains("Service:    web"));
        assert_eq!(shares(&route), ["90% web-00001", "10% @latest (web-00002) #next"]);
    }
}
