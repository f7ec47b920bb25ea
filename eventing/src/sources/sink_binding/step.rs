//! What a binding does about one workload.

use crate::binding::{Injection, Present};
use crate::tracker::Workload;

/// What is known of a workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'a> {
    pub workload: &'a Workload,
    /// Name of the binding that looks.
    pub binding: &'a str,
    /// What that binding tells; `None` while its sink is unknown.
    pub injection: Option<&'a Injection>,
    /// Is that binding for the workload?
    pub selected: bool,
    /// May the workload be bound at all?
    pub allowed: bool,
    /// The binding that the workload belongs to, and whether it knows its sink.
    pub chosen: Option<(&'a str, bool)>,
    /// Templates of Jobs cannot be changed.
    pub immutable: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Keep,
    Bind,
    Unbind,
    /// It is for the binding, and yet is not bound.
    Leave(Obstacle),
}

/// Why a workload is not bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    Excluded,
    /// An older binding has it.
    Taken(String),
    Immutable,
}

pub(super) fn step(known: &Known<'_>) -> Step {
    let mine = known.workload.bound_by.as_deref() == Some(known.binding);
    let owner = known.chosen.filter(|_| known.allowed);
    match owner {
        Some((owner, _)) if owner == known.binding => match known.injection {
            None => Step::Keep,
            Some(injection) if mine && known.workload.present == Present::Exactly(injection.clone()) => {
                Step::Keep
            }
            Some(_) if known.immutable => Step::Leave(Obstacle::Immutable),
            Some(_) => Step::Bind,
        },
        // Whoever knows its sink overwrites ours without a gap.
        _ if mine && !known.immutable && !owner.is_some_and(|(_, knows)| knows) => Step::Unbind,
        _ if known.selected && !known.allowed => Step::Leave(Obstacle::Excluded),
        Some((owner, _)) if known.selected => Step::Leave(Obstacle::Taken(owner.to_owned())),
        _ => Step::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload(bound_by: Option<&str>, present: Present) -> Workload {
        Workload {
            labels: Default::default(),
            bound_by: bound_by.map(str::to_owned),
            present,
        }
    }

    #[test]
    fn each_workload_is_bound_unbound_or_left() {
        let injection = Injection {
            sink: "http://sink".to_owned(),
            ..Injection::default()
        };
        let told = Present::Exactly(injection.clone());
        let (bare, ours, theirs) = (
            workload(None, Present::Nothing),
            workload(Some("me"), told.clone()),
            workload(Some("you"), told.clone()),
        );
        let changed = workload(Some("me"), Present::Other);
        let (me, you, waiting) = (Some(("me", true)), Some(("you", true)), Some(("you", false)));
        let left = |obstacle| Step::Leave(obstacle);
        let taken = || left(Obstacle::Taken("you".to_owned()));
        let base = Known {
            workload: &bare,
            binding: "me",
            injection: Some(&injection),
            selected: true,
            allowed: true,
            chosen: me,
            immutable: false,
        };
        for (known, expected) in [
            (base, Step::Bind),
            (
                Known {
                    workload: &changed,
                    ..base
                },
                Step::Bind,
            ),
            (
                Known {
                    workload: &theirs,
                    ..base
                },
                Step::Bind,
            ),
            (
                Known {
                    workload: &ours,
                    ..base
                },
                Step::Keep,
            ),
            (
                Known {
                    injection: None,
                    ..base
                },
                Step::Keep,
            ),
            (
                Known {
                    immutable: true,
                    ..base
                },
                left(Obstacle::Immutable),
            ),
            (
                Known {
                    immutable: true,
                    workload: &ours,
                    ..base
                },
                Step::Keep,
            ),
            (
                Known {
                    allowed: false,
                    ..base
                },
                left(Obstacle::Excluded),
            ),
            (
                Known {
                    allowed: false,
                    workload: &ours,
                    ..base
                },
                Step::Unbind,
            ),
            (Known { chosen: you, ..base }, taken()),
            (
                Known {
                    chosen: you,
                    workload: &ours,
                    ..base
                },
                taken(),
            ),
            (
                Known {
                    chosen: waiting,
                    workload: &ours,
                    ..base
                },
                Step::Unbind,
            ),
            (
                Known {
                    chosen: None,
                    selected: false,
                    ..base
                },
                Step::Keep,
            ),
            (
                Known {
                    chosen: None,
                    selected: false,
                    workload: &ours,
                    ..base
                },
                Step::Unbind,
            ),
            (
                Known {
                    chosen: None,
                    selected: false,
                    workload: &theirs,
                    ..base
                },
                Step::Keep,
            ),
            (
                Known {
                    chosen: None,
                    selected: false,
                    workload: &ours,
                    immutable: true,
                    ..base
                },
                Step::Keep,
            ),
        ] {
            assert_eq!(step(&known), expected, "{known:?}");
        }
    }
}
