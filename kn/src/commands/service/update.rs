//! `kn service update`

use std::time::Duration;

use clap::Args;
use kube::api::PostParams;
use serde_json::Value;

use super::change::{Done, WaitArgs};
use super::create::object;
use crate::cli::NamespaceArgs;
use crate::commands::list::text;
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::template::TemplateArgs;
use crate::traffic::{Known, TrafficFlags};

/// Attempts when somebody else writes at the same time.
const ATTEMPTS: u32 = 5;
/// Pause after the first conflict; grows by half each time.
const PAUSE: Duration = Duration::from_millis(20);

/// Changes a service; what no flag names stays as it is.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service update web --env TARGET=green\n  kn service update web --traffic web-00001=90 --traffic @latest=10 --tag @latest=next\n  kn service update web --scale 1..5"
)]
pub struct Update {
    /// Name of the service
    name: String,
    #[command(flatten)]
    template: TemplateArgs,
    /// Share of a revision, a tag or @latest: REF=PERCENT; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "REF=PERCENT")]
    traffic: Vec<String>,
    /// Tag a revision or @latest: REF=TAG; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "REF=TAG")]
    tag: Vec<String>,
    /// Remove a tag; may be repeated
    #[arg(long, value_delimiter = ',', value_name = "TAG")]
    untag: Vec<String>,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

impl Update {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let namespace = context.namespace(&self.namespace).await?;
        let api = context.api(Kind::Service, &namespace).await?;
        let mut pause = PAUSE;
        for attempt in 1.. {
            let present = context.get(Kind::Service, &namespace, &self.name).await?;
            if present["metadata"]["deletionTimestamp"].is_string() {
                return Err(CliError::new(
                    Exit::Conflict,
                    format!("service '{}' is marked for deletion", self.name),
                ));
            }
            let wanted = self.desired(&present)?;
            if wanted == present {
                return Err(CliError::usage(
                    "flag(s) not set, or nothing that they change: see `kn service update --help`",
                ));
            }
            let before =
                Some(text(&present, "/status/latestReadyRevisionName")).filter(|name| !name.is_empty());
            let stored = match api
                .replace(&self.name, &PostParams::default(), &object(wanted)?)
                .await
            {
                Ok(stored) => stored,
                Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {
                    tokio::time::sleep(pause).await;
                    pause = pause * 3 / 2;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            if stored.metadata.generation == present["metadata"]["generation"].as_i64() {
                output.line(format!(
                    "Service '{}' updated in namespace '{namespace}'.\nNo new revision has been created.",
                    self.name
                ))?;
                return Ok(Exit::Success);
            }
            let done = Done {
                doing: "Updating",
                done: "updated",
                namespace: &namespace,
                before,
            };
            return self.waiting.finish(&api, &self.name, &done, output).await;
        }
        Ok(Exit::Success)
    }

    fn desired(&self, present: &Value) -> Result<Value, CliError> {
        let mut service = present.clone();
        let changed = self.template.apply(&self.name, &mut service)?;
        if changed {
            TemplateArgs::stamp(&mut service, jiff::Timestamp::now());
        }
        let flags = TrafficFlags {
            traffic: self.traffic.clone(),
            tag: self.tag.clone(),
            untag: self.untag.clone(),
        };
        if !flags.is_empty() {
            let targets = present["spec"]["traffic"].as_array().cloned().unwrap_or_default();
            service["spec"]["traffic"] = Value::Array(flags.apply(&targets, &known(present, changed))?);
        }
        Ok(service)
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
    let latest_ready = Some(text(present, "/status/latestReadyRevisionName")).filter(|name| !name.is_empty());
    Known {
        routed,
        latest_ready,
        makes_revision,
    }
}
