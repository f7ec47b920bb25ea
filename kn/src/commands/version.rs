//! `kn version`

use clap::Args;
use serde_json::json;

use crate::error::{CliError, Exit};
use crate::output::Output;

/// API versions that this program speaks, by group.
const SERVING: &str = "serving.knative.dev/v1";
const EVENTING: [&str; 4] = [
    "eventing.knative.dev/v1",
    "eventing.knative.dev/v1beta2",
    "messaging.knative.dev/v1",
    "sources.knative.dev/v1",
];

/// Shows the version.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  kn version\n  kn version -o json")]
pub struct Version {
    /// Print as json or yaml
    #[arg(short, long, value_name = "FORM")]
    output: Option<String>,
}

impl Version {
    pub fn run(&self, output: &mut Output) -> Result<Exit, CliError> {
        let version = env!("CARGO_PKG_VERSION");
        let date = option_env!("SPINDRIFT_BUILD_DATE").unwrap_or("unknown");
        let revision = option_env!("SPINDRIFT_GIT_REVISION").unwrap_or("unknown");
        let view = json!({
            "Version": version, "BuildDate": date, "GitRevision": revision,
            "SupportedAPIs": { "serving": [SERVING], "eventing": EVENTING },
        });
        match self.output.as_deref() {
            None => output.line(format!(
                "Version:      {version}\nBuild Date:   {date}\nGit Revision: {revision}\nSupported APIs:\n* Serving\n  - {SERVING}\n* Eventing\n  - {}",
                EVENTING.join("\n  - ")
            ))?,
            Some("json") => output.line(format!("{view:#}"))?,
            Some("yaml") => output.raw(
                &serde_saphyr::to_string(&view).map_err(|error| CliError::new(Exit::Failure, error.to_string()))?,
            )?,
            Some(other) => {
                return Err(CliError::usage(format!("invalid value for output flag '{other}', choose one among 'json' or 'yaml'")));
            }
        }
        Ok(Exit::Success)
    }
}
