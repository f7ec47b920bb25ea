//! Flags of how events are delivered.

use clap::{Args, ValueEnum};

/// Flags of how events are delivered. An empty value goes back to the default.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Delivery")]
pub struct DeliveryArgs {
    /// Where events go that could not be delivered, in the forms of a sink
    #[arg(long, value_name = "SINK")]
    pub dl_sink: Option<String>,
    #[command(flatten)]
    pub retry: RetryArgs,
}

/// How often, and when, delivery is tried again.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Delivery")]
pub struct RetryArgs {
    /// How often delivery is tried again
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub retry: Option<i32>,
    /// How long one attempt may take, such as PT10S
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// How waits between attempts grow: linear or exponential
    #[arg(long, value_name = "POLICY", hide_possible_values = true)]
    pub backoff_policy: Option<BackoffPolicy>,
    /// The wait that growth begins with, such as PT0.5S
    #[arg(long, value_name = "DURATION")]
    pub backoff_delay: Option<String>,
    /// The longest wait that a receiver may ask for by Retry-After, such as PT2M; PT0S ignores it
    #[arg(long, value_name = "DURATION")]
    pub retry_after_max: Option<String>,
}

/// How waits grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BackoffPolicy {
    Linear,
    Exponential,
}

impl DeliveryArgs {
    /// Whether there is no flag.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
