//! PingSource: resolves the sink. The sender ticks for every source whose status names one.

mod status;

use crds::sources::PingSource;
use event_schedule::Schedule;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::identity::Identity;
use crate::shared::Shared;
use crate::sources::sink;
use crate::tracker::Referrer;
use status::Observed;

const NAME: &str = "pingsource";

pub(crate) struct PingSources {
    shared: Shared,
    sources: Cache<PingSource>,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared, sources: &Cache<PingSource>) -> Controller<PingSources> {
    let queue = reconciler::queue("eventing-pingsource");
    let reconciler = PingSources {
        shared: shared.clone(),
        sources: sources.clone(),
        applier: shared.applier("spindrift-pingsource"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-pingsource", queue, reconciler)
        .watches(sources)
        .owns::<PingSource, _>(&shared.identities)
}

impl Reconcile for PingSources {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let referrer = Referrer::new(NAME, &self.queue, key);
        self.shared.tracker.forget(&referrer);
        let Some(source) = self.sources.get(key) else {
            return Ok(Next::OnChange);
        };
        if source.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let (shared, spec) = (&self.shared, &source.spec);
        let mut observed = Observed {
            sink: shared
                .resolver
                .resolve(&spec.sink, &key.namespace, &referrer)
                .await,
            problem: Schedule::parse(&spec.schedule, &spec.timezone).err(),
            identity: Identity::default(),
        };
        let applied = match Identity::ensure(shared, &self.applier, source.as_ref()).await {
            Ok(identity) => {
                observed.identity = identity;
                Ok(sink::next(&observed.sink))
            }
            Err(error) => {
                observed.identity = Identity::Failed(reconciler::error::chain(&error));
                Err(error)
            }
        };
        let mut updated = (*source).clone();
        updated.status = Some(status::ping_status(&source, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.sources,
            &source,
            updated,
            applied,
        )
        .await
    }
}
