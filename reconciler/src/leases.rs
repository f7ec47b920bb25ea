//! Leader election on a Lease: only the holder writes, the others keep their caches warm.
//!
//! The lock is a plain update with `resourceVersion`: who holds it updates what it stored last, and reads again only if
//! somebody else has written. Expiry is measured on the own clock from the moment a change of the lease was *seen*, so
//! clocks of replicas need not agree.

mod decide;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, info};

use crate::error::{is_conflict, is_not_found};
use decide::{Action, Held, Standing, decide, pause};

/// Timing of an election. With the defaults a dead leader is replaced five to seven seconds after its last renewal.
/// Upstream's figures are longer (15 or 60 seconds); a lease costs the same, since what costs is the renewals.
#[derive(Clone, Debug)]
pub struct Timing {
    /// How long others wait for a renewal before they take over; whole seconds on the wire.
    pub lease: Duration,
    /// A leader that could not renew for so long steps down; shorter than `lease`.
    pub renew_deadline: Duration,
    /// Pause between renewals, and between looks at the lease of another. A renewal that failed is tried again sooner.
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(5),
            renew_deadline: Duration::from_secs(4),
            retry: Duration::from_secs(2),
        }
    }
}

/// Whether this process leads. All clones see the same.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// `None`: there is only one process, it always leads.
    elected: Option<watch::Receiver<bool>>,
}

impl Leadership {
    /// For a process without rivals.
    pub fn always() -> Self {
        Self { elected: None }
    }

    pub fn is_leader(&self) -> bool {
        self.elected.as_ref().is_none_or(|elected| *elected.borrow())
    }

    /// Returns when this process leads.
    pub async fn gained(&mut self) {
        self.becomes(true).await;
    }

    /// Returns when this process no longer leads.
    pub async fn lost(&mut self) {
        self.becomes(false).await;
    }

    async fn becomes(&mut self, leading: bool) {
        match &mut self.elected {
            None if leading => {}
            None => std::future::pending().await,
            Some(elected) => {
                if elected.wait_for(|elected| *elected == leading).await.is_err() && leading {
                    // The election has ended with this process not leading, and it will not come back.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// Who this process is among its replicas.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Starts with the pod's name and an underscore.
    pub identity: String,
    /// When a lease is renewed, and lost.
    pub timing: Timing,
}

impl Candidate {
    /// With the timing that all have.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            timing: Timing::default(),
        }
    }
}

/// What is known of the lease from the attempts before.
#[derive(Default)]
struct Known {
    /// As this process stored it last; gone when somebody else has written.
    own: Option<Lease>,
    /// The sign of life of another.
    other: Option<Held>,
}

/// One candidate for one lease.
pub struct Election {
    leases: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    leading: watch::Sender<bool>,
}

impl Election {
    /// `name` is `<component>.<reconciler>.<NN>-of-<MM>`; `identity` starts with `<pod name>_`.
    pub fn new(client: kube::Client, namespace: &str, name: &str, identity: &str, timing: Timing) -> Self {
        Self {
            leases: Api::namespaced(client, namespace),
            name: name.to_lowercase(),
            identity: identity.to_owned(),
            timing,
            leading: watch::Sender::new(false),
        }
    }

    pub fn leadership(&self) -> Leadership {
        Leadership {
            elected: Some(self.leading.subscribe()),
        }
    }

    /// Takes part until `stop` ends, then gives the lease back so that a successor need not wait.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut known = Known::default();
        // The lease lasts from before the request: others may count from the moment that it is stored.
        let mut renewed = Instant::now();
        loop {
            let began = Instant::now();
            let left = (renewed + self.timing.renew_deadline).saturating_duration_since(began);
            if left.is_zero() {
                self.set(false);
            }
            // A request that hangs must not keep a leader beyond its deadline.
            let leading = *self.leading.borrow();
            let limit = if leading { left } else { self.timing.renew_deadline };
            let standing = match tokio::time::timeout(limit, self.attempt(&mut known)).await {
                Ok(Ok(standing)) => standing,
                Ok(Err(error)) => {
                    debug!(%error, lease = %self.name, "Lease could not be renewed");
                    Standing::Unknown
                }
                Err(_) => {
                    debug!(lease = %self.name, "Lease request took too long");
                    Standing::Unknown
                }
            };
            match standing {
                Standing::Leads => {
                    renewed = began;
                    self.set(true);
                }
                Standing::Follows { .. } => self.set(false),
                Standing::Unknown => {}
            }
            let leads_until = leading.then(|| renewed + self.timing.renew_deadline);
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(pause(standing, leads_until, Instant::now(), self.timing.retry)) => {}
            }
        }
        self.set(false);
        // An API that does not answer must not keep the process: then the lease ends by itself.
        if tokio::time::timeout(self.timing.renew_deadline, self.release())
            .await
            .is_err()
        {
            debug!(lease = %self.name, "Lease request took too long");
        }
    }

    /// Renews or takes the lease.
    async fn attempt(&self, known: &mut Known) -> Result<Standing, kube::Error> {
        if let Some(own) = &known.own {
            match self.renew(own.clone()).await {
                Err(error) if is_conflict(&error) || is_not_found(&error) => known.own = None,
                stored => {
                    known.own = Some(stored?);
                    return Ok(Standing::Leads);
                }
            }
        }
        let lease = self.leases.get_opt(&self.name).await?;
        let stored = match decide(
            &self.identity,
            lease.as_ref(),
            &mut known.other,
            Instant::now(),
            self.timing.lease,
        ) {
            Action::Follow { until } => return Ok(Standing::Follows { until: Some(until) }),
            Action::Create => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.claim(None)),
                };
                self.leases.create(&PostParams::default(), &lease).await
            }
            Action::Write => self.renew(lease.unwrap_or_default()).await,
        };
        match stored {
            Ok(lease) => {
                known.own = Some(lease);
                Ok(Standing::Leads)
            }
            Err(error) if is_conflict(&error) => Ok(Standing::Follows { until: None }),
            Err(error) => Err(error),
        }
    }

    /// Stores `lease`, which must still be the newest, with the claim of this candidate.
    async fn renew(&self, mut lease: Lease) -> Result<Lease, kube::Error> {
        lease.spec = Some(self.claim(lease.spec.as_ref()));
        self.leases
            .replace(&self.name, &PostParams::default(), &lease)
            .await
    }

    fn claim(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = before.is_some_and(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = before.and_then(|spec| spec.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: Some(
                i32::try_from(self.timing.lease.as_secs().max(1)).unwrap_or(i32::MAX),
            ),
            acquire_time: before
                .filter(|_| ours)
                .and_then(|spec| spec.acquire_time.clone())
                .or(Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours || before.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }

    fn set(&self, leading: bool) {
        if self.leading.send_replace(leading) != leading {
            info!(lease = %self.name, identity = %self.identity, leading, "Leadership changed");
        }
    }

    async fn release(&self) {
        let Ok(Some(mut lease)) = self.leases.get_opt(&self.name).await else {
            return;
        };
        let Some(spec) = lease.spec.as_mut() else { return };
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return;
        }
        spec.holder_identity = Some(String::new());
        if let Err(error) = self
            .leases
            .replace(&self.name, &PostParams::default(), &lease)
            .await
        {
            debug!(%error, lease = %self.name, "Lease could not be released");
        }
    }
}

#[cfg(test)]
mod tests;
