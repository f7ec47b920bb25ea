//! Services that are built from their source: a Repository says where that is, and the platform makes the service of the
//! first image.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use kube::api::{ApiResource, Patch, PatchParams, PostParams};
use rand::RngCore;
use serde_json::{Value, json};

use super::write::{self, Verb, Written};
use crate::change::digest::USER_IMAGE;
use crate::commands::build::follow::{again, next_build, rebuild, to_the_end};
use crate::commands::list::text;
use crate::commands::write::dynamic;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::flags::build::BuildArgs;
use crate::flags::waiting::WaitArgs;
use crate::interrupt;
use crate::kind::Kind;
use crate::output::{Output, OutputArgs};
use crate::upload::upload;

/// Key of the Secret that pushes are signed with.
const KEY: &str = "secret";
/// Bytes of such a secret.
const SECRET_BYTES: usize = 32;
/// What an image is called until it has been built.
const TO_BE_BUILT: &str = "to-be-built";

/// A service that is built, and how that is told.
pub struct Built<'a> {
    pub namespace: &'a str,
    pub name: &'a str,
    pub args: &'a BuildArgs,
    /// Where the image is pushed to, if it is said.
    pub image: Option<&'a str>,
    pub waiting: &'a WaitArgs,
    pub form: &'a OutputArgs,
}

/// Stands for the image while flags are laid over a template.
pub fn placeholder() -> String {
    TO_BE_BUILT.to_owned()
}

/// The template of a Service that has no image yet.
pub fn template(mut service: Value) -> Value {
    if let Some(container) = service
        .pointer_mut("/spec/template/spec/containers/0")
        .and_then(Value::as_object_mut)
    {
        container.remove("image");
    }
    if let Some(annotations) = service
        .pointer_mut("/spec/template/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        // Who writes the image knows it by its digest.
        annotations.remove(USER_IMAGE);
    }
    let mut metadata = json!({});
    for field in ["labels", "annotations"] {
        if service["metadata"][field].is_object() {
            metadata[field] = service["metadata"][field].clone();
        }
    }
    json!({ "metadata": metadata, "spec": service["spec"] })
}

impl Built<'_> {
    /// Makes the Repository, and waits for the service that comes of it.
    ///
    /// # Errors
    /// There is a service or a repository of this name; the build failed, or the service is not ready.
    pub async fn create(
        &self,
        context: &Context,
        service: Value,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (namespace, name) = (self.namespace, self.name);
        for kind in [Kind::Service, Kind::Repository] {
            if context.api(kind, namespace).await?.get_opt(name).await?.is_some() {
                let noun = kind.noun().to_lowercase();
                let message =
                    format!("cannot create service '{name}' because a {noun} of this name already exists");
                return Err(CliError::new(Exit::Conflict, message).with_hint(format!(
                    "`kn service update {name} --git URL` or `--source FOLDER` builds it from now on"
                )));
            }
        }
        let uploaded = self.upload(context, output).await?;
        let mut spec = self.args.spec(self.image, uploaded.as_deref())?;
        spec.insert("service".to_owned(), json!(name));
        spec.insert("serviceTemplate".to_owned(), template(service));
        let repository = self.write(context, Value::Object(spec), output).await?;
        self.finish(context, &repository, &[], write::CREATE, output)
            .await
    }

    /// Builds a service that is there from now on, or builds it differently.
    ///
    /// # Errors
    /// As [`Self::create`], but that the service has to be there.
    pub async fn update(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let (namespace, name) = (self.namespace, self.name);
        let api = context.api(Kind::Repository, namespace).await?;
        let before = crate::commands::build::of_repository(context, namespace, name).await?;
        let uploaded = self.upload(context, output).await?;
        let mut spec = Value::Object(self.args.spec(self.image, uploaded.as_deref())?);
        let repository = match api.get_opt(name).await? {
            Some(present) => {
                let present = json!(present);
                if uploaded.is_some() && is_the_same(&present, &spec) {
                    let failed = crate::tekton::newest(&before)
                        .and_then(crate::tekton::outcome)
                        .is_some();
                    if !failed {
                        let text = format!(
                            "Nothing has changed in {} since it was built last.",
                            self.args.place()
                        );
                        output.done(text)?;
                        output.advice(format!(
                            "To build it again: kn build rerun {name} --namespace {namespace}"
                        ));
                        return Ok(Exit::Success);
                    }
                    rebuild(context, namespace, name).await?;
                    return self
                        .finish(context, &present, &before, write::UPDATE, output)
                        .await;
                }
                // One or the other, with what belongs to it.
                let other: &[&str] = match uploaded {
                    Some(_) => &["url", "branch", "previews"],
                    None => &["source"],
                };
                for field in other {
                    spec[*field] = Value::Null;
                }
                let webhook = &present["spec"]["webhook"];
                let unsigned = webhook["allowUnsigned"] == true;
                let made = if uploaded.is_none() && webhook["secretRef"].is_null() && !unsigned {
                    self.signed(context, &mut spec).await?
                } else {
                    None
                };
                if let Some(account) = self.account(context).await? {
                    spec["serviceAccountName"] = json!(account);
                }
                let mut change = json!({ "spec": spec });
                // Another folder is built because it is another one.
                if uploaded.is_none() {
                    change["metadata"] = json!({ "annotations": again() });
                }
                let change = Patch::Merge(change);
                let stored = json!(api.patch(name, &PatchParams::default(), &change).await?);
                self.own(context, made, &stored).await?;
                stored
            }
            None => {
                context.get(Kind::Service, namespace, name).await?;
                spec["service"] = json!(name);
                self.write(context, spec, output).await?
            }
        };
        self.finish(context, &repository, &before, write::UPDATE, output)
            .await
    }

    /// Uploads the folder, if it is one; returns where it is.
    async fn upload(&self, context: &Context, output: &mut Output) -> Result<Option<String>, CliError> {
        let Some(folder) = &self.args.source else {
            return Ok(None);
        };
        let image = match self.image {
            Some(image) => image.to_owned(),
            None => match context.local_registry().await {
                Some(registry) => format!("{registry}/{}/{}", self.namespace, self.name),
                None => {
                    return Err(CliError::usage("--source needs --image: the cluster names no registry on this machine")
                        .with_hint("--image names where the image is pushed to, without tag; the folder is put beside it"));
                }
            },
        };
        if self.form.output.is_some() {
            output.progress_to_stderr();
        }
        output.progress(format!("Uploading {} to {image}-source ...", folder.display()));
        upload(folder, &image).await.map(Some)
    }

    async fn write(
        &self,
        context: &Context,
        mut spec: Value,
        output: &mut Output,
    ) -> Result<Value, CliError> {
        let (namespace, name) = (self.namespace, self.name);
        if let Some(account) = self.account(context).await? {
            spec["serviceAccountName"] = json!(account);
        }
        let made = match &self.args.git {
            Some(_) => self.signed(context, &mut spec).await?,
            None => None,
        };
        let resource: ApiResource = Kind::Repository.into();
        let object = json!({ "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": { "name": name, "namespace": namespace }, "spec": spec });
        let api = context.api(Kind::Repository, namespace).await?;
        let created = api.create(&PostParams::default(), &dynamic(&object)?).await;
        let stored = json!(created.map_err(|error| CliError::from(error).naming(resource.group.as_str()))?);
        if self.form.output.is_some() {
            output.progress_to_stderr();
        }
        output.progress(format!(
            "Building service '{name}' in namespace '{namespace}' from {}:\n",
            self.args.place()
        ));
        self.own(context, made, &stored).await?;
        Ok(stored)
    }

    /// Has pushes signed; returns the name of the secret if it was made here.
    async fn signed(&self, context: &Context, spec: &mut Value) -> Result<Option<String>, CliError> {
        let secret = format!("{}-webhook", self.name);
        spec["webhook"] = json!({ "secretRef": { "name": secret, "key": KEY } });
        let made = self.webhook_secret(context, &secret).await?;
        Ok(made.then_some(secret))
    }

    /// A secret that was made for a Repository goes with it.
    async fn own(&self, context: &Context, secret: Option<String>, stored: &Value) -> Result<(), CliError> {
        let Some(secret) = secret else { return Ok(()) };
        let resource: ApiResource = Kind::Repository.into();
        let owner = json!({ "apiVersion": resource.api_version, "kind": resource.kind, "name": self.name,
            "uid": stored["metadata"]["uid"] });
        let secrets: Api<Secret> = Api::namespaced(context.client().await?, self.namespace);
        let change = Patch::Merge(json!({ "metadata": { "ownerReferences": [owner] } }));
        secrets.patch(&secret, &PatchParams::default(), &change).await?;
        Ok(())
    }

    /// Makes the secret that pushes are signed with, unless there is one; returns whether it was made.
    async fn webhook_secret(&self, context: &Context, name: &str) -> Result<bool, CliError> {
        let secrets: Api<Secret> = Api::namespaced(context.client().await?, self.namespace);
        let mut bytes = [0; SECRET_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let secret = Secret {
            metadata: kube::core::ObjectMeta {
                name: Some(name.to_owned()),
                ..kube::core::ObjectMeta::default()
            },
            data: Some([(KEY.to_owned(), ByteString(hex.into_bytes()))].into()),
            ..Secret::default()
        };
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A ServiceAccount whose pods may use `--git-secret`; `None` without the flag.
    async fn account(&self, context: &Context) -> Result<Option<String>, CliError> {
        let Some(secret) = &self.args.git_secret else {
            return Ok(None);
        };
        let client = context.client().await?;
        let secrets: Api<Secret> = Api::namespaced(client.clone(), self.namespace);
        let found = secrets.get(secret).await?;
        let annotations = found.metadata.annotations.unwrap_or_default();
        let kind = found.type_.unwrap_or_default();
        let told = annotations.keys().any(|key| key.starts_with("tekton.dev/"));
        if !told && ["kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"].contains(&kind.as_str()) {
            let Some(host) = git_host(self.args.git.as_deref().unwrap_or_default()) else {
                return Err(CliError::usage(format!(
                    "--git-secret {secret}: it is not known which host it is for: annotate it with tekton.dev/git-0"
                )));
            };
            let change = Patch::Merge(json!({ "metadata": { "annotations": { "tekton.dev/git-0": host } } }));
            secrets.patch(secret, &PatchParams::default(), &change).await?;
        }
        let name = format!("{}-build", self.name);
        let accounts: Api<ServiceAccount> = Api::namespaced(client, self.namespace);
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name }, "secrets": [{ "name": secret }] });
        accounts
            .patch(&name, &PatchParams::apply("kn").force(), &Patch::Apply(account))
            .await?;
        Ok(Some(name))
    }

    async fn finish(
        &self,
        context: &Context,
        repository: &Value,
        before: &[Value],
        verb: Verb,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (namespace, name) = (self.namespace, self.name);
        if self.form.output.is_some() {
            output.progress_to_stderr();
        }
        let waits = self.waiting.patience()?.is_some();
        if !waits {
            if !self.form.print(repository, output)? {
                output.done(format!(
                    "Service '{name}' is being built in namespace '{namespace}'."
                ))?;
            }
            output.advice(format!(
                "To follow it: kn build logs {name} --follow --namespace {namespace}"
            ));
            self.webhook(context, output).await;
            return Ok(Exit::Success);
        }
        let finished = self.to_the_end(context, before, verb, output).await;
        // Also if the first build failed: the push that mends it has to be told, too.
        self.webhook(context, output).await;
        finished
    }

    /// Shows the build, and waits for the service that comes of it.
    async fn to_the_end(
        &self,
        context: &Context,
        before: &[Value],
        verb: Verb,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        let (namespace, name) = (self.namespace, self.name);
        let wait = next_build(context, namespace, name, before, output);
        let goes_on = format!("the build goes on: `kn build list --namespace {namespace}` shows it");
        let run = interrupt::or(wait, goes_on).await?;
        let aside = self.form.output.is_some();
        let run = text(&run, "/metadata/name");
        if let Err(error) = to_the_end(context, namespace, &run, aside, output).await {
            let first = verb.done == write::CREATE.done && error.exit == Exit::Failure;
            return Err(match first {
                true => error.with_hint(format!(
                    "`kn build describe {run}` shows more; once it is mended, {}",
                    self.next()
                )),
                false => error,
            });
        }
        output.progress("");
        let service = context.get(Kind::Service, namespace, name).await?;
        let written = Written {
            verb,
            namespace,
            name,
            before: None,
            form: self.form,
        };
        written.finish(context, self.waiting, &service, output).await
    }

    /// What has a mended source built.
    fn next(&self) -> String {
        match self.args.source {
            Some(_) => format!(
                "`kn service update {} --source {}` builds it",
                self.name,
                self.args.place()
            ),
            None => format!("`kn build rerun {}` builds the newest commit", self.name),
        }
    }

    /// Tells where pushes are to be told.
    async fn webhook(&self, context: &Context, output: &mut Output) {
        let Ok(repository) = context.get(Kind::Repository, self.namespace, self.name).await else {
            return;
        };
        let url = text(&repository, "/status/address/url");
        if url.is_empty() {
            return;
        }
        let url = context.local_url(&url).await.unwrap_or(url);
        let secret = text(&repository, "/spec/webhook/secretRef/name");
        output.advice(format!(
            "\nTo build each push, add this webhook for pushes at the git host, as application/json:\n  {url}\nsigned with the secret that this prints:\n  kubectl get secret {secret} -n {} -o go-template='{{{{.data.{KEY} | base64decode}}}}'\nexamples/git has a post-receive hook for a plain git server.",
            self.namespace
        ));
    }
}

/// Whether nothing of `spec` is new to a Repository.
fn is_the_same(repository: &Value, spec: &Value) -> bool {
    let mut merged = repository["spec"].clone();
    json_patch::merge(&mut merged, spec);
    merged == repository["spec"]
}

/// Scheme and host of a git address, as annotations of secrets have it; for `git@host:path` the host.
fn git_host(url: &str) -> Option<String> {
    if let Ok(uri) = url.parse::<http::Uri>()
        && let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
    {
        let host = authority.as_str().rsplit('@').next()?;
        return Some(match scheme {
            "ssh" => authority.host().to_owned(),
            _ => format!("{scheme}://{host}"),
        });
    }
    let (user_and_host, _) = url.split_once(':')?;
    let host = user_and_host.rsplit('@').next()?;
    (!host.is_empty() && !host.contains('/')).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_all_but_the_image() {
        let service = json!({ "metadata": { "name": "web", "namespace": "ns", "labels": { "a": "b" } },
            "spec": { "template": { "metadata": { "annotations": { "client.knative.dev/user-image": "to-be-built", "x": "y" } },
                "spec": { "containers": [{ "image": "to-be-built", "env": [{ "name": "A", "value": "b" }] }] } } } });
        assert_eq!(
            template(service),
            json!({ "metadata": { "labels": { "a": "b" } },
                "spec": { "template": { "metadata": { "annotations": { "x": "y" } }, "spec": { "containers": [{ "env": [{ "name": "A", "value": "b" }] }] } } } })
        );
    }

    #[test]
    fn secrets_are_for_the_host_of_the_repository() {
        for (url, expected) in [
            ("http://git.example.com/app.git", Some("http://git.example.com")),
            (
                "https://me@git.example.com:8443/app.git",
                Some("https://git.example.com:8443"),
            ),
            ("ssh://git@git.example.com:22/app.git", Some("git.example.com")),
            ("git@git.example.com:team/app.git", Some("git.example.com")),
            ("app.git", None),
            ("./a:b", None),
        ] {
            assert_eq!(git_host(url).as_deref(), expected, "{url}");
        }
    }
}
