//! What create and update share: waiting, and the lines that say what came of it.

use std::time::Duration;

use clap::Args;
use kube::Api;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::commands::list::text;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::wait::{self, Patience};

/// Flags of waiting for a service.
#[derive(Args, Clone, Debug)]
pub struct WaitArgs {
    /// Wait until the service is ready (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Do not wait until the service is ready
    #[arg(long)]
    no_wait: bool,
    /// Seconds to wait at the most
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    wait_timeout: u64,
    /// Seconds that an error may last before it counts
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    wait_window: u64,
}

/// What was done to the service.
pub struct Done<'a> {
    /// `Creating`, and `created`.
    pub doing: &'a str,
    pub done: &'a str,
    pub namespace: &'a str,
    /// The latest ready revision before.
    pub before: Option<String>,
}

impl WaitArgs {
    /// Waits unless told not to, and says what came of it.
    ///
    /// # Errors
    /// As [`wait::ready`], with the next useful step as hint.
    pub async fn finish(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        done: &Done<'_>,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        if self.no_wait && !self.wait {
            output.line(format!(
                "Service '{name}' {} in namespace '{}'.",
                done.done, done.namespace
            ))?;
            return Ok(Exit::Success);
        }
        output.progress(format!(
            "{} service '{name}' in namespace '{}':\n",
            done.doing, done.namespace
        ));
        let patience = Patience {
            timeout: Duration::from_secs(self.wait_timeout),
            error_window: Duration::from_secs(self.wait_window),
        };
        let ready = wait::ready(api, "service", name, patience, output).await.map_err(|error| {
            error.with_hint(format!(
                "`kn service describe {name} -n {0}` shows the cause, and `kubectl get events -n {0}` what happened",
                done.namespace
            ))
        })?;
        output.progress("");
        output.line(outcome(&ready, name, done))?;
        Ok(Exit::Success)
    }
}

fn outcome(ready: &Value, name: &str, done: &Done<'_>) -> String {
    let revision = text(ready, "/status/latestReadyRevisionName");
    let unchanged = if done.before.as_deref() == Some(revision.as_str()) {
        " (unchanged)"
    } else {
        ""
    };
    format!(
        "Service '{name}' {} to latest revision '{revision}'{unchanged} is available at URL:\n{}",
        done.done,
        text(ready, "/status/url")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_outcome_names_revision_and_url() {
        let ready = json!({ "status": { "latestReadyRevisionName": "web-00002", "url": "http://web" } });
        let done = |before: &str| Done {
            doing: "Updating",
            done: "updated",
            namespace: "d",
            before: Some(before.to_owned()),
        };
        assert_eq!(
            outcome(&ready, "web", &done("web-00001")),
            "Service 'web' updated to latest revision 'web-00002' is available at URL:\nhttp://web"
        );
        assert!(outcome(&ready, "web", &done("web-00002")).contains("'web-00002' (unchanged)"));
    }
}
