//! `kn service create`

use clap::Args;
use jiff::Timestamp;
use kube::api::PostParams;
use serde_json::Value;

use super::source::{Source, SourceArgs};
use super::write::{self, Written};
use crate::change::edit;
use crate::change::service as change;
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::flags::service::ServiceArgs;
use crate::flags::waiting::WaitArgs;
use crate::offline::{Target, TargetArgs};
use crate::output::{Output, OutputArgs};
use crate::rehearsal::{self, DryRun, DryRunArgs};

/// Annotations that say whose a service is; a replacement keeps them.
const KEPT: [&str; 2] = ["serving.knative.dev/creator", "serving.knative.dev/lastModifier"];

/// Creates a service.
#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    after_help = "Examples:\n  kn service create web --image localhost:5000/hello\n  kn service create web --image localhost:5000/hello --env TARGET=blue --scale 1..5\n  kn service create web --image localhost:5000/hello --mount /etc/web=config-map:web --probe-readiness http::8080:/up\n  kn service create -f service.yaml --env TARGET=blue\n  kn service create web --image localhost:5000/hello --force\n  kn service create web --image localhost:5000/hello --target ./services\n  kn service create web --image localhost:5000/hello --dry-run server -o yaml"
)]
pub struct Create {
    #[command(flatten)]
    source: SourceArgs,
    /// Tag of the revision, which gives it a URL of its own
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Replace a service of this name, with nothing of it kept
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    dry_run: DryRunArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    flags: ServiceArgs,
    #[command(flatten)]
    waiting: WaitArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        self.waiting.patience()?;
        let target = self.target.target()?;
        let source = self.source.read("create", context, target.is_some()).await?;
        let flags = write::load(context, &self.flags, output)?;
        let Source {
            name,
            namespace,
            start,
        } = source;
        let mut service = change::create(start, &flags, Timestamp::now())?;
        if let Some(tag) = &self.tag {
            edit::tag_latest(&mut service, tag)?;
        }
        match target {
            Some(target) => self.offline(&target, (&namespace, &name), &service, output),
            None => self.online(context, (&namespace, &name), service, output).await,
        }
    }

    async fn online(
        &self,
        context: &Context,
        (namespace, name): (&str, &str),
        mut service: Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let api = context.api(Kind::Service, namespace).await?;
        let params = PostParams {
            dry_run: self.dry_run.on_server(),
            ..PostParams::default()
        };
        let mut written = Written {
            verb: write::CREATE,
            namespace,
            name,
            before: None,
            form: &self.form,
        };
        let present = if self.force {
            api.get_opt(name).await?
        } else {
            None
        };
        let present = present.and_then(|present| serde_json::to_value(present).ok());
        let subject = format!("Service '{name}' in namespace '{namespace}'");
        if self.dry_run.rehearsal() == Some(DryRun::Client) {
            return rehearsal::show(&subject, present.as_ref(), &service, &self.form, output);
        }
        let stored = match &present {
            Some(present) => {
                keep_identity(&mut service, present);
                written.verb = write::REPLACE;
                written.before = write::latest_ready(present);
                api.replace(name, &params, &write::object(&service)?).await?
            }
            None => api
                .create(&params, &write::object(&service)?)
                .await
                .map_err(|error| explain_conflict(error, name))?,
        };
        let stored = serde_json::to_value(stored).unwrap_or_default();
        if self.dry_run.on_server() {
            return rehearsal::show(&subject, present.as_ref(), &stored, &self.form, output);
        }
        written.finish(context, &self.waiting, &stored, output).await
    }

    fn offline(
        &self,
        target: &Target,
        (namespace, name): (&str, &str),
        service: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let present = target.get(namespace, name)?;
        let there = present.is_some();
        if there && !self.force {
            return Err(already_there(name));
        }
        if self.dry_run.rehearsal().is_some() {
            let subject = format!("Service '{name}' in namespace '{namespace}'");
            return rehearsal::show(&subject, present.as_ref(), service, &self.form, output);
        }
        target.put(namespace, name, service)?;
        let written = Written {
            verb: if there { write::REPLACE } else { write::CREATE },
            namespace,
            name,
            before: None,
            form: &self.form,
        };
        let text = format!(
            "Service '{name}' {} in namespace '{namespace}'.",
            written.verb.done
        );
        written.say(service, &text, output)
    }
}

/// What the server owns of an object that is replaced.
fn keep_identity(service: &mut Value, present: &Value) {
    let metadata = &present["metadata"];
    edit::set_resource_version(service, &metadata["resourceVersion"]);
    for key in KEPT {
        if let Some(value) = metadata["annotations"][key].as_str() {
            edit::annotate(service, key, value);
        }
    }
}

fn already_there(name: &str) -> CliError {
    CliError::new(
        Exit::Conflict,
        format!("cannot create service '{name}' because the service already exists and no --force option was given"),
    )
    .with_hint(format!(
        "change it with `kn service update {name}`, or replace it with --force"
    ))
}

/// Another conflict than an existing name keeps the text of the API.
fn explain_conflict(error: kube::Error, name: &str) -> CliError {
    match &error {
        kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists" => {
            already_there(name)
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_replacement_keeps_its_creator_and_nothing_else() {
        let present = json!({ "metadata": { "resourceVersion": "7", "uid": "u", "labels": { "old": "1" },
            "annotations": { "serving.knative.dev/creator": "me", "old": "1" } } });
        let mut service = json!({ "metadata": { "name": "web" } });
        keep_identity(&mut service, &present);
        assert_eq!(
            service,
            json!({ "metadata": { "name": "web", "resourceVersion": "7", "annotations": { "serving.knative.dev/creator": "me" } } })
        );
    }
}
