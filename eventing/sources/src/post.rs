//! Sends one event to one sink, as often as it takes.

use std::sync::Arc;
use std::time::Duration;

use broker::client::{self, Account, Client, Want};
use broker::delivery::outcome::MAX_DATA;
use broker::delivery::{Backoff, BackoffPolicy, Failure, Policy, jittered, parse_retry_after};
use crds::duck::AuthStatus;
use event::{Event, Mode};
use jiff::Timestamp;
use tokio::sync::Semaphore;

/// Attempts that are under way at the same time, over all sources.
const MAX_ATTEMPTS: usize = 256;

/// Between two looks at connections that nobody uses any more.
const EXPIRY: Duration = Duration::from_secs(10);

/// Longest `Retry-After` that is obeyed.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// How a source's events are delivered: as the brokers deliver that have no wish of their own, ten times again within
/// 205 seconds.
pub(crate) fn policy() -> Policy {
    Policy {
        retries: 10,
        backoff: Some(Backoff {
            policy: BackoffPolicy::Exponential,
            delay: Duration::from_millis(200),
        }),
        timeout: Some(Duration::from_secs(30)),
        retry_after_max: Some(RETRY_AFTER_MAX),
        format: None,
    }
}

/// Where the events of a source go, as its status says.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sink {
    /// Absolute.
    pub url: String,
    /// Certificate authorities that are trusted besides the usual ones, PEM.
    pub ca_certs: Option<String>,
    /// With one, whoever has an account shows a token for it.
    pub audience: Option<String>,
    /// As whom events are sent; `None` while senders have no identities.
    pub account: Option<Account>,
}

impl Sink {
    /// What a status says; `None` while the sink is not known.
    pub fn of(
        namespace: Option<&String>,
        url: Option<&String>,
        ca_certs: Option<&String>,
        audience: Option<&String>,
        auth: Option<&AuthStatus>,
    ) -> Option<Self> {
        let account = auth.and_then(|auth| auth.service_account_name.clone());
        Some(Self {
            url: url?.clone(),
            ca_certs: ca_certs.cloned(),
            audience: audience.cloned(),
            account: account.map(|name| Account {
                namespace: namespace.cloned().unwrap_or_default(),
                name,
            }),
        })
    }
}

/// Posts events. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Poster {
    client: Client,
    attempts: Arc<Semaphore>,
}

impl Poster {
    pub fn new(config: client::Config) -> Self {
        Self {
            client: Client::new(config),
            attempts: Arc::new(Semaphore::new(MAX_ATTEMPTS)),
        }
    }

    /// Closes idle connections, for ever.
    pub async fn keep(&self) {
        let mut ticks = tokio::time::interval(EXPIRY);
        loop {
            ticks.tick().await;
            self.client.expire_idle();
        }
    }

    /// Posts `event` to `sink` until it is accepted. Returns what the last attempt failed with.
    pub async fn post(&self, sink: &Sink, event: &Event, policy: &Policy) -> Result<(), Failure> {
        let endpoint = self
            .client
            .endpoint_as(
                sink.account.as_ref(),
                &sink.url,
                sink.ca_certs.as_deref(),
                sink.audience.as_deref(),
            )
            .map_err(|error| Failure::transport(&error))?;
        let mut attempt = 0;
        loop {
            let failure = {
                // Never closed; without a permit the attempt would be one too many, not wrong.
                let _permit = self.attempts.acquire().await;
                match once(&endpoint, event, policy).await {
                    Ok(()) => return Ok(()),
                    Err(failure) => failure,
                }
            };
            let Some(wait) = policy.wait(attempt, &failure) else {
                return Err(failure);
            };
            attempt += 1;
            tokio::time::sleep(jittered(wait, rand::random())).await;
        }
    }
}

async fn once(endpoint: &client::Endpoint, event: &Event, policy: &Policy) -> Result<(), Failure> {
    let message = || event::http::write(event, policy.format.unwrap_or(Mode::Binary));
    let answer = endpoint
        .send(policy.timeout, message, |status, _, _| {
            if status.is_success() {
                Want::Nothing
            } else {
                Want::Start(MAX_DATA)
            }
        })
        .await
        .map_err(|error| Failure::transport(&error))?;
    if answer.status.is_success() {
        return Ok(());
    }
    let retry_after = answer.headers.get(http::header::RETRY_AFTER);
    Err(Failure {
        retry_after: retry_after.and_then(|value| parse_retry_after(value.to_str().ok()?, Timestamp::now())),
        ..Failure::answered(answer.status.as_u16(), &answer.body)
    })
}
