//! `kn service update`

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use jiff::Timestamp;
use kube::api::PostParams;
use serde_json::Value;

use super::build::Built;
use super::write::{self, Written};
use crate::change::service::{self as change, Updated};
use crate::change::{digest, edit};
use crate::cli::NamespaceArgs;
use crate::commands::list::text;
use crate::commands::write::{ATTEMPTS, PAUSE, dynamic};
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::build::BuildArgs;
use crate::flags::service::ServiceArgs;
use crate::flags::waiting::WaitArgs;
use crate::kind::Kind;
use crate::offline::{Target, TargetArgs};
use crate::output::{Output, OutputArgs};
use crate::rehearsal::{self, DryRun, DryRunArgs};
use crate::traffic::{Known, TrafficFlags, no_longer_follows};

/// Changes a service; what no flag names stays as it is.
#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    after_help = "Examples:\n  kn service update web --env TARGET=green\n  kn service update web --env TARGET- --scale 1..5 --limit memory=256Mi\n  kn service update web --image localhost:5000/hello:2 --revision-name v2\n  kn service update web --traffic web-00001=90 --traffic @latest=10 --tag @latest=next\n  kn service update web --untag next --traffic @latest=100\n  kn service update web --limit memory=256Mi --dry-run server"
)]
pub struct Update {
    /// Name of the service
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    flags: ServiceArgs,
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    traffic: TrafficFlags,
    #[command(flatten)]
    waiting: WaitArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl Update {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        self.build.check()?;
        if self.build.is_wanted() {
            return self.built(context, output).await;
        }
        if self.flags.is_empty() && self.traffic.is_empty() {
            return Err(CliError::usage(
                "flag(s) not set: 'service update' needs at least one that says what to change",
            ));
        }
        self.waiting.patience()?;
        let flags = write::load(context, &self.flags, output)?;
        if let Some(target) = self.target.target()? {
            return self.offline(context, &target, &flags, output).await;
        }
        let namespace = context.namespace(&self.namespace).await?;
        let (before, after) = self.write(context, &namespace, &flags, output).await?;
        if self.dry_run.rehearsal().is_some() {
            return self.rehearse(&namespace, &before, &after, output);
        }
        let written = self.written(&namespace, write::latest_ready(&before));
        if before["metadata"]["generation"] == after["metadata"]["generation"] {
            let text = format!(
                "Service '{}' updated in namespace '{namespace}'.\nNo new revision has been created.",
                self.name
            );
            return written.say(&after, &text, output);
        }
        written.finish(context, &self.waiting, &after, output).await
    }

    /// Builds the service from its source from now on.
    async fn built(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let image = change::image(&self.flags)?;
        let mut others = self.flags.clone();
        others.template.pod.image.clear();
        let alone = others.is_empty() && self.traffic.is_empty() && self.dry_run.rehearsal().is_none();
        if !alone || self.target.target()?.is_some() {
            return Err(CliError::usage(
                "--git and --source go with the other flags of builds and with --image alone",
            )
            .with_hint(format!(
                "change the service itself by another `kn service update {}`",
                self.name
            )));
        }
        let namespace = context.namespace(&self.namespace).await?;
        let built = Built {
            namespace: &namespace,
            name: &self.name,
            args: &self.build,
            image,
            waiting: &self.waiting,
            form: &self.form,
        };
        built.update(context, output).await
    }

    fn rehearse(
        &self,
        namespace: &str,
        before: &Value,
        after: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let subject = format!("Service '{}' in namespace '{namespace}'", self.name);
        rehearsal::show(&subject, Some(before), after, &self.form, output)
    }

    fn written<'a>(&'a self, namespace: &'a str, before: Option<String>) -> Written<'a> {
        Written {
            verb: write::UPDATE,
            namespace,
            name: &self.name,
            before,
            form: &self.form,
        }
    }

    /// Writes the change, and again upon what somebody else wrote meanwhile; returns the service before and after. Of a
    /// rehearsal, nothing is kept.
    async fn write(
        &self,
        context: &Context,
        namespace: &str,
        flags: &ServiceArgs,
        output: &mut Output,
    ) -> Result<(Value, Value), CliError> {
        let api = context.api(Kind::Service, namespace).await?;
        let mut pause = PAUSE;
        let mut attempt = 1;
        loop {
            let present = context.get(Kind::Service, namespace, &self.name).await?;
            if present["metadata"]["deletionTimestamp"].is_string() {
                return Err(CliError::new(
                    Exit::Conflict,
                    format!("service '{}' is marked for deletion", self.name),
                ));
            }
            let base = match digest::base_revision(&present) {
                Some(revision) => {
                    let found = context
                        .api(Kind::Revision, namespace)
                        .await?
                        .get_opt(revision)
                        .await?;
                    serde_json::to_value(found).unwrap_or_default()
                }
                None => Value::Null,
            };
            let Updated {
                service,
                pinned,
                makes_revision,
            } = self.changed(&present, &base, flags)?;
            if self.dry_run.rehearsal() == Some(DryRun::Client) {
                return Ok((present, service));
            }
            let params = PostParams {
                dry_run: self.dry_run.on_server(),
                ..PostParams::default()
            };
            match api.replace(&self.name, &params, &dynamic(&service)?).await {
                Ok(after) => {
                    if self.form.output.is_some() {
                        output.progress_to_stderr();
                    }
                    if let Some(digest) = pinned {
                        output.progress(format!(
                            "Keeping the image that runs, {digest} (--no-lock-to-digest looks up the tag anew)"
                        ));
                    }
                    let targets =
                        |service: &Value| service["spec"]["traffic"].as_array().cloned().unwrap_or_default();
                    let known = known(&present, makes_revision);
                    if let Some(revision) = no_longer_follows(&targets(&present), &targets(&service), &known)
                    {
                        output.progress(format!(
                            "Revision '{revision}' keeps its traffic by name; new revisions get none until --traffic @latest=PERCENT"
                        ));
                    }
                    return Ok((present, serde_json::to_value(after).unwrap_or_default()));
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

    async fn offline(
        &self,
        context: &Context,
        target: &Target,
        flags: &ServiceArgs,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let namespace = context.namespace_offline(&self.namespace).await;
        let present = target.require(&namespace, &self.name)?;
        let updated = self.changed(&present, &Value::Null, flags)?;
        if self.dry_run.rehearsal().is_some() {
            return self.rehearse(&namespace, &present, &updated.service, output);
        }
        target.put(&namespace, &self.name, &updated.service)?;
        let text = format!("Service '{}' updated in namespace '{namespace}'.", self.name);
        self.written(&namespace, None)
            .say(&updated.service, &text, output)
    }

    /// The service as it shall be; `base` is the revision whose image it keeps.
    fn changed(&self, present: &Value, base: &Value, flags: &ServiceArgs) -> Result<Updated, CliError> {
        let mut updated = change::update(present, base, flags, Timestamp::now())?;
        if !self.traffic.is_empty() {
            let targets = present["spec"]["traffic"].as_array().cloned().unwrap_or_default();
            let known = known(present, updated.makes_revision);
            edit::set_traffic(&mut updated.service, self.traffic.apply(&targets, &known)?);
        }
        Ok(updated)
    }
}

fn known(present: &Value, makes_revision: bool) -> Known {
    let mut routed: Vec<String> = Vec::new();
    for target in present["status"]["traffic"].as_array().into_iter().flatten() {
        let revision = text(target, "/revisionName");
        if !revision.is_empty() && !routed.contains(&revision) {
            routed.push(revision);
        }
    }
    Known {
        routed,
        latest_ready: write::latest_ready(present),
        makes_revision,
    }
}
