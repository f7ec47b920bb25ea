//! What the commands that write objects of events have in common.

use std::time::Duration;

use clap::Args;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use crate::cli::NamespaceArgs;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::waiting::MayWaitArgs;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};
use crate::rehearsal::{self, DryRun, DryRunArgs};
use crate::wait;

/// Attempts when somebody else writes at the same time.
pub const ATTEMPTS: u32 = 5;
/// Pause after the first conflict; grows by half each time.
pub const PAUSE: Duration = Duration::from_millis(20);

/// Flags of every command that writes an object of events.
#[derive(Args, Clone, Debug)]
pub struct WriteArgs {
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    waiting: MayWaitArgs,
    #[command(flatten)]
    form: OutputArgs,
}

/// Which object is written.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub kind: Kind,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Place<'_> {
    /// A new object of this kind and name.
    pub fn object(self, spec: Value) -> Value {
        let resource = self.kind.resource();
        json!({ "apiVersion": resource.api_version, "kind": resource.kind,
                "metadata": { "name": self.name, "namespace": self.namespace }, "spec": spec })
    }
}

/// The raw JSON as the client sends it.
///
/// # Errors
/// It lacks what every object has.
pub fn dynamic(object: &Value) -> Result<DynamicObject, CliError> {
    serde_json::from_value(object.clone())
        .map_err(|error| CliError::usage(format!("this is no Kubernetes object: {error}")))
}

impl WriteArgs {
    /// The namespace to write in.
    pub async fn namespace(&self, context: &Context) -> Result<String, CliError> {
        context.namespace(&self.namespace).await
    }

    /// Is nothing really written?
    pub fn is_rehearsal(&self) -> bool {
        self.dry_run.rehearsal().is_some()
    }

    /// Creates `object`, and waits for it if that was asked for.
    pub async fn create(
        &self,
        context: &Context,
        place: Place<'_>,
        object: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if self.dry_run.rehearsal() == Some(DryRun::Client) {
            return self.rehearse(place, None, object, output);
        }
        let api = context.api(place.kind, place.namespace).await?;
        let stored = api
            .create(&self.post(), &dynamic(object)?)
            .await
            .map_err(|error| {
                let error = CliError::from(error);
                match error.exit {
                    Exit::Conflict => error.with_hint("change it with `update`, or choose another name"),
                    _ => error,
                }
            })?;
        self.finish(context, place, None, &json!(stored), "created", output)
            .await
    }

    /// Reads the object, changes it and writes it; again when somebody else wrote meanwhile.
    pub async fn update(
        &self,
        context: &Context,
        place: Place<'_>,
        change: impl Fn(&mut Value) -> Result<(), CliError>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let api = context.api(place.kind, place.namespace).await?;
        let (mut attempt, mut pause) = (1, PAUSE);
        loop {
            let present = context.get(place.kind, place.namespace, place.name).await?;
            if present["metadata"]["deletionTimestamp"].is_string() {
                return Err(CliError::new(
                    Exit::Conflict,
                    format!(
                        "cannot update {} '{}' because it is marked for deletion",
                        place.kind.noun().to_lowercase(),
                        place.name
                    ),
                ));
            }
            let mut changed = present.clone();
            change(&mut changed)?;
            if self.dry_run.rehearsal() == Some(DryRun::Client) {
                return self.rehearse(place, Some(&present), &changed, output);
            }
            match api.replace(place.name, &self.post(), &dynamic(&changed)?).await {
                Ok(stored) => {
                    return self
                        .finish(context, place, Some(&present), &json!(stored), "updated", output)
                        .await;
                }
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {
                    attempt += 1;
                    tokio::time::sleep(pause).await;
                    pause = pause * 3 / 2;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn post(&self) -> PostParams {
        PostParams {
            dry_run: self.dry_run.on_server(),
            ..PostParams::default()
        }
    }

    fn rehearse(
        &self,
        place: Place<'_>,
        before: Option<&Value>,
        after: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let subject = format!(
            "{} '{}' in namespace '{}'",
            place.kind.noun(),
            place.name,
            place.namespace
        );
        rehearsal::show(&subject, before, after, &self.form, output)
    }

    async fn finish(
        &self,
        context: &Context,
        place: Place<'_>,
        before: Option<&Value>,
        stored: &Value,
        verb: &str,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if self.dry_run.on_server() {
            return self.rehearse(place, before, stored, output);
        }
        let (noun, Place { name, namespace, .. }) = (place.kind.noun(), place);
        let mut shown = stored.clone();
        if let Some(patience) = self.waiting.patience()? {
            if self.form.output.is_some() {
                output.progress_to_stderr();
            }
            output.progress(format!(
                "Waiting for {} '{name}' in namespace '{namespace}' to be ready:\n",
                noun.to_lowercase()
            ));
            let api = context.api(place.kind, namespace).await?;
            shown = wait::ready(&api, &noun.to_lowercase(), name, patience, output).await?;
            output.progress("");
        }
        if !self.form.print(&shown, output)? {
            output.done(format!(
                "{noun} '{name}' successfully {verb} in namespace '{namespace}'."
            ))?;
        }
        Ok(Exit::Success)
    }
}
