//! The resolver `cluster`: tasks, pipelines and step actions of other namespaces, as far as these are open.

use crds::tekton::{Pipeline, RefSource, StepAction, Task};
use kube::ResourceExt;
use reconciler::object::api;
use reconciler::{Object, Scoped};

use crate::config::ClusterConfig;
use crate::question::{Answer, Failure, Question, sha256};

pub(crate) async fn resolve(
    question: &Question,
    config: &ClusterConfig,
    client: &kube::Client,
) -> Result<Answer, Failure> {
    let kind = question.need("kind", &config.default_kind)?;
    let name = question.need("name", "")?;
    let namespace = question.need("namespace", &config.default_namespace)?;
    for name in [name, namespace] {
        if !is_name(name) {
            return Failure::never(format!("{name:?} is no name of an object"));
        }
    }
    may_read(config, namespace)?;
    match kind.to_ascii_lowercase().as_str() {
        "task" => find::<Task>(client, namespace, name).await,
        "pipeline" => find::<Pipeline>(client, namespace, name).await,
        "stepaction" => find::<StepAction>(client, namespace, name).await,
        _ => Failure::never(format!(
            "the kind {kind:?} cannot be resolved: expected task, pipeline or stepaction"
        )),
    }
}

/// Only such a text is in a URL what it is in the lists of namespaces.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    text.len() <= 253 && !text.starts_with('.') && text.bytes().all(plain)
}

fn may_read(config: &ClusterConfig, namespace: &str) -> Result<(), Failure> {
    let names = |list: &[String], name: &str| list.iter().any(|entry| entry == name);
    let is_allowed = names(&config.allowed, namespace);
    if names(&config.blocked, namespace) || (names(&config.blocked, "*") && !is_allowed) {
        return Failure::never(format!("access to the namespace {namespace} is blocked"));
    }
    if !config.allowed.is_empty() && !is_allowed && !names(&config.allowed, "*") {
        return Failure::never(format!("access to the namespace {namespace} is not allowed"));
    }
    Ok(())
}

async fn find<K>(client: &kube::Client, namespace: &str, name: &str) -> Result<Answer, Failure>
where
    K: Object,
    K::Scope: Scoped,
{
    let kind = K::kind(&()).to_lowercase();
    let mut found = match api::<K>(client, namespace).get_opt(name).await {
        Ok(Some(found)) => found,
        Ok(None) => return Failure::never(format!("{kind} {namespace}/{name} was not found")),
        Err(kube::Error::Api(status)) if status.code == 404 => {
            return Failure::never(format!("{kind} {namespace}/{name} was not found"));
        }
        Err(error) => {
            tracing::warn!(%error, "Object of the cluster cannot be read");
            return Failure::now(format!("{kind} {namespace}/{name} cannot be read"));
        }
    };
    let uid = found.uid().unwrap_or_default();
    let uri = format!(
        "/apis/{}/namespaces/{namespace}/{kind}/{name}@{uid}",
        K::api_version(&())
    );
    let meta = found.meta_mut();
    meta.managed_fields = None;
    meta.resource_version = None;
    let read = |object: &K| {
        let mut value = serde_json::to_value(object)?;
        if let Some(fields) = value.as_object_mut() {
            fields.remove("status");
        }
        let spec = serde_json::to_vec(value.get("spec").unwrap_or(&value))?;
        Ok::<_, serde_json::Error>((serde_json::to_vec(&value)?, spec))
    };
    let Ok((data, spec)) = read(&found) else {
        return Failure::never(format!("{kind} {namespace}/{name} cannot be told"));
    };
    Ok(Answer {
        data,
        source: RefSource {
            uri,
            digest: sha256(&spec),
            ..RefSource::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_same_in_a_url() {
        for (text, is) in [
            ("kube-system", true),
            ("web.v1", true),
            ("kube-syste%6d", false),
            ("secret-ns/tasks/build?", false),
            ("..", false),
            ("Web", false),
        ] {
            assert_eq!(is_name(text), is, "{text}");
        }
    }

    #[test]
    fn lists_open_and_close_namespaces() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (allowed, blocked, open) in [
            (&[][..], &[][..], true),
            (&["ns"], &[], true),
            (&["other"], &[], false),
            (&["*"], &[], true),
            (&[], &["ns"], false),
            (&[], &["other"], true),
            (&[], &["*"], false),
            (&["ns"], &["*"], true),
            (&["ns"], &["ns"], false),
        ] {
            let config = ClusterConfig {
                allowed: list(allowed),
                blocked: list(blocked),
                ..ClusterConfig::default()
            };
            assert_eq!(may_read(&config, "ns").is_ok(), open, "{allowed:?} {blocked:?}");
        }
    }
}
