//! Finds Tasks, Pipelines and StepActions by their references: those of the cluster, by name or through the `cluster` resolver.

use crds::tekton::{Param, Pipeline, PipelineRef, StepAction, StepRef, Task, TaskRef};
use kube::Client;
use reconciler::object::api;
use reconciler::{Key, Object, Scoped};

/// The resolver that is served here.
const CLUSTER: &str = "cluster";
/// Where the `cluster` resolver looks if nothing is said (upstream: `default-namespace`).
const DEFAULT_NAMESPACE: &str = "default";

/// Why there is nothing to run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{kind} {key} was not found")]
    NotFound { kind: &'static str, key: Key },
    #[error(
        "{kind} cannot be fetched: the resolver {resolver:?} is not available here, only \"cluster\" and names of \
         the same namespace are"
    )]
    NoResolver { kind: &'static str, resolver: String },
    #[error("the cluster resolver needs the param {param}{hint}")]
    Param { param: &'static str, hint: String },
    /// The API server did not answer; trying again may help.
    #[error("{kind} {key} could not be read")]
    Read {
        kind: &'static str,
        key: Key,
        #[source]
        source: Box<kube::Error>,
    },
}

/// The Task that a reference of an object in `namespace` means.
pub(crate) async fn task(client: &Client, namespace: &str, reference: &TaskRef) -> Result<Task, Error> {
    let key = key(
        "task",
        namespace,
        &reference.resolver,
        &reference.name,
        &reference.params,
    )?;
    find(client, "task", key).await
}

/// The Pipeline that a reference of an object in `namespace` means.
pub(crate) async fn pipeline(
    client: &Client,
    namespace: &str,
    reference: &PipelineRef,
) -> Result<Pipeline, Error> {
    let key = key(
        "pipeline",
        namespace,
        &reference.resolver,
        &reference.name,
        &reference.params,
    )?;
    find(client, "pipeline", key).await
}

/// The StepAction that a reference of a step in `namespace` means.
pub(crate) async fn step_action(
    client: &Client,
    namespace: &str,
    reference: &StepRef,
) -> Result<StepAction, Error> {
    let key = key(
        "stepaction",
        namespace,
        &reference.resolver,
        &reference.name,
        &reference.params,
    )?;
    find(client, "stepaction", key).await
}

/// Where a reference points to.
fn key(
    kind: &'static str,
    namespace: &str,
    resolver: &str,
    name: &str,
    params: &[Param],
) -> Result<Key, Error> {
    match resolver {
        "" => Ok(Key::new(namespace, name)),
        CLUSTER => {
            let param = |wanted: &str| {
                let found = params.iter().find(|param| param.name == wanted);
                found
                    .and_then(|param| param.value.as_str())
                    .filter(|text| !text.is_empty())
            };
            if let Some(other) = param("kind").filter(|other| *other != kind) {
                let hint = format!(" to be {kind}, and it is {other}");
                return Err(Error::Param { param: "kind", hint });
            }
            let name = param("name").ok_or(Error::Param {
                param: "name",
                hint: String::new(),
            })?;
            Ok(Key::new(param("namespace").unwrap_or(DEFAULT_NAMESPACE), name))
        }
        other => Err(Error::NoResolver {
            kind,
            resolver: other.to_owned(),
        }),
    }
}

/// Not from a cache: whoever changes something and then creates a run means what he changed.
async fn find<K>(client: &Client, kind: &'static str, key: Key) -> Result<K, Error>
where
    K: Object,
    K::Scope: Scoped,
{
    match api::<K>(client, &key.namespace).get_opt(&key.name).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Error::NotFound { kind, key }),
        Err(source) => Err(Error::Read {
            kind,
            key,
            source: Box::new(source),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_point_to_names() {
        let params = |all: &[(&str, &str)]| -> Vec<Param> {
            all.iter()
                .map(|(name, value)| Param::new(*name, *value))
                .collect()
        };
        for (resolver, given, expected) in [
            ("", &[][..], Ok("ns/build")),
            ("cluster", &[("name", "n")], Ok("default/n")),
            (
                "cluster",
                &[("kind", "task"), ("name", "n"), ("namespace", "other")],
                Ok("other/n"),
            ),
            (
                "cluster",
                &[("kind", "pipeline"), ("name", "n")],
                Err("to be task, and it is pipeline"),
            ),
            ("cluster", &[], Err("needs the param name")),
            (
                "git",
                &[("url", "u")],
                Err("the resolver \"git\" is not available here"),
            ),
        ] {
            match (key("task", "ns", resolver, "build", &params(given)), expected) {
                (Ok(key), Ok(expected)) => assert_eq!(key.to_string(), expected),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (found, expected) => panic!("{found:?} is not {expected:?}"),
            }
        }
    }
}
