//! Labeler: notes on revisions and configurations which routes point at them.
//!
//! The autoscaler and the collector read these marks. A mark is taken away only when the Route is ready or has
//! failed: a revision that still gets requests must not be shut down early.

mod targets;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::conditions::ConditionedStatus;
use crds::serving::{Configuration, Revision, Route};
use crds::{annotations, labels, names};
use kube::ResourceExt;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Object, Reconcile};
use serde_json::{Value, json};

use crate::shared::{Shared, annotation, label, members, name_of, namespace_of, rfc3339};
use targets::{Targets, targets};

const NAME: &str = "labeler";
const BY_ROUTE: &str = "routes";

pub(crate) struct Labeler {
    shared: Shared,
    applier: Applier,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Labeler> {
    shared
        .revisions
        .add_index(BY_ROUTE, |revision: &Revision| by_route(&revision.metadata));
    shared
        .configurations
        .add_index(BY_ROUTE, |configuration: &Configuration| {
            by_route(&configuration.metadata)
        });
    let routes = shared.routes.clone();
    Controller::new(
        NAME,
        Labeler {
            shared: shared.clone(),
            applier: shared.applier("spindrift-labeler"),
        },
    )
    .watches(&shared.routes)
    // The latest created revision of a Configuration is marked, too: wake when there is another.
    .wakes(&shared.configurations, move |configuration: &Configuration| {
        let namespace = namespace_of(&configuration.metadata).to_owned();
        let noted = members(annotation(&configuration.metadata, annotations::ROUTES));
        let keys = noted.into_iter().map(|route| Key::new(namespace.clone(), route));
        keys.filter(|key| routes.get(key).is_some()).collect()
    })
}

fn by_route(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Vec<String> {
    let namespace = namespace_of(meta);
    members(annotation(meta, annotations::ROUTES))
        .iter()
        .map(|route| format!("{namespace}/{route}"))
        .collect()
}

impl Reconcile for Labeler {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(route) = self.shared.routes.get(key) else {
            return Ok(Next::OnChange);
        };
        let finalized = route
            .finalizers()
            .iter()
            .any(|finalizer| finalizer == names::ROUTE_FINALIZER);
        if route.metadata.deletion_timestamp.is_some() {
            if finalized {
                self.unmark(&route, &Targets::default()).await?;
                self.set_finalizer(&route, false).await?;
            }
            return Ok(Next::OnChange);
        }
        if !finalized {
            self.set_finalizer(&route, true).await?;
        }
        let namespace = namespace_of(&route.metadata);
        let wanted = targets(
            &route,
            |name| self.shared.revisions.named(namespace, name),
            |name| self.shared.configurations.named(namespace, name),
        );
        self.mark(&route, &wanted).await?;
        let generation = route.metadata.generation;
        if route
            .status
            .as_ref()
            .is_some_and(|status| status.is_ready(generation) || status.is_failed(generation))
        {
            self.unmark(&route, &wanted).await?;
        }
        Ok(Next::OnChange)
    }
}

impl Labeler {
    async fn mark(&self, route: &Route, wanted: &Targets) -> Result<(), Error> {
        let namespace = namespace_of(&route.metadata);
        for name in &wanted.revisions {
            if let Some(revision) = self.shared.revisions.named(namespace, name) {
                self.change(
                    &self.shared.revisions,
                    &revision,
                    self.marked_revision(route, &revision),
                )
                .await?;
            }
        }
        for name in &wanted.configurations {
            if let Some(configuration) = self.shared.configurations.named(namespace, name) {
                let change = marked(route, configuration.as_ref());
                self.change(&self.shared.configurations, &configuration, change)
                    .await?;
            }
        }
        Ok(())
    }

    async fn unmark(&self, route: &Route, wanted: &Targets) -> Result<(), Error> {
        let index = format!("{}/{}", namespace_of(&route.metadata), name_of(&route.metadata));
        for revision in self.shared.revisions.indexed(BY_ROUTE, &index) {
            if !wanted.revisions.contains(name_of(&revision.metadata)) {
                let change = self.unmarked_revision(route, &revision);
                self.change(&self.shared.revisions, &revision, change).await?;
            }
        }
        for configuration in self.shared.configurations.indexed(BY_ROUTE, &index) {
            if !wanted.configurations.contains(name_of(&configuration.metadata)) {
                let change = unmarked(route, configuration.as_ref());
                self.change(&self.shared.configurations, &configuration, change)
                    .await?;
            }
        }
        Ok(())
    }

    fn marked_revision(&self, route: &Route, revision: &Revision) -> Option<Value> {
        let is_active =
            label(&revision.metadata, labels::ROUTING_STATE) == Some(labels::ROUTING_STATE_ACTIVE);
        let routes = marked(route, revision);
        if is_active {
            return routes;
        }
        let state = self.state(labels::ROUTING_STATE_ACTIVE);
        Some(routes.map_or_else(|| state.clone(), |routes| merge(routes, &state)))
    }

    fn unmarked_revision(&self, route: &Route, revision: &Revision) -> Option<Value> {
        let mut others = members(annotation(&revision.metadata, annotations::ROUTES));
        others.remove(name_of(&route.metadata));
        let routes = unmarked(route, revision)?;
        Some(if others.is_empty() {
            merge(routes, &self.state(labels::ROUTING_STATE_RESERVE))
        } else {
            routes
        })
    }

    fn state(&self, state: &str) -> Value {
        json!({"metadata": {
            "labels": {labels::ROUTING_STATE: state},
            "annotations": {annotations::ROUTING_STATE_MODIFIED: rfc3339(self.shared.now())},
        }})
    }

    /// The list is shared between routes, so a change is only right for the version it was read from.
    async fn change<K>(&self, cache: &Cache<K>, object: &Arc<K>, change: Option<Value>) -> Result<(), Error>
    where
        K: Object<Scope = kube::core::NamespaceResourceScope>,
    {
        let Some(change) = change else { return Ok(()) };
        let version = json!({"metadata": {"resourceVersion": object.resource_version()}});
        match self
            .applier
            .merge(cache, &Key::of(object.as_ref()), &merge(change, &version))
            .await
        {
            Ok(_) => Ok(()),
            // Deleted meanwhile: there is nothing left to mark.
            Err(Error::Api { source, .. }) if reconciler::error::is_not_found(&source) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn set_finalizer(&self, route: &Arc<Route>, wanted: bool) -> Result<(), Error> {
        let mut finalizers: BTreeSet<String> = route.finalizers().iter().cloned().collect();
        if wanted {
            finalizers.insert(names::ROUTE_FINALIZER.to_owned());
        } else {
            finalizers.remove(names::ROUTE_FINALIZER);
        }
        let change = json!({"metadata": {"finalizers": finalizers}});
        self.change(&self.shared.routes, route, Some(change)).await?;
        let message = format!("Updated {:?} finalizers", name_of(&route.metadata));
        self.shared
            .events
            .normal(route.as_ref(), "FinalizerUpdate", message);
        Ok(())
    }
}

/// The change that adds the Route to the list, if it is missing.
fn marked<K: Object>(route: &Route, object: &K) -> Option<Value> {
    let mut routes = members(annotation(object.meta(), annotations::ROUTES));
    routes
        .insert(name_of(&route.metadata).to_owned())
        .then(|| list(&routes))
}

/// The change that takes the Route off the list, if it is there.
fn unmarked<K: Object>(route: &Route, object: &K) -> Option<Value> {
    let mut routes = members(annotation(object.meta(), annotations::ROUTES));
    routes.remove(name_of(&route.metadata)).then(|| list(&routes))
}

fn list(routes: &BTreeSet<String>) -> Value {
    let joined: Vec<&str> = routes.iter().map(String::as_str).collect();
    let value = if joined.is_empty() {
        Value::Null
    } else {
        json!(joined.join(","))
    };
    json!({"metadata": {"annotations": {annotations::ROUTES: value}}})
}

fn merge(mut into: Value, from: &Value) -> Value {
    fn fold(into: &mut Value, from: &Value) {
        match (into, from) {
            (Value::Object(into), Value::Object(from)) => {
                for (key, value) in from {
                    fold(into.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
            (into, from) => *into = from.clone(),
        }
    }
    fold(&mut into, from);
    into
}
