//! The account of a new pod, and the token that its containers reach the API with.
//!
//! What upstream's admission plugin of this name does (`plugin/pkg/admission/serviceaccount`), run where upstream runs
//! it: before webhooks, and again after them, so that containers which a webhook adds are served too.

mod mountable;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use self::mountable::Strict;
use super::metadata::generate_name;
use super::{Call, Registry};
use crate::meta::{self, child_mut};
use crate::status::{StatusError, Subject};

/// The account of pods that name none. Every namespace has it.
const DEFAULT: &str = "default";
/// Begins the name of the volume with token, authority and namespace.
const VOLUME: &str = "kube-api-access-";
/// Where every client library looks for them.
const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Life of a token, seconds. Upstream tells by the seven that nobody asked for the token.
const TOKEN_SECONDS: u32 = 3607;
/// Set on pods that mirror a file of a node; they have no account.
const MIRROR: &str = "kubernetes.io/config.mirror";

const ACCOUNTS: Subject<'static> = Subject {
    group: "",
    resource: "serviceaccounts",
};

impl Registry {
    /// Gives a new pod its account and what belongs to it, and refuses secrets that the account keeps it from; leaves other
    /// objects alone.
    pub(super) async fn admit_account(&self, call: &Call, pod: &mut Value) -> Result<(), StatusError> {
        if !self.service_accounts || !call.resource.is("", "pods") || is_mirror(pod) {
            return Ok(());
        }
        let name = account_of(pod).to_owned();
        let account = self.account(call, &name).await?;
        give(pod, &name, &account, || generate_name(VOLUME));
        let refused = Strict::of(&name, &account).and_then(|strict| strict.refuses(pod));
        forbid(call, refused)
    }

    /// Refuses containers that come to a pod with secrets that its account keeps it from.
    pub(super) async fn admit_ephemeral(&self, call: &Call, pod: &Value) -> Result<(), StatusError> {
        if !self.service_accounts || !call.resource.is("", "pods") || is_mirror(pod) {
            return Ok(());
        }
        let name = account_of(pod);
        let account = self.account(call, name).await?;
        let refused = Strict::of(name, &account).and_then(|strict| strict.refuses_ephemeral(pod));
        forbid(call, refused)
    }

    async fn account(&self, call: &Call, name: &str) -> Result<Value, StatusError> {
        let find = || {
            self.store
                .get(&format!("/serviceaccounts/{}/{name}", call.namespace))
        };
        if let Some(found) = find() {
            return Ok(found.value());
        }
        if name == DEFAULT {
            if call.query.dry_run {
                return Ok(Value::Null);
            }
            // Upstream waits for the controller that makes it; here nobody has to lose that race.
            self.create_default(&call.namespace).await?;
        }
        find().map(|found| found.value()).ok_or_else(|| {
            let why = StatusError::not_found(
                Subject {
                    resource: "serviceaccount",
                    ..ACCOUNTS
                },
                name,
            );
            let why = format!(
                "error looking up service account {}/{name}: {why}",
                call.namespace
            );
            StatusError::forbidden(call.resource.subject(), &call.name, why)
        })
    }

    /// Boxed, since creating an object asks for the account of pods, which may have to be created.
    fn create_default<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<(), StatusError>> {
        Box::pin(async move {
            let Some(resource) = self.table().get("", "v1", ACCOUNTS.resource).cloned() else {
                return Ok(());
            };
            let mut call = Call::own(resource, namespace, DEFAULT);
            match self
                .create(&mut call, json!({"metadata": {"name": DEFAULT}}))
                .await
            {
                Err(error) if error.reason != "AlreadyExists" => Err(error),
                _ => Ok(()),
            }
        })
    }
}

fn forbid(call: &Call, why: Option<String>) -> Result<(), StatusError> {
    why.map_or(Ok(()), |why| {
        Err(StatusError::forbidden(call.resource.subject(), &call.name, why))
    })
}

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"].get(MIRROR).is_some()
}

/// The account that a pod runs as.
pub(super) fn account_of(pod: &Value) -> &str {
    match meta::text(pod, "/spec/serviceAccountName") {
        "" => DEFAULT,
        name => name,
    }
}

/// Gives a pod its account: the name, the volume with the token in every container unless pod or account forbid it, and
/// the account's pull secrets if the pod has none of its own. A second time changes nothing.
fn give(pod: &mut Value, name: &str, account: &Value, volume_name: impl FnOnce() -> String) {
    let automount = [
        pod.pointer("/spec/automountServiceAccountToken"),
        account.get("automountServiceAccountToken"),
    ]
    .into_iter()
    .flatten()
    .find_map(Value::as_bool);
    let spec = child_mut(pod, "spec");
    spec.insert("serviceAccountName".into(), name.into());
    if spec
        .get("imagePullSecrets")
        .and_then(Value::as_array)
        .is_none_or(Vec::is_empty)
        && let Some(secrets) = account["imagePullSecrets"]
            .as_array()
            .filter(|secrets| !secrets.is_empty())
    {
        let names = secrets.iter().map(|secret| json!({"name": secret["name"]}));
        spec.insert("imagePullSecrets".into(), names.collect());
    }
    if automount.unwrap_or(true) {
        mount_token(pod, volume_name);
    }
}

fn mount_token(pod: &mut Value, volume_name: impl FnOnce() -> String) {
    let present = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let present = present
        .map(|volume| meta::text(volume, "/name"))
        .find(|name| name.starts_with(VOLUME))
        .map(str::to_owned);
    let is_present = present.is_some();
    let volume = present.unwrap_or_else(volume_name);
    let spec = child_mut(pod, "spec");
    let mut used = false;
    for list in ["initContainers", "containers"] {
        for container in spec
            .get_mut(list)
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            used |= mount_into(container, &volume);
        }
    }
    if used && !is_present {
        push(spec, "volumes", token_volume(&volume));
    }
}

/// Mounts the volume unless the container has something there already.
fn mount_into(container: &mut Value, volume: &str) -> bool {
    let mounts = container["volumeMounts"].as_array();
    if mounts
        .into_iter()
        .flatten()
        .any(|mount| mount["mountPath"] == PATH)
    {
        return false;
    }
    let mount = json!({"name": volume, "readOnly": true, "mountPath": PATH});
    push(meta::as_map(container), "volumeMounts", mount);
    true
}

fn push(map: &mut serde_json::Map<String, Value>, list: &str, item: Value) {
    let list = map.entry(list).or_insert(Value::Null);
    match list {
        Value::Array(items) => items.push(item),
        // Absent or null; anything else does not pass the schema.
        other => *other = json!([item]),
    }
}

fn token_volume(name: &str) -> Value {
    json!({"name": name, "projected": {"defaultMode": 0o644, "sources": [
        {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "kube-api-access-abcde";

    fn given(spec: Value, account: Value) -> Value {
        let mut pod = json!({"spec": spec});
        let name = account_of(&pod).to_owned();
        give(&mut pod, &name, &account, || NAME.to_owned());
        let once = pod.clone();
        give(&mut pod, &name, &account, || "kube-api-access-other".to_owned());
        assert_eq!(pod, once, "a second time changes nothing");
        pod["spec"].take()
    }

    fn mount(volume: &str) -> Value {
        json!({"name": volume, "readOnly": true, "mountPath": PATH})
    }

    #[test]
    fn every_container_gets_the_token_of_the_account() {
        let own = json!({"name": "own", "mountPath": PATH});
        let data = json!({"name": "data", "mountPath": "/data"});
        let pod = given(
            json!({
                "initContainers": [{"name": "i"}],
                "containers": [{"name": "a", "volumeMounts": [data]}, {"name": "b", "volumeMounts": [own]}],
                "volumes": [{"name": "data"}],
            }),
            json!({}),
        );
        assert_eq!(
            pod,
            json!({
                "serviceAccountName": "default",
                "initContainers": [{"name": "i", "volumeMounts": [mount(NAME)]}],
                "containers": [{"name": "a", "volumeMounts": [data, mount(NAME)]}, {"name": "b", "volumeMounts": [own]}],
                "volumes": [{"name": "data"}, {"name": NAME, "projected": {"defaultMode": 420, "sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
                ]}}],
            })
        );
    }

    #[test]
    fn the_pod_decides_before_the_account_whether_there_is_a_token() {
        for (pod, account, wanted) in [
            (json!(null), json!(null), true),
            (json!(null), json!(false), false),
            (json!(null), json!(true), true),
            (json!(true), json!(false), true),
            (json!(false), json!(true), false),
            (json!(false), json!(null), false),
        ] {
            let spec = given(
                json!({"containers": [{}], "automountServiceAccountToken": pod}),
                json!({"automountServiceAccountToken": account}),
            );
            assert_eq!(spec["volumes"].is_array(), wanted, "{pod} {account}");
            assert_eq!(
                spec["containers"][0]["volumeMounts"].is_array(),
                wanted,
                "{pod} {account}"
            );
        }
    }

    #[test]
    fn a_token_that_nobody_mounts_is_no_volume_and_one_that_is_there_is_used() {
        let own = json!({"name": "own", "mountPath": PATH});
        let spec = given(json!({"containers": [{"volumeMounts": [own]}]}), json!({}));
        assert!(spec["volumes"].is_null(), "{spec}");

        let there = "kube-api-access-there";
        let spec = given(
            json!({"containers": [{}], "volumes": [{"name": there}]}),
            json!({}),
        );
        assert_eq!(spec["volumes"], json!([{"name": there}]));
        assert_eq!(spec["containers"][0]["volumeMounts"], json!([mount(there)]));
    }

    #[test]
    fn pull_secrets_come_from_the_account_unless_the_pod_has_its_own() {
        let account = json!({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]});
        for (pod, account, wanted) in [
            (json!(null), &account, json!([{"name": "a"}, {"name": "b"}])),
            (json!([]), &account, json!([{"name": "a"}, {"name": "b"}])),
            (json!([{"name": "own"}]), &account, json!([{"name": "own"}])),
            (json!(null), &json!({}), json!(null)),
        ] {
            let spec = given(
                json!({"serviceAccountName": "bot", "imagePullSecrets": pod}),
                account.clone(),
            );
            assert_eq!(spec["imagePullSecrets"], wanted, "{pod}");
            assert_eq!(spec["serviceAccountName"], "bot");
        }
    }
}
