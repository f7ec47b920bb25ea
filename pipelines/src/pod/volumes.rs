//! The directories that every step finds, whatever its Task says.

use crds::tekton::{TaskSpec, annotations};
use entrypoint::paths;
use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector, SecretVolumeSource, Volume,
    VolumeMount,
};

use super::debug::Breakpoints;
use super::{Credentials, empty_dir, script};

pub(super) const BIN: &str = "tekton-internal-bin";
pub(super) const STEPS: &str = "tekton-internal-steps";
pub(super) const SCRIPTS: &str = "tekton-internal-scripts";
pub(super) const WORKSPACE: &str = "tekton-internal-workspace";
const HOME: &str = "tekton-internal-home";
const RESULTS: &str = "tekton-internal-results";
const ARTIFACTS: &str = "tekton-internal-artifacts";
const DOWNWARD: &str = "tekton-internal-downward";

fn run(index: usize) -> String {
    format!("tekton-internal-run-{index}")
}

fn credentials_of(index: usize) -> String {
    format!("tekton-creds-init-home-{index}")
}

/// Counted: the names of secrets may be longer than those of volumes.
fn secret(index: usize) -> String {
    format!("tekton-internal-secret-volume-{index}")
}

/// What the volumes and mounts of a pod follow from.
#[derive(Clone, Copy)]
pub(super) struct Implicit<'a> {
    /// Whose steps have what the template gives them.
    pub task: &'a TaskSpec,
    pub credentials: &'a Credentials,
    /// Do steps look whether the run is cancelled?
    pub cancellable: bool,
    pub breakpoints: Breakpoints<'a>,
}

impl Implicit<'_> {
    /// The volumes behind [`Self::mounts`].
    pub fn volumes(&self) -> Vec<Volume> {
        let Self {
            task,
            credentials,
            cancellable,
            breakpoints,
        } = *self;
        let mut all: Vec<Volume> = [WORKSPACE, HOME, RESULTS, STEPS, ARTIFACTS, BIN]
            .into_iter()
            .map(|name| empty_dir(name, None))
            .collect();
        let cancel = cancellable.then(|| annotation("cancel", annotations::CANCEL));
        let debug = breakpoints.any().then(|| annotation("debug", annotations::DEBUG));
        all.push(Volume {
            name: DOWNWARD.to_owned(),
            downward_api: Some(DownwardAPIVolumeSource {
                items: Some(
                    [annotation("ready", annotations::READY)]
                        .into_iter()
                        .chain(cancel)
                        .chain(debug)
                        .collect(),
                ),
                ..DownwardAPIVolumeSource::default()
            }),
            ..Volume::default()
        });
        if script::any(task) {
            all.push(empty_dir(SCRIPTS, None));
        }
        all.extend(breakpoints.volumes(task));
        for index in 0..task.steps.len() {
            all.push(empty_dir(run(index), None));
            if !credentials.is_empty() {
                // Secrets must not reach the disk.
                all.push(empty_dir(credentials_of(index), Some("Memory")));
            }
        }
        let secrets = credentials.secrets.iter().enumerate();
        all.extend(secrets.map(|(index, name)| Volume {
            name: secret(index),
            secret: Some(SecretVolumeSource {
                secret_name: Some(name.clone()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        }));
        all
    }

    /// What step `index` sees. `used` are the paths that the user's own mounts have, which win.
    pub fn mounts(&self, index: usize, used: &[VolumeMount]) -> Vec<VolumeMount> {
        let Self {
            task,
            credentials,
            cancellable,
            breakpoints,
        } = *self;
        let mut all = vec![
            mount(WORKSPACE, paths::WORKSPACE),
            mount(HOME, paths::HOME),
            mount(RESULTS, paths::RESULTS),
            read_only(STEPS, paths::STEPS),
            mount(ARTIFACTS, paths::ARTIFACTS),
            read_only(BIN, paths::BIN),
        ];
        if !credentials.is_empty() {
            all.push(mount(credentials_of(index), paths::CREDENTIALS));
        }
        let secrets = credentials.secrets.iter().enumerate();
        all.extend(
            secrets.map(|(index, name)| {
                read_only(secret(index), format!("{}/{name}", paths::CREDENTIAL_SECRETS))
            }),
        );
        if index == 0 || cancellable || breakpoints.any() {
            all.push(read_only(DOWNWARD, paths::DOWNWARD));
        }
        if script::of_step(task, index).is_some() {
            all.push(read_only(SCRIPTS, paths::SCRIPTS));
        }
        all.extend(breakpoints.mounts(index));
        for other in 0..task.steps.len() {
            let path = format!("{}/{other}", paths::RUN);
            all.push(if other == index {
                mount(run(other), path)
            } else {
                read_only(run(other), path)
            });
        }
        all.retain(|implicit| !used.iter().any(|used| used.mount_path == implicit.mount_path));
        all
    }
}

/// An annotation of the pod as a file.
fn annotation(file: &str, name: &str) -> DownwardAPIVolumeFile {
    DownwardAPIVolumeFile {
        path: file.to_owned(),
        field_ref: Some(ObjectFieldSelector {
            field_path: format!("metadata.annotations['{name}']"),
            ..ObjectFieldSelector::default()
        }),
        ..DownwardAPIVolumeFile::default()
    }
}

pub(super) fn mount(volume: impl Into<String>, path: impl Into<String>) -> VolumeMount {
    VolumeMount {
        name: volume.into(),
        mount_path: path.into(),
        ..VolumeMount::default()
    }
}

pub(super) fn read_only(volume: impl Into<String>, path: impl Into<String>) -> VolumeMount {
    VolumeMount {
        read_only: Some(true),
        ..mount(volume, path)
    }
}
