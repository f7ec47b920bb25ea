//! One object as it is now, and as it changes.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Api;
use kube::api::DynamicObject;
use kube::runtime::watcher;
use serde_json::Value;

use crate::error::CliError;

/// Pause after a watch failed; the watcher opens the next one by itself.
const PAUSE: Duration = Duration::from_secs(1);
/// Failures in a row after which the cluster counts as gone.
const FAILURES: u32 = 60;

/// An object that is watched.
pub struct Watched {
    api: Api<DynamicObject>,
    name: String,
    events: BoxStream<'static, watcher::Result<Option<DynamicObject>>>,
    /// The object; `None` while nobody has made it, or once it is gone.
    pub object: Option<Value>,
    failures: u32,
}

impl Watched {
    /// Begins to watch; [`Self::changed`] tells what there is.
    pub fn new(api: Api<DynamicObject>, name: &str) -> Self {
        Self {
            events: watcher::watch_object(api.clone(), name).boxed(),
            api,
            name: name.to_owned(),
            object: None,
            failures: 0,
        }
    }

    /// Waits for the next change. Nothing is lost if the wait is given up.
    ///
    /// # Errors
    /// The cluster refuses, or has not answered for a minute.
    pub async fn changed(&mut self) -> Result<(), CliError> {
        loop {
            match self.events.next().await {
                Some(Ok(object)) => {
                    self.failures = 0;
                    self.object = object.and_then(|object| serde_json::to_value(object).ok());
                    return Ok(());
                }
                Some(Err(error)) => {
                    self.failures += 1;
                    if self.failures >= FAILURES || is_refusal(&error) {
                        return Err(cause(error));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                // The watcher goes on for ever; should it end, asking is what is left.
                None => {
                    tokio::time::sleep(PAUSE).await;
                    return self.refresh().await;
                }
            }
        }
    }

    /// Asks what the object is now, for a watch may be behind.
    ///
    /// # Errors
    /// As [`Self::changed`].
    pub async fn refresh(&mut self) -> Result<(), CliError> {
        let object = self.api.get_opt(&self.name).await?;
        self.object = object.and_then(|object| serde_json::to_value(object).ok());
        Ok(())
    }
}

/// Whether asking again brings the same answer.
fn is_refusal(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status)) => {
            (400..500).contains(&status.code) && ![410, 429].contains(&status.code)
        }
        _ => false,
    }
}

fn cause(error: watcher::Error) -> CliError {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error.into(),
        other => CliError::new(crate::error::Exit::Failure, crate::error::innermost(&other)),
    }
}
