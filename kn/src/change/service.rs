//! A whole service.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::json::at;
use super::{container, digest, metadata, profile, revision_name, scale, shape};
use crate::error::CliError;
use crate::flags::service::{ServiceArgs, TemplateArgs};

/// Makes each change of the template a new revision, even one that repeats what is there.
const UPDATE_TIMESTAMP: &str = "client.knative.dev/updateTimestamp";

/// What a new service begins with.
#[derive(Clone, Debug)]
pub struct Start {
    pub service: Value,
    /// Whether it comes from a file: then it is taken as it is, without marks of this program.
    pub from_file: bool,
}

impl Start {
    /// A service without anything in it.
    pub fn empty(name: &str, namespace: &str) -> Self {
        Self {
            service: json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service",
                             "metadata": { "name": name, "namespace": namespace }, "spec": { "template": {} } }),
            from_file: false,
        }
    }
}

/// The image that the flags name.
///
/// # Errors
/// It is named twice, or empty.
pub fn image(flags: &ServiceArgs) -> Result<Option<&str>, CliError> {
    container::image(&flags.template.pod)
}

/// What is to be told about the flags themselves: those that have another name now.
pub fn deprecations(flags: &ServiceArgs) -> Vec<String> {
    scale::deprecations(&flags.template.scale)
}

/// A new service, from nothing or from a file; what `flags` say is laid over the file.
///
/// # Errors
/// Names the flag, or the field of the file, that is wrong.
pub fn create(start: Start, flags: &ServiceArgs, now: Timestamp) -> Result<Value, CliError> {
    let from_file = start.from_file;
    let mut service = declare(start, flags)?;
    // A service that is made from a file has its image from there, and is not kept at a digest later on.
    if !from_file && let Some(image) = image(flags)? {
        digest::remember(&mut service, image, flags.digest.lock()?.unwrap_or(true));
    }
    if !from_file || flags.touches_template() {
        stamp(&mut service, now);
    }
    Ok(service)
}

/// A service as `apply` declares it: the same flags make the same service at any time.
///
/// # Errors
/// As [`create`].
pub fn declare(start: Start, flags: &ServiceArgs) -> Result<Value, CliError> {
    let mut service = start.service;
    change(&mut service, flags)?;
    if flags.template.revision_name.is_some() {
        revision_name::apply(&mut service, flags.template.revision_name.as_deref())?;
    }
    let image = service.pointer("/spec/template/spec/containers/0/image");
    if image.and_then(Value::as_str).is_none_or(str::is_empty) {
        return Err(CliError::usage("the service requires the image name to run")
            .with_hint("give --image IMAGE, or a file by --filename"));
    }
    Ok(service)
}

/// What came of an update.
#[derive(Debug)]
pub struct Updated {
    pub service: Value,
    /// Whether the template is another one, which makes a revision.
    pub makes_revision: bool,
    /// The digest that the image was set to.
    pub pinned: Option<String>,
}

/// `present` with what the flags change; `base` is the revision whose image stays unless `--image` says otherwise.
///
/// # Errors
/// As [`create`].
pub fn update(
    present: &Value,
    base: &Value,
    flags: &ServiceArgs,
    now: Timestamp,
) -> Result<Updated, CliError> {
    let mut service = present.clone();
    change(&mut service, flags)?;
    let lock = flags.digest.lock()?;
    let mut pinned = None;
    match image(flags)? {
        Some(image) => digest::remember(&mut service, image, lock.unwrap_or(true)),
        None if lock == Some(false) => digest::unlock(&mut service),
        None if lock == Some(true)
            || (flags.touches_template() && digest::user_image(&service).is_some()) =>
        {
            pinned = digest::pin(&mut service, base);
        }
        None => {}
    }
    let template = |service: &Value| service.pointer("/spec/template").cloned();
    let makes_revision = flags.touches_template() || template(&service) != template(present);
    if makes_revision {
        revision_name::apply(&mut service, flags.template.revision_name.as_deref())?;
        stamp(&mut service, now);
    }
    Ok(Updated {
        service,
        makes_revision,
        pinned,
    })
}

/// Applies all flags but those of digests, revision names and traffic. What no flag names stays byte for byte.
fn change(service: &mut Value, flags: &ServiceArgs) -> Result<(), CliError> {
    shape::check(service)?;
    metadata::apply(service, &flags.template.metadata, &flags.metadata)?;
    if !flags.touches_template() {
        return Ok(());
    }
    if let Some((profile, remove)) = &flags.template.profile {
        profile::apply(service, profile, *remove);
    }
    scale::apply(service, &flags.template.scale, &flags.template.metadata)?;
    let pod = at(service, &["spec", "template", "spec"]);
    container::apply(pod, &flags.template.pod)?;
    limits(pod, &flags.template)
}

fn limits(pod: &mut Value, flags: &TemplateArgs) -> Result<(), CliError> {
    for (flag, field, value) in [
        (
            "concurrency-limit",
            "containerConcurrency",
            flags.concurrency_limit,
        ),
        ("timeout", "timeoutSeconds", flags.timeout),
    ] {
        let Some(value) = value else { continue };
        if value < 0 {
            return Err(CliError::usage(format!("--{flag} {value}: expected 0 or more")));
        }
        *at(pod, &[field]) = json!(value);
    }
    Ok(())
}

/// Marks the template as changed at `now`.
fn stamp(service: &mut Value, now: Timestamp) {
    let text = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    metadata::annotate_template(service, UPDATE_TIMESTAMP, &text);
}

#[cfg(test)]
mod tests;
