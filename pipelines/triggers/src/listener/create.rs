//! Makes the objects of a trigger.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::tekton::labels;
use crds::triggers::Made;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt as _};
use parking_lot::Mutex;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::ClientFor;
use super::attempts::{Attempts, is_passing};
use super::chain::told;

/// How long it is believed what a kind is called in URLs.
const KINDS_FRESH: Duration = Duration::from_secs(300);
/// Kinds, and clients of users, that are remembered.
const MOST: usize = 64;
/// Attempts at a server that does not answer, and the first pause between two.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// Longest value of a label.
const LONGEST_LABEL: usize = 63;

/// For which event and trigger something is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct For<'a> {
    pub listener: &'a str,
    pub event_id: &'a str,
    /// Key of the trigger, by which names are told apart.
    pub key: &'a str,
    /// Its name.
    pub trigger: &'a str,
    /// Its namespace.
    pub namespace: &'a str,
    /// Account that creates, in that namespace; the listener itself if empty.
    pub account: &'a str,
}

type Kinds = HashMap<GroupVersionKind, (Instant, ApiResource, bool)>;

#[derive(Clone)]
pub(super) struct Maker {
    client_for: ClientFor,
    own: Client,
    kinds: Arc<Mutex<Kinds>>,
    users: Arc<Mutex<HashMap<String, Client>>>,
}

impl Maker {
    pub fn new(client_for: ClientFor, own: Client) -> Self {
        Self {
            client_for,
            own,
            kinds: Arc::default(),
            users: Arc::default(),
        }
    }

    /// Makes one object; one that is there already, of this event, is as good.
    pub async fn make(&self, of: For<'_>, index: usize, mut object: Value) -> Result<Made, String> {
        dress(&mut object, of, index);
        let object: DynamicObject = serde_json::from_value(object)
            .map_err(|error| format!("the resource template {index} is no object: {error}"))?;
        let types = object.types.clone().unwrap_or_default();
        let name = object.name_any();
        let doing = || format!("{} {name}", types.kind);
        let client = self.client(of)?;
        let mut attempts = Attempts::new(ATTEMPTS, PAUSE);
        loop {
            match self.once(&client, of, &object).await {
                Ok(made) => return Ok(made),
                Err(error) if is_passing(&error) && attempts.another().await => {}
                Err(error) => return Err(format!("cannot create {}: {}", doing(), told(&error))),
            }
        }
    }

    async fn once(&self, client: &Client, of: For<'_>, object: &DynamicObject) -> Result<Made, kube::Error> {
        let types = object.types.clone().unwrap_or_default();
        let (resource, namespaced) = self.kind(&types.api_version, &types.kind).await?;
        let namespace = object.metadata.namespace.clone().filter(|name| !name.is_empty());
        let namespace = namespaced.then(|| namespace.unwrap_or_else(|| of.namespace.to_owned()));
        let api: Api<DynamicObject> = match &namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let mut object = object.clone();
        object.metadata.namespace.clone_from(&namespace);
        match api.create(&PostParams::default(), &object).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 && status.is_already_exists() => {
                // Who may create need not be allowed to read: the listener itself is.
                let own: Api<DynamicObject> = match &namespace {
                    Some(namespace) => Api::namespaced_with(self.own.clone(), namespace, &resource),
                    None => Api::all_with(self.own.clone(), &resource),
                };
                let there = own.get_metadata_opt(&object.name_any()).await?;
                let same = there.is_some_and(|there| {
                    there
                        .labels()
                        .get(labels::TRIGGER_EVENT_ID)
                        .is_some_and(|id| id == of.event_id)
                });
                if !same {
                    return Err(kube::Error::Api(status));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(Made {
            api_version: types.api_version,
            kind: types.kind,
            namespace: namespace.unwrap_or_default(),
            name: object.name_any(),
        })
    }

    /// What a kind is called in URLs, and whether it is in namespaces.
    async fn kind(&self, api_version: &str, kind: &str) -> Result<(ApiResource, bool), kube::Error> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let wanted = GroupVersionKind::gvk(group, version, kind);
        if let Some((read, resource, namespaced)) = self.kinds.lock().get(&wanted)
            && read.elapsed() < KINDS_FRESH
        {
            return Ok((resource.clone(), *namespaced));
        }
        let (resource, abilities) = pinned_kind(&self.own, &wanted).await?;
        let namespaced = abilities.scope == Scope::Namespaced;
        let mut kinds = self.kinds.lock();
        if kinds.len() >= MOST {
            kinds.clear();
        }
        kinds.insert(wanted, (Instant::now(), resource.clone(), namespaced));
        Ok((resource, namespaced))
    }

    fn client(&self, of: For<'_>) -> Result<Client, String> {
        if of.account.is_empty() {
            return Ok(self.own.clone());
        }
        let user = format!("system:serviceaccount:{}:{}", of.namespace, of.account);
        let mut users = self.users.lock();
        if let Some(client) = users.get(&user) {
            return Ok(client.clone());
        }
        let client =
            (self.client_for)(Some(&user)).map_err(|error| format!("cannot act as {user}: {error}"))?;
        if users.len() >= MOST {
            users.clear();
        }
        users.insert(user, client.clone());
        Ok(client)
    }
}

/// Gives an object its labels, and a name that follows from the event where the server would have made one up.
fn dress(object: &mut Value, of: For<'_>, index: usize) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| serde_json::json!({}));
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    let text = |field: Option<&Value>| field.and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(metadata.get("name")).is_empty() {
        let prefix = text(metadata.get("generateName"));
        if !prefix.is_empty() {
            metadata.remove("generateName");
            metadata.insert("name".to_owned(), Value::String(name(&prefix, of, index)));
        }
    }
    let own = metadata.entry("labels").or_insert_with(|| serde_json::json!({}));
    let Some(own) = own.as_object_mut() else { return };
    for (label, value) in [
        (labels::EVENT_LISTENER, of.listener),
        (labels::TRIGGER, of.trigger),
        (labels::TRIGGER_EVENT_ID, of.event_id),
    ] {
        if !value.is_empty() && value.len() <= LONGEST_LABEL {
            own.insert(label.to_owned(), Value::String(value.to_owned()));
        }
    }
}

/// A name that is the same each time.
fn name(prefix: &str, of: For<'_>, index: usize) -> String {
    let mut hash = Sha256::new();
    for part in [of.event_id, of.key] {
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    hash.update(index.to_be_bytes());
    let suffix: String = hash
        .finalize()
        .iter()
        .take(5)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    crds::names::child_name(prefix, &suffix)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_get_labels_and_names_that_are_the_same_each_time() {
        let of = For {
            listener: "el",
            event_id: "the-id",
            key: "ns/t",
            trigger: "t",
            namespace: "ns",
            account: "",
        };
        let dressed = |of: For<'_>, index: usize, metadata: Value| {
            let mut object = json!({"kind": "K", "metadata": metadata});
            dress(&mut object, of, index);
            object["metadata"].clone()
        };
        let first = dressed(of, 0, json!({"generateName": "run-", "labels": {"own": "1"}}));
        assert_eq!(
            first,
            dressed(of, 0, json!({"generateName": "run-", "labels": {"own": "1"}}))
        );
        let named = first["name"].as_str().unwrap();
        assert!(named.starts_with("run-") && named.len() == 14, "{named}");
        assert!(first.get("generateName").is_none());
        assert_eq!(
            first["labels"],
            json!({
                "own": "1", "triggers.tekton.dev/eventlistener": "el", "triggers.tekton.dev/trigger": "t",
                "triggers.tekton.dev/triggers-eventid": "the-id",
            })
        );
        let generate = json!({"generateName": "run-"});
        for other in [
            dressed(of, 1, generate.clone()),
            dressed(For { key: "ns/u", ..of }, 0, generate.clone()),
            dressed(
                For {
                    event_id: "other",
                    ..of
                },
                0,
                generate,
            ),
        ] {
            assert_ne!(other["name"], first["name"]);
        }
        assert_eq!(
            dressed(of, 0, json!({"name": "fixed", "generateName": "x-"}))["name"],
            "fixed"
        );
        let long = dressed(of, 0, json!({"generateName": "x".repeat(80)}));
        assert!(long["name"].as_str().unwrap().len() <= 63);
    }
}
