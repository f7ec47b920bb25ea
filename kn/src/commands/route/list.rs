//! `kn route list`

use clap::Args;
use serde_json::Value;

use crate::commands::list::ListArgs;
use crate::commands::list::columns::{NAME, READY, field, wide};
use crate::commands::route::describe::shares;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Lists routes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn route list\n  kn route list web -o yaml\n  kn route list -o wide")]
pub struct List {
    #[command(flatten)]
    list: ListArgs,
}

impl List {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let columns = async || {
            Ok(vec![
                NAME(),
                field("URL", "/status/url"),
                READY(),
                wide("TRAFFIC", |route: &Value, _| shares(route).join(", ")),
            ])
        };
        self.list.run(context, Kind::Route, None, columns, output).await
    }
}
