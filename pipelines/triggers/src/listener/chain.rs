//! The interceptors of a trigger, one after the other.

use std::sync::Arc;
use std::time::Duration;

use crds::triggers::{ClusterInterceptor, Interceptor, TriggerInterceptor};
use event_client::Client as Outgoing;
use prometheus::IntCounter;

use super::api::Reader;
use super::attempts::{Attempts, is_passing};
use crate::event::Seen;
use crate::interceptors::cel::{CompareSecret, Evaluator};
use crate::interceptors::{Core, Secret, SecretRef, Verdict, bitbucket, github, gitlab, remote, slack};

/// Says that an interceptor is one of its namespace.
const NAMESPACED: &str = "NamespacedInterceptor";
/// Attempts at an interceptor that is away, and the first pause between two: together long enough for a pod to be
/// replaced by another.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// Who asks interceptors.
#[derive(Clone)]
pub(super) struct Chain {
    pub reader: Reader,
    pub outgoing: Outgoing,
    pub cluster_domain: String,
    pub evaluator: Evaluator,
    /// Interceptors that were asked again.
    pub retried: IntCounter,
}

/// Whether an event proves who sent it, before anything is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nobody asks for it.
    NotAsked,
    /// It does.
    Good,
    /// It does not; why.
    Bad(String),
    /// It cannot be told now; why.
    Unknown(String),
}

/// Where an event stops, and why.
pub(super) enum Stopped {
    /// It is none for this trigger.
    Here(String),
    /// Something went wrong.
    Failed(String),
}

impl Chain {
    /// Shows the event to all, and takes up what they say.
    pub async fn run(
        &self,
        interceptors: &[TriggerInterceptor],
        namespace: &str,
        trigger: &str,
        event: &mut Seen,
    ) -> Result<(), Stopped> {
        for (place, interceptor) in interceptors.iter().enumerate() {
            let named = || {
                let by_reference = interceptor
                    .reference
                    .as_ref()
                    .map(|reference| reference.name.clone());
                let name = interceptor.name.clone().or(by_reference);
                name.unwrap_or_else(|| format!("interceptor {place}"))
            };
            let mut attempts = Attempts::new(ATTEMPTS, PAUSE);
            loop {
                match self.ask(interceptor, namespace, trigger, event).await {
                    Verdict::Continue(extensions) => break event.extend(extensions),
                    Verdict::Stop(why) => return Err(Stopped::Here(format!("{}: {why}", named()))),
                    // The event is stored: whoever sent it need not send it again because of that.
                    Verdict::Away(why) if attempts.another().await => {
                        tracing::debug!(trigger, interceptor = %named(), %why, "An interceptor is asked again");
                        self.retried.inc();
                    }
                    Verdict::Fail(why) | Verdict::Away(why) => {
                        return Err(Stopped::Failed(format!("{}: {why}", named())));
                    }
                }
            }
        }
        Ok(())
    }

    async fn ask(
        &self,
        interceptor: &TriggerInterceptor,
        namespace: &str,
        trigger: &str,
        event: &mut Seen,
    ) -> Verdict {
        if let Some(webhook) = &interceptor.webhook {
            let url = match remote::old_address(webhook, namespace, &self.cluster_domain) {
                Ok(url) => url,
                Err(problem) => return Verdict::Fail(problem),
            };
            return remote::ask_old(&self.outgoing, &url, webhook, event).await;
        }
        let Some(reference) = &interceptor.reference else {
            return Verdict::Fail("it has neither a ref nor a webhook".to_owned());
        };
        let config = if reference.kind == NAMESPACED {
            match self.reader.get::<Interceptor>(namespace, &reference.name).await {
                Ok(Some(found)) => found.spec.client_config.clone(),
                Ok(None) => return Verdict::Fail(format!("there is no Interceptor {}", reference.name)),
                Err(error) => return unreadable(&error),
            }
        } else {
            // Those that ship with the platform are here, whatever else has their names.
            match Core::find(&reference.name, &interceptor.params) {
                Some(Ok(core)) => return self.core(core, namespace, event).await,
                Some(Err(problem)) => return Verdict::Fail(problem),
                None => {}
            }
            match self.reader.get::<ClusterInterceptor>("", &reference.name).await {
                Ok(Some(found)) => found.spec.client_config.clone(),
                Ok(None) => {
                    return Verdict::Fail(format!("there is no ClusterInterceptor {}", reference.name));
                }
                Err(error) => return unreadable(&error),
            }
        };
        let endpoint = remote::address(&config, &self.cluster_domain).and_then(|(url, certificates)| {
            self.outgoing
                .endpoint(&url, certificates.as_deref())
                .map_err(|error| error.to_string())
        });
        match endpoint {
            Ok(endpoint) => remote::ask(&endpoint, event, &interceptor.params, trigger).await,
            Err(problem) => Verdict::Fail(problem),
        }
    }

    async fn core(&self, core: Core, namespace: &str, event: &Seen) -> Verdict {
        let found = match core.secret() {
            None => None,
            Some(at) => match self.reader.secret(namespace, at).await {
                Ok(found) => Some(found),
                Err(error) => return unreadable(&error),
            },
        };
        let secret = match &found {
            None => Secret::NotAsked,
            Some(None) => Secret::Missing,
            Some(Some(secret)) => Secret::Known(secret),
        };
        match core {
            Core::GitHub(params) => github::check(&params, event, secret),
            Core::GitLab(params) => gitlab::check(&params, event, secret),
            Core::Bitbucket(params) => bitbucket::check(&params, event, secret),
            Core::Slack(params) => slack::check(&params, event, secret),
            Core::Cel(params) => {
                let compare = self.compare(namespace);
                self.evaluator.check(params, event.clone(), compare).await
            }
        }
    }

    /// Finds secrets for expressions, which run on threads that may wait.
    fn compare(&self, namespace: &str) -> CompareSecret {
        let (reader, own) = (self.reader.clone(), namespace.to_owned());
        let runtime = tokio::runtime::Handle::current();
        Arc::new(move |key, name, namespace| {
            let at = SecretRef {
                secret_name: name.to_owned(),
                secret_key: key.to_owned(),
            };
            let found = runtime.block_on(reader.secret(namespace.unwrap_or(&own), &at));
            found
                .inspect_err(|error| tracing::warn!(%error, name, "A Secret cannot be read"))
                .ok()
                .flatten()
        })
    }

    /// Whether the event proves to the trigger who sent it, as far as that can be told from the event as it came.
    pub async fn proof(&self, interceptors: &[TriggerInterceptor], namespace: &str, event: &Seen) -> Proof {
        for interceptor in interceptors {
            if interceptor.webhook.is_some() {
                // It may make another event of it.
                return Proof::NotAsked;
            }
            let Some(reference) = interceptor.reference.as_ref().filter(|at| at.kind != NAMESPACED) else {
                continue;
            };
            let Some(Ok(core)) = Core::find(&reference.name, &interceptor.params) else {
                continue;
            };
            let Some(at) = core.secret() else { continue };
            return match self.reader.secret(namespace, at).await {
                Ok(Some(secret)) => match core.verify(event, &secret) {
                    Ok(()) => Proof::Good,
                    Err(why) => Proof::Bad(why),
                },
                Ok(None) => Proof::Unknown(format!("the Secret {} has no {}", at.secret_name, at.secret_key)),
                Err(error) => Proof::Unknown(told(&error)),
            };
        }
        Proof::NotAsked
    }
}

fn unreadable(error: &kube::Error) -> Verdict {
    if is_passing(error) {
        Verdict::Away(told(error))
    } else {
        Verdict::Fail(told(error))
    }
}

/// What the API server said, without what the client puts around it.
pub(super) fn told(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

/// Whether anybody may have sent the event: refused when every trigger asks for a proof, and none gets one.
pub(super) fn judge(proofs: &[Proof]) -> Proof {
    let open = proofs
        .iter()
        .any(|proof| matches!(proof, Proof::NotAsked | Proof::Good));
    if open || proofs.is_empty() {
        return Proof::Good;
    }
    let unknown = proofs.iter().find(|proof| matches!(proof, Proof::Unknown(_)));
    let worst = unknown.or_else(|| proofs.first());
    worst.cloned().unwrap_or(Proof::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_refused_when_every_trigger_asks_for_a_proof() {
        use Proof::{Bad, Good, NotAsked, Unknown};
        let bad = || Bad("b".to_owned());
        let unknown = || Unknown("u".to_owned());
        for (proofs, expected) in [
            (vec![], Good),
            (vec![NotAsked], Good),
            (vec![bad(), NotAsked], Good),
            (vec![bad(), Good], Good),
            (vec![bad()], bad()),
            (vec![bad(), bad()], bad()),
            (vec![bad(), unknown()], unknown()),
            (vec![unknown(), Good], Good),
        ] {
            assert_eq!(judge(&proofs), expected, "{proofs:?}");
        }
    }
}
