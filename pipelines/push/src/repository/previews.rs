//! The URLs of branches: they go with their branches, and all of them with the Repository.

use std::sync::Arc;

use crds::serving::{Service, TrafficTarget};
use crds::spindrift::annotations::{PINNED, REF};
use crds::spindrift::{REPOSITORY_FINALIZER, Repository};
use kube::ResourceExt;
use reconciler::error::is_not_found;
use reconciler::{Error, Key};
use serde_json::{Value, json};

use super::{Repositories, plan};
use crate::traffic;

impl Repositories {
    /// Takes the URLs of branches away that are gone, or no longer wanted.
    pub(super) async fn remove_previews(
        &self,
        service: &Service,
        updated: &mut Repository,
    ) -> Result<(), Error> {
        let gone = plan::gone(updated);
        if gone.is_empty() {
            return Ok(());
        }
        if let Some(kept) = traffic::without(&service.spec.traffic, &gone) {
            let change = json!({
                "metadata": {"resourceVersion": service.metadata.resource_version},
                "spec": {"traffic": kept},
            });
            let key = Key::of(service);
            self.applier.merge(&self.shared.services, &key, &change).await?;
        }
        if let Some(status) = &mut updated.status {
            status.previews.retain(|preview| !gone.contains(&preview.tag));
        }
        Ok(())
    }

    /// Has a Repository stay until its previews are gone, if it may have some.
    pub(super) async fn keep(&self, repository: Arc<Repository>) -> Result<Arc<Repository>, Error> {
        let spec = &repository.spec;
        if is_kept(&repository) || !(spec.previews || spec.filters.tags) {
            return Ok(repository);
        }
        let mut all = repository.finalizers().to_vec();
        all.push(REPOSITORY_FINALIZER.to_owned());
        self.set_finalizers(&repository, &all).await
    }

    /// The Repository is being deleted: its Service stays, without what nobody would ever take away.
    pub(super) async fn finish(&self, repository: &Repository) -> Result<(), Error> {
        if !is_kept(repository) {
            return Ok(());
        }
        let service = self.service(repository);
        let service = service.filter(|service| service.metadata.deletion_timestamp.is_none());
        if let Some(service) = service
            && let Some(change) = without_previews(&service, repository)
        {
            match self
                .applier
                .merge(&self.shared.services, &Key::of(service.as_ref()), &change)
                .await
            {
                Err(Error::Api {
                    source: kube::Error::Api(refusal),
                    ..
                }) if matches!(refusal.code, 400 | 403 | 404 | 422) => {
                    // It would be refused for ever; the Repository must not stay for that.
                    tracing::warn!(service = %service.name_any(), error = %refusal.message, "Previews stay in a Service");
                }
                changed => drop(changed?),
            }
        }
        let mut rest = repository.finalizers().to_vec();
        rest.retain(|finalizer| finalizer != REPOSITORY_FINALIZER);
        match self.set_finalizers(repository, &rest).await {
            Err(Error::Api { source, .. }) if is_not_found(&source) => Ok(()),
            set => set.map(drop),
        }
    }

    /// Held to the version that was read: others have finalizers there, too.
    async fn set_finalizers(
        &self,
        repository: &Repository,
        finalizers: &[String],
    ) -> Result<Arc<Repository>, Error> {
        let version = &repository.metadata.resource_version;
        let change = json!({"metadata": {"finalizers": finalizers, "resourceVersion": version}});
        self.applier
            .merge(&self.shared.repositories, &Key::of(repository), &change)
            .await
    }
}

fn is_kept(repository: &Repository) -> bool {
    repository
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == REPOSITORY_FINALIZER)
}

/// The change of a Service that has it as if there had never been previews; `None` if that is so.
fn without_previews(service: &Service, repository: &Repository) -> Option<Value> {
    let previews = repository.status.iter().flat_map(|status| &status.previews);
    let tags: Vec<String> = previews.map(|preview| preview.tag.clone()).collect();
    let known = &service.spec.traffic;
    let kept: Option<Vec<TrafficTarget>> = traffic::without(known, &tags);
    let pinned = service.annotations().get(PINNED).map(String::as_str);
    // The newest revision may be one of a preview: then the requests stay where they are.
    let template = service.spec.template.metadata.as_ref();
    let of_ref = template.and_then(|meta| meta.annotations.as_ref()?.get(REF));
    let of_branch = of_ref.is_some_and(|of_ref| *of_ref == repository.spec.main_ref());
    let freed = of_branch
        .then(|| traffic::for_branch(kept.as_ref().unwrap_or(known), pinned))
        .flatten();
    let marks = if of_branch && pinned.is_some() {
        json!({PINNED: null})
    } else {
        json!({})
    };
    let targets = freed.or(kept);
    if targets.is_none() && marks == json!({}) {
        return None;
    }
    Some(json!({
        "metadata": {"resourceVersion": service.metadata.resource_version, "annotations": marks},
        "spec": {"traffic": targets.as_ref().unwrap_or(known)},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_left_without_previews() {
        let repository: Repository = serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
            "spec": {"url": "http://git/app", "branch": "main", "service": "web", "previews": true},
            "status": {"previews": [{"tag": "x", "ref": "refs/heads/x"}]},
        }))
        .unwrap();
        let preview = json!({"tag": "x", "revisionName": "x-1", "latestRevision": false, "percent": 0});
        let own = json!({"tag": "mine", "revisionName": "a", "latestRevision": false, "percent": 0});
        let named = json!({"revisionName": "main-1", "latestRevision": false, "percent": 100});
        let latest = json!({"latestRevision": true, "percent": 100});
        for (traffic, of_ref, pinned, expected) in [
            // What runs is the branch's own: all requests follow it again.
            (
                json!([named, own, preview]),
                "refs/heads/main",
                Some("main-1"),
                Some(json!([latest, own])),
            ),
            // The newest revision is that of the preview.
            (
                json!([named, preview]),
                "refs/heads/x",
                Some("main-1"),
                Some(json!([named])),
            ),
            (
                json!([latest, preview]),
                "refs/heads/main",
                None,
                Some(json!([latest])),
            ),
            (json!([latest, own]), "refs/heads/main", None, None),
        ] {
            let marks = pinned.map_or(json!({}), |pinned| json!({PINNED: pinned}));
            let service: Service = serde_json::from_value(json!({
                "apiVersion": "serving.knative.dev/v1", "kind": "Service",
                "metadata": {"name": "web", "annotations": marks},
                "spec": {
                    "template": {"metadata": {"annotations": {REF: of_ref}}, "spec": {"containers": [{"image": "i"}]}},
                    "traffic": traffic,
                },
            }))
            .unwrap();
            let change = without_previews(&service, &repository);
            let found = change.as_ref().map(|change| change["spec"]["traffic"].clone());
            assert_eq!(found, expected);
            if let Some(change) = change {
                let freed = change["metadata"]["annotations"].get(PINNED).is_some();
                assert_eq!(freed, pinned.is_some() && of_ref == "refs/heads/main");
            }
        }
    }
}
