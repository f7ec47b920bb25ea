//! Looks up what a sink names before anything refers to it.

use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::{FORMS, Sink, parse};
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::error::{CliError, Exit};

/// An object that was found, as references name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub api_version: String,
    pub kind: String,
    pub name: String,
    pub namespace: String,
}

impl Reference {
    /// As objects hold it.
    pub fn to_json(&self) -> Value {
        json!({ "apiVersion": self.api_version, "kind": self.kind, "name": self.name, "namespace": self.namespace })
    }
}

/// The destination that the value of `flag` names, seen from `namespace`. What it refers to exists; URLs are not checked.
///
/// # Errors
/// The value makes no sense, or there is no such object.
pub async fn resolve(context: &Context, flag: &str, value: &str, namespace: &str) -> Result<Value, CliError> {
    let config = ConfigFile::read(context.config_file())?;
    match parse(flag, value, config.sinks())? {
        Sink::Uri(uri) => Ok(json!({ "uri": uri })),
        sink => {
            let (reference, _) = object(context, flag, &sink, namespace).await?;
            Ok(json!({ "ref": reference.to_json() }))
        }
    }
}

/// The object that a sink names, with the reference to it.
///
/// # Errors
/// There is none, or the sink is a URL.
pub async fn object(
    context: &Context,
    flag: &str,
    sink: &Sink,
    namespace: &str,
) -> Result<(Reference, DynamicObject), CliError> {
    let (resource, name, namespace) = match sink {
        Sink::Object {
            resource,
            name,
            namespace: other,
        } => (resource, name, other.as_deref().unwrap_or(namespace)),
        Sink::Uri(uri) => {
            return Err(CliError::usage(format!(
                "--{flag} {uri}: expected an object, not a URL"
            )));
        }
    };
    let found = context.api(resource.api(), namespace).await?.get(name).await;
    let object = found.map_err(|error| {
        let error = CliError::from(error);
        if error.exit != Exit::NotFound {
            return error;
        }
        let hint = match (resource.group.as_str(), resource.plural.as_str()) {
            ("", "services") => format!(
                "svc: means a Service of Kubernetes; a service of Knative is ksvc:{name}, and one of another namespace ksvc:{name}:NAMESPACE"
            ),
            _ => format!("--{flag} takes {FORMS}; behind the name may be :NAMESPACE"),
        };
        CliError {
            message: format!("--{flag}: {}", error.message),
            ..error
        }
        .with_hint(hint)
    })?;
    let types = object.types.clone().unwrap_or_default();
    let reference = Reference {
        api_version: types.api_version,
        kind: types.kind,
        name: name.clone(),
        namespace: namespace.to_owned(),
    };
    Ok((reference, object))
}
