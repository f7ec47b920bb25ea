//! `kn service export`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::cli::NamespaceArgs;
use crate::commands::list::{Query, fetch};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::export;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};

/// Prints a service so that it can be made elsewhere.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service export web -o yaml > web.yaml\n  kn service export web --with-revisions -o json\n  kn service export web --with-revisions --mode replay -o yaml | kubectl apply -f -"
)]
pub struct Export {
    /// Name of the service
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    /// With the revisions that traffic or tags refer to
    #[arg(long)]
    with_revisions: bool,
    /// What to print: export, for `kn service import`, or replay, for kubectl
    #[arg(long, default_value = "export", value_name = "MODE")]
    mode: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl Export {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if self.form.output.is_none() {
            return Err(CliError::usage(
                "'service export' requires the output format: -o yaml or -o json",
            ));
        }
        let namespace = context.namespace(&self.namespace).await?;
        let service = context.get(Kind::Service, &namespace, &self.name).await?;
        let revisions = if self.with_revisions {
            let labels = format!("serving.knative.dev/service={}", self.name);
            fetch(
                context,
                Kind::Revision,
                &Query::within(&namespace).labelled(labels),
            )
            .await?
        } else {
            Vec::new()
        };
        let exported = match self.mode.as_str() {
            "replay" => export::replay(&service, &revisions, self.with_revisions),
            _ => export::export(&service, &revisions, self.with_revisions),
        };
        self.form.print(&exported, output)?;
        Ok(Exit::Success)
    }
}
