//! Ctrl-C while a command waits for what goes on without it.

use crate::error::{CliError, Exit};

/// Does `work` to its end, unless Ctrl-C comes before.
///
/// # Errors
/// As `work`; and [`Exit::Interrupted`] with `goes_on`: what goes on all the same, and the command to come back to it.
pub async fn or<T>(
    work: impl Future<Output = Result<T, CliError>>,
    goes_on: impl Into<String>,
) -> Result<T, CliError> {
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Then the signal ends the process, as it does by itself.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        done = work => done,
        () = interrupted => Err(CliError::new(Exit::Interrupted, "interrupted").with_hint(goes_on)),
    }
}
