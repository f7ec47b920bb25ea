//! Which revisions and configurations a Route points at, now or soon.

use std::collections::BTreeSet;
use std::sync::Arc;

use crds::serving::{Configuration, Revision, Route};
use reconciler::object::controller_of;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Targets {
    pub revisions: BTreeSet<String>,
    pub configurations: BTreeSet<String>,
}

pub(super) fn targets(
    route: &Route,
    revision: impl Fn(&str) -> Option<Arc<Revision>>,
    configuration: impl Fn(&str) -> Option<Arc<Configuration>>,
) -> Targets {
    let mut found = Targets::default();
    let flowing = route.status.iter().flat_map(|status| &status.traffic);
    for target in flowing.chain(&route.spec.traffic) {
        let mut configured = target.configuration_name.clone().filter(|name| !name.is_empty());
        if let Some(name) = target.revision_name.as_deref().filter(|name| !name.is_empty()) {
            found.revisions.insert(name.to_owned());
            let owner = revision(name).and_then(|revision| controller_of(&revision.metadata).cloned());
            configured = owner
                .filter(|owner| owner.kind == "Configuration")
                .map(|owner| owner.name)
                .or(configured);
        }
        let Some(configuration) = configured.and_then(|name| configuration(&name)) else {
            continue;
        };
        if target.latest_revision == Some(true) {
            // It will get the requests once it is ready, and must not be shut down before.
            let created = configuration
                .status
                .as_ref()
                .and_then(|s| s.latest_created_revision_name.clone());
            found.revisions.extend(created);
        }
        found.configurations.extend(configuration.metadata.name.clone());
    }
    found
}
