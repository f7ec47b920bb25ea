//! Whether the name that a user chose for a revision may be used.

use std::sync::Arc;

use crds::labels;
use crds::serving::{Configuration, Revision};
use reconciler::object::is_controlled_by;

use crate::shared::{label, uid_of};

/// The state of the name in `spec.template.metadata.name`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NameCheck {
    /// The user chose none.
    Generated,
    /// No revision has the name yet.
    Free(String),
    /// The revision is that of this generation, or an older one with the same spec: going back to it is legal.
    Ours(Arc<Revision>),
    /// Another revision has the name.
    Taken(String),
}

pub(crate) fn check_name(
    configuration: &Configuration,
    find: impl FnOnce(&str) -> Option<Arc<Revision>>,
) -> NameCheck {
    let template = &configuration.spec.template;
    let Some(name) = template
        .metadata
        .as_ref()
        .and_then(|meta| meta.name.clone())
        .filter(|name| !name.is_empty())
    else {
        return NameCheck::Generated;
    };
    let Some(revision) = find(&name) else {
        return NameCheck::Free(name);
    };
    let generation = configuration.metadata.generation.unwrap_or_default().to_string();
    let ours = is_controlled_by(&revision.metadata, uid_of(&configuration.metadata))
        && (label(&revision.metadata, labels::CONFIGURATION_GENERATION) == Some(&generation)
            || revision.spec == template.spec);
    if ours {
        NameCheck::Ours(revision)
    } else {
        NameCheck::Taken(name)
    }
}
