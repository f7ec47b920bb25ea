//! What children get as workspaces, and the claims that are made for them.

use std::collections::BTreeSet;

use crds::tekton::{PipelineRun, PipelineTask, TaskSpec, WorkspaceBinding, WorkspaceDeclaration};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource};
use sha2::{Digest as _, Sha256};

use super::super::assistants;
use crate::substitution::{each_variable, task};

/// Bytes that the name of a volume may have.
const VOLUME_NAME: usize = 63;

/// The claims that a run makes for the templates among its workspaces.
pub fn claims(run: &PipelineRun) -> Vec<PersistentVolumeClaim> {
    let of_binding = |binding: &WorkspaceBinding| {
        let mut claim = binding.volume_claim_template.clone()?;
        claim.metadata.name = Some(claim_name(run, binding)?);
        claim.metadata.namespace.clone_from(&run.metadata.namespace);
        claim.status = None;
        Some(claim)
    };
    run.spec.workspaces.iter().filter_map(of_binding).collect()
}

/// The name of the claim that is made from a template: the same for all tasks of a run. Where one assistant has all
/// claims, it is the one that its StatefulSet gives to the template.
pub fn claim_name(run: &PipelineRun, binding: &WorkspaceBinding) -> Option<String> {
    let template = template_name(run, binding)?;
    Some(if assistants::is_of_run(run) {
        format!("{template}-{}-0", assistants::of_all(run))
    } else {
        template
    })
}

/// The name of a template among those of one assistant, or of its claim where there are none.
pub fn template_name(run: &PipelineRun, binding: &WorkspaceBinding) -> Option<String> {
    let template = binding.volume_claim_template.as_ref()?;
    let prefix = template
        .metadata
        .name
        .as_deref()
        .filter(|name| !name.is_empty())
        .unwrap_or("pvc");
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    let name = format!("{prefix}-{}", hash(&format!("{}{uid}", binding.name)));
    // The volume of a template has its name, and is shorter than a claim may be.
    Some(if assistants::is_of_run(run) && name.len() > VOLUME_NAME {
        let mut cut = VOLUME_NAME - 11;
        while !name.is_char_boundary(cut) {
            cut -= 1;
        }
        format!("{}-{}", &name[..cut], hash(&name))
    } else {
        name
    })
}

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// The bindings of a task: what it names of the run's, and for an embedded spec what has the same name as what it
/// uses.
pub(super) fn of_task(run: &PipelineRun, task: &PipelineTask) -> Vec<WorkspaceBinding> {
    let named = task.workspaces.iter().filter_map(|of_task| {
        let binding = run
            .spec
            .workspaces
            .iter()
            .find(|binding| binding.name == of_task.workspace())?;
        Some(bound(run, binding, &of_task.name, &of_task.sub_path))
    });
    let mut bindings: Vec<WorkspaceBinding> = named.collect();
    for name in propagated(run, task) {
        bindings.extend(
            run.spec
                .workspaces
                .iter()
                .filter(|binding| binding.name == name)
                .map(|binding| bound(run, binding, &name, "")),
        );
    }
    bindings
}

/// The embedded spec of a task, with the workspaces declared that it uses without saying so.
pub(super) fn embedded(run: &PipelineRun, task: &PipelineTask) -> Option<TaskSpec> {
    let mut spec = task.task_spec.as_ref()?.task_spec.clone();
    for name in propagated(run, task) {
        if !spec.workspaces.iter().any(|declared| declared.name == name) {
            spec.workspaces.push(WorkspaceDeclaration {
                name,
                ..WorkspaceDeclaration::default()
            });
        }
    }
    Some(spec)
}

/// The workspaces of the run that an embedded spec uses by their own names, without being given them.
fn propagated(run: &PipelineRun, task: &PipelineTask) -> BTreeSet<String> {
    let Some(embedded) = &task.task_spec else {
        return BTreeSet::new();
    };
    let declared = embedded
        .task_spec
        .workspaces
        .iter()
        .map(|declared| declared.name.clone());
    let mut used: BTreeSet<String> = declared.collect();
    let json = serde_json::to_value(&embedded.task_spec).unwrap_or_default();
    each_variable(&json, &task::FIELDS, &mut |variable, _| {
        if let ["workspaces", name, ..] = variable.path.as_slice() {
            used.insert((*name).to_owned());
        }
    });
    used.retain(|name| {
        let given = task.workspaces.iter().any(|of_task| of_task.name == *name);
        !given && run.spec.workspaces.iter().any(|binding| binding.name == *name)
    });
    used
}

fn bound(run: &PipelineRun, binding: &WorkspaceBinding, name: &str, sub_path: &str) -> WorkspaceBinding {
    let mut bound = WorkspaceBinding {
        name: name.to_owned(),
        sub_path: joined(&binding.sub_path, sub_path),
        ..binding.clone()
    };
    if let Some(claim_name) = claim_name(run, binding) {
        bound.volume_claim_template = None;
        bound.persistent_volume_claim = Some(PersistentVolumeClaimVolumeSource {
            claim_name,
            read_only: None,
        });
    }
    bound
}

fn joined(outer: &str, inner: &str) -> String {
    match (outer.trim_end_matches('/'), inner.trim_start_matches('/')) {
        ("", inner) => inner.to_owned(),
        (outer, "") => outer.to_owned(),
        (outer, inner) => format!("{outer}/{inner}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run() -> PipelineRun {
        let run = json!({
            "metadata": {"name": "run", "namespace": "ns", "uid": "u"},
            "spec": {"workspaces": [
                {"name": "src", "subPath": "a/", "volumeClaimTemplate": {"metadata": {"name": "data"}, "spec": {}}},
                {"name": "cache", "emptyDir": {}},
                {"name": "own", "volumeClaimTemplate": {"spec": {}}},
            ]},
        });
        serde_json::from_value(run).unwrap()
    }

    /// Names, directories and claims of the bindings of a task.
    fn bindings(task: Value) -> Vec<(String, String, Option<String>)> {
        let task: PipelineTask = serde_json::from_value(task).unwrap();
        let all = of_task(&run(), &task).into_iter();
        all.map(|found| {
            (
                found.name,
                found.sub_path,
                found.persistent_volume_claim.map(|claim| claim.claim_name),
            )
        })
        .collect()
    }

    #[test]
    fn a_claim_is_made_once_and_shared() {
        let claims = claims(&run());
        let names: Vec<&str> = claims
            .iter()
            .filter_map(|claim| claim.metadata.name.as_deref())
            .collect();
        let [data, own] = names.as_slice() else {
            panic!("{names:?}")
        };
        assert!(data.starts_with("data-") && data.len() == 15, "{data}");
        assert!(own.starts_with("pvc-") && own.len() == 14, "{own}");
        let task = json!({"name": "t", "taskRef": {"name": "x"}, "workspaces": [{"name": "here", "workspace": "src", "subPath": "/b"}]});
        assert_eq!(
            bindings(task),
            [("here".to_owned(), "a/b".to_owned(), Some((*data).to_owned()))]
        );
    }

    #[test]
    fn embedded_specs_get_what_they_use_and_referenced_ones_do_not() {
        let spec = json!({"steps": [{"script": "ls $(workspaces.cache.path) $(workspaces.unknown.path)"}]});
        let task = json!({"name": "t", "taskSpec": spec});
        assert_eq!(
            bindings(task.clone()),
            [("cache".to_owned(), String::new(), None)]
        );
        let task: PipelineTask = serde_json::from_value(task).unwrap();
        let embedded = embedded(&run(), &task).unwrap();
        assert_eq!(embedded.workspaces.len(), 1);
        assert!(bindings(json!({"name": "t", "taskRef": {"name": "x"}})).is_empty());
    }
}
