//! Who may send to a receiver of events.

use std::sync::Arc;

use crds::Addressable;
use crds::conditions::Condition;
use crds::config::events::AuthorizationMode;
use crds::duck::PolicyReference;
use event::Event;
use event_filter::Filter;

/// How the sub of a ServiceAccount's token begins.
const ACCOUNT: &str = "system:serviceaccount:";

/// Who may send, while senders have identities.
#[derive(Debug, Clone)]
pub struct Access {
    /// What tokens have to be made for; `None` until the control plane has published it.
    pub audience: Option<String>,
    pub rule: Rule,
}

/// Who may send.
#[derive(Debug, Clone)]
pub enum Rule {
    /// No policy speaks of the receiver.
    Default(AuthorizationMode),
    /// One of them has to allow it.
    Policies(Vec<Arc<Policy>>),
}

/// Allows some senders some events.
#[derive(Debug)]
pub struct Policy {
    /// Subjects of tokens; a `*` at the end stands for any rest.
    pub subjects: Vec<String>,
    pub filter: Arc<Filter>,
}

/// What the status of a receiver says about senders.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guarded<'a> {
    pub address: Option<&'a Addressable>,
    /// The policies that speak of it and hold.
    pub policies: &'a [PolicyReference],
    /// Whether all that speak of it hold.
    pub condition: Option<&'a Condition>,
}

impl Access {
    /// What a status means. `policy` finds a policy of the receiver's namespace by its name.
    pub fn of(
        guarded: Guarded<'_>,
        mode: AuthorizationMode,
        policy: impl Fn(&str) -> Option<Arc<Policy>>,
    ) -> Self {
        let audience = guarded.address.and_then(|address| address.audience.clone());
        // One that speaks of the receiver and does not hold yet must not mean the default.
        let unready = guarded.condition.is_some_and(Condition::is_false);
        let rule = if guarded.policies.is_empty() && !unready {
            Rule::Default(mode)
        } else {
            let policies = guarded.policies.iter();
            Rule::Policies(policies.filter_map(|named| policy(&named.name)).collect())
        };
        Self {
            audience: audience.filter(|audience| !audience.is_empty()),
            rule,
        }
    }

    /// Whether the owner of a token may send this event to what is in `namespace`.
    pub fn allows(&self, namespace: &str, subject: &str, event: &Event) -> bool {
        match &self.rule {
            Rule::Default(AuthorizationMode::AllowAll) => true,
            Rule::Default(AuthorizationMode::DenyAll) => false,
            Rule::Default(AuthorizationMode::AllowSameNamespace) => {
                let account = subject.strip_prefix(ACCOUNT);
                account
                    .and_then(|account| account.split_once(':'))
                    .is_some_and(|(of, _)| of == namespace)
            }
            // All of them are asked: the first whose subject fits may have filters that another has not.
            Rule::Policies(policies) => policies.iter().any(|policy| policy.allows(subject, event)),
        }
    }
}

impl Policy {
    fn allows(&self, subject: &str, event: &Event) -> bool {
        self.subjects.iter().any(|named| names(named, subject)) && self.filter.matches(event)
    }
}

/// Without case.
fn names(pattern: &str, subject: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => subject
            .as_bytes()
            .get(..start.len())
            .is_some_and(|begins| begins.eq_ignore_ascii_case(start.as_bytes())),
        None => pattern.eq_ignore_ascii_case(subject),
    }
}

#[cfg(test)]
mod tests {
    use AuthorizationMode::{AllowAll, AllowSameNamespace, DenyAll};
    use serde_json::json;

    use super::*;

    const HERE: &str = "system:serviceaccount:ns:a";

    fn allowed(rule: Rule, subject: &str) -> bool {
        let access = Access { audience: None, rule };
        access.allows("ns", subject, &Event::new("1", "/s", "good"))
    }

    #[test]
    fn without_policies_the_mode_decides() {
        for (mode, subject, expected) in [
            (AllowAll, "anybody", true),
            (DenyAll, HERE, false),
            (AllowSameNamespace, HERE, true),
            (AllowSameNamespace, "system:serviceaccount:ns2:a", false),
            (AllowSameNamespace, "system:serviceaccount:n:s:a", false),
            (AllowSameNamespace, "system:serviceaccount:ns", false),
            (AllowSameNamespace, "system:node:ns", false),
            (AllowSameNamespace, "ns", false),
            (AllowSameNamespace, "", false),
        ] {
            assert_eq!(
                allowed(Rule::Default(mode), subject),
                expected,
                "{mode:?} {subject}"
            );
        }
    }

    #[test]
    fn subjects_are_literal_or_end_in_a_star() {
        for (pattern, subject, expected) in [
            (HERE, HERE, true),
            ("System:ServiceAccount:NS:A", HERE, true),
            (HERE, "SYSTEM:SERVICEACCOUNT:NS:A", true),
            ("system:serviceaccount:ns:*", HERE, true),
            ("SYSTEM:serviceaccount:ns:*", HERE, true),
            ("*", HERE, true),
            ("*", "", true),
            ("system:serviceaccount:ns:a*", HERE, true),
            ("system:serviceaccount:ns:ab*", HERE, false),
            ("system:serviceaccount:ns2:*", HERE, false),
            ("system:*:ns:a", HERE, false),
            ("system:serviceaccount:ns", HERE, false),
            ("", HERE, false),
            ("a*", "ä", false),
        ] {
            assert_eq!(names(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    fn policy(subjects: &[&str], event_type: Option<&str>) -> Arc<Policy> {
        let filters = event_type.map(|event_type| json!([{"exact": {"type": event_type}}]));
        let filters: Vec<_> = serde_json::from_value(filters.unwrap_or(json!([]))).unwrap();
        Arc::new(Policy {
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            filter: Arc::new(Filter::compile(&filters, None).unwrap()),
        })
    }

    #[test]
    fn one_policy_that_allows_is_enough() {
        let other = "system:serviceaccount:ns:b";
        for (policies, expected) in [
            (vec![], false),
            (vec![policy(&[], None)], false),
            (vec![policy(&[HERE], None)], true),
            (vec![policy(&[other], None)], false),
            (vec![policy(&[other, HERE], Some("good"))], true),
            (vec![policy(&[HERE], Some("bad"))], false),
            // The first whose subject fits does not decide alone.
            (
                vec![policy(&[HERE], Some("bad")), policy(&[HERE], Some("good"))],
                true,
            ),
            (
                vec![policy(&[HERE], Some("bad")), policy(&[other], Some("good"))],
                false,
            ),
        ] {
            assert_eq!(
                allowed(Rule::Policies(policies.clone()), HERE),
                expected,
                "{policies:?}"
            );
        }
    }
}
