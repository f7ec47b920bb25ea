//! What `create` and `apply` have in common: where the declaration comes from, and how a service is made that was not there.

use clap::Args;
use kube::api::{PatchParams, PostParams};
use serde_json::Value;

use super::source::{Source, SourceArgs};
use super::write::{self, Verb, Written};
use crate::commands::write::dynamic;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::service::ServiceArgs;
use crate::flags::waiting::WaitArgs;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};
use crate::rehearsal::{self, DryRun, DryRunArgs};

/// Flags of the commands that declare a whole service.
#[derive(Args, Debug)]
pub struct DeclareArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    pub dry_run: DryRunArgs,
    #[command(flatten)]
    flags: ServiceArgs,
    #[command(flatten)]
    pub waiting: WaitArgs,
    #[command(flatten)]
    pub form: OutputArgs,
}

impl DeclareArgs {
    /// What the declaration starts from, and the flags that are laid over it, with all files read.
    ///
    /// # Errors
    /// As [`SourceArgs::read`]; contradicting flags; a file that cannot be read.
    pub async fn read(
        &self,
        verb: &str,
        context: &Context,
        offline: bool,
        output: &mut Output,
    ) -> Result<(Source, ServiceArgs), CliError> {
        self.waiting.patience()?;
        let source = self.source.read(verb, context, offline).await?;
        let flags = write::load(context, &self.flags, output)?;
        Ok((source, flags))
    }

    /// How the lines tell what `verb` did to a service.
    pub fn written<'a>(&'a self, verb: Verb, (namespace, name): (&'a str, &'a str)) -> Written<'a> {
        Written {
            verb,
            namespace,
            name,
            before: None,
            form: &self.form,
        }
    }

    /// Whether what is sent shall be kept.
    pub fn post(&self) -> PostParams {
        PostParams {
            dry_run: self.dry_run.on_server(),
            ..PostParams::default()
        }
    }

    /// As [`Self::post`].
    pub fn patch(&self) -> PatchParams {
        PatchParams {
            dry_run: self.dry_run.on_server(),
            ..PatchParams::default()
        }
    }

    /// Whether the server is not to be asked at all.
    pub fn only_here(&self) -> bool {
        self.dry_run.rehearsal() == Some(DryRun::Client)
    }

    /// Shows what would be written.
    pub fn rehearse(
        &self,
        (namespace, name): (&str, &str),
        before: Option<&Value>,
        after: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let subject = format!("Service '{name}' in namespace '{namespace}'");
        rehearsal::show(&subject, before, after, &self.form, output)
    }

    /// Makes a service that is not there yet; `refused` explains why the server did not take it.
    pub async fn create(
        &self,
        context: &Context,
        place: (&str, &str),
        service: &Value,
        refused: impl FnOnce(kube::Error) -> CliError,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if self.only_here() {
            return self.rehearse(place, None, service, output);
        }
        let api = context.api(Kind::Service, place.0).await?;
        let stored = api
            .create(&self.post(), &dynamic(service)?)
            .await
            .map_err(refused)?;
        let stored = serde_json::to_value(stored).unwrap_or_default();
        if self.dry_run.on_server() {
            return self.rehearse(place, None, &stored, output);
        }
        self.written(write::CREATE, place)
            .finish(context, &self.waiting, &stored, output)
            .await
    }
}
