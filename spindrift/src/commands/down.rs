//! `spindrift down`: stops an instance, or cleans up after one that was killed.

use std::process::ExitCode;
use std::time::Duration;

use super::say;
use crate::cli::DataArgs;
use crate::run_file::Run;

/// Pods get their grace period, then everything else goes in seconds.
const PATIENCE: Duration = Duration::from_secs(90);

pub async fn run(args: DataArgs) -> anyhow::Result<ExitCode> {
    match Run::read(&args.data_dir)? {
        Some(run) if run.alive() => {
            say::progress(format!("Stopping spindrift (process {}) ...", run.pid));
            run.stop(PATIENCE).await?;
            say::line("Stopped. What was stored is kept; `spindrift up` goes on with it.");
        }
        left_over => {
            // Killed without a chance to clean up: its containers and network devices may still be there.
            cluster::clean_up(&args.data_dir, &super::cluster::instance_name(&args.data_dir)).await?;
            Run::remove(&args.data_dir);
            match left_over {
                Some(_) => say::line("It was not running; what it had left behind is removed."),
                None => say::line("It is not running."),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
