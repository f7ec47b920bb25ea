//! `kn service wait`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::cli::NamespaceArgs;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::failure;
use crate::flags::waiting::WaitLimits;
use crate::kind::Kind;
use crate::output::Output;
use crate::wait;

/// Waits for a service to be ready; one that does not exist yet is waited for, too.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn service wait web\n  kn service wait web --wait-timeout 60")]
pub struct Wait {
    /// Name of the service
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    limits: WaitLimits,
}

impl Wait {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let api = context.api(Kind::Service, &namespace).await?;
        output.progress(format!(
            "Waiting for Service '{}' in namespace '{namespace}':",
            self.name
        ));
        let ready = wait::ready(&api, "service", &self.name, self.limits.patience(), output).await;
        if let Err(error) = ready {
            return Err(failure::explain(context, &namespace, &self.name, error).await);
        }
        output.done(format!(
            "Service '{}' in namespace '{namespace}' is ready.",
            self.name
        ))?;
        Ok(Exit::Success)
    }
}
