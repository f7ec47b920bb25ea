//! `kn source list-types`

use clap::Args;
use serde_json::Value;

use crate::commands::list::text;
use crate::commands::types::{BuiltIn, Types, TypesArgs};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::table;

/// Label of the definitions of sources.
pub const LABEL: &str = "duck.knative.dev/source=true";

const fn source(
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    description: &'static str,
) -> BuiltIn {
    BuiltIn {
        group: "sources.knative.dev",
        version,
        kind,
        plural,
        description,
    }
}

/// Types that are tried when definitions cannot be read: those that have verbs here.
pub const BUILT_IN: [BuiltIn; 5] = [
    source(
        "v1",
        "ApiServerSource",
        "apiserversources",
        "Sends the changes of objects in the cluster",
    ),
    source(
        "v1",
        "ContainerSource",
        "containersources",
        "Runs a container that sends events",
    ),
    source(
        "v1alpha1",
        "GitHubSource",
        "githubsources",
        "Sends what happens in a repository of GitHub",
    ),
    source("v1", "PingSource", "pingsources", "Sends events at given times"),
    source(
        "v1",
        "SinkBinding",
        "sinkbindings",
        "Tells workloads where to send events",
    ),
];

/// Lists the types of sources there are.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn source list-types\n  kn source list-types -o yaml")]
pub struct ListTypes {
    #[command(flatten)]
    types: TypesArgs,
}

impl ListTypes {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let types = Types::read(context, LABEL, &BUILT_IN, &self.types.namespace).await?;
        if self.types.print(&types, "Sources", output)? {
            return Ok(Exit::Success);
        }
        let row = |definition: &Value| {
            let kind = text(definition, "/spec/names/kind");
            let has_verbs = BUILT_IN.iter().any(|known| known.kind == kind);
            vec![
                kind,
                if has_verbs { "X".to_owned() } else { String::new() },
                text(definition, "/metadata/name"),
                types.description(definition),
            ]
        };
        let rows: Vec<Vec<String>> = types.items.iter().map(row).collect();
        output.line(table::render(
            &["TYPE", "S", "NAME", "DESCRIPTION"],
            &rows,
            !self.types.no_headers,
        ))?;
        Ok(Exit::Success)
    }
}
