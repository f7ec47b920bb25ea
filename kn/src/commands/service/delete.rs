//! `kn service delete`

use clap::Args;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cli::NamespaceArgs;
use crate::commands::delete::{self, DeleteWait};
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Deletes services.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service delete web\n  kn service delete web api --wait\n  kn service delete --all -n team"
)]
pub struct Delete {
    /// Names of the services
    names: Vec<String>,
    /// Delete all services of the namespace
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: DeleteWait,
}

impl Delete {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let names = match (self.names.is_empty(), self.all) {
            (true, false) => {
                return Err(CliError::usage(
                    "'service delete' requires the service name(s), or --all",
                ));
            }
            (false, true) => {
                return Err(CliError::usage(
                    "'service delete' with --all flag requires no arguments",
                ));
            }
            (false, false) => self.names.clone(),
            (true, true) => {
                let api = context.api(Kind::Service, &namespace).await?;
                api.list(&ListParams::default())
                    .await?
                    .items
                    .iter()
                    .map(ResourceExt::name_any)
                    .collect()
            }
        };
        if names.is_empty() {
            output.line(format!("No services found in namespace '{namespace}'."))?;
            return Ok(Exit::Success);
        }
        delete::all(
            context,
            Kind::Service,
            "Service",
            &namespace,
            &names,
            &self.waiting,
            output,
        )
        .await
    }
}
