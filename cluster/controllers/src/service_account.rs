//! Gives every namespace its `default` ServiceAccount and the ConfigMap with the API server's certificate authority.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::task::JoinSet;

use crate::informer::Informer;
use crate::queue::Queue;
use crate::worker::{self, Next, is_conflict};

const ACCOUNT: &str = "default";
const ROOT_CA: &str = "kube-root-ca.crt";
const ROOT_CA_KEY: &str = "ca.crt";

struct Context {
    client: Client,
    namespaces: Arc<Informer<Namespace>>,
    accounts: Arc<Informer<ServiceAccount>>,
    root_cas: Arc<Informer<ConfigMap>>,
    ca_pem: String,
}

pub fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    namespaces: &Arc<Informer<Namespace>>,
    ca_pem: String,
) {
    let queue: Arc<Queue<String>> = Arc::new(Queue::new());
    let accounts: Arc<Informer<ServiceAccount>> = Informer::new();
    let root_cas: Arc<Informer<ConfigMap>> = Informer::new();
    let on_namespace = queue.clone();
    namespaces.on_change(move |change| {
        if let Some(namespace) = change.new {
            on_namespace.add(namespace.name_any());
        }
    });
    let on_account = queue.clone();
    accounts.on_change(move |change| {
        if let (Some(account), None) = (change.old, change.new) {
            on_account.add(account.namespace().unwrap_or_default());
        }
    });
    let on_root_ca = queue.clone();
    root_cas.on_change(move |change| {
        if let Some(map) = change.latest().filter(|_| change.old.is_some()) {
            on_root_ca.add(map.namespace().unwrap_or_default());
        }
    });
    let context = Arc::new(Context {
        client: client.clone(),
        namespaces: namespaces.clone(),
        accounts: accounts.clone(),
        root_cas: root_cas.clone(),
        ca_pem,
    });
    worker::spawn(tasks, "serviceaccount", &queue, &context, reconcile);
    accounts.run_with(
        tasks,
        client,
        watcher::Config::default().fields(&format!("metadata.name={ACCOUNT}")),
    );
    root_cas.run_with(
        tasks,
        client,
        watcher::Config::default().fields(&format!("metadata.name={ROOT_CA}")),
    );
}

async fn reconcile(context: Arc<Context>, namespace: String) -> Result<Next, kube::Error> {
    let Some(live) = context.namespaces.get(&(String::new(), namespace.clone())) else {
        return Ok(Next::Wait);
    };
    if live.meta().deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    if context
        .accounts
        .get(&(namespace.clone(), ACCOUNT.to_owned()))
        .is_none()
    {
        let account = ServiceAccount {
            metadata: named(ACCOUNT),
            ..ServiceAccount::default()
        };
        let api: Api<ServiceAccount> = Api::namespaced(context.client.clone(), &namespace);
        exists(api.create(&PostParams::default(), &account).await)?;
    }
    let data = BTreeMap::from([(ROOT_CA_KEY.to_owned(), context.ca_pem.clone())]);
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    match context.root_cas.get(&(namespace.clone(), ROOT_CA.to_owned())) {
        Some(live) if live.data.as_ref() == Some(&data) => {}
        Some(_) => {
            let patch = serde_json::json!({ "data": data });
            api.patch(ROOT_CA, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
        }
        None => {
            let map = ConfigMap {
                metadata: named(ROOT_CA),
                data: Some(data),
                ..ConfigMap::default()
            };
            exists(api.create(&PostParams::default(), &map).await)?;
        }
    }
    Ok(Next::Wait)
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
