//! Waits until an object is ready, or fails, or the time is over.

use std::time::Duration;

use futures::StreamExt;
use kube::api::{DynamicObject, WatchEvent, WatchParams};
use kube::{Api, ResourceExt};
use serde_json::Value;
use tokio::time::Instant;

use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::{conditions, table};

/// Pause before a watch that ended is opened again.
const REOPEN: Duration = Duration::from_millis(200);
/// Pause before the server is asked again when it did not answer.
const POLL: Duration = Duration::from_secs(1);
/// What a watch may last longer than the whole wait, in seconds, so that it is not the server who ends it.
const WATCH_MARGIN: u32 = 30;

/// How long to wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Longest wait.
    pub timeout: Duration,
    /// How long Ready may be False before that counts as failure: reconcilers pass through False.
    pub error_window: Duration,
}

/// What one observation says.
#[derive(Debug, PartialEq)]
enum Verdict {
    Ready,
    Failed(String),
    Pending,
    /// The controllers have not looked at this generation yet.
    Stale,
}

fn verdict(object: &Value) -> Verdict {
    let generation = object["metadata"]["generation"].as_i64();
    if generation != object["status"]["observedGeneration"].as_i64() {
        return Verdict::Stale;
    }
    let Some(ready) = conditions::get(object, "Ready") else {
        return Verdict::Pending;
    };
    match ready["status"].as_str() {
        Some("True") => Verdict::Ready,
        Some("False") => {
            let text = |field: &str| ready[field].as_str().unwrap_or_default();
            Verdict::Failed(
                format!("{}: {}", text("reason"), text("message"))
                    .trim_matches([':', ' ', '\n'])
                    .to_owned(),
            )
        }
        _ => Verdict::Pending,
    }
}

/// Waits for `name` to be ready; prints the message of Ready as it changes.
///
/// # Errors
/// [`Exit::Timeout`], or [`Exit::NotReady`] with reason and message once Ready has been False for the error window.
pub async fn ready(
    api: &Api<DynamicObject>,
    noun: &str,
    name: &str,
    patience: Patience,
    output: &mut Output,
) -> Result<Value, CliError> {
    let start = Instant::now();
    let deadline = start + patience.timeout;
    let settled = if noun == "service" {
        "Ready to serve."
    } else {
        "Ready."
    };
    let mut progress = Progress {
        start,
        last: None,
        settled,
    };
    let mut failing: Option<(Instant, String)> = None;
    let mut version = String::from("0");
    let seconds = u32::try_from(patience.timeout.as_secs()).unwrap_or(u32::MAX - WATCH_MARGIN);
    let params = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout((seconds + WATCH_MARGIN).min(290));
    loop {
        // What is true already needs no event, and after a gap it is the only way to know.
        let events = async {
            let found = api.get_opt(name).await?;
            if let Some(object) = &found {
                version = object.resource_version().unwrap_or_default();
            }
            Ok::<_, kube::Error>((found, api.watch(&params, &version).await?.boxed()))
        };
        let (found, mut events) = match events.await {
            Ok(opened) => opened,
            // A server that restarts, or is overloaded, is asked again.
            Err(error) if is_passing(&error) && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(object) = found {
            let object = serde_json::to_value(&object).unwrap_or_default();
            if consider(&object, &mut failing, &mut progress, output) {
                return Ok(object);
            }
        }
        loop {
            let until = failing.as_ref().map_or(deadline, |(since, _)| {
                deadline.min(*since + patience.error_window)
            });
            let event = tokio::time::timeout_at(until, events.next()).await;
            let Ok(event) = event else {
                return Err(match failing {
                    Some((since, message)) if since + patience.error_window <= deadline => {
                        CliError::new(Exit::NotReady, message)
                    }
                    _ => timed_out(noun, name, patience),
                });
            };
            match event {
                Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                    let object = serde_json::to_value(&object).unwrap_or_default();
                    if consider(&object, &mut failing, &mut progress, output) {
                        return Ok(object);
                    }
                }
                Some(Ok(WatchEvent::Deleted(_))) => {
                    return Err(CliError::new(
                        Exit::NotFound,
                        format!("{noun} '{name}' was deleted meanwhile"),
                    ));
                }
                Some(Ok(WatchEvent::Bookmark(_))) => {}
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => break,
            }
        }
        if Instant::now() >= deadline {
            return Err(timed_out(noun, name, patience));
        }
        tokio::time::sleep(REOPEN).await;
    }
}

/// Whether the same request may succeed a little later.
fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 410 | 429 | 500..=599),
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

fn timed_out(noun: &str, name: &str, patience: Patience) -> CliError {
    CliError::new(
        Exit::Timeout,
        format!(
            "timeout: {noun} '{name}' not ready after {} seconds",
            patience.timeout.as_secs()
        ),
    )
}

/// Takes in one observation; `true` if it is ready.
fn consider(
    object: &Value,
    failing: &mut Option<(Instant, String)>,
    progress: &mut Progress,
    output: &mut Output,
) -> bool {
    match verdict(object) {
        Verdict::Ready => {
            progress.line(progress.settled, output);
            true
        }
        Verdict::Failed(message) => {
            progress.condition(object, output);
            // What fails first is the cause; later messages tell what else cannot work without it.
            failing.get_or_insert_with(|| (Instant::now(), message));
            false
        }
        Verdict::Pending => {
            *failing = None;
            progress.condition(object, output);
            false
        }
        Verdict::Stale => false,
    }
}

/// Elapsed seconds and the message of Ready, a line for each that is new.
struct Progress {
    start: Instant,
    last: Option<String>,
    /// The last line.
    settled: &'static str,
}

impl Progress {
    fn condition(&mut self, object: &Value, output: &mut Output) {
        let message = conditions::get(object, "Ready")
            .and_then(|ready| ready["message"].as_str())
            .unwrap_or_default();
        if !message.is_empty() {
            self.line(message, output);
        }
    }

    fn line(&mut self, message: &str, output: &mut Output) {
        let shown = if self.last.as_deref() == Some(message) {
            "...".to_owned()
        } else {
            table::one_line(message)
        };
        output.progress(format!("{:7.3}s {shown}", self.start.elapsed().as_secs_f64()));
        self.last = Some(message.to_owned());
    }
}

/// Waits until `name` is gone.
///
/// # Errors
/// [`Exit::Timeout`].
pub async fn gone(
    api: &Api<DynamicObject>,
    noun: &str,
    name: &str,
    timeout: Duration,
) -> Result<(), CliError> {
    let deadline = Instant::now() + timeout;
    loop {
        let Some(object) = api.get_opt(name).await? else {
            return Ok(());
        };
        let version = object.resource_version().unwrap_or_default();
        let params = WatchParams::default()
            .fields(&format!("metadata.name={name}"))
            .timeout(290);
        let mut events = api.watch(&params, &version).await?.boxed();
        loop {
            match tokio::time::timeout_at(deadline, events.next()).await {
                Err(_) => {
                    let text = format!(
                        "timeout: {noun} '{name}' not deleted after {} seconds",
                        timeout.as_secs()
                    );
                    return Err(CliError::new(Exit::Timeout, text));
                }
                Ok(Some(Ok(WatchEvent::Deleted(_)))) => return Ok(()),
                Ok(Some(Ok(WatchEvent::Error(_)) | Err(_)) | None) => break,
                Ok(Some(Ok(_))) => {}
            }
        }
        tokio::time::sleep(REOPEN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_present_generation_counts() {
        let object = |observed: i64, status: &str| {
            json!({ "metadata": { "generation": 2 }, "status": { "observedGeneration": observed,
                "conditions": [{ "type": "Ready", "status": status, "reason": "R", "message": "m" }] } })
        };
        assert_eq!(verdict(&object(2, "True")), Verdict::Ready);
        assert_eq!(verdict(&object(1, "True")), Verdict::Stale);
        assert_eq!(verdict(&object(1, "False")), Verdict::Stale);
        assert_eq!(verdict(&object(2, "False")), Verdict::Failed("R: m".into()));
        assert_eq!(verdict(&object(2, "Unknown")), Verdict::Pending);
    }
}
