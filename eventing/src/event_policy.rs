//! EventPolicy: resolves the senders it names to the subjects of their tokens.

use crds::eventing::{EventPolicy, EventPolicyStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, ConditionSet, Controller, Error, Key, Next, Queue, Reconcile, report};
use serde_json::Value;

use crate::broker::LOOK_AGAIN;
use crate::shared::Shared;
use crate::tracker::{Kind, Referrer, Target, Tracked};

const NAME: &str = "eventpolicy";
const AUTHENTICATION_ENABLED: &str = "AuthenticationEnabled";
const SUBJECTS_RESOLVED: &str = "SubjectsResolved";
const CONDITIONS: ConditionSet = ConditionSet::new(&[AUTHENTICATION_ENABLED, SUBJECTS_RESOLVED]);

pub(crate) struct EventPolicies {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<EventPolicies> {
    let queue = reconciler::queue("eventing-eventpolicy");
    let reconciler = EventPolicies {
        shared: shared.clone(),
        applier: shared.applier("spindrift-eventpolicy"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-eventpolicy", queue, reconciler).watches(&shared.policies)
}

/// The subjects of the senders, or why not all are known.
struct Subjects {
    found: Vec<String>,
    problem: Option<String>,
    look_again: bool,
}

impl Reconcile for EventPolicies {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(policy) = shared.policies.get(key) else {
            return Ok(Next::OnChange);
        };
        if policy.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let enabled = shared.features().authentication_oidc.is_enabled();
        let subjects = self.subjects(&policy, key, &referrer).await;
        let next = if subjects.look_again {
            Next::After(LOOK_AGAIN)
        } else {
            Next::OnChange
        };
        let mut updated = (*policy).clone();
        updated.status = Some(policy_status(&policy, enabled, &subjects, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &shared.policies,
            &policy,
            updated,
            Ok(next),
        )
        .await
    }
}

impl EventPolicies {
    async fn subjects(&self, policy: &EventPolicy, key: &Key, referrer: &Referrer) -> Subjects {
        let mut subjects = Subjects {
            found: Vec::new(),
            problem: None,
            look_again: false,
        };
        for from in &policy.spec.from {
            if let Some(sub) = &from.sub {
                subjects.found.push(sub.clone());
            }
            let Some(reference) = &from.reference else {
                continue;
            };
            let given = reference.namespace.as_deref().filter(|given| !given.is_empty());
            let target = Target {
                kind: Kind::new(reference.api_version.clone().unwrap_or_default(), &reference.kind),
                key: Key::new(given.unwrap_or(&key.namespace), &reference.name),
            };
            let name = format!("{} {}", target.kind.kind, target.key);
            match self.shared.tracker.observe(&target, referrer).await {
                Ok(Some(found)) => match accounts(&found) {
                    accounts if accounts.is_empty() => {
                        subjects.problem = Some(format!("{name} has no status.auth.serviceAccountName yet"));
                    }
                    accounts => {
                        subjects.found.extend(accounts.iter().map(|account| {
                            format!("system:serviceaccount:{}:{account}", target.key.namespace)
                        }))
                    }
                },
                Ok(None) => subjects.problem = Some(format!("{name} not found")),
                Err(error) => {
                    subjects.problem = Some(error.to_string());
                    subjects.look_again = true;
                }
            }
        }
        subjects
    }
}

/// The identities of a sender, from its `status.auth`.
fn accounts(sender: &Tracked) -> Vec<String> {
    let auth = sender.status.get("auth").unwrap_or(&Value::Null);
    let one = auth.get("serviceAccountName").and_then(Value::as_str);
    let several = auth.get("serviceAccountNames").and_then(Value::as_array);
    let several = several.into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(several).map(str::to_owned).collect()
}

fn policy_status(
    policy: &EventPolicy,
    enabled: bool,
    subjects: &Subjects,
    now: Timestamp,
) -> EventPolicyStatus {
    let mut status = policy.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = policy.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    status.from.clone_from(&subjects.found);
    let mut conditions = CONDITIONS.manage(&mut status, now);
    match &subjects.problem {
        None => conditions.mark_true(SUBJECTS_RESOLVED),
        Some(problem) => conditions.mark_false(SUBJECTS_RESOLVED, "SubjectsNotResolved", problem),
    }
    if enabled {
        conditions.mark_true(AUTHENTICATION_ENABLED);
    } else {
        let message = "The feature \"authentication-oidc\" has to be enabled for policies to have an effect.";
        conditions.mark_false(AUTHENTICATION_ENABLED, "OIDCAuthenticationDisabled", message);
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}
