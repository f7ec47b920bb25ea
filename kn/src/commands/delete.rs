//! What every `delete` does: several names, the others even if one is missing, waiting on request.

use std::time::Duration;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kube::api::DeleteParams;

use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::wait;

/// Flags of waiting for a deletion.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Waiting")]
pub struct DeleteWait {
    /// Wait until it is gone
    #[arg(long, overrides_with = "no_wait")]
    pub wait: bool,
    /// Do not wait until it is gone (the default)
    #[arg(long)]
    pub no_wait: bool,
    /// Seconds to wait at the most
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    pub wait_timeout: u64,
}

/// Flags of a `delete` that has no others.
#[derive(Args, Clone, Debug)]
pub struct DeleteArgs {
    /// Names of the objects
    #[arg(required = true, add = ArgValueCompleter::new(completion::names))]
    names: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: DeleteWait,
}

impl DeleteArgs {
    /// Deletes objects of `kind`.
    pub async fn run(&self, context: &Context, kind: Kind, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        all(context, kind, &namespace, &self.names, &self.waiting, output).await
    }
}

/// Deletes `names`.
///
/// # Errors
/// All failures joined, one line each, after every name has been tried.
pub async fn all(
    context: &Context,
    kind: Kind,
    namespace: &str,
    names: &[String],
    waiting: &DeleteWait,
    output: &mut Output,
) -> Result<Exit, CliError> {
    let noun = kind.noun();
    let api = context.api(kind, namespace).await?;
    let params = if waiting.wait {
        DeleteParams::foreground()
    } else {
        DeleteParams::background()
    };
    let mut failures: Vec<CliError> = Vec::new();
    for name in names {
        let deleted = async {
            let present = api.get(name).await.map_err(CliError::from)?;
            if present.metadata.deletion_timestamp.is_some() {
                let noun = noun.to_lowercase();
                return Err(CliError::new(
                    Exit::Conflict,
                    format!("cannot delete {noun} '{name}' because it is marked for deletion already"),
                ));
            }
            api.delete(name, &params).await.map_err(CliError::from)?;
            if waiting.wait {
                output.progress(format!(
                    "Deleting {} '{name}' in namespace '{namespace}' ...",
                    noun.to_lowercase()
                ));
                let timeout = Duration::from_secs(waiting.wait_timeout);
                wait::gone(&api, &noun.to_lowercase(), name, timeout).await?;
            }
            Ok(())
        };
        match deleted.await {
            Ok(()) => output.done(format!(
                "{noun} '{name}' successfully deleted in namespace '{namespace}'."
            ))?,
            Err(error) => failures.push(error),
        }
    }
    let Some(first) = failures.first() else {
        return Ok(Exit::Success);
    };
    let message = failures
        .iter()
        .map(|error| error.message.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    Err(CliError {
        exit: first.exit,
        message,
        details: None,
        hint: first.hint.clone(),
    })
}
