//! `kn service import`

use std::time::Duration;

use clap::Args;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::write::{Verb, Written};
use crate::change::shape;
use crate::cli::NamespaceArgs;
use crate::commands::list::text;
use crate::commands::write::dynamic;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::load;
use crate::flags::waiting::WaitArgs;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};

const IMPORT: Verb = Verb {
    doing: "Importing",
    done: "imported",
};
/// Pause between looks for the configuration that the service makes.
const LOOK: Duration = Duration::from_millis(200);
/// Longest wait for it.
const CONFIGURATION: Duration = Duration::from_secs(60);

/// Makes a service, and its older revisions, out of what `kn service export` printed.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service import web.yaml\n  kn service export web --with-revisions -o json | kn service import - -n other"
)]
pub struct Import {
    /// File with the export in YAML or JSON, - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: WaitArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl Import {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        self.waiting.patience()?;
        let (service, revisions) = parse(&self.file, &load::text("file", &self.file)?)?;
        let name = text(&service, "/metadata/name");
        let namespace = context.namespace(&self.namespace).await?;
        let services = context.api(Kind::Service, &namespace).await?;
        if services.get_opt(&name).await?.is_some() {
            return Err(CliError::new(
                Exit::Conflict,
                format!("cannot import service '{name}' in namespace '{namespace}' because the service already exists"),
            )
            .with_hint(format!("delete it first: `kn service delete {name} -n {namespace}`")));
        }
        let params = PostParams::default();
        let stored = services.create(&params, &dynamic(&service)?).await?;
        if !revisions.is_empty() {
            let configuration = configuration(context, &namespace, &name).await?;
            let api = context.api(Kind::Revision, &namespace).await?;
            for revision in revisions {
                api.create(&params, &owned(&revision, &configuration)?).await?;
            }
        }
        let stored = serde_json::to_value(stored).unwrap_or_default();
        let written = Written {
            verb: IMPORT,
            namespace: &namespace,
            name: &name,
            before: None,
            form: &self.form,
        };
        written.finish(context, &self.waiting, &stored, output).await
    }
}

/// The service and the revisions of an export.
fn parse(path: &str, content: &str) -> Result<(Value, Vec<Value>), CliError> {
    let wrong = |why: &str| CliError::usage(format!("cannot import {path}: {why}"));
    let export: Value = serde_saphyr::from_str(content).map_err(|error| wrong(&error.to_string()))?;
    if export.get("kind").and_then(Value::as_str) != Some("Export") {
        return Err(wrong(
            "it is no Export; `kn service export NAME -o yaml` prints one, and `kn service create -f` takes a Service",
        ));
    }
    let service = export
        .pointer("/spec/service")
        .ok_or_else(|| wrong("spec.service is missing"))?;
    shape::check(service).map_err(|error| wrong(&error.message))?;
    if text(service, "/metadata/name").is_empty() {
        return Err(wrong("spec.service.metadata.name is missing"));
    }
    let revisions = match export.pointer("/spec/revisions") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) if items.iter().all(|item| item["metadata"].is_object()) => items.clone(),
        Some(_) => return Err(wrong("spec.revisions must be a list of revisions")),
    };
    Ok((service.clone(), revisions))
}

/// Waits for the configuration that the service makes.
async fn configuration(context: &Context, namespace: &str, name: &str) -> Result<DynamicObject, CliError> {
    let api = context.api(Kind::Configuration, namespace).await?;
    let found = tokio::time::timeout(CONFIGURATION, async {
        loop {
            if let Some(found) = api.get_opt(name).await? {
                return Ok::<_, CliError>(found);
            }
            tokio::time::sleep(LOOK).await;
        }
    });
    found.await.map_err(|_| {
        CliError::new(
            Exit::Timeout,
            format!(
                "timeout: no configuration '{name}' after {} seconds",
                CONFIGURATION.as_secs()
            ),
        )
    })?
}

/// A revision as the configuration would own it.
fn owned(revision: &Value, configuration: &DynamicObject) -> Result<DynamicObject, CliError> {
    let mut object = dynamic(revision)?;
    object.metadata.owner_references = Some(
        serde_json::from_value(json!([{
            "apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
            "name": configuration.metadata.name, "uid": configuration.metadata.uid.clone().unwrap_or_default(),
            "controller": true, "blockOwnerDeletion": true,
        }]))
        .map_err(|error| CliError::new(Exit::Failure, error.to_string()))?,
    );
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exports_are_taken() {
        let service = json!({ "metadata": { "name": "web" } });
        let export = json!({ "kind": "Export", "spec": { "service": service, "revisions": [{ "metadata": { "name": "a" } }] } });
        let (found, revisions) = parse("f", &export.to_string()).unwrap();
        assert_eq!((found, revisions.len()), (service, 1));
        for (text, token) in [
            ("kind: Service\n", "no Export"),
            ("kind: Export\n", "spec.service is missing"),
            ("kind: Export\nspec: {service: {metadata: {}}}\n", "metadata.name"),
            (
                "kind: Export\nspec: {service: {metadata: {name: a}}, revisions: [1]}\n",
                "spec.revisions",
            ),
            (
                "kind: Export\nspec: {service: {metadata: {name: a}, spec: []}}\n",
                "spec must be an object",
            ),
            ("5", "no Export"),
        ] {
            let message = parse("f", text).unwrap_err().message;
            assert!(message.contains(token), "{text}: {message}");
        }
    }
}
