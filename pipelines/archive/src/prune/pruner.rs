//! Deletes what is planned to go, once the archive has it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crds::serving::Revision;
use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use reconciler::error::{chain, is_not_found};
use reconciler::{Cache, Clock, ConfigStore, Error, Leadership, Object};
use tokio::sync::Notify;

use super::facts::{Run, facts};
use super::plan;
use crate::config::{NAMESPACE_MAP, OfNamespace, Pruning};
use crate::keep::Keeper;
use crate::metrics::PRUNED;

/// Pause after a change, in which others like it are waited for.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest time without a look at all runs: what could not be deleted is tried again then.
const LONGEST: Duration = Duration::from_secs(30);
/// Runs that go at the same time.
const AT_ONCE: usize = 4;

/// Prunes runs.
pub(crate) struct Pruner {
    pub keeper: Arc<Keeper>,
    pub revisions: Cache<Revision>,
    /// ConfigMaps of namespaces.
    pub maps: Cache<ConfigMap>,
    pub config: ConfigStore,
    pub clock: Clock,
    changed: Arc<Notify>,
}

impl Pruner {
    /// Looks again whenever a run ends or settings change.
    pub fn new(
        keeper: Arc<Keeper>,
        revisions: Cache<Revision>,
        maps: Cache<ConfigMap>,
        config: ConfigStore,
        clock: Clock,
    ) -> Self {
        let changed = Arc::new(Notify::new());
        wake(&keeper.pipeline_runs, &changed, |run| {
            Run::Pipeline(run).is_done()
        });
        wake(&keeper.task_runs, &changed, |run| Run::Task(run).is_done());
        wake(&maps, &changed, |_| true);
        // One that serves no more needs its run no more; there is no hurry, but also nothing else that would tell.
        wake(&revisions, &changed, |revision| {
            revision.metadata.labels.is_some()
        });
        Self {
            keeper,
            revisions,
            maps,
            config,
            clock,
            changed,
        }
    }

    /// Works until the future is dropped, while `leadership` lasts.
    pub async fn run(self, mut leadership: Leadership) {
        let mut settings = self.config.changes();
        loop {
            leadership.gained().await;
            let pause = self.sweep().await.min(LONGEST);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => tokio::time::sleep(PAUSE).await,
                // Without a store of settings nothing changes them.
                Ok(()) = settings.changed() => {}
                () = leadership.lost() => {}
            }
        }
    }

    /// Prunes what is due, and says when to look again.
    async fn sweep(&self) -> Duration {
        let now = (self.clock)();
        let runs: Vec<Run> = {
            let pipeline_runs = self.keeper.pipeline_runs.list().into_iter().map(Run::Pipeline);
            let task_runs = self.keeper.task_runs.list().into_iter().map(Run::Task);
            pipeline_runs.chain(task_runs).collect()
        };
        let revisions = self.revisions.list();
        let (facts, runs) = facts(
            &runs,
            &revisions,
            &self.config.get::<Pruning>(),
            &self.namespaces(),
        );
        let plan = plan(&facts, now);
        let going = plan.prune.iter().filter_map(|place| runs.get(*place).cloned());
        futures::stream::iter(going)
            .for_each_concurrent(AT_ONCE, async |run| {
                let kind = if run.is_task() { "TaskRun" } else { "PipelineRun" };
                let (namespace, name) = (run.namespace(), run.name());
                let result = match self.prune(&run).await {
                    Ok(()) => {
                        tracing::info!(kind, namespace, name, "Pruned a run");
                        "success"
                    }
                    Err(error) => {
                        let error = chain(&error);
                        tracing::warn!(kind, namespace, name, %error, "A run could not be pruned");
                        "error"
                    }
                };
                PRUNED.with_label_values(&[kind, result]).inc();
            })
            .await;
        plan.next.map_or(LONGEST, |next| {
            Duration::try_from(next.duration_since(now))
                .unwrap_or_default()
                .max(PAUSE)
        })
    }

    fn namespaces(&self) -> HashMap<String, OfNamespace> {
        let mut found = HashMap::new();
        for map in self.maps.list() {
            let namespace = map.metadata.namespace.clone().unwrap_or_default();
            if map.metadata.name.as_deref() != Some(NAMESPACE_MAP) {
                continue;
            }
            match OfNamespace::parse(map.data.as_ref().unwrap_or(&Default::default())) {
                Ok(settings) => {
                    found.insert(namespace, settings);
                }
                Err(error) => {
                    tracing::warn!(%namespace, name = NAMESPACE_MAP, %error, "Invalid configuration ignored");
                }
            }
        }
        found
    }

    /// Nothing is deleted that the archive does not have, durably.
    async fn prune(&self, run: &Run) -> Result<(), Error> {
        match run {
            Run::Pipeline(run) => {
                self.keeper.keep_tree(run).await?;
                self.delete(run.as_ref()).await?;
            }
            Run::Task(run) => {
                self.keeper.keep_task_run_and_pods(run).await?;
                self.delete(run.as_ref()).await?;
            }
        }
        Ok(())
    }

    async fn delete<K: Object<Scope = NamespaceResourceScope>>(&self, run: &K) -> Result<(), Error> {
        self.keeper.store_durably().await?;
        let meta = run.meta();
        let (namespace, name) = (
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
        );
        let api: Api<K> = Api::namespaced(self.keeper.client.clone(), namespace);
        // Another run of the same name is none of ours.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: meta.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match api.delete(name, &params).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            Err(error) => Err(Error::api(format!("delete {namespace}/{name}"), error)),
        }
    }
}

fn wake<K: Object>(
    cache: &Cache<K>,
    changed: &Arc<Notify>,
    matters: impl Fn(Arc<K>) -> bool + Send + Sync + 'static,
) {
    let changed = Arc::clone(changed);
    cache.on_change(move |change| {
        if change.new.clone().is_some_and(&matters) || change.new.is_none() {
            changed.notify_one();
        }
    });
}
