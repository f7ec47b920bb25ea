//! What every cluster has from the start: the namespaces, the roles, and the Service of the API itself.

use std::sync::Arc;

use serde_json::{Value, json};
use tracing::warn;

use crate::config::Config;
use crate::registry::{Call, Registry};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Creates what is missing. A failure is logged: the server works without, and tries again at the next start.
pub(crate) async fn create_basics(registry: &Arc<Registry>, config: &Config) {
    for name in NAMESPACES {
        create(registry, "namespaces", "", json!({"metadata": {"name": name}})).await;
    }
    for (plural, objects) in [
        ("clusterroles", crate::authz::roles()),
        ("clusterrolebindings", crate::authz::bindings()),
    ] {
        for (name, mut object) in objects {
            crate::meta::metadata_mut(&mut object).insert("name".into(), name.into());
            create_in(registry, "rbac.authorization.k8s.io", plural, "", object).await;
        }
    }
    let first = std::net::Ipv4Addr::from_bits(config.service_cidr.base.to_bits().wrapping_add(1)).to_string();
    let service = json!({
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": first,
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    });
    create(registry, "services", "default", service).await;
}

async fn create(registry: &Arc<Registry>, plural: &str, namespace: &str, object: Value) {
    create_in(registry, "", plural, namespace, object).await;
}

async fn create_in(registry: &Arc<Registry>, group: &str, plural: &str, namespace: &str, object: Value) {
    let Some(resource) = registry.table().get(group, "v1", plural).cloned() else {
        return;
    };
    let name = crate::meta::name(&object).to_owned();
    let mut call = Call::own(resource, namespace, &name);
    if registry.get(&call).await.is_ok() {
        return;
    }
    if let Err(error) = registry.create(&mut call, object).await {
        warn!(%error, plural, name = %call.name, "Object of every cluster could not be created");
    }
}
