//! From policies and what receivers say of them to who may send.

use std::collections::HashMap;
use std::sync::Arc;

use crds::config::events::AuthorizationMode;
use event_filter::Filter;
use kube::Resource;

use super::topics::{Filters, Observed};
use crate::identity::{Access, Guarded, Policy};

/// All policies by namespace and name, or that senders have no identities.
pub(super) struct Policies<'a> {
    known: Option<HashMap<(&'a str, &'a str), Arc<Policy>>>,
    mode: AuthorizationMode,
}

impl<'a> Policies<'a> {
    pub(super) fn new(observed: &'a Observed, before: &Filters, kept: &mut Filters) -> Self {
        let enabled = observed.features.authentication_oidc.is_enabled();
        let known = enabled.then(|| {
            let policies = observed.policies.iter().filter_map(|policy| {
                let meta = policy.meta();
                let subjects = policy.status.as_ref().map(|status| status.from.clone());
                let compile = || Filter::compile(&policy.spec.filters, None);
                let compiled = Policy {
                    subjects: subjects.unwrap_or_default(),
                    filter: kept.keep(before, policy.as_ref(), compile),
                };
                Some((
                    (meta.namespace.as_deref()?, meta.name.as_deref()?),
                    Arc::new(compiled),
                ))
            });
            policies.collect()
        });
        Self {
            known,
            mode: observed.features.default_authorization_mode,
        }
    }

    /// Who may send to a receiver; `None` while senders have no identities.
    pub(super) fn of(&self, receiver: &impl Resource, guarded: Guarded<'_>) -> Option<Arc<Access>> {
        let known = self.known.as_ref()?;
        let namespace = receiver.meta().namespace.as_deref().unwrap_or_default();
        let policy = |name: &str| known.get(&(namespace, name)).cloned();
        Some(Arc::new(Access::of(guarded, self.mode, policy)))
    }
}
