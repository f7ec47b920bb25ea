//! A run that takes over what succeeded in an earlier one.

use crds::tekton::{annotations, names};

use super::Inputs;

/// The child of the earlier run in whose place a child of `task` would be; whether it succeeded, and with the same
/// spec, is for whoever carries the child out to see.
///
/// Tasks of `finally` always run: they look after what this run does. So do tasks whose parents ran again, whatever
/// came out of these: a workspace is not what it was.
pub(super) fn of(
    inputs: &Inputs<'_>,
    task: &str,
    finally: bool,
    combination: Option<usize>,
) -> Option<String> {
    let of_run = inputs.prepared.run.metadata.annotations.as_ref()?;
    let earlier = of_run
        .get(annotations::RERUN_OF)
        .filter(|name| !name.is_empty() && *name != inputs.run && !finally)?;
    let tasks = &inputs.prepared.tasks;
    let position = tasks.iter().position(|other| other.spec.name == task)?;
    let mut parents = inputs
        .prepared
        .graph
        .parents(position)
        .iter()
        .filter_map(|&parent| tasks.get(parent));
    let taken_over = parents.all(|parent| {
        let mut children = inputs.children_of(parent).iter();
        children.all(|child| child.taken_over)
    });
    taken_over.then(|| names::run_of_task(earlier, task, combination))
}
