//! SinkBinding: resolves the sink, and sees to it that the workloads it is for know of it, and that those it is not for
//! any more forget it.
//!
//! Admission does the same to workloads as they are written, before the first pod starts; here everything is done that
//! admission did not see. What was bound carries the binding's name, and which kinds may have been bound is in the status
//! before the first of them is: so nothing stays bound when the subject of the binding changes, or the binding goes.

mod kinds;
mod status;
mod step;
mod workloads;

use std::sync::Arc;

use crds::names::SINK_BINDING_FINALIZER;
use crds::sources::SinkBinding;
use k8s_openapi::api::core::v1::Namespace;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Queue, Reconcile, finalizer, report};

use crate::binding::{Injection, SelectionMode, is_of_kind};
use crate::broker::LOOK_AGAIN;
use crate::identity::Identity;
use crate::shared::{Shared, name_of};
use crate::sources::sink;
use crate::tracker::{Kind, Referrer};
use status::Observed;
use workloads::Outcome;

const NAME: &str = "sinkbinding";

pub(crate) struct SinkBindings {
    shared: Shared,
    bindings: Cache<SinkBinding>,
    namespaces: Cache<Namespace>,
    mode: SelectionMode,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(
    shared: &Shared,
    bindings: &Cache<SinkBinding>,
    namespaces: &Cache<Namespace>,
    mode: SelectionMode,
) -> Controller<SinkBindings> {
    let queue = reconciler::queue("eventing-sinkbinding");
    let reconciler = SinkBindings {
        shared: shared.clone(),
        bindings: bindings.clone(),
        namespaces: namespaces.clone(),
        mode,
        applier: shared.applier("spindrift-sinkbinding"),
        queue: queue.clone(),
    };
    let within = bindings.clone();
    Controller::with_queue("eventing-sinkbinding", queue, reconciler)
        .watches(bindings)
        .owns::<SinkBinding, _>(&shared.identities)
        // Its labels say whether workloads may be bound.
        .wakes(namespaces, move |namespace: &Namespace| {
            let all = within.in_namespace(name_of(&namespace.metadata), |_| true);
            all.iter().map(|binding| Key::of(binding.as_ref())).collect()
        })
}

impl Reconcile for SinkBindings {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(binding) = self.bindings.get(key) else {
            return Ok(Next::OnChange);
        };
        if binding.metadata.deletion_timestamp.is_some() {
            return self.finalize(&binding, &referrer).await;
        }
        let binding = finalizer::set(&self.applier, &self.bindings, binding, SINK_BINDING_FINALIZER).await?;
        let sink = shared
            .resolver
            .resolve(&binding.spec.sink, &key.namespace, &referrer)
            .await;
        let (identity, made) = match Identity::ensure(shared, &self.applier, binding.as_ref()).await {
            Ok(identity) => (identity, Ok(())),
            Err(error) => (Identity::Failed(reconciler::error::chain(&error)), Err(error)),
        };
        let mut observed = Observed {
            sink,
            identity,
            outcome: Outcome::SinkUnknown,
            kinds: kinds::with_present(&binding),
        };
        let binding = self.announce(binding, &observed).await?;

        let injection = observed.sink.is_ok().then(|| Injection::of(&binding)).flatten();
        let mut settled = self
            .settle(&binding, injection.as_ref(), &observed.kinds, &referrer)
            .await;
        observed.outcome = settled.outcome();
        observed
            .kinds
            .retain(|kind| is_of_kind(&binding, kind) || settled.remaining.contains(kind));
        let next = sink::next(&observed.sink).sooner(settled.next());
        let applied = made.and(settled.result).map(|()| next);
        let mut updated = (*binding).clone();
        updated.status = Some(status::binding_status(&binding, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.bindings,
            &binding,
            updated,
            applied,
        )
        .await
    }
}

impl SinkBindings {
    /// Stores the sink and the kinds before anything is bound: admission goes by the sink in the status, and would put
    /// an older one back.
    async fn announce(
        &self,
        binding: Arc<SinkBinding>,
        observed: &Observed,
    ) -> Result<Arc<SinkBinding>, Error> {
        let status = binding.status.clone().unwrap_or_default();
        let announced = status::announced(status.clone(), observed);
        if announced == status {
            return Ok(binding);
        }
        if binding
            .status
            .as_ref()
            .and_then(|status| status.observed_generation)
            != binding.metadata.generation
        {
            self.wake_others(&binding);
        }
        let mut updated = (*binding).clone();
        updated.status = Some(announced);
        self.applier
            .update_status(&self.bindings, &binding, &updated)
            .await
    }

    /// Others may want the workloads that this one lets go of.
    fn wake_others(&self, binding: &SinkBinding) {
        let namespace = crate::shared::namespace_of(&binding.metadata);
        for other in self
            .bindings
            .in_namespace(namespace, |other| other.metadata.uid != binding.metadata.uid)
        {
            self.queue.add(Key::of(other.as_ref()));
        }
    }

    async fn finalize(&self, binding: &Arc<SinkBinding>, referrer: &Referrer) -> Result<Next, Error> {
        if !finalizer::is_set(binding.as_ref(), SINK_BINDING_FINALIZER) {
            return Ok(Next::OnChange);
        }
        let kinds: Vec<Kind> = kinds::recorded(binding);
        let settled = self.settle(binding, None, &kinds, referrer).await;
        settled.result?;
        if !settled.remaining.is_empty() {
            return Ok(Next::After(LOOK_AGAIN));
        }
        finalizer::clear(
            &self.applier,
            &self.bindings,
            binding.as_ref(),
            SINK_BINDING_FINALIZER,
        )
        .await?;
        self.wake_others(binding);
        Ok(Next::OnChange)
    }
}
