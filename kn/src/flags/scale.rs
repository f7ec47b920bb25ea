//! Flags of the autoscaler.

use clap::Args;

/// Flags that become annotations of the autoscaler. Numbers are checked where they are used, so that the message can say
/// what the bounds are for.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Scaling")]
pub struct ScaleArgs {
    /// Instances: 5 for exactly five, 1..5, 1.. or ..5
    #[arg(long, value_name = "MIN..MAX", allow_hyphen_values = true)]
    pub scale: Option<String>,
    /// Fewest instances
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale_min: Option<i64>,
    /// Most instances; 0 is no bound
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale_max: Option<i64>,
    /// Instances to begin with
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale_init: Option<i64>,
    /// Fewest instances while there is any load; 2 or more
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale_activation: Option<i64>,
    /// Load per instance that is aimed at [default of the platform: 100 requests at once]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pub scale_target: Option<f64>,
    /// What the load is measured by: concurrency or rps
    #[arg(long, value_name = "METRIC")]
    pub scale_metric: Option<String>,
    /// Percentage of the target to aim at [default of the platform: 70]
    #[arg(long, value_name = "PERCENT", allow_negative_numbers = true)]
    pub scale_utilization: Option<i64>,
    /// Window over which the load is averaged, from 6s to 1h
    #[arg(long, value_name = "DURATION")]
    pub scale_window: Option<String>,
    /// Old name of --scale-window
    #[arg(long, value_name = "DURATION", hide = true)]
    pub autoscale_window: Option<String>,
    /// Old name of --scale-target
    #[arg(long, value_name = "NUMBER", hide = true, allow_negative_numbers = true)]
    pub concurrency_target: Option<f64>,
    /// Old name of --scale-utilization
    #[arg(long, value_name = "PERCENT", hide = true, allow_negative_numbers = true)]
    pub concurrency_utilization: Option<i64>,
}
