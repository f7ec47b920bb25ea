//! `rerun`: makes a new run of the same spec.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use super::made::MadeArgs;
use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::tekton;

/// Flags of running something again.
#[derive(Args, Clone, Debug)]
pub struct RerunArgs {
    /// Name of the run
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    made: MadeArgs,
}

/// How much runs again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whole {
    All,
    /// Not what succeeded.
    FromFailed,
}

impl RerunArgs {
    /// Makes a new run of `kind`.
    ///
    /// # Errors
    /// The run is not there; or it has not failed, if only the rest of it shall run.
    pub async fn run(
        &self,
        context: &Context,
        kind: Kind,
        whole: Whole,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let run = context.get(kind, &namespace, &self.name).await?;
        let noun = kind.noun();
        if whole == Whole::FromFailed {
            let why = match (tekton::is_over(&run), tekton::outcome(&run)) {
                (true, Some(_)) => None,
                (true, None) => Some("it has not failed"),
                (false, _) => Some("it is not over"),
            };
            if let Some(why) = why {
                let message = format!(
                    "--from-failed: {noun} '{}': {why}: {}",
                    self.name,
                    tekton::status(&run)
                );
                return Err(CliError::new(Exit::Failure, message)
                    .with_hint("without --from-failed all of it runs again"));
            }
        }
        if tekton::is_build(&run) {
            return Err(
                CliError::usage(format!("{noun} '{}' is a build", self.name)).with_hint(format!(
                    "`kn build rerun {}` builds again what was built last",
                    self.name
                )),
            );
        }
        let new = tekton::again(&run, whole == Whole::FromFailed);
        self.made.make(context, kind, &namespace, &new, output).await
    }
}
