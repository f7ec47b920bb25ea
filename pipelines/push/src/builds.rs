//! Lets builds begin: each is made pending, and begins when its namespace has room for it.

use std::sync::Arc;

use crds::spindrift::annotations::POSITION;
use crds::tekton::PipelineRun;
use reconciler::{Applier, Class, Controller, Error, Key, Next, Reconcile};
use serde_json::{Value, json};

use crate::queue::{Turn, is_pending, turns};
use crate::shared::{Shared, repository_of};

pub(crate) struct Queue {
    shared: Shared,
    applier: Applier,
}

/// The controller of the queues; a key is the name of a namespace, so that one decision at a time is made for it.
pub(crate) fn controller(shared: &Shared) -> Controller<Queue> {
    let reconciler = Queue {
        shared: shared.clone(),
        applier: shared.applier("spindrift-build-queue"),
    };
    Controller::new("build-queue", reconciler).wakes(&shared.runs, |run: &PipelineRun| {
        repository_of(run)
            .and(run.metadata.namespace.clone())
            .map(|namespace| Key::new("", namespace))
            .into_iter()
            .collect()
    })
}

impl Reconcile for Queue {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let builds = self
            .shared
            .runs
            .in_namespace(&key.name, |run| repository_of(run).is_some());
        for turn in turns(builds.iter().map(Arc::as_ref), self.shared.config.parallel) {
            let (name, change) = match &turn {
                Turn::Begin(name) => (
                    name,
                    json!({"spec": {"status": null}, "metadata": {"annotations": {POSITION: null}}}),
                ),
                Turn::Wait { run, position } => (
                    run,
                    json!({"metadata": {"annotations": {POSITION: position.to_string()}}}),
                ),
            };
            self.change(&Key::new(key.name.as_str(), name.as_str()), change)
                .await?;
        }
        Ok(Next::OnChange)
    }
}

impl Queue {
    /// Changes a run if it is as it was when that was decided: it may have been cancelled since.
    async fn change(&self, key: &Key, mut change: Value) -> Result<(), Error> {
        let Some(run) = self.shared.runs.get(key).filter(|run| is_pending(run)) else {
            return Ok(());
        };
        if let Some(meta) = change.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.insert("resourceVersion".to_owned(), json!(run.metadata.resource_version));
        }
        match self.applier.merge(&self.shared.runs, key, &change).await {
            // Its change wakes us.
            Err(error) if error.class() == Class::Conflict => Ok(()),
            Err(Error::Api { source, .. }) if reconciler::error::is_not_found(&source) => Ok(()),
            changed => changed.map(drop),
        }
    }
}
