//! `kn service delete`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use kube::ResourceExt;
use kube::api::ListParams;

use crate::cli::NamespaceArgs;
use crate::commands::delete::{self, DeleteWait};
use crate::commands::list::text;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::offline::{Target, TargetArgs};
use crate::output::Output;

/// Deletes services.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service delete web\n  kn service delete web api --wait\n  kn service delete --all -n team"
)]
pub struct Delete {
    /// Names of the services
    #[arg(add = ArgValueCompleter::new(completion::names))]
    names: Vec<String>,
    /// Delete all services of the namespace
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    waiting: DeleteWait,
}

impl Delete {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        match (self.names.is_empty(), self.all) {
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
            _ => {}
        }
        if let Some(target) = self.target.target()? {
            return self.offline(context, &target, output).await;
        }
        let namespace = context.namespace(&self.namespace).await?;
        let names = if self.all {
            let api = context.api(Kind::Service, &namespace).await?;
            let listed = api.list(&ListParams::default()).await?;
            listed.items.iter().map(ResourceExt::name_any).collect()
        } else {
            self.names.clone()
        };
        if names.is_empty() {
            output.line(format!("No services found in namespace '{namespace}'."))?;
            return Ok(Exit::Success);
        }
        delete::all(context, Kind::Service, &namespace, &names, &self.waiting, output).await
    }

    async fn offline(
        &self,
        context: &Context,
        target: &Target,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let namespace = context.namespace_offline(&self.namespace).await;
        let names = if self.all {
            let services = target.list(Some(&namespace))?;
            services
                .iter()
                .map(|service| text(service, "/metadata/name"))
                .collect()
        } else {
            self.names.clone()
        };
        if names.is_empty() {
            output.line(format!("No services found in namespace '{namespace}'."))?;
        }
        for name in names {
            target.remove(&namespace, &name)?;
            output.done(format!(
                "Service '{name}' successfully deleted in namespace '{namespace}'."
            ))?;
        }
        Ok(Exit::Success)
    }
}
