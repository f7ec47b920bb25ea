//! Affinity assistants: pods that do nothing but hold a place on a node, so that the TaskRuns which share a claim come
//! to the same one.
//!
//! Which there are follows from the run alone: how it keeps its TaskRuns together is written into it when it begins,
//! and their names are functions of its own. So they are made once, found again, and taken away whatever became of the
//! configuration since.

mod stateful_set;

use crds::config::tekton::Coschedule;
use crds::tekton::reasons::task_run as reasons;
use crds::tekton::{PipelineRun, WorkspaceBinding, annotations};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use super::child::{Child, Kind, Outcome};
use super::children::{claim_name, claims, template_name};
use crate::pod;

pub(super) use stateful_set::{Setup, stateful_set};

/// One of them, as it has to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assistant {
    /// Of its StatefulSet.
    pub name: String,
    /// The claims that there are: where their volumes are, it has to be.
    pub claims: Vec<String>,
    /// The claims that are its own.
    pub templates: Vec<PersistentVolumeClaim>,
}

/// How the TaskRuns of a run are kept together.
pub(super) fn mode(run: &PipelineRun) -> Coschedule {
    noted(run).unwrap_or(Coschedule::Disabled)
}

fn noted(run: &PipelineRun) -> Option<Coschedule> {
    let notes = run.metadata.annotations.as_ref()?;
    notes.get(annotations::COSCHEDULE)?.parse().ok()
}

/// What has to be written into a run that is about to begin; nothing, if it needs no assistant.
pub(super) fn to_note(run: &PipelineRun, present: Coschedule) -> Option<&'static str> {
    let needs = match noted(run).unwrap_or(present) {
        Coschedule::Disabled => false,
        Coschedule::Workspaces => run.spec.workspaces.iter().any(has_claim),
        Coschedule::PipelineRuns | Coschedule::IsolatePipelineRun => true,
    };
    (needs && noted(run).is_none()).then(|| present.as_str())
}

fn has_claim(binding: &WorkspaceBinding) -> bool {
    binding.persistent_volume_claim.is_some() || binding.volume_claim_template.is_some()
}

/// Is there one assistant for all of the run, whose claims are its own?
pub(super) fn is_of_run(run: &PipelineRun) -> bool {
    matches!(
        mode(run),
        Coschedule::PipelineRuns | Coschedule::IsolatePipelineRun
    )
}

/// Those that a run needs, its variables replaced.
pub(super) fn of_run(run: &PipelineRun) -> Vec<Assistant> {
    let given = |binding: &WorkspaceBinding| {
        let claim = binding.persistent_volume_claim.as_ref()?;
        Some(claim.claim_name.clone())
    };
    match mode(run) {
        Coschedule::Disabled => Vec::new(),
        Coschedule::Workspaces => {
            let mut all: Vec<Assistant> = Vec::new();
            for binding in &run.spec.workspaces {
                let Some(claim) = given(binding).or_else(|| claim_name(run, binding)) else {
                    continue;
                };
                // A pod can be beside one assistant only, so workspaces in the same claim have the same.
                if !all.iter().any(|known| known.claims.contains(&claim)) {
                    all.push(Assistant {
                        name: name(run, &binding.name),
                        claims: vec![claim],
                        templates: Vec::new(),
                    });
                }
            }
            all
        }
        Coschedule::PipelineRuns | Coschedule::IsolatePipelineRun => {
            let mut given: Vec<String> = run.spec.workspaces.iter().filter_map(given).collect();
            given.sort_unstable();
            given.dedup();
            let templates = run.spec.workspaces.iter().filter_map(|binding| {
                let mut template = binding.volume_claim_template.clone()?;
                template.metadata.name = template_name(run, binding);
                template.status = None;
                Some(template)
            });
            vec![Assistant {
                name: of_all(run),
                claims: given,
                templates: templates.collect(),
            }]
        }
    }
}

/// The assistant that a task's child has to be near to.
pub(super) fn of_task(run: &PipelineRun, workspaces: &[WorkspaceBinding]) -> Option<String> {
    match mode(run) {
        Coschedule::Disabled => None,
        Coschedule::Workspaces => {
            let mut claims = workspaces
                .iter()
                .filter_map(|bound| bound.persistent_volume_claim.as_ref());
            let claim = claims.next()?;
            let assistant = of_run(run)
                .into_iter()
                .find(|assistant| assistant.claims.contains(&claim.claim_name));
            assistant.map(|assistant| assistant.name)
        }
        Coschedule::PipelineRuns | Coschedule::IsolatePipelineRun => Some(of_all(run)),
    }
}

/// What goes when a run is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Leftovers {
    pub stateful_sets: Vec<String>,
    pub claims: Vec<String>,
}

/// What a run that is over leaves; variables are in none of the names.
pub(super) fn leftovers(run: &PipelineRun) -> Leftovers {
    let stateful_sets = match mode(run) {
        Coschedule::Disabled => Vec::new(),
        Coschedule::Workspaces => {
            let bound = run.spec.workspaces.iter().filter(|binding| has_claim(binding));
            bound.map(|binding| name(run, &binding.name)).collect()
        }
        Coschedule::PipelineRuns | Coschedule::IsolatePipelineRun => vec![of_all(run)],
    };
    let notes = run.metadata.annotations.as_ref();
    let asked = notes.and_then(|notes| notes.get(annotations::AUTO_CLEANUP_PVC));
    let claims = if is_of_run(run) || asked.is_some_and(|asked| asked == "true") {
        let made = claims(run).into_iter();
        made.filter_map(|claim| claim.metadata.name).collect()
    } else {
        Vec::new()
    };
    Leftovers {
        stateful_sets,
        claims,
    }
}

/// May a child wait for a place beside an assistant whose node takes no more pods?
pub(super) fn may_wait(run: &PipelineRun, children: &[Child]) -> bool {
    let waits = |child: &Child| {
        child.kind == Kind::TaskRun
            && child.outcome == Outcome::Running
            && [reasons::PENDING, reasons::EXCEEDED_NODE_RESOURCES].contains(&child.reason.as_str())
    };
    mode(run) != Coschedule::Disabled && children.iter().any(waits)
}

/// The name of the assistant of a workspace.
fn name(run: &PipelineRun, workspace: &str) -> String {
    pod::assistant_name(workspace, run.metadata.name.as_deref().unwrap_or_default())
}

/// The name of the one assistant of all of a run.
pub(super) fn of_all(run: &PipelineRun) -> String {
    name(run, "")
}

#[cfg(test)]
mod tests;
