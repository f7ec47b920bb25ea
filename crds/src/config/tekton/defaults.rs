//! `config-defaults`

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::ResourceRequirements;

use crate::config::data::{ConfigError, ensure, read, read_text};
use crate::config::{Data, Snapshot};
use crate::tekton::{AssistantTemplate, PodTemplate, WorkspaceBinding};

/// What runs get where they say nothing, and how patient their controllers are.
#[derive(Clone, Debug, PartialEq)]
pub struct Defaults {
    /// Minutes that a run may take; 0 is as long as it likes.
    pub timeout_minutes: i32,
    /// Who the pods are.
    pub service_account: String,
    /// Value of the label `app.kubernetes.io/managed-by` of pods.
    pub managed_by_label_value: String,
    /// Fields of the pods, below those of a run.
    pub pod_template: Option<PodTemplate>,
    /// Fields of the pods of affinity assistants, below those of a run.
    pub affinity_assistant_pod_template: Option<AssistantTemplate>,
    /// What is bound to workspaces of a TaskRun that nothing is bound to; its name is ignored.
    pub task_run_workspace_binding: Option<WorkspaceBinding>,
    /// Combinations that a matrix may have.
    pub max_matrix_combinations: usize,
    /// Environment variables that a pod template may not set.
    pub forbidden_env: Vec<String>,
    /// The resolver of references that have params and name none; empty: there is none.
    pub resolver_type: String,
    /// What containers need, by their names; `prefix-<x>` is of all whose name begins with `<x>`, `default` of all.
    pub container_resource_requirements: BTreeMap<String, ResourceRequirements>,
    /// How long an image may fail to be pulled.
    pub image_pull_backoff_timeout: Duration,
    /// How long a container may fail to be made in time.
    pub create_container_error_timeout: Duration,
    /// How long a resolver may take.
    pub maximum_resolution_timeout: Duration,
    /// StepActions of a task that are fetched at the same time.
    pub step_ref_concurrency_limit: usize,
    /// Where CloudEvents about runs go, unless `config-events` says.
    pub cloud_events_sink: String,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            timeout_minutes: 60,
            service_account: "default".to_owned(),
            managed_by_label_value: crate::tekton::labels::MANAGED_BY_VALUE.to_owned(),
            pod_template: None,
            affinity_assistant_pod_template: None,
            task_run_workspace_binding: None,
            max_matrix_combinations: 256,
            forbidden_env: Vec::new(),
            resolver_type: String::new(),
            container_resource_requirements: BTreeMap::new(),
            image_pull_backoff_timeout: Duration::ZERO,
            create_container_error_timeout: Duration::ZERO,
            maximum_resolution_timeout: Duration::from_secs(60),
            step_ref_concurrency_limit: 5,
            cloud_events_sink: String::new(),
        }
    }
}

impl Defaults {
    /// How long a run may take that does not say.
    pub fn timeout(&self) -> crate::tekton::Duration {
        crate::tekton::Duration::from_mins(self.timeout_minutes)
    }
}

impl Snapshot for Defaults {
    const NAME: &'static str = "config-defaults";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut found = Self::default();
        read(data, "default-timeout-minutes", &mut found.timeout_minutes)?;
        ensure(
            found.timeout_minutes >= 0,
            "default-timeout-minutes",
            found.timeout_minutes,
            "must not be negative",
        )?;
        text(data, "default-service-account", &mut found.service_account);
        text(
            data,
            "default-managed-by-label-value",
            &mut found.managed_by_label_value,
        );
        found.pod_template = yaml(data, "default-pod-template")?;
        found.affinity_assistant_pod_template = yaml(data, "default-affinity-assistant-pod-template")?;
        found.task_run_workspace_binding = yaml(data, "default-task-run-workspace-binding")?;
        read(
            data,
            "default-max-matrix-combinations-count",
            &mut found.max_matrix_combinations,
        )?;
        let mut forbidden = String::new();
        read_text(data, &["default-forbidden-env"], &mut forbidden);
        found.forbidden_env = forbidden
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        read_text(data, &["default-resolver-type"], &mut found.resolver_type);
        found.container_resource_requirements =
            yaml(data, "default-container-resource-requirements")?.unwrap_or_default();
        duration(
            data,
            "default-imagepullbackoff-timeout",
            &mut found.image_pull_backoff_timeout,
        )?;
        duration(
            data,
            "default-create-container-error-timeout",
            &mut found.create_container_error_timeout,
        )?;
        duration(
            data,
            "default-maximum-resolution-timeout",
            &mut found.maximum_resolution_timeout,
        )?;
        let key = "default-step-ref-concurrency-limit";
        read(data, key, &mut found.step_ref_concurrency_limit)?;
        ensure(found.step_ref_concurrency_limit > 0, key, 0, "must be at least 1")?;
        found.cloud_events_sink = super::events::sink(data, "default-cloud-events-sink")?;
        Ok(found)
    }
}

/// Overwrites `field` with a text that is not empty: pods are somebody, and looked after by somebody.
fn text(data: &Data, key: &str, field: &mut String) {
    if let Some(text) = data
        .get(key)
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
    {
        text.clone_into(field);
    }
}

fn yaml<T: serde::de::DeserializeOwned>(data: &Data, key: &str) -> Result<Option<T>, ConfigError> {
    let Some(text) = data.get(key).filter(|text| !text.trim().is_empty()) else {
        return Ok(None);
    };
    // By way of JSON, for which the types are decoded anyway: each further format is as much code again.
    let value: serde_json::Value =
        serde_saphyr::from_str(text).map_err(|error| ConfigError::parse(key, error))?;
    serde_json::from_value(value)
        .map(Some)
        .map_err(|error| ConfigError::parse(key, error))
}

fn duration(data: &Data, key: &str, field: &mut Duration) -> Result<(), ConfigError> {
    let Some(text) = data
        .get(key)
        .map(|text| text.trim())
        .filter(|text| !text.is_empty())
    else {
        return Ok(());
    };
    let parsed = formats::duration::parse(text).map_err(|error| ConfigError::parse(key, error))?;
    *field =
        Duration::try_from(parsed).map_err(|_| ConfigError::invalid(key, text, "must not be negative"))?;
    Ok(())
}
