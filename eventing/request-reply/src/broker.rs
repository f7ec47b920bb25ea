//! Hands requests on to brokers.

use std::collections::HashMap;
use std::time::Duration;

use crds::eventing::{Broker, RequestReply};
use event::Event;
use event_client::{Account, Client, Endpoint, SendError, Want};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use informer::{Cache, Key};
use parking_lot::Mutex;

use crate::refusal::Refusal;

/// Bytes of a broker's answer that are told on.
const TOLD: usize = 1024;
/// Endpoints that are kept; as many as there are RequestReplies, normally.
const MOST: usize = 1024;

/// Where a RequestReply sends to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Peer {
    url: String,
    ca_certs: Option<String>,
    audience: Option<String>,
    account: Option<Account>,
}

/// The brokers that requests go to.
pub(crate) struct Brokers {
    brokers: Cache<Broker>,
    client: Client,
    /// Kept, for connections are their endpoints'.
    endpoints: Mutex<HashMap<Peer, Endpoint>>,
}

impl Brokers {
    pub fn new(brokers: Cache<Broker>, client: Client) -> Self {
        Self {
            brokers,
            client,
            endpoints: Mutex::default(),
        }
    }

    /// Sends `event` to the broker of a RequestReply, with those headers of its request that go on.
    ///
    /// # Errors
    /// If the broker is not there, or does not take it.
    pub async fn send(
        &self,
        object: &RequestReply,
        headers: &HeaderMap,
        event: &Event,
        limit: Duration,
    ) -> Result<(), Refusal> {
        let endpoint = self.endpoint(object)?;
        let message = || {
            let (mut all, body) = event::http::write(event, event.mode);
            for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
                all.append(name, value.clone());
            }
            (all, body)
        };
        let answer = endpoint
            .send(Some(limit), message, |status, _, _| {
                if status.is_success() {
                    Want::Nothing
                } else {
                    Want::Start(TOLD)
                }
            })
            .await
            .map_err(|error| match error {
                SendError::TimedOut(_) => Refusal::Late(limit),
                error => Refusal::Unreached(error.to_string()),
            })?;
        if answer.status.is_success() {
            return Ok(());
        }
        Err(Refusal::Broker {
            status: answer.status,
            said: String::from_utf8_lossy(&answer.body).trim().to_owned(),
            retry_after: answer.headers.get(RETRY_AFTER).cloned(),
        })
    }

    fn endpoint(&self, object: &RequestReply) -> Result<Endpoint, Refusal> {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let (of, name) = object.spec.broker_of(namespace);
        let missing = || Refusal::NoBroker(Key::new(of, name).to_string());
        let broker = self.brokers.named(of, name).ok_or_else(missing)?;
        let address = broker.status.as_ref().and_then(|status| status.address.as_ref());
        let address = address.ok_or_else(missing)?;
        let account = object.status.as_ref().and_then(|status| {
            let name = status.auth.as_ref()?.service_account_name.clone()?;
            let namespace = namespace.to_owned();
            Some(Account { namespace, name })
        });
        let peer = Peer {
            url: address.url.clone().ok_or_else(missing)?,
            ca_certs: address.ca_certs.clone(),
            audience: address.audience.clone(),
            account,
        };
        let mut endpoints = self.endpoints.lock();
        if let Some(endpoint) = endpoints.get(&peer) {
            return Ok(endpoint.clone());
        }
        let endpoint = self
            .client
            .endpoint_as(
                peer.account.as_ref(),
                &peer.url,
                peer.ca_certs.as_deref(),
                peer.audience.as_deref(),
            )
            .map_err(|error| Refusal::Unreached(error.to_string()))?;
        if endpoints.len() >= MOST {
            endpoints.clear();
        }
        endpoints.insert(peer, endpoint.clone());
        Ok(endpoint)
    }
}

/// Headers that travel beside an event from hop to hop.
fn passes(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "x-request-id" | "traceparent" | "tracestate")
        || name.starts_with("knative-")
        || name.starts_with("x-b3-")
}

/// What the sender is answered when its broker answers so: what the sender can mend, it is told; what passes, it may try
/// again; all else is between the broker and this process.
pub(crate) fn told(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            status
        }
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::INSUFFICIENT_STORAGE => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_GATEWAY,
    }
}

/// When to come again: as the broker says, or in a second.
pub(crate) fn when(said: Option<&HeaderValue>) -> HeaderValue {
    said.cloned().unwrap_or(HeaderValue::from_static("1"))
}
