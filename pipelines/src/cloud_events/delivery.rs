//! Sends one event to the sink, as often as it takes.

use std::time::Duration;

use crds::config::tekton::{Defaults, Events};
use event::Mode;
use event_client::{Client, Endpoint, SendError, Want};
use http::StatusCode;
use parking_lot::Mutex;
use reconciler::backoff::Backoff;
use reconciler::events::Kind::{Normal, Warning};
use reconciler::{ConfigStore, Recorder};
use tokio::time::Instant;

use super::metrics::{self, Outcome};
use super::outbox::{Letter, NOT_SENT};

/// For one attempt, its answer included.
const LIMIT: Duration = Duration::from_secs(10);
/// For all attempts: long enough for a broker that is started again, short enough for who looks why nothing comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The first pause between two attempts (upstream's), and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The reason of Kubernetes events about what was sent (as upstream).
const SENT: &str = "CloudEventSent";

/// The sink as it is configured now. `None`: nobody is told.
pub(super) fn sink(config: &ConfigStore) -> Option<String> {
    let (events, defaults) = (config.get::<Events>(), config.get::<Defaults>());
    events.sink(&defaults).map(str::to_owned)
}

/// Why an attempt failed, and whether another may not.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    message: String,
    again: bool,
}

impl Failure {
    /// What an answer means; `None`: the event was taken.
    fn of_status(status: StatusCode) -> Option<Self> {
        let again = match status {
            _ if status.is_success() => return None,
            // A sink that is being made or moved, or has no time; anything else says something about the event.
            StatusCode::NOT_FOUND
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS => true,
            _ => status.is_server_error(),
        };
        let message = match status.is_redirection() {
            true => format!("the sink answered {status}, and redirects are not followed"),
            false => format!("the sink answered {status}"),
        };
        Some(Self { message, again })
    }

    fn of_error(error: &SendError) -> Self {
        Self {
            message: format!("the sink cannot be reached: {error}"),
            again: !matches!(error, SendError::Refused { .. }),
        }
    }
}

/// Sends events to the sink of the configuration.
pub(super) struct Sender {
    client: Client,
    config: ConfigStore,
    events: Recorder,
    /// The endpoint of the present sink: its connections are kept as long as it is.
    present: Mutex<Option<Endpoint>>,
}

impl Sender {
    pub(super) fn new(client: Client, config: ConfigStore, events: Recorder) -> Self {
        Self {
            client,
            config,
            events,
            present: Mutex::default(),
        }
    }

    /// Sends an event until it is taken, refused, or too old. Each attempt goes to the sink as it is configured then: who
    /// mends a wrong one need not wait.
    pub(super) async fn deliver(&self, letter: &Letter) {
        let message = event::http::write(&letter.event, Mode::Binary);
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let end = Instant::now() + PATIENCE;
        while let Some(sink) = sink(&self.config) {
            let failure = match self.attempt(&sink, &message).await {
                None => return self.sent(letter),
                Some(failure) => failure,
            };
            tracing::debug!(id = %letter.event.id, error = failure.message, "An attempt to send an event failed");
            let pause = backoff.pause();
            if !failure.again || Instant::now() + pause >= end {
                return self.failed(letter, &failure);
            }
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt(&self, sink: &str, message: &(http::HeaderMap, bytes::Bytes)) -> Option<Failure> {
        let endpoint = match self.endpoint(sink) {
            Ok(endpoint) => endpoint,
            Err(error) => {
                // The URL may have what users of runs must not see.
                tracing::warn!(%error, "The sink of events about runs cannot be used");
                return Some(Failure {
                    message:
                        "the sink is none that events can be sent to: the log of the controller says why"
                            .to_owned(),
                    again: false,
                });
            }
        };
        let answer = endpoint
            .send(Some(LIMIT), || message.clone(), |_, _, _| Want::Nothing)
            .await;
        match answer {
            Ok(answer) => Failure::of_status(answer.status),
            Err(error) => Some(Failure::of_error(&error)),
        }
    }

    fn endpoint(&self, sink: &str) -> Result<Endpoint, event_client::EndpointError> {
        let mut present = self.present.lock();
        if let Some(endpoint) = present.as_ref().filter(|endpoint| endpoint.url() == sink) {
            return Ok(endpoint.clone());
        }
        let endpoint = self.client.endpoint(sink, None)?;
        *present = Some(endpoint.clone());
        Ok(endpoint)
    }

    fn sent(&self, letter: &Letter) {
        metrics::count(Outcome::Sent);
        let message = format!("Sent {}", letter.event.type_);
        self.events.note(letter.about.clone(), Normal, SENT, message);
    }

    fn failed(&self, letter: &Letter, failure: &Failure) {
        metrics::count(Outcome::Failed);
        let message = format!("{} was not sent: {}", letter.event.type_, failure.message);
        self.events.note(letter.about.clone(), Warning, NOT_SENT, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again() {
        for (status, again) in [
            (200, None),
            (202, None),
            (302, Some(false)),
            (400, Some(false)),
            (401, Some(false)),
            (404, Some(true)),
            (408, Some(true)),
            (413, Some(false)),
            (429, Some(true)),
            (500, Some(true)),
            (503, Some(true)),
        ] {
            let failure = Failure::of_status(StatusCode::from_u16(status).unwrap());
            assert_eq!(failure.map(|failure| failure.again), again, "{status}");
        }
        let refused = SendError::Refused {
            address: "127.0.0.1".parse().unwrap(),
            refusal: event_client::Refusal::Loopback,
        };
        assert!(!Failure::of_error(&refused).again);
        assert!(Failure::of_error(&SendError::Closed).again);
    }
}
