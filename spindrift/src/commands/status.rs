//! `spindrift status`: whether an instance runs, and where.

use std::process::ExitCode;

use serde_json::json;

use super::say;
use crate::cli::{OutputFormat, StatusArgs};
use crate::run_file::Run;

/// Exit code when nothing runs, as `systemctl status` has it.
const NOT_RUNNING: u8 = 3;

pub fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let run = Run::read(&args.data.data_dir)?.filter(Run::alive);
    match args.output {
        Some(format) => {
            let value = match &run {
                Some(run) => json!({ "running": true, "instance": run }),
                None => json!({ "running": false }),
            };
            say::line(match format {
                OutputFormat::Json => serde_json::to_string_pretty(&value)?,
                OutputFormat::Yaml => serde_saphyr::to_string(&value)?,
            });
        }
        None => match &run {
            Some(run) => {
                say::line(format!(
                    "spindrift {} is {} (process {})",
                    run.version,
                    if run.ready { "up" } else { "starting" },
                    run.pid
                ));
                if let Some(gateway) = &run.gateway_url {
                    say::line(format!("  services   {gateway}"));
                }
                say::line(format!("  API        {}", run.api_url));
                say::line(format!("  registry   {}", run.registry));
                say::line(format!("  export KUBECONFIG={}", run.kubeconfig.display()));
            }
            None => say::line("spindrift is not running; start it with `spindrift up`"),
        },
    }
    Ok(if run.is_some() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NOT_RUNNING)
    })
}
