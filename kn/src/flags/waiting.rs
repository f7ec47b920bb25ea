//! Flags of waiting for what was written to be ready.

use std::time::Duration;

use clap::Args;

use super::pair;
use crate::error::CliError;
use crate::wait::Patience;

/// Whether, and how long, to wait for a service.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Waiting")]
pub struct WaitArgs {
    /// Wait until the service is ready (the default)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    wait: Option<bool>,
    /// Do not wait until the service is ready
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    no_wait: Option<bool>,
    #[command(flatten)]
    limits: WaitLimits,
}

/// Whether, and how long, to wait for what is ready soon or not at all, so that waiting is not the default.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Waiting")]
pub struct MayWaitArgs {
    /// Wait until it is ready
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    wait: Option<bool>,
    /// Do not wait until it is ready (the default)
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL", hide_possible_values = true)]
    no_wait: Option<bool>,
    #[command(flatten)]
    limits: WaitLimits,
}

/// How long to wait.
#[derive(Args, Clone, Debug)]
pub struct WaitLimits {
    /// Seconds to wait at the most
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    wait_timeout: u64,
    /// Seconds that an error may last before it counts
    #[arg(long, default_value_t = 2, value_name = "SECONDS")]
    wait_window: u64,
}

impl WaitArgs {
    /// How long to wait; `None` is not at all.
    ///
    /// # Errors
    /// Contradicting flags.
    pub fn patience(&self) -> Result<Option<Patience>, CliError> {
        let waits = pair::choice("wait", self.wait, self.no_wait)?.unwrap_or(true);
        Ok(waits.then(|| self.limits.patience()))
    }
}

impl MayWaitArgs {
    /// How long to wait; `None` is not at all.
    ///
    /// # Errors
    /// Contradicting flags.
    pub fn patience(&self) -> Result<Option<Patience>, CliError> {
        let waits = pair::choice("wait", self.wait, self.no_wait)?.unwrap_or(false);
        Ok(waits.then(|| self.limits.patience()))
    }
}

impl WaitLimits {
    /// As the waiting functions take it.
    pub fn patience(&self) -> Patience {
        Patience {
            timeout: Duration::from_secs(self.wait_timeout),
            error_window: Duration::from_secs(self.wait_window),
        }
    }
}
