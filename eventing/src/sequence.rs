//! Sequence: a channel and a subscription for each step, whose answers go into the channel of the next.

use std::sync::Arc;

use crds::KReference;
use crds::duck::{ChannelTemplate, Destination};
use crds::flows::{Sequence, SequenceStatus};
use crds::messaging::Subscription;
use crds::names;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, ConditionSet, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::flow::{self, ADDRESSABLE, CHANNELS_READY, Children, Link, SUBSCRIPTIONS_READY};
use crate::policies::{EVENT_POLICIES_READY, Policies, spoken_of};
use crate::shared::{Shared, name_of};
use crate::tracker::Referrer;

const NAME: &str = "sequence";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    CHANNELS_READY,
    SUBSCRIPTIONS_READY,
    ADDRESSABLE,
    EVENT_POLICIES_READY,
]);

pub(crate) struct Sequences {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Sequences> {
    let queue = reconciler::queue("eventing-sequence");
    let reconciler = Sequences {
        shared: shared.clone(),
        applier: shared.applier("spindrift-sequence"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-sequence", queue, reconciler)
        .watches(&shared.sequences)
        .owns::<Sequence, Subscription>(&shared.subscriptions)
        .wakes(&shared.policies, spoken_of(&shared.sequences))
}

impl Reconcile for Sequences {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(sequence) = shared.sequences.get(key) else {
            return Ok(Next::OnChange);
        };
        if sequence.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let applied = self.apply(&sequence, &referrer).await;
        let (children, result) = match applied {
            Ok(children) => {
                let next = children.next();
                (children, Ok(next))
            }
            Err(error) => (Children::default(), Err(error)),
        };
        let policies = Policies::of(shared, sequence.as_ref());
        let mut updated = (*sequence).clone();
        updated.status = Some(sequence_status(&sequence, &children, &policies, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &shared.sequences,
            &sequence,
            updated,
            result,
        )
        .await
    }
}

impl Sequences {
    async fn apply(&self, sequence: &Arc<Sequence>, referrer: &Referrer) -> Result<Children, Error> {
        let Some(template) = &sequence.spec.channel_template else {
            return Ok(Children::default());
        };
        let (channels, links) = desired(sequence, template);
        flow::apply(
            &self.shared,
            &self.applier,
            sequence.as_ref(),
            template,
            &channels,
            links,
            referrer,
        )
        .await
    }
}

/// The names of the channels, and the subscriptions between them.
fn desired<'a>(sequence: &'a Sequence, template: &ChannelTemplate) -> (Vec<String>, Vec<Link<'a>>) {
    let name = name_of(&sequence.metadata);
    let steps = &sequence.spec.steps;
    let channels: Vec<String> = (0..steps.len())
        .map(|step| names::sequence_step(name, step))
        .collect();
    let channel = |step: usize| {
        channels.get(step).map(|name| KReference {
            kind: template.kind.clone(),
            api_version: Some(template.api_version.clone()),
            name: name.clone(),
            namespace: sequence.metadata.namespace.clone(),
            ..KReference::default()
        })
    };
    let links = steps.iter().enumerate().filter_map(|(index, step)| {
        let next = channel(index + 1).map(Destination::of);
        Some(Link {
            name: names::sequence_step(name, index),
            channel: channel(index)?,
            subscriber: step.destination.clone(),
            reply: next.or_else(|| sequence.spec.reply.clone()),
            delivery: step.delivery.as_ref(),
        })
    });
    let links = links.collect();
    (channels, links)
}

fn sequence_status(
    sequence: &Sequence,
    children: &Children,
    policies: &Policies,
    now: Timestamp,
) -> SequenceStatus {
    let mut status = sequence.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = sequence.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    let (name, steps) = (name_of(&sequence.metadata), sequence.spec.steps.len());
    status.address = children.address();
    status.addresses = children.addresses();
    status.policies = policies.references();
    status.channel_statuses = (0..steps)
        .filter_map(|step| children.channel_status(step))
        .collect();
    status.subscription_statuses = (0..steps)
        .filter_map(|step| children.subscription_status(&names::sequence_step(name, step)))
        .collect();
    let mut conditions = CONDITIONS.manage(&mut status, now);
    policies.mark(&mut conditions);
    children.mark(&mut conditions, steps, steps);
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_step_answers_into_the_channel_of_the_next_and_the_last_one_to_the_reply() {
        let sequence: Sequence = serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "ns"},
            "spec": {
                "steps": [{"uri": "http://a"}, {"uri": "http://b", "delivery": {"retry": 3}}], "reply": {"uri": "http://c"},
            },
        }))
        .unwrap();
        let template = ChannelTemplate {
            api_version: "m/v1".to_owned(),
            kind: "C".to_owned(),
            spec: None,
        };
        let (channels, links) = desired(&sequence, &template);
        assert_eq!(channels, ["s-kn-sequence-0", "s-kn-sequence-1"]);
        let [first, second] = links.as_slice() else {
            panic!("two steps")
        };
        let next = first.reply.as_ref().unwrap().reference.as_ref().unwrap();
        assert_eq!((next.kind.as_str(), next.name.as_str()), ("C", "s-kn-sequence-1"));
        assert_eq!(first.delivery, None);
        assert_eq!(second.channel.name, "s-kn-sequence-1");
        assert_eq!(second.reply, Some(Destination::at("http://c")));
        assert_eq!(second.delivery.unwrap().retry, Some(3));
    }
}
