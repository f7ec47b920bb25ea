//! The way of a request through the activator: count it, wait for a slot, send it, hold the slot to the end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crds::stat::{Stat, WireStatMessage};
use futures::future::join_all;
use http::header::HeaderValue;
use http::{HeaderMap, Request, Response};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Client;
use kube::api::Api;
use kube::runtime::watcher;
use prometheus::Registry;
use proxy::forward::{Forwarded, Outgoing, Splice};
use proxy::headers::{K_PROXY_REQUEST, NAMESPACE, REVISION};
use proxy::network_probe::ACTIVATOR;
use proxy::timeout::Clock;
use proxy::{Body, Failure};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::model::Model;
use crate::phases::Phases;
use crate::report::{Counted, first_request};
use crate::revision::{Revision, RevisionKey};
use crate::stats_socket::StatsSocket;
use crate::throttler::{Refused, Slot};
use crate::watch::follow;

/// Body of our 504, and the text appended to a response that is cut (upstream's words).
const TIMEOUT_TEXT: &str = "activator request timeout";
/// Length of a report (upstream value).
const REPORT_PERIOD: Duration = Duration::from_secs(1);
/// What a waiting request occupies beside its headers: the connection's buffers and task.
const WAITING_OVERHEAD: usize = 16 << 10;
/// Pods that a request is tried on when they cannot be reached.
const MAX_ATTEMPTS: usize = 20;
const IDLE_SWEEP: Duration = Duration::from_secs(10);

/// Holds requests and forwards them.
pub struct Activator {
    config: Config,
    model: Arc<Model>,
    metrics: Arc<Metrics>,
    socket: Option<StatsSocket>,
    /// Runs the socket; taken by [`Activator::run`].
    socket_task: parking_lot::Mutex<Option<futures::future::BoxFuture<'static, ()>>>,
    upgraded: TaskTracker,
}

impl Activator {
    /// Prepares an activator; nothing happens before [`Activator::run`].
    ///
    /// # Errors
    /// The registry holds metrics of the same names.
    pub fn new(config: Config, registry: &Registry) -> prometheus::Result<Arc<Self>> {
        let metrics = Arc::new(Metrics::register(registry)?);
        let (socket, task) = match config.autoscaler.clone() {
            Some(url) => {
                let (socket, task) = StatsSocket::new(url, metrics.clone());
                let task: futures::future::BoxFuture<'static, ()> = Box::pin(task);
                (Some(socket), Some(task))
            }
            None => (None, None),
        };
        Ok(Arc::new(Self {
            model: Arc::new(Model::new(config.bounds, config.pod_ip)),
            metrics,
            socket,
            socket_task: parking_lot::Mutex::new(task),
            upgraded: TaskTracker::new(),
            config,
        }))
    }

    /// Watches, reports and tidies, for ever.
    pub async fn run(self: Arc<Self>, client: Client) {
        let revisions = {
            let this = self.clone();
            follow(
                Api::<crds::serving::Revision>::all(client.clone()),
                watcher::Config::default(),
                move |change| {
                    if let Some(gone) = this.model.apply_revision(change) {
                        this.metrics.forget(&gone);
                    }
                },
            )
        };
        let slices = {
            let this = self.clone();
            follow(
                Api::<EndpointSlice>::all(client),
                watcher::Config::default(),
                move |change| {
                    this.model.apply_slice(change);
                },
            )
        };
        let socket = self.socket_task.lock().take();
        let socket = async move {
            if let Some(socket) = socket {
                socket.await;
            }
        };
        tokio::join!(
            revisions,
            slices,
            socket,
            self.report_periodically(),
            self.expire_idle()
        );
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What is known about revisions and addresses.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Whether the autoscaler can be told of requests.
    pub fn reports(&self) -> bool {
        self.socket.as_ref().is_none_or(StatsSocket::is_connected)
    }

    /// Answers a request of `revision`: waits for a pod with a free slot and forwards.
    ///
    /// The revision's timeouts hold, the wait included. `phases` learns where the time went.
    pub async fn forward(
        &self,
        revision: &Arc<Revision>,
        request: Request<Body>,
        phases: &mut Phases,
    ) -> Response<Body> {
        let protocol = revision.settings().protocol;
        self.forward_outgoing(revision, Outgoing::new(request, protocol), phases)
            .await
    }

    /// Like [`Activator::forward`], for a request that was made ready for the revision's protocol already.
    pub async fn forward_outgoing(
        &self,
        revision: &Arc<Revision>,
        request: Outgoing,
        phases: &mut Phases,
    ) -> Response<Body> {
        let settings = revision.settings().clone();
        let mut clock = settings.timeouts.start();
        let counted = self.count(revision);
        let assigned = clock.head(self.assign_and_send(revision, request, phases)).await;
        let (forwarded, slot) = match assigned.unwrap_or(Err(Failure::TimedOut(TIMEOUT_TEXT))) {
            Ok(sent) => sent,
            Err(failure) => return failure.response(),
        };
        phases.first_byte = Some(phases.arrived.elapsed());
        self.metrics.wake(phases);
        let held = (slot, counted);
        let Forwarded { response, splice } = forwarded;
        if let Some(splice) = splice {
            self.splice(splice, &clock, held);
            return response;
        }
        clock
            .body(response, TIMEOUT_TEXT)
            .map(|body| body.observed(Some(held)))
    }

    async fn assign_and_send(
        &self,
        revision: &Arc<Revision>,
        mut outgoing: Outgoing,
        phases: &mut Phases,
    ) -> Result<(Forwarded, Slot), Failure> {
        let headers = outgoing.headers_mut();
        let bytes = WAITING_OVERHEAD + head_bytes(headers);
        headers.remove(&REVISION);
        headers.remove(&NAMESPACE);
        headers.insert(K_PROXY_REQUEST, HeaderValue::from_static(ACTIVATOR));
        for attempt in 1.. {
            let slot = revision
                .throttler()
                .acquire(bytes)
                .await
                .map_err(|refused| match refused {
                    Refused::QueueFull => Failure::QueueFull,
                    Refused::Gone => Failure::NotFound("the revision was deleted".into()),
                })?;
            phases.held |= slot.waited();
            phases.assigned = Some(phases.arrived.elapsed());
            phases.probed = slot
                .probed_at()
                .and_then(|at| at.checked_duration_since(phases.arrived));
            match outgoing.send(slot.upstream()).await {
                Ok(forwarded) => return Ok((forwarded, slot)),
                Err(failed) => {
                    let failure = Failure::from(&failed.error);
                    tracing::debug!(
                        error = &failed.error as &dyn std::error::Error,
                        revision = %revision.key(),
                        "Pod did not answer"
                    );
                    match failed.unsent {
                        // Nothing was sent: another pod may have it, and this one must show that it is alive.
                        Some(unsent) if attempt < MAX_ATTEMPTS => {
                            slot.suspect();
                            outgoing = *unsent;
                        }
                        _ => return Err(failure),
                    }
                }
            }
        }
        Err(Failure::BadGateway("no pod could be reached"))
    }

    fn count(&self, revision: &Arc<Revision>) -> Counted {
        let (counted, first) = revision.stats.start(Instant::now());
        if first && let Some(socket) = &self.socket {
            // No waiting for the next report: the autoscaler wakes the revision now.
            socket.send(vec![self.message(revision.key(), first_request())]);
        }
        counted
    }

    fn splice(&self, splice: Splice, clock: &Clock, held: (Slot, Counted)) {
        let deadline = clock.upgraded_deadline();
        self.upgraded.spawn(async move {
            let _held = held;
            let result = match deadline {
                Some(deadline) => tokio::time::timeout_at(deadline, splice.run())
                    .await
                    .unwrap_or(Ok(())),
                None => splice.run().await,
            };
            if let Err(error) = result {
                tracing::debug!(%error, "Upgraded connection ended");
            }
        });
    }

    fn message(&self, revision: &RevisionKey, stat: Stat) -> WireStatMessage {
        WireStatMessage {
            namespace: revision.namespace.clone(),
            name: revision.name.clone(),
            stat: Some(Stat {
                pod_name: self.config.pod_name.clone(),
                ..stat
            }),
        }
    }

    async fn report_periodically(&self) {
        let mut period = tokio::time::interval(REPORT_PERIOD);
        period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            period.tick().await;
            let now = Instant::now();
            let mut messages = Vec::new();
            for revision in self.model.revisions() {
                let Some(stat) = revision.stats.report(now) else {
                    continue;
                };
                let queued = revision.throttler().queued();
                let active = revision.throttler().in_flight();
                self.metrics.load(
                    revision.key(),
                    revision.stats.in_flight() as usize,
                    queued,
                    active,
                );
                messages.push(self.message(revision.key(), stat));
            }
            if let (Some(socket), false) = (&self.socket, messages.is_empty()) {
                socket.send(messages);
            }
        }
    }

    async fn expire_idle(&self) {
        let mut period = tokio::time::interval(IDLE_SWEEP);
        loop {
            period.tick().await;
            self.model.upstreams().expire_idle();
        }
    }

    /// Waits for upgraded connections to end.
    pub async fn upgraded_done(&self, grace: Duration) {
        self.upgraded.close();
        let _ = tokio::time::timeout(grace, join_all([self.upgraded.wait()])).await;
    }
}

fn head_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum()
}
