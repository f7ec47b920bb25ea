//! Calling the handlers and webhooks of a request.

use std::sync::Arc;

use futures::future::join_all;
use serde_json::Value;
use tracing::warn;

use super::matching::{Attributes, by_rules, by_selectors};
use super::review::{self, Verdict};
use super::webhook::Webhook;
use super::{Admission, Operation};
use crate::meta;
use crate::registry::{Call, Registry};
use crate::resource::ResourceRef;
use crate::status::StatusError;
use crate::store::Store;
use crate::webhook::Remote;

/// Rounds of mutation: a webhook may be asked again once, after a later one changed what it saw.
const ROUNDS: usize = 2;

/// Whoever has to be asked.
enum Hook<'a> {
    InProcess(&'a Admission),
    Stored(Arc<Stored>),
}

/// A stored webhook with its connections.
#[derive(Debug)]
struct Stored {
    webhook: Webhook,
    remote: Remote,
}

impl Stored {
    fn new(webhook: Webhook, store: &Store) -> Self {
        let remote = Remote::new(webhook.endpoint.clone(), store);
        Self { webhook, remote }
    }
}

/// Why there is no verdict.
enum Failure {
    /// The webhook could not be asked, or answered nonsense.
    Calling(String),
    /// The request itself is at fault.
    Request(StatusError),
}

impl Hook<'_> {
    fn name(&self) -> &str {
        match self {
            Self::InProcess(admission) => &admission.name,
            Self::Stored(stored) => &stored.webhook.name,
        }
    }

    /// Whether it wants to see what later ones changed.
    fn reinvoke(&self) -> bool {
        match self {
            Self::InProcess(_) => true,
            Self::Stored(stored) => stored.webhook.reinvoke,
        }
    }
}

impl Registry {
    /// Lets the mutating handlers and webhooks change `object` (`None` for a deletion, which nobody can change).
    pub(crate) async fn mutate(
        &self,
        call: &mut Call,
        operation: Operation,
        mut object: Option<&mut Value>,
        old: Option<&Value>,
    ) -> Result<(), StatusError> {
        let hooks = self.hooks(true);
        let mut wanted = vec![true; hooks.len()];
        // Those that were asked since the last change and want to know of the next.
        let mut uninformed: Vec<usize> = Vec::new();
        for round in 0..ROUNDS {
            let mut next = vec![false; hooks.len()];
            for (index, hook) in hooks.iter().enumerate() {
                if !wanted.get(index).is_some_and(|wanted| *wanted) {
                    continue;
                }
                let request = attributes(call, operation, object.as_deref(), old);
                let Some(seen) = self.concerned(hook, &request) else {
                    continue;
                };
                let verdict = self.ask(hook, call, &request, &seen, true).await;
                let patch = self.settle(hook, call, verdict, true)?;
                let changed = self.change(hook, call, &seen, object.as_deref_mut(), patch);
                if changed.await? {
                    for index in uninformed.drain(..) {
                        if let Some(next) = next.get_mut(index) {
                            *next = round + 1 < ROUNDS;
                        }
                    }
                }
                if hook.reinvoke() {
                    uninformed.push(index);
                }
            }
            if !next.contains(&true) {
                break;
            }
            wanted = next;
        }
        Ok(())
    }

    /// Lets the validating handlers and webhooks refuse; the latter are asked at the same time.
    pub(crate) async fn validate_admission(
        &self,
        call: &mut Call,
        operation: Operation,
        object: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<(), StatusError> {
        let hooks = self.hooks(false);
        let verdicts =
            {
                let request = attributes(call, operation, object, old);
                let asked = hooks.iter().filter_map(|hook| {
                    let seen = self.concerned(hook, &request)?;
                    Some((hook, seen))
                });
                let (call, request) = (&*call, &request);
                join_all(asked.map(|(hook, seen)| async move {
                    (hook, self.ask(hook, call, request, &seen, false).await)
                }))
                .await
            };
        for (hook, verdict) in verdicts {
            self.settle(hook, call, verdict, false)?;
        }
        Ok(())
    }

    fn hooks(&self, mutating: bool) -> Vec<Hook<'_>> {
        let own = self.admission.iter().filter(|own| own.mutating == mutating);
        let mut hooks: Vec<Hook<'_>> = own.map(Hook::InProcess).collect();
        hooks.extend(self.webhooks.load().of(mutating).map(Hook::Stored));
        hooks
    }

    /// Returns the version in which the hook wants to see the request; `None` if it is none of its business.
    fn concerned(&self, hook: &Hook<'_>, request: &Attributes<'_>) -> Option<ResourceRef> {
        let resource = request.resource;
        let webhook = match hook {
            Hook::InProcess(admission) => {
                let name = request.resource_name();
                let matches = admission.rules.iter().any(|rule| {
                    rule.matches(
                        request.operation.name(),
                        &resource.group,
                        &resource.version,
                        &name,
                    )
                });
                let only = admission.only.as_ref();
                let concerned =
                    matches && only.is_none_or(|only| only(&resource.group, &name, request.namespace));
                return concerned.then(|| resource.clone());
            }
            Hook::Stored(_) if request.exempt() => return None,
            Hook::Stored(stored) => &stored.webhook,
        };
        let table = self.table();
        let versions: Vec<ResourceRef> = table
            .iter()
            .filter(|other| other.storage_group == resource.storage_group && other.plural == resource.plural)
            .cloned()
            .collect();
        let seen = by_rules(webhook, request, &versions)?;
        let namespace = (!request.namespace.is_empty() && !webhook.namespace_selector.is_everything())
            .then(|| self.store.get(&format!("/namespaces//{}", request.namespace)))
            .flatten()
            .map(|namespace| namespace.value());
        by_selectors(webhook, request, namespace.as_ref()).then_some(seen)
    }

    async fn ask(
        &self,
        hook: &Hook<'_>,
        call: &Call,
        request: &Attributes<'_>,
        seen: &ResourceRef,
        mutating: bool,
    ) -> Result<Verdict, Failure> {
        let shown = review::Shown::of(request, seen).await.map_err(Failure::Request)?;
        let _timer = self.webhook_metrics.start(mutating);
        match hook {
            Hook::InProcess(admission) => {
                let question = review::question(call, request, seen, &shown, "v1");
                let question = serde_json::from_value(question)
                    .map_err(|error| Failure::Request(StatusError::internal(error)))?;
                let answered = admission.handler.admit(question).await;
                let response = answered
                    .response
                    .ok_or_else(|| Failure::Calling("the review has no response".to_owned()))?;
                review::verdict_in_process(response).map_err(Failure::Calling)
            }
            Hook::Stored(stored) => {
                let Stored { webhook, remote } = &**stored;
                if call.query.dry_run && !webhook.dry_run {
                    return Err(Failure::Request(StatusError::bad_request(format!(
                        "admission webhook \"{}\" does not support dry run",
                        webhook.name
                    ))));
                }
                let question = review::question(call, request, seen, &shown, webhook.review_version);
                let answer = remote.ask(&question).await.map_err(Failure::Calling)?;
                review::verdict(&question, &answer, mutating).map_err(Failure::Calling)
            }
        }
    }

    /// Passes warnings on and turns refusals into errors; returns the patch of what is let through.
    fn settle(
        &self,
        hook: &Hook<'_>,
        call: &mut Call,
        verdict: Result<Verdict, Failure>,
        mutating: bool,
    ) -> Result<Vec<Value>, StatusError> {
        let name = hook.name();
        let count = |outcome| self.webhook_metrics.count(mutating, outcome);
        let why = match verdict {
            Ok(verdict) => {
                call.warnings.extend(verdict.warnings);
                return match verdict.refusal {
                    None => {
                        count("allowed");
                        Ok(verdict.patch)
                    }
                    Some(status) => {
                        count("rejected");
                        Err(review::refusal(name, &status))
                    }
                };
            }
            Err(Failure::Request(error)) => {
                count("rejected");
                return Err(error);
            }
            Err(Failure::Calling(why)) => why,
        };
        if matches!(hook, Hook::Stored(stored) if stored.webhook.ignore_failures) {
            count("failed_open");
            warn!(webhook = name, error = %why, "A webhook could not be asked; its failure policy lets the request through");
            return Ok(Vec::new());
        }
        count("failed");
        Err(StatusError::internal(format!(
            "failed calling webhook \"{name}\": {why}"
        )))
    }

    /// Applies a patch; returns whether it changed anything.
    async fn change(
        &self,
        hook: &Hook<'_>,
        call: &Call,
        seen: &ResourceRef,
        object: Option<&mut Value>,
        patch: Vec<Value>,
    ) -> Result<bool, StatusError> {
        if patch.is_empty() {
            return Ok(false);
        }
        let Some(object) = object else {
            return Err(StatusError::internal(format!(
                "admission webhook \"{}\" attempted to modify the object, which is not supported for this operation",
                hook.name()
            )));
        };
        let mut changed = review::converted(&call.resource, seen, object).await?;
        cluster_machinery::patch::json(&mut changed, &Value::Array(patch)).map_err(StatusError::internal)?;
        let mut changed = review::converted(seen, &call.resource, &changed).await?;
        // Who owns which field was decided before; a webhook has no say in it.
        let owners = object.pointer("/metadata/managedFields").cloned();
        meta::set(meta::metadata_mut(&mut changed), "managedFields", owners);
        if changed["kind"] == *call.resource.kind {
            self.complete_fields(call, &mut changed)?;
        }
        let differs = changed != *object;
        *object = changed;
        Ok(differs)
    }
}

fn attributes<'a>(
    call: &'a Call,
    operation: Operation,
    object: Option<&'a Value>,
    old: Option<&'a Value>,
) -> Attributes<'a> {
    Attributes {
        operation,
        resource: &call.resource,
        subresource: &call.subresource,
        namespace: if call.resource.is("", "namespaces") {
            &call.name
        } else {
            &call.namespace
        },
        object,
        old,
    }
}

/// The stored webhooks at one moment, in the order in which they are asked: by name of their configuration.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    configurations: Vec<Configuration>,
}

#[derive(Debug)]
struct Configuration {
    key: Box<str>,
    revision: u64,
    mutating: bool,
    webhooks: Vec<Arc<Stored>>,
}

const PREFIXES: [(&str, bool); 2] = [
    (
        "admissionregistration.k8s.io/mutatingwebhookconfigurations/",
        true,
    ),
    (
        "admissionregistration.k8s.io/validatingwebhookconfigurations/",
        false,
    ),
];

impl Webhooks {
    fn of(&self, mutating: bool) -> impl Iterator<Item = Arc<Stored>> {
        self.configurations
            .iter()
            .filter(move |configuration| configuration.mutating == mutating)
            .flat_map(|configuration| configuration.webhooks.iter().cloned())
    }

    /// Reads what is stored now; configurations that have not changed keep their connections.
    pub(crate) fn load(store: &Store, old: &Self) -> Self {
        let mut configurations = Vec::new();
        for (prefix, mutating) in PREFIXES {
            for (key, stored) in store.list(prefix).1 {
                let kept = old
                    .configurations
                    .iter()
                    .find(|old| old.key == key && old.revision == stored.revision);
                let webhooks = match kept {
                    Some(kept) => kept.webhooks.clone(),
                    None => Webhook::all_of(&stored.value())
                        .into_iter()
                        .map(|webhook| Arc::new(Stored::new(webhook, store)))
                        .collect(),
                };
                configurations.push(Configuration {
                    key,
                    revision: stored.revision,
                    mutating,
                    webhooks,
                });
            }
        }
        Self { configurations }
    }
}
