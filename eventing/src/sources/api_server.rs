//! ApiServerSource: resolves the sink and the namespaces, and checks that the source's account may watch. The sender
//! reads all of it in the status.

mod permissions;
mod status;

use crds::annotations::SKIP_PERMISSIONS_CHECK;
use crds::sources::ApiServerSource;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::broker::LOOK_AGAIN;
use crate::identity::Identity;
use crate::selector;
use crate::shared::{Shared, annotation, name_of};
use crate::sources::sink;
use crate::tracker::Referrer;
use permissions::Permissions;
use status::Observed;

const NAME: &str = "apiserversource";

pub(crate) struct ApiServerSources {
    shared: Shared,
    sources: Cache<ApiServerSource>,
    namespaces: Cache<Namespace>,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(
    shared: &Shared,
    sources: &Cache<ApiServerSource>,
    namespaces: &Cache<Namespace>,
) -> Controller<ApiServerSources> {
    let queue = reconciler::queue("eventing-apiserversource");
    let reconciler = ApiServerSources {
        shared: shared.clone(),
        sources: sources.clone(),
        namespaces: namespaces.clone(),
        applier: shared.applier("spindrift-apiserversource"),
        queue: queue.clone(),
    };
    let selecting = sources.clone();
    Controller::with_queue("eventing-apiserversource", queue, reconciler)
        .watches(sources)
        .owns::<ApiServerSource, _>(&shared.identities)
        .wakes(namespaces, move |_: &Namespace| {
            let all = selecting.list().into_iter();
            all.filter(|source| source.spec.namespace_selector.is_some())
                .map(|source| Key::of(source.as_ref()))
                .collect()
        })
}

impl Reconcile for ApiServerSources {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let referrer = Referrer::new(NAME, &self.queue, key);
        self.shared.tracker.forget(&referrer);
        let Some(source) = self.sources.get(key) else {
            return Ok(Next::OnChange);
        };
        if source.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let (shared, spec) = (&self.shared, &source.spec);
        let namespaces = namespaces(key, spec.namespace_selector.as_ref(), &self.namespaces);
        let permissions = if annotation(&source.metadata, SKIP_PERMISSIONS_CHECK) == Some("true") {
            Permissions::Sufficient
        } else {
            permissions::check(&shared.client, key, spec, &namespaces).await?
        };
        let mut observed = Observed {
            sink: shared
                .resolver
                .resolve(&spec.sink, &key.namespace, &referrer)
                .await,
            namespaces,
            permissions,
            identity: Identity::default(),
        };
        let applied = match Identity::ensure(shared, &self.applier, source.as_ref()).await {
            Ok(identity) => {
                observed.identity = identity;
                // No watch tells of roles that are granted.
                let granted = observed.permissions == Permissions::Sufficient;
                let again = if granted {
                    Next::OnChange
                } else {
                    Next::After(LOOK_AGAIN)
                };
                Ok(sink::next(&observed.sink).sooner(again))
            }
            Err(error) => {
                observed.identity = Identity::Failed(reconciler::error::chain(&error));
                Err(error)
            }
        };
        let mut updated = (*source).clone();
        updated.status = Some(status::api_server_status(&source, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.sources,
            &source,
            updated,
            applied,
        )
        .await
    }
}

/// The namespaces that a selector names, sorted. No selector: the own one. An empty selector: all, which is written as
/// an empty name.
fn namespaces(key: &Key, selector: Option<&LabelSelector>, all: &Cache<Namespace>) -> Vec<String> {
    let Some(selector) = selector else {
        return vec![key.namespace.clone()];
    };
    let empty = selector
        .match_labels
        .as_ref()
        .is_none_or(|labels| labels.is_empty())
        && selector
            .match_expressions
            .as_ref()
            .is_none_or(|all| all.is_empty());
    if empty {
        return vec![String::new()];
    }
    let all = all.list();
    let selected = all
        .iter()
        .filter(|namespace| selector::matches(selector, namespace.metadata.labels.as_ref()));
    let mut names: Vec<String> = selected
        .map(|namespace| name_of(&namespace.metadata).to_owned())
        .collect();
    names.sort();
    names
}
