//! The start of an attempt: everything its pod needs is found, and the pod is made.

use std::sync::Arc;

use crds::conditions::ConditionStatus;
use crds::config::tekton::{Defaults, Features};
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{RunStatus, TaskRun, TaskRunStatus, labels};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::{Api, ResourceExt};
use reconciler::object::is_controlled_by;
use reconciler::{Error, Key, Next};
use serde_json::json;

use super::super::decide::timeout;
use super::super::ending::{Ending, end};
use super::super::refusal::{self, Refusal};
use super::super::spec::Invalid;
use super::super::{claims, credentials, images, rerun};
use super::{TaskRuns, default_timeout, refuse, unready_yet};
use crate::pod::requirements::{self, Limits};
use crate::pod::workspaces::with_default;
use crate::pod::{self, Attempt, Settings};

/// The pod of an attempt, or when to look again.
pub(super) enum Created {
    Pod(Arc<TaskRun>, Arc<Pod>),
    Not(Arc<TaskRun>, Next),
}

/// Ends an attempt that can have no pod.
fn refused(run: Arc<TaskRun>, status: &mut TaskRunStatus, invalid: Invalid, now: Timestamp) -> Created {
    refuse(&run, status, invalid, now);
    Created::Not(run, Next::OnChange)
}

impl TaskRuns {
    /// Makes the pod of an attempt, or shows why there is none.
    pub(super) async fn create(
        &self,
        run: Arc<TaskRun>,
        status: &mut TaskRunStatus,
        now: Timestamp,
    ) -> Result<Created, Error> {
        let retry = status.retries_status.len();
        let (found, spec) = match self.spec(&run, status).await? {
            Ok(found) => found,
            Err(unready) => {
                let next = unready_yet(&run, status, unready, now);
                return Ok(Created::Not(run, next));
            }
        };
        let run = self.label(run, &found.name).await?;
        if let Some(earlier) = self.done_before(&run, status, &found).await? {
            *status = rerun::taken_over(&earlier, status, spec, &Time(now));
            return Ok(Created::Not(run, Next::OnChange));
        }
        let defaults = self.shared.config.get::<Defaults>();
        let settings = self.settings(&defaults);
        let default_binding = defaults.task_run_workspace_binding.as_ref();
        let bound = with_default(&run, &found.spec, default_binding);
        let features = self.shared.config.get::<Features>();
        if let Err(message) = claims::fit(&bound, features.coschedule) {
            return Ok(refused(
                run,
                status,
                Invalid::new(reasons::VALIDATION_FAILED, message),
                now,
            ));
        }
        if let Err(message) = claims::make(&self.shared.client, &bound).await? {
            let reason = reasons::COULDNT_CREATE_WORKSPACE_PVC;
            return Ok(refused(run, status, Invalid::new(reason, message), now));
        }
        let images = match images::look_up(&self.shared.client, &self.registry, &run, &spec).await {
            Ok(images) => images,
            Err(message) => {
                let reason = reasons::TASK_RUN_IMAGE_PULL_FAILED;
                status.start_time.get_or_insert(Time(now));
                end(&run, status, Ending::Failed { reason, message }, &Time(now));
                return Ok(Created::Not(run, Next::OnChange));
            }
        };
        let credentials = match credentials::look_up(&self.shared.client, &features, &run).await? {
            Ok(found) => found,
            Err(message) => {
                return Ok(refused(
                    run,
                    status,
                    Invalid::new(reasons::VALIDATION_FAILED, message),
                    now,
                ));
            }
        };
        for secret in &credentials.missing {
            let message = format!("secret {secret:?} of the service account does not exist");
            self.shared
                .events
                .warning(run.as_ref(), "FailedToRetrieveSecret", message);
        }
        let wanted = pod::desired(&Attempt {
            run: &bound,
            spec: &spec,
            settings: &settings,
            retry,
            timeout: timeout(&run, default_timeout(&defaults)),
            credentials: &credentials.credentials,
            images: &images,
        });
        let wanted = match wanted {
            Ok(mut wanted) => {
                requirements::by_name(&mut wanted, &defaults.container_resource_requirements);
                self.limits(&run).fill(&mut wanted);
                wanted
            }
            Err(error) => {
                return Ok(refused(
                    run,
                    status,
                    Invalid::new(reasons::VALIDATION_FAILED, error.to_string()),
                    now,
                ));
            }
        };
        let name = wanted.name_any();
        let created = self.applier.create(run.as_ref(), &self.shared.pods, wanted).await;
        let pod = match created {
            Ok(pod) => {
                if let Some(message) = pod::changed_affinity(&run, &name) {
                    self.shared
                        .events
                        .warning(run.as_ref(), "PodAffinityOverwrite", message);
                }
                pod
            }
            Err(error) => {
                let Error::Api { source, .. } = &error else {
                    return Err(error);
                };
                match refusal::of(source, &name) {
                    Refusal::Fault => return Err(error),
                    Refusal::Exists => match self.adopted(&run, &name).await? {
                        Some(pod) => pod,
                        None => {
                            let message = format!("there is a pod {name:?} that is not of this TaskRun");
                            return Ok(refused(
                                run,
                                status,
                                Invalid::new(reasons::POD_CREATION_FAILED, message),
                                now,
                            ));
                        }
                    },
                    Refusal::Later {
                        reason,
                        message,
                        pause,
                    } => {
                        status.start_time = None;
                        status.set_succeeded(ConditionStatus::Unknown, reason, &message, &Time(now));
                        return Ok(Created::Not(run, Next::After(pause)));
                    }
                    Refusal::Never { reason, message } => {
                        return Ok(refused(run, status, Invalid::new(reason, message), now));
                    }
                }
            }
        };
        status.start_time.get_or_insert(Time(now));
        status.pod_name = name;
        status.task_spec = Some(spec);
        Ok(Created::Pod(run, pod))
    }

    /// What the LimitRanges of the namespace say.
    fn limits(&self, run: &TaskRun) -> Limits {
        let namespace = run.namespace().unwrap_or_default();
        let ranges = self.shared.limit_ranges.in_namespace(&namespace, |_| true);
        Limits::of(ranges.iter().map(AsRef::as_ref))
    }

    async fn adopted(&self, run: &TaskRun, name: &str) -> Result<Option<Arc<Pod>>, Error> {
        let namespace = run.namespace().unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.shared.client.clone(), &namespace);
        let found = pods
            .get_opt(name)
            .await
            .map_err(|error| Error::api(format!("read pod {name}"), error))?;
        let uid = run.uid().unwrap_or_default();
        Ok(found
            .filter(|pod| is_controlled_by(&pod.metadata, &uid))
            .map(Arc::new))
    }

    fn settings(&self, defaults: &Defaults) -> Settings {
        let flags = self.shared.config.get::<Features>();
        Settings {
            entrypoint_image: self.shared.entrypoint_image.clone(),
            pod_template: defaults.pod_template.clone(),
            managed_by: defaults.managed_by_label_value.clone(),
            await_sidecars: flags.await_sidecar_readiness,
            injected_sidecars: flags.running_in_environment_with_injected_sidecars,
            secure_init: flags.set_security_context,
            read_only_init: flags.set_security_context_read_only_root_filesystem,
            keep_cancelled: flags.keep_pod_on_cancel,
            artifacts: flags.enable_artifacts,
            forbidden_env: defaults.forbidden_env.clone(),
        }
    }

    /// Clients find the runs of a Task by this label; the pod inherits it.
    async fn label(&self, run: Arc<TaskRun>, task: &str) -> Result<Arc<TaskRun>, Error> {
        if task.is_empty() || run.labels().get(labels::TASK).is_some_and(|label| label == task) {
            return Ok(run);
        }
        let changes = json!({"metadata": {"labels": {labels::TASK: task}}});
        let key = Key::of(run.as_ref());
        self.applier.merge(&self.shared.task_runs, &key, &changes).await
    }
}
