//! `kn route describe`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::NamespaceArgs;
use crate::commands::list::text;
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::{conditions, describe};

/// Shows a route.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn route describe web\n  kn route describe web -o url")]
pub struct Describe {
    /// Name of the route
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Show more
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    form: OutputArgs,
}

impl Describe {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let route = context.get(Kind::Route, &namespace, &self.name).await?;
        if !self.form.print(&route, output)? {
            output.line(render(&route, self.verbose, Timestamp::now()))?;
        }
        Ok(Exit::Success)
    }
}

fn render(route: &Value, verbose: bool, now: Timestamp) -> String {
    let mut rows = describe::metadata(route, verbose, now);
    rows.push(("URL", text(route, "/status/url")));
    rows.push((
        "Service",
        text(route, "/metadata/labels/serving.knative.dev~1service"),
    ));
    let targets: Vec<String> = route["status"]["traffic"]
        .as_array()
        .into_iter()
        .flatten()
        .map(target)
        .collect();
    format!(
        "{}\n\nTraffic Targets:\n{}\n\n{}",
        describe::block(&rows),
        conditions::indent(&targets.join("\n")),
        conditions::describe(route, verbose, now)
    )
}

/// `50%  web-00002 #tag`, with the tag's URL beneath.
fn target(target: &Value) -> String {
    let latest = if target["latestRevision"] == true {
        "@latest "
    } else {
        ""
    };
    let revision = target["revisionName"].as_str().unwrap_or_default();
    let revision = if latest.is_empty() {
        revision.to_owned()
    } else {
        format!("{latest}({revision})")
    };
    let head = format!("{:3}%  {revision}", target["percent"].as_i64().unwrap_or(0));
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
    }
}
