//! `kn service create`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::build::{self, Built};
use super::declare::DeclareArgs;
use super::source::Source;
use super::write;
use crate::change::edit;
use crate::change::service as change;
use crate::commands::write::dynamic;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::build::BuildArgs;
use crate::kind::Kind;
use crate::offline::{Target, TargetArgs};
use crate::output::Output;

/// Annotations that say whose a service is; a replacement keeps them.
const KEPT: [&str; 2] = ["serving.knative.dev/creator", "serving.knative.dev/lastModifier"];

/// Creates a service.
#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    after_help = "Examples:\n  kn service create web --image localhost:5000/hello\n  kn service create web --image localhost:5000/hello --env TARGET=blue --scale 1..5\n  kn service create web --image localhost:5000/hello --mount /etc/web=config-map:web --probe-readiness http::8080:/up\n  kn service create -f service.yaml --env TARGET=blue\n  kn service create web --image localhost:5000/hello --force\n  kn service create web --image localhost:5000/hello --target ./services\n  kn service create web --image localhost:5000/hello --dry-run server -o yaml\n  kn service create web --git http://git.example.com/web.git --env TARGET=blue\n  kn service create web --source ."
)]
pub struct Create {
    #[command(flatten)]
    declare: DeclareArgs,
    /// Tag of the revision, which gives it a URL of its own
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Replace a service of this name, with nothing of it kept
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    build: BuildArgs,
    #[command(flatten)]
    target: TargetArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let target = self.target.target()?;
        self.build.check()?;
        if self.build.is_wanted() {
            return self.built(context, target.is_some(), output).await;
        }
        let (source, flags) = self
            .declare
            .read("create", context, target.is_some(), output)
            .await?;
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

    /// A service that is built from its source; `--image` is where the image is pushed to.
    async fn built(&self, context: &Context, offline: bool, output: &mut Output) -> Result<Exit, CliError> {
        let declare = &self.declare;
        let stray = [
            ("target", offline),
            ("force", self.force),
            ("dry-run", declare.dry_run.rehearsal().is_some()),
        ];
        if let Some((flag, _)) = stray.into_iter().find(|(_, given)| *given) {
            return Err(CliError::usage(format!(
                "--{flag} cannot be used with --git or --source"
            )));
        }
        let (source, mut flags) = declare.read("create", context, false, output).await?;
        let image = change::image(&flags)?.map(str::to_owned);
        flags.template.pod.image = vec![build::placeholder()];
        let mut service = change::create(source.start, &flags, Timestamp::now())?;
        if let Some(tag) = &self.tag {
            edit::tag_latest(&mut service, tag)?;
        }
        let built = Built {
            namespace: &source.namespace,
            name: &source.name,
            args: &self.build,
            image: image.as_deref(),
            waiting: &declare.waiting,
            form: &declare.form,
        };
        built.create(context, service, output).await
    }

    async fn online(
        &self,
        context: &Context,
        (namespace, name): (&str, &str),
        mut service: Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (declare, place) = (&self.declare, (namespace, name));
        let api = context.api(Kind::Service, namespace).await?;
        let present = match self.force {
            true => api.get_opt(name).await?,
            false => None,
        };
        let Some(present) = present.and_then(|present| serde_json::to_value(present).ok()) else {
            let refused = |error| explain_conflict(error, name);
            return declare.create(context, place, &service, refused, output).await;
        };
        if declare.only_here() {
            return declare.rehearse(place, Some(&present), &service, output);
        }
        keep_identity(&mut service, &present);
        let stored = api.replace(name, &declare.post(), &dynamic(&service)?).await?;
        let stored = serde_json::to_value(stored).unwrap_or_default();
        if declare.dry_run.on_server() {
            return declare.rehearse(place, Some(&present), &stored, output);
        }
        let mut written = declare.written(write::REPLACE, place);
        written.before = write::latest_ready(&present);
        written.finish(context, &declare.waiting, &stored, output).await
    }

    fn offline(
        &self,
        target: &Target,
        (namespace, name): (&str, &str),
        service: &Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (declare, place) = (&self.declare, (namespace, name));
        let present = target.get(namespace, name)?;
        let there = present.is_some();
        if there && !self.force {
            return Err(already_there(name));
        }
        if declare.dry_run.rehearsal().is_some() {
            return declare.rehearse(place, present.as_ref(), service, output);
        }
        target.put(namespace, name, service)?;
        let written = declare.written(if there { write::REPLACE } else { write::CREATE }, place);
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
