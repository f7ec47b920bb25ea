//! `kn source list`: sources of all types, those of other people's definitions included.

use clap::Args;
use serde_json::{Value, json};

use super::types::{BUILT_IN, LABEL};
use super::verbs::sink_cell;
use crate::commands::list::columns::{NAME, READY, column};
use crate::commands::list::{ListScope, Query, fetch, rows, text};
use crate::commands::types::{Types, resource};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::list;
use crate::output::{Output, OutputArgs};

/// Lists sources of all types.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn source list\n  kn source list --type PingSource,ApiServerSource\n  kn source list -A -o json"
)]
pub struct List {
    /// Only sources of these types, such as PingSource; may be repeated
    #[arg(short, long = "type", value_name = "KIND")]
    types: Vec<String>,
    /// Only objects with these labels, such as app=web,tier!=test
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    #[command(flatten)]
    scope: ListScope,
    #[command(flatten)]
    form: OutputArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let query = Query {
            namespace: self.scope.namespace(context).await?,
            name: None,
            labels: self.selector.clone(),
        };
        let wanted = list::split(&self.types);
        let types = Types::read(context, LABEL, &BUILT_IN, &self.scope.namespace).await?;
        let mut sources = Vec::new();
        for definition in &types.items {
            let kind = text(definition, "/spec/names/kind");
            if !wanted.is_empty() && !wanted.iter().any(|word| word.eq_ignore_ascii_case(&kind)) {
                continue;
            }
            if let Some(resource) = resource(definition) {
                sources.extend(fetch(context, resource, &query).await?);
            }
        }
        sources.sort_by_cached_key(|source| {
            (
                text(source, "/metadata/namespace"),
                text(source, "/metadata/name"),
                text(source, "/kind"),
            )
        });
        let all = json!({ "apiVersion": "client.knative.dev/v1alpha1", "kind": "SourceList", "metadata": {}, "items": sources });
        if !self.form.is_wide() && self.form.print(&all, output)? {
            return Ok(Exit::Success);
        }
        if sources.is_empty() {
            output.line("No sources found.")?;
            return Ok(Exit::Success);
        }
        let definitions = types.items;
        let columns = [
            NAME(),
            column("TYPE", |source, _| text(source, "/kind")),
            column("RESOURCE", move |source, _| definition(&definitions, source)),
            column("SINK", |source, _| sink_cell(source)),
            READY(),
        ];
        output.line(rows(&sources, &columns, &self.scope))?;
        Ok(Exit::Success)
    }
}

/// Name of the definition that a source is of.
fn definition(definitions: &[Value], source: &Value) -> String {
    let kind = text(source, "/kind");
    let group = text(source, "/apiVersion");
    let group = group.split('/').next().unwrap_or_default();
    definitions
        .iter()
        .find(|definition| {
            text(definition, "/spec/names/kind") == kind && text(definition, "/spec/group") == group
        })
        .map(|definition| text(definition, "/metadata/name"))
        .unwrap_or_default()
}
