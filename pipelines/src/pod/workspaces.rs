//! Workspaces: from what a run binds to volumes and mounts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crds::tekton::{TaskRun, TaskSpec, WorkspaceBinding, WorkspaceDeclaration, WorkspaceUsage};
use k8s_openapi::api::core::v1::{PersistentVolumeClaimVolumeSource, Volume, VolumeMount};
use kube::ResourceExt;
use sha2::{Digest, Sha256};

use crate::substitution::task::Workspace;

/// The workspaces of one run.
#[derive(Clone, Debug, Default)]
pub struct Workspaces {
    bound: Vec<Bound>,
    volumes: Vec<Volume>,
    /// Workspaces that only some steps and sidecars see.
    isolated: Vec<String>,
}

#[derive(Clone, Debug)]
struct Bound {
    name: String,
    claim: String,
    mount: VolumeMount,
}

impl Workspaces {
    /// # Errors
    /// What is wrong with the bindings, for the user.
    pub fn of(run: &TaskRun, task: &TaskSpec) -> Result<Self, String> {
        let mut all = Self {
            isolated: isolated(task),
            ..Self::default()
        };
        let uid = run.uid().unwrap_or_default();
        for declared in declared(run, task) {
            let Some(binding) = run
                .spec
                .workspaces
                .iter()
                .find(|binding| binding.name == declared.name)
            else {
                if declared.optional {
                    continue;
                }
                return Err(format!(
                    "bound workspaces did not match declared workspaces: didn't find required workspace {:?}: \
                     bind it under spec.workspaces of the TaskRun",
                    declared.name
                ));
            };
            let (volume, claim) = volume(binding, &uid)?;
            all.bound.push(Bound {
                name: declared.name.clone(),
                claim,
                mount: VolumeMount {
                    name: volume.name.clone(),
                    mount_path: declared.path(),
                    sub_path: (!binding.sub_path.is_empty()).then(|| binding.sub_path.clone()),
                    read_only: declared.read_only.then_some(true),
                    ..VolumeMount::default()
                },
            });
            // Two workspaces may be in the same volume.
            if !all.volumes.iter().any(|known| known.name == volume.name) {
                all.volumes.push(volume);
            }
        }
        Ok(all)
    }

    pub(super) fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.iter()
    }

    /// What a step or sidecar sees that names `used`.
    pub(super) fn mounts(&self, used: &[WorkspaceUsage]) -> Vec<VolumeMount> {
        self.bound
            .iter()
            .filter_map(|bound| {
                let usage = used.iter().find(|usage| usage.name == bound.name);
                if usage.is_none() && self.isolated.contains(&bound.name) {
                    return None;
                }
                let mut mount = bound.mount.clone();
                if let Some(usage) = usage.filter(|usage| !usage.mount_path.is_empty()) {
                    mount.mount_path.clone_from(&usage.mount_path);
                }
                Some(mount)
            })
            .collect()
    }

    /// What `$(workspaces.<name>.…)` stands for, by name; `declared` has the ones that are not bound too.
    pub fn variables(&self, run: &TaskRun, task: &TaskSpec) -> BTreeMap<String, Workspace> {
        let unbound = declared(run, task)
            .into_iter()
            .map(|declared| (declared.name, Workspace::default()));
        let bound = self.bound.iter().map(|bound| {
            let variables = Workspace {
                bound: true,
                path: bound.mount.mount_path.clone(),
                claim: bound.claim.clone(),
                volume: bound.mount.name.clone(),
            };
            (bound.name.clone(), variables)
        });
        unbound.chain(bound).collect()
    }
}

/// The declared workspaces; with a task that is written into the run, also those that it uses without saying so.
fn declared(run: &TaskRun, task: &TaskSpec) -> Vec<WorkspaceDeclaration> {
    let mut all = task.workspaces.clone();
    if run.spec.task_spec.is_some() {
        let text = serde_json::to_string(&run.spec.task_spec).unwrap_or_default();
        for binding in &run.spec.workspaces {
            let is_used = text.contains(&format!("$(workspaces.{}.", binding.name));
            if is_used && !all.iter().any(|declared| declared.name == binding.name) {
                all.push(WorkspaceDeclaration {
                    name: binding.name.clone(),
                    ..WorkspaceDeclaration::default()
                });
            }
        }
    }
    all
}

fn isolated(task: &TaskSpec) -> Vec<String> {
    let steps = task.steps.iter().flat_map(|step| &step.workspaces);
    let sidecars = task.sidecars.iter().flat_map(|sidecar| &sidecar.workspaces);
    steps.chain(sidecars).map(|usage| usage.name.clone()).collect()
}

/// The volume of a binding, and the name of its claim.
fn volume(binding: &WorkspaceBinding, owner_uid: &str) -> Result<(Volume, String), String> {
    let claim = match (&binding.persistent_volume_claim, &binding.volume_claim_template) {
        (Some(claim), _) => Some(claim.clone()),
        (None, Some(_)) => Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim_of_template(binding, owner_uid),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        (None, None) => None,
    };
    let claim_name = claim
        .as_ref()
        .map(|claim| claim.claim_name.clone())
        .unwrap_or_default();
    let of = if claim_name.is_empty() {
        &binding.name
    } else {
        &claim_name
    };
    let volume = Volume {
        name: format!("ws-{}", &hex(of, 5)),
        persistent_volume_claim: claim,
        empty_dir: binding.empty_dir.clone(),
        config_map: binding.config_map.clone(),
        secret: binding.secret.clone(),
        projected: binding.projected.clone(),
        csi: binding.csi.clone(),
        ..Volume::default()
    };
    let kinds = [
        volume.persistent_volume_claim.is_some(),
        volume.empty_dir.is_some(),
        volume.config_map.is_some(),
        volume.secret.is_some(),
        volume.projected.is_some(),
        volume.csi.is_some(),
    ];
    match kinds.into_iter().filter(|is_given| *is_given).count() {
        1 => Ok((volume, claim_name)),
        count => Err(format!(
            "workspace {:?} must be bound to exactly one kind of volume, not to {count}",
            binding.name
        )),
    }
}

/// Name of the claim that is made for a run from its template.
pub fn claim_of_template(binding: &WorkspaceBinding, owner_uid: &str) -> String {
    let named = binding
        .volume_claim_template
        .as_ref()
        .and_then(|template| template.metadata.name.clone());
    let prefix = named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "pvc".to_owned());
    format!("{prefix}-{}", hex(&format!("{}{owner_uid}", binding.name), 10))
}

/// So many hexadecimal digits of a hash.
fn hex(text: &str, digits: usize) -> String {
    let mut hex: String = Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.truncate(digits);
    hex
}

/// The run with the binding that the install gives to workspaces that need one and have none.
pub(crate) fn with_default<'r>(
    run: &'r TaskRun,
    task: &TaskSpec,
    binding: Option<&WorkspaceBinding>,
) -> Cow<'r, TaskRun> {
    let Some(binding) = binding else {
        return Cow::Borrowed(run);
    };
    let bound = |name: &str| run.spec.workspaces.iter().any(|bound| bound.name == name);
    let declared = task.workspaces.iter();
    let bare = declared.filter(|declared| !declared.optional && !bound(&declared.name));
    let added: Vec<WorkspaceBinding> = bare
        .map(|declared| WorkspaceBinding {
            name: declared.name.clone(),
            ..binding.clone()
        })
        .collect();
    if added.is_empty() {
        return Cow::Borrowed(run);
    }
    let mut run = run.clone();
    run.spec.workspaces.extend(added);
    Cow::Owned(run)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(workspaces: Value) -> TaskRun {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "uid": "u"}, "spec": {"taskRef": {"name": "t"}, "workspaces": workspaces},
        }))
        .unwrap()
    }

    fn task(value: Value) -> TaskSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_needed_and_not_bound_gets_the_default() {
        let run = run(json!([{"name": "src", "emptyDir": {}}]));
        let default: WorkspaceBinding =
            serde_json::from_value(json!({"name": "ignored", "configMap": {"name": "m"}})).unwrap();
        let task = task(json!({"steps": [], "workspaces": [
            {"name": "src"}, {"name": "conf"}, {"name": "none", "optional": true},
        ]}));
        assert!(Workspaces::of(&run, &task).is_err());
        assert!(matches!(with_default(&run, &task, None), Cow::Borrowed(_)));
        let bound = with_default(&run, &task, Some(&default));
        let shown: Vec<(&str, bool)> = bound
            .spec
            .workspaces
            .iter()
            .map(|binding| (binding.name.as_str(), binding.config_map.is_some()))
            .collect();
        assert_eq!(shown, [("src", false), ("conf", true)]);
        assert!(Workspaces::of(&bound, &task).is_ok());
        assert!(matches!(
            with_default(&bound, &task, Some(&default)),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn bindings_become_volumes_and_mounts() {
        let run = run(json!([
            {"name": "src", "persistentVolumeClaim": {"claimName": "c"}, "subPath": "a"},
            {"name": "out", "persistentVolumeClaim": {"claimName": "c"}},
            {"name": "conf", "configMap": {"name": "m"}},
            {"name": "new", "volumeClaimTemplate": {"metadata": {"name": "t"}, "spec": {}}},
        ]));
        let task = task(json!({"steps": [], "workspaces": [
            {"name": "src"}, {"name": "out", "mountPath": "/out"}, {"name": "conf", "readOnly": true}, {"name": "new"},
            {"name": "none", "optional": true},
        ]}));
        let all = Workspaces::of(&run, &task).unwrap();
        let mounts = all.mounts(&[]);
        let shown: Vec<_> = mounts
            .iter()
            .map(|mount| {
                (
                    mount.mount_path.as_str(),
                    mount.sub_path.as_deref(),
                    mount.read_only,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("/workspace/src", Some("a"), None),
                ("/out", None, None),
                ("/workspace/conf", None, Some(true)),
                ("/workspace/new", None, None)
            ]
        );
        assert_eq!(
            mounts[0].name, mounts[1].name,
            "the same claim is the same volume"
        );
        assert_eq!(all.volumes().count(), 3);
        let variables = all.variables(&run, &task);
        assert!(!variables["none"].bound && variables["none"].path.is_empty());
        assert_eq!(variables["out"].path, "/out");
        assert!(variables["new"].claim.starts_with("t-") && variables["new"].claim.len() == 12);
    }

    #[test]
    fn what_cannot_be_bound_is_told() {
        let required = task(json!({"workspaces": [{"name": "src"}]}));
        for (workspaces, word) in [
            (json!([]), "src"),
            (json!([{"name": "src"}]), "not to 0"),
            (
                json!([{"name": "src", "emptyDir": {}, "secret": {"secretName": "s"}}]),
                "not to 2",
            ),
        ] {
            let error = Workspaces::of(&run(workspaces), &required).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_workspace_that_steps_name_is_seen_only_by_them() {
        let run = run(json!([{"name": "secret", "emptyDir": {}}, {"name": "all", "emptyDir": {}}]));
        let task = task(json!({
            "workspaces": [{"name": "secret"}, {"name": "all"}],
            "steps": [{"name": "a"}, {"name": "b", "workspaces": [{"name": "secret", "mountPath": "/s"}]}],
        }));
        let all = Workspaces::of(&run, &task).unwrap();
        let paths = |index: usize| {
            let mounts = all.mounts(&task.steps[index].workspaces);
            mounts
                .into_iter()
                .map(|mount| mount.mount_path)
                .collect::<Vec<_>>()
        };
        assert_eq!(paths(0), ["/workspace/all"]);
        assert_eq!(paths(1), ["/s", "/workspace/all"]);
    }
}
