//! What becomes of an event in the triggers of a listener.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crds::triggers::{
    BindingParam, ClusterTriggerBinding, Decision, EventListener, Made, Outcome, TriggerBinding,
    TriggerTemplate, TriggerTemplateSpec,
};
use futures::StreamExt as _;

use super::chain::{Chain, Stopped, told};
use super::create::{For, Maker};
use super::metrics::Metrics;
use super::select::Selected;
use crate::bindings;
use crate::event::{Incoming, Seen};
use crate::templates;

/// Triggers of one event that are worked on at a time.
const AT_ONCE: usize = 8;
/// For one trigger, all its interceptors and objects together.
const LIMIT: Duration = Duration::from_secs(120);
/// Characters of a message.
const LONGEST_MESSAGE: usize = 1024;

#[derive(Clone)]
pub(super) struct Worker {
    pub chain: Chain,
    pub maker: Maker,
    pub metrics: Metrics,
}

impl Worker {
    /// Decides every trigger. Those that `before` says are settled stay as they are.
    pub async fn decide(
        &self,
        listener: &Arc<EventListener>,
        triggers: Vec<Selected>,
        event: &Incoming,
        before: &[Decision],
    ) -> Vec<Decision> {
        let before: BTreeMap<&str, &Decision> = before
            .iter()
            .map(|decision| (decision.trigger.as_str(), decision))
            .collect();
        let decided = futures::stream::iter(triggers).map(|trigger| {
            let known = before.get(trigger.key.as_str()).copied();
            async move {
                match known {
                    Some(known) if known.outcome != Outcome::Failed => known.clone(),
                    known => {
                        let made = known.map(|known| known.made.clone()).unwrap_or_default();
                        self.one(listener, &trigger, event, made).await
                    }
                }
            }
        });
        decided.buffered(AT_ONCE).collect().await
    }

    async fn one(
        &self,
        listener: &EventListener,
        trigger: &Selected,
        event: &Incoming,
        mut made: Vec<Made>,
    ) -> Decision {
        let work = tokio::time::timeout(LIMIT, self.carry_out(listener, trigger, event, &mut made)).await;
        let (outcome, mut message) = match work {
            Ok(Ok(())) => (Outcome::Made, String::new()),
            Ok(Err(Stopped::Here(why))) => (Outcome::Stopped, why),
            Ok(Err(Stopped::Failed(why))) => (Outcome::Failed, why),
            Err(_) => (Outcome::Failed, format!("it took longer than {LIMIT:?}")),
        };
        if outcome == Outcome::Failed {
            tracing::warn!(trigger = %trigger.key, event = %event.id, problem = %message, "A trigger failed");
        }
        if let Some((at, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(at);
        }
        Decision {
            trigger: trigger.key.clone(),
            outcome,
            message,
            made,
        }
    }

    async fn carry_out(
        &self,
        listener: &EventListener,
        trigger: &Selected,
        event: &Incoming,
        made: &mut Vec<Made>,
    ) -> Result<(), Stopped> {
        if let Some(problem) = &trigger.problem {
            return Err(Stopped::Failed(problem.clone()));
        }
        let failed = |problem: &dyn std::fmt::Display| Stopped::Failed(problem.to_string());
        let mut seen = Seen::new(event);
        let id = format!("namespaces/{}/triggers/{}", trigger.namespace, trigger.name);
        self.chain
            .run(&trigger.interceptors, &trigger.namespace, &id, &mut seen)
            .await?;
        let params = self.bound(trigger).await.map_err(Stopped::Failed)?;
        let given = bindings::resolve(&params, &seen).map_err(|error| failed(&error))?;
        let template = self.template(trigger).await.map_err(Stopped::Failed)?;
        let uid = uid(&event.id, &trigger.key);
        let objects = templates::fill(&template, &given, &uid).map_err(|error| failed(&error))?;
        let of = For {
            listener: listener.metadata.name.as_deref().unwrap_or_default(),
            event_id: &event.id,
            key: &trigger.key,
            trigger: &trigger.name,
            namespace: &trigger.namespace,
            account: &trigger.account,
        };
        let settled = made.len();
        for (index, object) in objects.into_iter().enumerate().skip(settled) {
            let one = self
                .maker
                .make(of, index, object)
                .await
                .map_err(Stopped::Failed)?;
            self.metrics.made.with_label_values(&[&one.kind]).inc();
            made.push(one);
        }
        Ok(())
    }

    /// The params of the bindings of a trigger.
    async fn bound(&self, trigger: &Selected) -> Result<Vec<BindingParam>, String> {
        let reader = &self.chain.reader;
        let mut params = Vec::new();
        for binding in &trigger.bindings {
            if let Some(value) = &binding.value {
                params.push(BindingParam {
                    name: binding.name.clone(),
                    value: value.clone(),
                });
                continue;
            }
            let name = &binding.reference;
            let found = if binding.kind == "ClusterTriggerBinding" {
                let found = reader.get::<ClusterTriggerBinding>("", name).await;
                found.map(|found| found.map(|found| found.spec.params.clone()))
            } else {
                let found = reader.get::<TriggerBinding>(&trigger.namespace, name).await;
                found.map(|found| found.map(|found| found.spec.params.clone()))
            };
            match found {
                Ok(Some(found)) => params.extend(found),
                Ok(None) => return Err(format!("there is no binding {name}")),
                Err(error) => return Err(told(&error)),
            }
        }
        Ok(params)
    }

    async fn template(&self, trigger: &Selected) -> Result<TriggerTemplateSpec, String> {
        if let Some(spec) = &trigger.template.spec {
            return Ok(spec.clone());
        }
        let name = trigger.template.reference.as_deref().unwrap_or_default();
        let found = self
            .chain
            .reader
            .get::<TriggerTemplate>(&trigger.namespace, name)
            .await;
        match found {
            Ok(Some(found)) => Ok(found.spec.clone()),
            Ok(None) => Err(format!("there is no TriggerTemplate {name:?}")),
            Err(error) => Err(told(&error)),
        }
    }
}

/// The UUID of one event and trigger: the same when it is worked on again, so that objects are, too.
fn uid(event: &str, trigger: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(format!("{}:{event}{trigger}", event.len()));
    let mut bytes = [0; 16];
    bytes.copy_from_slice(hash.get(..16).unwrap_or(&[0; 16]));
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}
