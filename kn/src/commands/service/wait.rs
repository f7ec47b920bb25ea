//! `kn service wait`

use std::time::Duration;

use clap::Args;

use crate::cli::NamespaceArgs;
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::wait::{self, Patience};

/// Waits for a service to be ready; one that does not exist yet is waited for, too.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn service wait web\n  kn service wait web --wait-timeout 60")]
pub struct Wait {
    /// Name of the service
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    /// Seconds to wait at the most
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    wait_timeout: u64,
    /// Seconds that an error may last before it counts
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    wait_window: u64,
}

impl Wait {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let api = context.api(Kind::Service, &namespace).await?;
        output.progress(format!(
            "Waiting for Service '{}' in namespace '{namespace}':",
            self.name
        ));
        let patience = Patience {
            timeout: Duration::from_secs(self.wait_timeout),
            error_window: Duration::from_secs(self.wait_window),
        };
        wait::ready(&api, "service", &self.name, patience, output).await?;
        output.line(format!(
            "Service '{}' in namespace '{namespace}' is ready.",
            self.name
        ))?;
        Ok(Exit::Success)
    }
}
