//! Conflicts between managers, in the words of Kubernetes (`managedfields/internal/conflict.go`).

use std::fmt;

use super::managers::{ManagerId, Managers, Operation};
use super::set::FieldSet;

/// One field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The other manager, as shown: `"kubectl-edit" with subresource "status" using apps/v1`.
    pub manager: String,
    /// The field: `.spec.replicas`, `.spec.containers[name="x"].image`.
    pub field: String,
}

/// `conflict with "manager" using apps/v1`, the message of a `FieldManagerConflict` cause.
impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict with {}", self.manager)
    }
}

/// The conflicts of a write that wants `wanted`, by manager and path.
pub(super) fn conflicts(
    managers: &Managers,
    applier: &ManagerId,
    wanted: &FieldSet,
) -> Vec<(Conflict, FieldSet)> {
    let mut found = Vec::new();
    for (id, owned) in managers.owned.iter().filter(|(id, _)| *id != applier) {
        let disputed = owned.fields.intersection(wanted);
        if disputed.is_empty() {
            continue;
        }
        let manager = shown(id);
        disputed.for_each(&mut |path| {
            let field = path.iter().map(ToString::to_string).collect();
            let only = FieldSet::of_path(path);
            found.push((
                Conflict {
                    manager: manager.clone(),
                    field,
                },
                only,
            ));
        });
    }
    found.sort_by(|(left, _), (right, _)| left.manager.cmp(&right.manager));
    found
}

fn shown(id: &ManagerId) -> String {
    let mut text = format!("{:?}", id.manager);
    if !id.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", id.subresource));
    }
    if id.operation == Operation::Update {
        text.push_str(&format!(" using {}", id.api_version));
    }
    text
}

/// The text of the 409.
pub(super) fn message(conflicts: &[Conflict]) -> String {
    if let [only] = conflicts {
        return format!("Apply failed with 1 conflict: {only}: {}", only.field);
    }
    let mut text = format!("Apply failed with {} conflicts: ", conflicts.len());
    let mut manager = "";
    for conflict in conflicts {
        if conflict.manager != manager {
            if !manager.is_empty() {
                text.push('\n');
            }
            manager = &conflict.manager;
            text.push_str(&format!("conflicts with {manager}:"));
        }
        text.push_str(&format!("\n- {}", conflict.field));
    }
    text
}
