//! `kn service apply`

use clap::Args;
use kube::api::Patch;
use serde_json::{Value, json};

use super::declare::DeclareArgs;
use super::source::Source;
use super::write;
use crate::change::{last_applied, service as change};
use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// Applies what flags or a file declare: a service is created, or changed where it differs from the declaration.
#[derive(Args, Debug)]
#[command(
    args_override_self = true,
    after_help = "Examples:\n  kn service apply -f service.yaml\n  kn service apply web --image localhost:5000/hello --env TARGET=blue\n  kn service apply -f service.yaml --scale 1..5 --no-wait\n  kn service apply -f service.yaml --dry-run server"
)]
pub struct Apply {
    #[command(flatten)]
    declare: DeclareArgs,
    /// Has no effect: apply changes what exists anyway
    #[arg(long, hide = true)]
    force: bool,
}

impl Apply {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let declare = &self.declare;
        let (source, flags) = declare.read("apply", context, false, output).await?;
        let Source {
            name,
            namespace,
            start,
        } = source;
        let place = (namespace.as_str(), name.as_str());
        let mut declared = change::declare(start, &flags)?;
        last_applied::remember(&mut declared)?;
        let api = context.api(Kind::Service, &namespace).await?;
        let Some(present) = api.get_opt(&name).await? else {
            return declare
                .create(context, place, &declared, CliError::from, output)
                .await;
        };
        let present = serde_json::to_value(present).unwrap_or_default();
        if present["metadata"]["deletionTimestamp"].is_string() {
            return Err(CliError::new(
                Exit::Conflict,
                format!("service '{name}' is marked for deletion"),
            ));
        }
        let last = last_applied::recall(&present);
        if last.is_none() {
            output.note(format!(
                "warning: service '{name}' lacks the annotation {}, since it was not made by apply; what is declared is changed, nothing is removed, and the annotation is added",
                last_applied::LAST_APPLIED
            ));
        }
        let patch = last_applied::patch(last.as_ref(), &declared, &present);
        let after = if patch == json!({}) {
            present.clone()
        } else if declare.only_here() {
            let mut after = present.clone();
            json_patch::merge(&mut after, &patch);
            after
        } else {
            let patched = api.patch(&name, &declare.patch(), &Patch::Merge(&patch)).await?;
            serde_json::to_value(patched).unwrap_or_default()
        };
        if declare.dry_run.rehearsal().is_some() {
            return declare.rehearse(place, Some(&present), &after, output);
        }
        let mut written = declare.written(write::APPLY, place);
        if is_same(&present, &after) {
            let text = format!(
                "No changes to apply to service '{name}'.\nService '{name}' with latest revision '{}' (unchanged) is available at URL:\n{}",
                text(&after, "/status/latestReadyRevisionName"),
                text(&after, "/status/url"),
            );
            return written.say(&after, &text, output);
        }
        written.before = write::latest_ready(&present);
        written.finish(context, &declare.waiting, &after, output).await
    }
}

/// Whether a write changed nothing that anybody declared: the server's own marks, and the memory of apply, don't count.
fn is_same(before: &Value, after: &Value) -> bool {
    let own = |service: &Value| {
        let mut annotations = service["metadata"]["annotations"].clone();
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.retain(|key, _| {
                key != last_applied::LAST_APPLIED && key != "serving.knative.dev/lastModifier"
            });
        }
        (
            service["metadata"]["labels"].clone(),
            annotations,
            service["spec"].clone(),
        )
    };
    own(before) == own(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_do_not_count_as_changes() {
        let service = |applied: &str, label: &str, image: &str| {
            json!({ "metadata": { "labels": { "a": label }, "annotations": { last_applied::LAST_APPLIED: applied, "serving.knative.dev/lastModifier": applied } },
                    "spec": { "image": image } })
        };
        assert!(is_same(&service("1", "l", "i"), &service("2", "l", "i")));
        assert!(!is_same(&service("1", "l", "i"), &service("1", "m", "i")));
        assert!(!is_same(&service("1", "l", "i"), &service("1", "l", "j")));
    }
}
