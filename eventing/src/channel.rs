//! Channel: makes the channel that its template names, and passes on what that one says.

mod status;

use reconciler::{Applier, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::backing;
use crate::broker::LOOK_AGAIN;
use crate::policies::{Policies, spoken_of};
use crate::shared::Shared;
use crate::tracker::Referrer;

const NAME: &str = "channel";

pub(crate) struct Channels {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<Channels> {
    let queue = reconciler::queue("eventing-channel");
    let reconciler = Channels {
        shared: shared.clone(),
        applier: shared.applier("spindrift-channel"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-channel", queue, reconciler)
        .watches(&shared.channels)
        .wakes(&shared.policies, spoken_of(&shared.channels))
}

impl Reconcile for Channels {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(channel) = shared.channels.get(key) else {
            return Ok(Next::OnChange);
        };
        if channel.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let backing = match &channel.spec.channel_template {
            Some(template) => {
                let delivery = channel.spec.delivery.as_ref();
                Some(
                    backing::ensure(shared, channel.as_ref(), template, delivery, &key.name, &referrer).await,
                )
            }
            None => None,
        };
        let next = match &backing {
            Some(backing) if backing.looks_again() => Next::After(LOOK_AGAIN),
            _ => Next::OnChange,
        };
        let policies = Policies::of(shared, channel.as_ref());
        let mut updated = (*channel).clone();
        updated.status = Some(status::channel_status(
            &channel,
            backing.as_ref(),
            &policies,
            shared.now(),
        ));
        report(
            &shared.events,
            &self.applier,
            &shared.channels,
            &channel,
            updated,
            Ok(next),
        )
        .await
    }
}
