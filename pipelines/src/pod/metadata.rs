//! Name, labels and annotations of the pod.

use std::collections::BTreeMap;

use crds::tekton::{TaskSpec, annotations, labels, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Attempt;

pub(super) fn of(attempt: &Attempt<'_>, task: &TaskSpec) -> ObjectMeta {
    let meta = &attempt.run.metadata;
    let name = meta.name.clone().unwrap_or_default();
    let inherited = |map: &Option<BTreeMap<String, String>>| {
        let mut map = map.clone().unwrap_or_default();
        map.retain(|key, _| annotations::is_inherited(key));
        map
    };
    let mut own_labels = inherited(&meta.labels);
    own_labels.insert(labels::TASK_RUN.to_owned(), name.clone());
    own_labels.insert(
        labels::TASK_RUN_UID.to_owned(),
        meta.uid.clone().unwrap_or_default(),
    );
    own_labels.insert(labels::MANAGED_BY.to_owned(), attempt.settings.managed_by.clone());
    let mut own_annotations = inherited(&meta.annotations);
    own_annotations.insert(
        annotations::RELEASE.to_owned(),
        env!("CARGO_PKG_VERSION").to_owned(),
    );
    let settings = attempt.settings;
    let nobody_to_wait_for = task.sidecars.is_empty() && !settings.injected_sidecars;
    if nobody_to_wait_for || !settings.await_sidecars {
        own_annotations.insert(annotations::READY.to_owned(), annotations::READY_VALUE.to_owned());
    }
    ObjectMeta {
        name: Some(names::pod(&name, attempt.retry)),
        namespace: meta.namespace.clone(),
        labels: Some(own_labels),
        annotations: Some(own_annotations),
        ..ObjectMeta::default()
    }
}
