//! What is kept of a namespace goes with it: who makes another one of the same name has not had these runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};

use crate::store::Store;

/// Pieces that are younger may be of a namespace that was made after the list was.
const YOUNG: Duration = Duration::from_secs(60);

/// When an object was made.
pub(crate) fn created(meta: &ObjectMeta) -> Option<SystemTime> {
    let created = meta.creation_timestamp.as_ref()?.0;
    let seconds = u64::try_from(created.as_second()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Drops what is kept of namespaces that are gone, or were made anew.
pub(crate) async fn drop_gone(client: &kube::Client, store: &Arc<Store>, now: SystemTime) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let listed = match namespaces.list(&ListParams::default()).await {
        Ok(listed) => listed,
        Err(error) => {
            tracing::warn!(%error, "Namespaces cannot be listed: what is kept of those that are gone stays for now");
            return;
        }
    };
    let since: HashMap<String, SystemTime> = listed
        .items
        .iter()
        .filter_map(|namespace| Some((namespace.metadata.name.clone()?, created(&namespace.metadata)?)))
        .collect();
    let Some(before) = now.checked_sub(YOUNG) else {
        return;
    };
    let store = Arc::clone(store);
    let dropped = tokio::task::spawn_blocking(move || store.drop_of_others(&since, before));
    if let Err(error) = dropped.await {
        tracing::warn!(%error, "What is kept of namespaces that are gone was not dropped");
    }
}
