//! Checks senders for a receiver that takes few events, where compiling the filters of a policy for each costs nothing.

use std::sync::Arc;

use crds::config::events::Features;
use crds::eventing::EventPolicy;
use event::Event;
use event_filter::Filter;
use http::HeaderMap;
use informer::{Cache, Caches};
use reconciler::ConfigStore;

use crate::{Access, Guarded, Policy, Unverified, Verifier, bearer};

/// Why a request is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401
    #[error("show a token of a ServiceAccount that was made for the audience {audience:?}")]
    Unauthenticated { audience: String },
    /// 403
    #[error("{subject} may not send events of type {event_type} to {receiver}")]
    Forbidden {
        subject: String,
        event_type: String,
        receiver: String,
    },
    /// 500: the control plane has not published it yet.
    #[error("{0} has no audience yet: try again when it is ready")]
    NoAudience(String),
    /// 503
    #[error("the API server does not tell whose the token is: {0}")]
    Review(String),
}

impl Denied {
    /// The status that the contract has for it.
    pub fn status(&self) -> http::StatusCode {
        match self {
            Self::Unauthenticated { .. } => http::StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => http::StatusCode::FORBIDDEN,
            Self::NoAudience(_) => http::StatusCode::INTERNAL_SERVER_ERROR,
            Self::Review(_) => http::StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Lets senders in that may send.
pub struct Doorkeeper {
    policies: Cache<EventPolicy>,
    config: ConfigStore,
    verifier: Verifier,
}

/// A sender, and what it may send. Kept no longer than for its request.
#[derive(Debug)]
pub struct Guest<'a> {
    /// `None` while senders have no identities.
    known: Option<(Arc<str>, Access)>,
    namespace: &'a str,
    receiver: String,
}

impl Doorkeeper {
    /// Begins to watch policies and the configuration in `system_namespace`.
    pub fn start(caches: &Caches, system_namespace: &str) -> Self {
        Self {
            policies: caches.cache(),
            config: ConfigStore::start(caches, system_namespace),
            verifier: Verifier::new(caches.client().clone()),
        }
    }

    /// Whether senders have identities at the moment.
    pub fn is_enabled(&self) -> bool {
        self.config.get::<Features>().authentication_oidc.is_enabled()
    }

    /// Finds out whose token a request shows, before its body is read. `kind` is for messages.
    ///
    /// # Errors
    /// If it shows none that is good.
    pub async fn greet<'a>(
        &self,
        kind: &str,
        (namespace, name): (&'a str, &str),
        guarded: Guarded<'_>,
        headers: &HeaderMap,
    ) -> Result<Guest<'a>, Denied> {
        let receiver = format!("{kind} {namespace}/{name}");
        let features = self.config.get::<Features>();
        if !features.authentication_oidc.is_enabled() {
            return Ok(Guest {
                known: None,
                namespace,
                receiver,
            });
        }
        let access = Access::of(guarded, features.default_authorization_mode, |policy| {
            self.policies
                .named(namespace, policy)
                .map(|found| compiled(&found))
        });
        let subject = self
            .subject(access.audience.as_deref(), &receiver, headers)
            .await?;
        Ok(Guest {
            known: Some((subject, access)),
            namespace,
            receiver,
        })
    }

    /// Whose token for `audience` a request shows.
    ///
    /// # Errors
    /// If it shows none that is good.
    pub async fn subject(
        &self,
        audience: Option<&str>,
        receiver: &str,
        headers: &HeaderMap,
    ) -> Result<Arc<str>, Denied> {
        let audience = audience.ok_or_else(|| Denied::NoAudience(receiver.to_owned()))?;
        let unauthenticated = || Denied::Unauthenticated {
            audience: audience.to_owned(),
        };
        let token = bearer(headers).ok_or_else(unauthenticated)?;
        let subject = self.verifier.subject(token, audience).await;
        subject.map_err(|why| match why {
            Unverified::Invalid => unauthenticated(),
            Unverified::Unavailable(reason) => Denied::Review(reason),
        })
    }
}

impl Guest<'_> {
    /// Whether this one may send that event.
    ///
    /// # Errors
    /// If not.
    pub fn brings(&self, event: &Event) -> Result<(), Denied> {
        match &self.known {
            Some((subject, access)) if !access.allows(self.namespace, subject, event) => {
                Err(Denied::Forbidden {
                    subject: subject.to_string(),
                    event_type: event.type_.to_string(),
                    receiver: self.receiver.clone(),
                })
            }
            _ => Ok(()),
        }
    }
}

fn compiled(policy: &EventPolicy) -> Arc<Policy> {
    let subjects = policy.status.as_ref().map(|status| status.from.clone());
    let filter = Filter::compile(&policy.spec.filters, None).unwrap_or_else(|error| {
        // Admission refuses it. Letting everything pass would be the worse mistake.
        tracing::warn!(%error, policy = ?policy.metadata.name, "A policy has a filter that cannot be used");
        Filter::nothing()
    });
    Arc::new(Policy {
        subjects: subjects.unwrap_or_default(),
        filter: Arc::new(filter),
    })
}
