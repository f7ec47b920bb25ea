//! Workspaces: directories that are declared by those who use them, and bound by those who run them.

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, ConfigMapVolumeSource, EmptyDirVolumeSource, PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource, ProjectedVolumeSource, SecretVolumeSource,
};
use serde::{Deserialize, Serialize};

/// A workspace that a Task declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceDeclaration {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where steps see it; see [`WorkspaceDeclaration::path`].
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mount_path: String,
    /// May steps only read it?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// May it stay unbound?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl WorkspaceDeclaration {
    /// Where steps see it: `/workspace/<name>` unless declared otherwise.
    pub fn path(&self) -> String {
        if self.mount_path.is_empty() {
            format!("/workspace/{}", self.name)
        } else {
            self.mount_path.clone()
        }
    }
}

/// A workspace that a Pipeline declares.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineWorkspaceDeclaration {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// May it stay unbound?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Which workspace of the pipeline a task gets as one of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspacePipelineTaskBinding {
    /// The task's name for it.
    #[serde(default)]
    pub name: String,
    /// The pipeline's name for it; absent: the same.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub workspace: String,
    /// Directory inside of it that the task gets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
}

impl WorkspacePipelineTaskBinding {
    /// The pipeline's name for the workspace.
    pub fn workspace(&self) -> &str {
        if self.workspace.is_empty() {
            &self.name
        } else {
            &self.workspace
        }
    }
}

/// A workspace that only those steps see which name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceUsage {
    /// The task's name for it.
    #[serde(default)]
    pub name: String,
    /// Where this step sees it.
    #[serde(default)]
    pub mount_path: String,
}

/// What a run gives as a workspace: exactly one of the volumes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceBinding {
    /// The name of the workspace.
    #[serde(default)]
    pub name: String,
    /// Directory inside of the volume.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub_path: String,
    /// A claim that is made for the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_claim_template: Option<PersistentVolumeClaim>,
    /// A claim that exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A directory that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolumeSource>,
    /// A ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapVolumeSource>,
    /// A Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretVolumeSource>,
    /// Several sources in one directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected: Option<ProjectedVolumeSource>,
    /// A volume of a storage driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi: Option<CSIVolumeSource>,
}
