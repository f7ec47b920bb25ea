//! A run that a command makes: shown, made, and followed to its end, as its flags say.

use clap::Args;
use kube::api::{LogParams, PostParams};
use serde_json::{Value, json};

use super::logs::{Wanted, show};
use crate::commands::list::text;
use crate::commands::write::dynamic;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::interrupt;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};

/// Flags of making a run.
#[derive(Args, Clone, Debug)]
pub struct MadeArgs {
    /// Show the logs until the run is over; it failing is the command failing
    #[arg(long)]
    showlog: bool,
    /// Make nothing, and print the run as it would be
    #[arg(long, conflicts_with = "showlog")]
    dry_run: bool,
    #[command(flatten)]
    form: OutputArgs,
}

impl MadeArgs {
    /// Makes `run`, which is one of `kind`.
    ///
    /// # Errors
    /// The cluster refuses it; or it fails while its log is shown.
    pub async fn make(
        &self,
        context: &Context,
        kind: Kind,
        namespace: &str,
        run: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if self.dry_run {
            if !self.form.print(run, output)? {
                let yaml = OutputArgs {
                    output: Some("yaml".to_owned()),
                    ..OutputArgs::default()
                };
                yaml.print(run, output)?;
            }
            return Ok(Exit::Success);
        }
        let api = context.api(kind, namespace).await?;
        let made = json!(api.create(&PostParams::default(), &dynamic(run)?).await?);
        let (noun, name) = (kind.noun(), text(&made, "/metadata/name"));
        if !self.form.print(&made, output)? {
            output.done(format!("{noun} started: {name}"))?;
        }
        let command = noun.to_lowercase();
        let follow = format!("kn {command} logs {name} --follow --namespace {namespace}");
        if !self.showlog {
            output.advice(format!("To follow it: {follow}"));
            return Ok(Exit::Success);
        }
        let wanted = Wanted {
            params: LogParams {
                follow: true,
                ..LogParams::default()
            },
            ..Wanted::default()
        };
        let goes_on = format!(
            "the run goes on: `{follow}` follows it, `kn {command} cancel {name} --namespace {namespace}` ends it"
        );
        let log = show(context, kind, namespace, &name, &wanted, output);
        interrupt::or(log, goes_on).await
    }
}
