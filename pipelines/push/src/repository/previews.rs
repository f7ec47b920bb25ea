//! The URLs of branches: they go with their branches, and all of them with the Repository.
//!
//! A preview may be on its way while its branch or the Repository goes. Two things see to it that none stays behind. What
//! a Service shows is looked for in the Service itself, by what made its revisions, and not only in what is noted. And a
//! Service carries a mark while previews may be made there: each write for one is conditional on a version of the
//! Service that has it, so that none comes through any more once the mark has been taken away.

use std::sync::Arc;

use crds::serving::{Revision, Service, TrafficTarget};
use crds::spindrift::annotations::{PINNED, PREVIEWS_OF, REF};
use crds::spindrift::{Deployed, Preview, REPOSITORY_FINALIZER, Repository};
use kube::{Api, ResourceExt};
use reconciler::error::is_not_found;
use reconciler::{Error, Key};
use serde_json::{Value, json};

use super::{Repositories, plan};
use crate::{names, traffic};

impl Repositories {
    /// Takes the URLs of branches away that are gone, or no longer wanted.
    pub(super) async fn remove_previews(
        &self,
        service: &Service,
        updated: &mut Repository,
    ) -> Result<(), Error> {
        let gone = plan::gone(updated, &self.shown(service));
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

    /// The previews that a Service shows.
    fn shown(&self, service: &Service) -> Vec<Preview> {
        let namespace = service.namespace().unwrap_or_default();
        let targets = service.spec.traffic.iter();
        let shown = targets.filter_map(|target| {
            let name = target.revision_name.as_deref()?;
            let revision = self.shared.revisions.named(&namespace, name)?;
            preview(target, &revision, &service.name_any())
        });
        shown.collect()
    }

    /// Marks the Service of a Repository that is kept until its previews are gone: from now on there may be some.
    pub(super) async fn mark(&self, service: &Service, repository: &Repository) -> Result<(), Error> {
        let namespace = repository.namespace().unwrap_or_default();
        let others = self.shared.repositories.in_namespace(&namespace, |_| true);
        let is_there = |uid: &String| {
            others
                .iter()
                .any(|other| other.metadata.uid.as_ref() == Some(uid))
        };
        let marked = service.annotations().get(PREVIEWS_OF);
        if !is_kept(repository) || marked.is_some_and(is_there) {
            return Ok(());
        }
        let change = json!({"metadata": {
            "resourceVersion": service.metadata.resource_version,
            "annotations": {PREVIEWS_OF: repository.metadata.uid},
        }});
        let key = Key::of(service);
        self.applier
            .merge(&self.shared.services, &key, &change)
            .await
            .map(drop)
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
        // As it is, not as it was: who looks at an older one sees no mark and takes none away.
        let (namespace, name) = (
            repository.namespace().unwrap_or_default(),
            &repository.spec.service,
        );
        let services: Api<Service> = Api::namespaced(self.shared.client.clone(), &namespace);
        let service = services.get_opt(name).await;
        let service =
            service.map_err(|error| Error::api(format!("read Service {namespace}/{name}"), error))?;
        let service = service.filter(|service| service.metadata.deletion_timestamp.is_none());
        if let Some(service) = service
            && let Some(change) = without_previews(&service, &self.shown(&service), repository)
        {
            match self
                .applier
                .merge(&self.shared.services, &Key::of(&service), &change)
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

/// The preview that a target shows, if it is one: a revision of a branch under the tag that the branch has.
fn preview(target: &TrafficTarget, revision: &Revision, service: &str) -> Option<Preview> {
    let tag = target.tag.clone()?;
    let git_ref = revision.annotations().get(REF)?;
    (names::tag(git_ref, service) == tag).then(|| Preview {
        tag,
        url: String::new(),
        deployed: Deployed {
            git_ref: git_ref.clone(),
            ..Deployed::default()
        },
    })
}

/// The change of a Service, which shows the previews `shown`, that has it as if there had never been any; `None` if that
/// is so.
fn without_previews(service: &Service, shown: &[Preview], repository: &Repository) -> Option<Value> {
    let marked = service.annotations().get(PREVIEWS_OF);
    let is_marked = marked.is_some() && marked == repository.metadata.uid.as_ref();
    let noted = repository.status.iter().flat_map(|status| &status.previews);
    let previews = noted.chain(shown.iter().filter(|_| is_marked));
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
    let mut marks = serde_json::Map::new();
    if of_branch && pinned.is_some() {
        marks.insert(PINNED.to_owned(), Value::Null);
    }
    if is_marked {
        marks.insert(PREVIEWS_OF.to_owned(), Value::Null);
    }
    let targets = freed.or(kept);
    if targets.is_none() && marks.is_empty() {
        return None;
    }
    let mut change = json!({
        "metadata": {"resourceVersion": service.metadata.resource_version, "annotations": marks},
    });
    if let Some(targets) = targets {
        change["spec"] = json!({"traffic": targets});
    }
    Some(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository() -> Repository {
        serde_json::from_value(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web", "uid": "w"},
            "spec": {"url": "http://git/app", "branch": "main", "service": "web", "previews": true},
            "status": {"previews": [{"tag": "x", "ref": "refs/heads/x"}]},
        }))
        .unwrap()
    }

    fn service(marks: &Value, of_ref: &str, traffic: &Value) -> Service {
        serde_json::from_value(json!({
            "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": {"name": "web", "annotations": marks},
            "spec": {
                "template": {"metadata": {"annotations": {REF: of_ref}}, "spec": {"containers": [{"image": "i"}]}},
                "traffic": traffic,
            },
        }))
        .unwrap()
    }

    fn target(tag: &str, revision: &str) -> Value {
        json!({"tag": tag, "revisionName": revision, "latestRevision": false, "percent": 0})
    }

    #[test]
    fn a_service_is_left_without_previews() {
        let repository = repository();
        let (preview, own) = (target("x", "x-1"), target("mine", "a"));
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
            let change = without_previews(&service(&marks, of_ref, &traffic), &[], &repository);
            let found = change.as_ref().map(|change| change["spec"]["traffic"].clone());
            assert_eq!(found, expected);
            if let Some(change) = change {
                let freed = change["metadata"]["annotations"].get(PINNED).is_some();
                assert_eq!(freed, pinned.is_some() && of_ref == "refs/heads/main");
            }
        }
    }

    #[test]
    fn the_mark_goes_and_with_it_what_is_shown_and_not_noted() {
        let latest = json!({"latestRevision": true, "percent": 100});
        let shown = Preview {
            tag: "y".to_owned(),
            ..Preview::default()
        };
        let change = |uid: &str, traffic: Value| {
            let service = service(&json!({PREVIEWS_OF: uid}), "refs/heads/main", &traffic);
            without_previews(&service, std::slice::from_ref(&shown), &repository())
        };
        let unmarked = json!({"annotations": {PREVIEWS_OF: null}, "resourceVersion": null});
        assert_eq!(
            change("w", json!([latest, target("y", "y-1")])),
            Some(json!({"metadata": unmarked, "spec": {"traffic": [latest]}}))
        );
        // Also where there is nothing else to change: somebody may be about to.
        assert_eq!(change("w", json!([latest])), Some(json!({"metadata": unmarked})));
        assert_eq!(change("another", json!([latest, target("y", "y-1")])), None);
    }

    #[test]
    fn a_preview_is_known_by_what_its_revision_was_built_of() {
        let of = |tag: Value, marks: Value| {
            let target = serde_json::from_value(json!({"tag": tag, "revisionName": "r"})).unwrap();
            let revision = serde_json::from_value(json!({
                "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": {"name": "r", "annotations": marks}, "spec": {"containers": []},
            }));
            preview(&target, &revision.unwrap(), "web").map(|found| found.deployed.git_ref)
        };
        let of_x = json!({REF: "refs/heads/x"});
        assert_eq!(of(json!("x"), of_x.clone()).as_deref(), Some("refs/heads/x"));
        assert_eq!(of(json!("mine"), of_x.clone()), None);
        assert_eq!(of(json!("x"), json!({})), None);
        assert_eq!(of(json!(null), of_x), None);
    }
}
