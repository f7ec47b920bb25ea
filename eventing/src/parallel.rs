//! Parallel: a channel in front of all branches, and one within each; two subscriptions for each branch.

use std::sync::Arc;

use crds::KReference;
use crds::duck::{ChannelTemplate, Destination};
use crds::flows::{Parallel, ParallelBranchStatus, ParallelStatus};
use crds::messaging::Subscription;
use crds::names;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, ConditionSet, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::flow::{self, ADDRESSABLE, CHANNELS_READY, Children, Link, SUBSCRIPTIONS_READY};
use crate::policies::{EVENT_POLICIES_READY, Policies, spoken_of};
use crate::shared::{Shared, name_of};
use crate::tracker::Referrer;

const NAME: &str = "parallel";
const CONDITIONS: ConditionSet = ConditionSet::new(&[
    CHANNELS_READY,
    SUBSCRIPTIONS_READY,
    ADDRESSABLE,
    EVENT_POLICIES_READY,
]);

pub(crate) struct Parallels {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Parallels> {
    let queue = reconciler::queue("eventing-parallel");
    let reconciler = Parallels {
        shared: shared.clone(),
        applier: shared.applier("spindrift-parallel"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-parallel", queue, reconciler)
        .watches(&shared.parallels)
        .owns::<Parallel, Subscription>(&shared.subscriptions)
        .wakes(&shared.policies, spoken_of(&shared.parallels))
}

impl Reconcile for Parallels {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(parallel) = shared.parallels.get(key) else {
            return Ok(Next::OnChange);
        };
        if parallel.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let applied = self.apply(&parallel, &referrer).await;
        let (children, result) = match applied {
            Ok(children) => {
                let next = children.next();
                (children, Ok(next))
            }
            Err(error) => (Children::default(), Err(error)),
        };
        let policies = Policies::of(shared, parallel.as_ref());
        let mut updated = (*parallel).clone();
        updated.status = Some(parallel_status(&parallel, &children, &policies, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &shared.parallels,
            &parallel,
            updated,
            result,
        )
        .await
    }
}

impl Parallels {
    async fn apply(&self, parallel: &Arc<Parallel>, referrer: &Referrer) -> Result<Children, Error> {
        let Some(template) = &parallel.spec.channel_template else {
            return Ok(Children::default());
        };
        let (channels, links) = desired(parallel, template);
        flow::apply(
            &self.shared,
            &self.applier,
            parallel.as_ref(),
            template,
            &channels,
            links,
            referrer,
        )
        .await
    }
}

/// The names of the channels, the one in front first, and the subscriptions between them.
fn desired<'a>(parallel: &'a Parallel, template: &ChannelTemplate) -> (Vec<String>, Vec<Link<'a>>) {
    let (name, spec) = (name_of(&parallel.metadata), &parallel.spec);
    let channel = |name: String| KReference {
        kind: template.kind.clone(),
        api_version: Some(template.api_version.clone()),
        name,
        namespace: parallel.metadata.namespace.clone(),
        ..KReference::default()
    };
    let ingress = names::parallel_ingress(name);
    let mut channels = vec![ingress.clone()];
    let mut links = Vec::new();
    for (index, branch) in spec.branches.iter().enumerate() {
        let inner = names::parallel_branch(name, index);
        let within = Destination::of(channel(inner.clone()));
        // Without a filter the branch's channel itself gets every event.
        let (subscriber, reply) = match &branch.filter {
            Some(filter) if !filter.is_empty() => (filter.clone(), Some(within)),
            _ => (within, None),
        };
        links.push(Link {
            name: names::parallel_filter(name, index),
            channel: channel(ingress.clone()),
            subscriber,
            reply,
            delivery: None,
        });
        let own = branch.reply.clone().filter(|reply| !reply.is_empty());
        links.push(Link {
            name: inner.clone(),
            channel: channel(inner.clone()),
            subscriber: branch.subscriber.clone(),
            reply: own.or_else(|| spec.reply.clone()),
            delivery: branch.delivery.as_ref(),
        });
        channels.push(inner);
    }
    (channels, links)
}

fn parallel_status(
    parallel: &Parallel,
    children: &Children,
    policies: &Policies,
    now: Timestamp,
) -> ParallelStatus {
    let mut status = parallel.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = parallel.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    let (name, branches) = (name_of(&parallel.metadata), parallel.spec.branches.len());
    status.address = children.address();
    status.addresses = children.addresses();
    status.policies = policies.references();
    status.ingress_channel_status = children.channel_status(0);
    let branch_status = |branch: usize| ParallelBranchStatus {
        filter_subscription_status: children.subscription_status(&names::parallel_filter(name, branch)),
        filter_channel_status: children.channel_status(branch + 1),
        subscription_status: children.subscription_status(&names::parallel_branch(name, branch)),
    };
    status.branch_statuses = (0..branches).map(branch_status).collect();
    let mut conditions = CONDITIONS.manage(&mut status, now);
    policies.mark(&mut conditions);
    children.mark(&mut conditions, branches + 1, branches * 2);
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_branch_is_a_filter_a_channel_and_a_subscriber() {
        let parallel: Parallel = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "ns"},
            "spec": {
                "branches": [
                    {"filter": {"uri": "http://f"}, "subscriber": {"uri": "http://a"}, "reply": {"uri": "http://own"}},
                    {"subscriber": {"uri": "http://b"}, "delivery": {"retry": 3}},
                ],
                "reply": {"uri": "http://all"},
            },
        }))
        .unwrap();
        let template = ChannelTemplate {
            api_version: "m/v1".to_owned(),
            kind: "C".to_owned(),
            spec: None,
        };
        let (channels, links) = desired(&parallel, &template);
        assert_eq!(channels, ["p-kn-parallel", "p-kn-parallel-0", "p-kn-parallel-1"]);
        let [filter, first, all, second] = links.as_slice() else {
            panic!("two branches")
        };
        let names = [filter, first, all, second].map(|link| link.name.as_str());
        let expected = [
            "p-kn-parallel-filter-0",
            "p-kn-parallel-0",
            "p-kn-parallel-filter-1",
            "p-kn-parallel-1",
        ];
        assert_eq!(names, expected);
        let name = |destination: &Destination| destination.reference.as_ref().map(|found| found.name.clone());
        assert_eq!(filter.subscriber.uri.as_deref(), Some("http://f"));
        assert_eq!(
            name(filter.reply.as_ref().unwrap()).as_deref(),
            Some("p-kn-parallel-0")
        );
        assert_eq!(name(&all.subscriber).as_deref(), Some("p-kn-parallel-1"));
        assert_eq!(all.reply, None);
        assert_eq!(first.reply, Some(Destination::at("http://own")));
        assert_eq!(second.reply, Some(Destination::at("http://all")));
        assert_eq!((filter.delivery, second.delivery.unwrap().retry), (None, Some(3)));
    }
}
