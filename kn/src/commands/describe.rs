//! What every `describe` of one object does.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use serde_json::Value;

use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};

/// Flags of every `describe`.
#[derive(Args, Clone, Debug)]
pub struct DescribeArgs {
    /// Name of the object
    #[arg(add = ArgValueCompleter::new(completion::names))]
    pub name: String,
    #[command(flatten)]
    pub namespace: NamespaceArgs,
    /// Show all: every label and annotation, what belongs to the object, messages of conditions
    #[arg(short, long)]
    pub verbose: bool,
    #[command(flatten)]
    pub form: OutputArgs,
}

impl DescribeArgs {
    /// Shows the object as `render` tells it: with all there is to it if the flag is set, and with ages at a time.
    pub async fn run(
        &self,
        context: &Context,
        kind: Kind,
        render: fn(&Value, bool, Timestamp) -> String,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if let Some(object) = self.fetch(context, kind, output).await? {
            output.line(render(&object, self.verbose, Timestamp::now()))?;
        }
        Ok(Exit::Success)
    }

    /// The object, unless it has been printed in the form that was asked for.
    pub async fn fetch(
        &self,
        context: &Context,
        kind: Kind,
        output: &mut Output,
    ) -> Result<Option<Value>, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let object = context.get(kind, &namespace, &self.name).await?;
        let printed = self.form.print(&object, output)?;
        Ok((!printed).then_some(object))
    }
}
