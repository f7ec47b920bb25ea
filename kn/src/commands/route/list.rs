//! `kn route list`

use clap::Args;

use crate::cli::ListScope;
use crate::commands::list::{fetch, list_object, text};
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::{conditions, table};

/// Lists routes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn route list\n  kn route list web -o yaml")]
pub struct List {
    /// Only the route of this name
    name: Option<String>,
    #[command(flatten)]
    scope: ListScope,
    #[command(flatten)]
    form: OutputArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let routes = fetch(context, Kind::Route, &self.scope, self.name.as_deref(), None).await?;
        if self.form.print(&list_object(Kind::Route, &routes), output)? {
            return Ok(Exit::Success);
        }
        if routes.is_empty() {
            output.line("No routes found.")?;
            return Ok(Exit::Success);
        }
        let mut headers = vec!["NAME", "URL", "READY"];
        if self.scope.all_namespaces {
            headers.insert(0, "NAMESPACE");
        }
        let rows: Vec<Vec<String>> = routes
            .iter()
            .map(|route| {
                let mut row = vec![
                    text(route, "/metadata/name"),
                    text(route, "/status/url"),
                    conditions::ready(route),
                ];
                if self.scope.all_namespaces {
                    row.insert(0, text(route, "/metadata/namespace"));
                }
                row
            })
            .collect();
        output.line(table::render(&headers, &rows, !self.scope.no_headers))?;
        Ok(Exit::Success)
    }
}
