//! A command run inside a container, for probes and hooks.

use std::time::Duration;

use crate::shim::protocol::{Answer, Call, ExecProcess};
use crate::shim_client::ShimClient;

/// Output kept of a probe (upstream: 10 KiB).
const OUTPUT_LIMIT: usize = 10 << 10;

/// Runs the command and waits for it.
///
/// # Errors
/// Gives its output when it exits with another code than 0, or says that it took too long.
pub async fn run(
    shim: &ShimClient,
    container: &str,
    command: Vec<String>,
    limit: Duration,
) -> Result<(), String> {
    let shown = command.join(" ");
    let call = Call::Exec(ExecProcess {
        container: container.to_owned(),
        command,
        timeout_millis: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
        output_limit: OUTPUT_LIMIT,
    });
    match shim.call(call).await {
        Ok(Answer::Executed { timed_out: true, .. }) => Err(format!(
            "command \"{shown}\" timed out after {}s",
            limit.as_secs()
        )),
        Ok(Answer::Executed { exit_code: 0, .. }) => Ok(()),
        Ok(Answer::Executed {
            output, exit_code, ..
        }) if output.trim().is_empty() => Err(format!("command \"{shown}\" exited with code {exit_code}")),
        Ok(Answer::Executed { output, .. }) => Err(output.trim_end().to_owned()),
        Ok(_) => Err("the shim answered something else".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
