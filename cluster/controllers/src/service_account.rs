//! Gives every namespace its `default` ServiceAccount and the ConfigMap with the API server's certificate authority.

use std::collections::BTreeMap;
use std::sync::Arc;

use informer::{Cache, Key, Queue, Selection};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};

use crate::worker::{Next, Setup, is_conflict};

const ACCOUNT: &str = "default";
const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_KEY: &str = "ca.crt";

struct Context {
    client: Client,
    namespaces: Cache<Namespace>,
    accounts: Cache<ServiceAccount>,
    root_cas: Cache<ConfigMap>,
    ca_pem: String,
}

pub fn spawn(setup: &mut Setup, ca_pem: String) {
    let queue = Queue::new("serviceaccount");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        namespaces: setup.caches.cache(),
        accounts: setup.caches.cache_of(Selection::named(ACCOUNT)),
        root_cas: setup.caches.cache_of(Selection::named(ROOT_CA)),
        ca_pem,
    });
    let on_namespace = queue.clone();
    context.namespaces.on_change(move |change| {
        if let Some(namespace) = &change.new {
            on_namespace.add(Key::of(namespace.as_ref()));
        }
    });
    let on_account = queue.clone();
    context.accounts.on_change(move |change| {
        if let (Some(account), None) = (&change.old, &change.new) {
            on_account.add(namespace_of(account.as_ref()));
        }
    });
    let on_root_ca = queue.clone();
    context.root_cas.on_change(move |change| {
        if let Some(map) = &change.old {
            on_root_ca.add(namespace_of(map.as_ref()));
        }
    });
    let all = context.namespaces.clone();
    setup.controller("serviceaccount", &queue, move || all.keys(), &context, reconcile);
}

fn namespace_of(object: &impl Resource<DynamicType = ()>) -> Key {
    Key::new("", object.namespace().unwrap_or_default())
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(live) = context.namespaces.get(&key) else {
        return Ok(Next::Wait);
    };
    if live.meta().deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let namespace = key.name;
    // Pods of a new namespace wait for both.
    tokio::try_join!(account(&context, &namespace), root_ca(&context, &namespace))?;
    Ok(Next::Wait)
}

async fn account(context: &Context, namespace: &str) -> Result<(), kube::Error> {
    if context.accounts.get(&Key::new(namespace, ACCOUNT)).is_some() {
        return Ok(());
    }
    let account = ServiceAccount {
        metadata: named(ACCOUNT),
        ..ServiceAccount::default()
    };
    let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), namespace);
    exists(api.create(&PostParams::default(), &account).await)
}

async fn root_ca(context: &Context, namespace: &str) -> Result<(), kube::Error> {
    let data = BTreeMap::from([(ROOT_CA_KEY.to_owned(), context.ca_pem.clone())]);
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), namespace);
    match context.root_cas.get(&Key::new(namespace, ROOT_CA)) {
        Some(live) if live.data.as_ref() == Some(&data) => Ok(()),
        Some(_) => {
            let patch = serde_json::json!({ "data": data });
            api.patch(ROOT_CA, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .map(drop)
        }
        None => {
            let map = ConfigMap {
                metadata: named(ROOT_CA),
                data: Some(data),
                ..ConfigMap::default()
            };
            exists(api.create(&PostParams::default(), &map).await)
        }
    }
}

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

fn exists<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(error) if !is_conflict(&error) => Err(error),
        _ => Ok(()),
    }
}
