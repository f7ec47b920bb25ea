//! `kn service create`

use clap::Args;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};

use super::change::{Done, WaitArgs};
use crate::cli::NamespaceArgs;
use crate::context::{Context, Kind};
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::template::TemplateArgs;

/// Creates a service.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service create web --image localhost:5000/hello\n  kn service create web --image localhost:5000/hello --env TARGET=blue --scale 1..5\n  kn service create web --image localhost:5000/hello --force"
)]
pub struct Create {
    /// Name of the service
    name: String,
    #[command(flatten)]
    template: TemplateArgs,
    /// Tag of the revision, which gives it a URL of its own
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
    /// Replace a service of this name, with nothing of it kept
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
    #[command(flatten)]
    waiting: WaitArgs,
}

impl Create {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        if self.template.image.is_none() {
            return Err(CliError::usage(
                "'service create' requires the image name to run: --image IMAGE",
            ));
        }
        let namespace = context.namespace(&self.namespace).await?;
        let api = context.api(Kind::Service, &namespace).await?;
        let mut service = self.desired(&namespace)?;
        let params = PostParams::default();
        let present = if self.force {
            api.get_opt(&self.name).await?
        } else {
            None
        };
        let replaces = present.is_some();
        match present {
            Some(present) => {
                keep_identity(&mut service, &present);
                api.replace(&self.name, &params, &object(service)?).await?;
            }
            None => {
                api.create(&params, &object(service)?)
                    .await
                    .map_err(|error| already_there(error, &self.name))?;
            }
        }
        let (doing, done) = if replaces {
            ("Replacing", "replaced")
        } else {
            ("Creating", "created")
        };
        let done = Done {
            doing,
            done,
            namespace: &namespace,
            before: None,
        };
        self.waiting.finish(&api, &self.name, &done, output).await
    }

    fn desired(&self, namespace: &str) -> Result<Value, CliError> {
        let mut service = json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": { "name": self.name, "namespace": namespace },
            "spec": { "template": { "metadata": {} } },
        });
        self.template.apply(&self.name, &mut service)?;
        TemplateArgs::stamp(&mut service, jiff::Timestamp::now());
        if let Some(tag) = &self.tag {
            service["spec"]["traffic"] = json!([{ "latestRevision": true, "percent": 100, "tag": tag }]);
        }
        Ok(service)
    }
}

/// What the server owns of an object that is replaced.
fn keep_identity(service: &mut Value, present: &DynamicObject) {
    service["metadata"]["resourceVersion"] = json!(present.metadata.resource_version);
    for key in ["serving.knative.dev/creator", "serving.knative.dev/lastModifier"] {
        if let Some(value) = present.metadata.annotations.as_ref().and_then(|all| all.get(key)) {
            service["metadata"]["annotations"][key] = json!(value);
        }
    }
}

/// The raw JSON as the client sends it.
pub fn object(service: Value) -> Result<DynamicObject, CliError> {
    serde_json::from_value(service)
        .map_err(|error| CliError::new(Exit::Failure, format!("cannot send the service: {error}")))
}

fn already_there(error: kube::Error, name: &str) -> CliError {
    let conflict = matches!(&error, kube::Error::Api(status) if status.code == 409);
    let error = CliError::from(error);
    if !conflict {
        return error;
    }
    CliError::new(
        Exit::Conflict,
        format!("cannot create service '{name}' because the service already exists and no --force option was given"),
    )
    .with_hint(format!("change it with `kn service update {name}`, or replace it with --force"))
}
