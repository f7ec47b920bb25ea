//! From policies and what receivers say of them to who may send.

use std::collections::HashMap;
use std::sync::Arc;

use crds::Addressable;
use crds::conditions::Condition;
use crds::config::events::AuthorizationMode;
use crds::duck::PolicyReference;
use event_filter::Filter;
use kube::Resource;

use super::topics::{Filters, Observed};
use crate::identity::{Access, Policy, Rule};

/// What the status of a receiver says about senders.
pub(super) struct Guarded<'a> {
    pub address: Option<&'a Addressable>,
    /// The policies that speak of it and hold.
    pub policies: &'a [PolicyReference],
    /// Whether all that speak of it hold.
    pub condition: Option<&'a Condition>,
}

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
        let audience = guarded.address.and_then(|address| address.audience.clone());
        // One that speaks of the receiver and does not hold yet must not mean the default.
        let unready = guarded.condition.is_some_and(Condition::is_false);
        let rule = if guarded.policies.is_empty() && !unready {
            Rule::Default(self.mode)
        } else {
            let policies = guarded.policies.iter();
            let policies =
                policies.filter_map(|policy| known.get(&(namespace, policy.name.as_str())).cloned());
            Rule::Policies(policies.collect())
        };
        Some(Arc::new(Access {
            audience: audience.filter(|audience| !audience.is_empty()),
            rule,
        }))
    }
}
