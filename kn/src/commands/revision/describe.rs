//! `kn revision describe`

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::list::shares;
use crate::commands::describe::DescribeArgs;
use crate::commands::list::{GENERATION, SERVICE, text};
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;
use crate::{conditions, describe, revision_view};

/// Shows a revision.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn revision describe web-00001\n  kn revision describe web-00001 --verbose\n  kn revision describe web-00001 -o yaml"
)]
pub struct Describe {
    #[command(flatten)]
    describe: DescribeArgs,
}

impl Describe {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let Some(revision) = self.describe.fetch(context, Kind::Revision, output).await? else {
            return Ok(Exit::Success);
        };
        let verbose = self.describe.verbose;
        let service = match text(&revision, SERVICE) {
            name if verbose && !name.is_empty() => {
                let api = context
                    .api(Kind::Service, &text(&revision, "/metadata/namespace"))
                    .await?;
                // A revision may outlive its service; then it is shown without.
                serde_json::to_value(api.get_opt(&name).await?).unwrap_or_default()
            }
            _ => Value::Null,
        };
        output.line(render(&revision, &service, verbose, Timestamp::now()))?;
        Ok(Exit::Success)
    }
}

fn render(revision: &Value, service: &Value, verbose: bool, now: Timestamp) -> String {
    let mut rows = describe::metadata(revision, verbose, now);
    rows.extend(revision_view::full(revision, verbose));
    let mut about = vec![("Name", text(revision, SERVICE))];
    if verbose {
        let shares = shares(std::slice::from_ref(service));
        let share = shares.get(&(
            text(service, "/metadata/namespace"),
            text(revision, "/metadata/name"),
        ));
        about.extend([
            ("Configuration Generation", text(revision, GENERATION)),
            (
                "Latest Created",
                text(service, "/status/latestCreatedRevisionName"),
            ),
            ("Latest Ready", text(service, "/status/latestReadyRevisionName")),
            ("Traffic", format!("{}%", share.map_or(0, |share| share.percent))),
            (
                "Tags",
                share.map(|share| share.tags.join(", ")).unwrap_or_default(),
            ),
        ]);
    }
    about.retain(|(_, value)| !value.is_empty());
    let about = match about.is_empty() {
        true => String::new(),
        false => format!("\n\nService:\n{}", conditions::indent(&describe::block(&about))),
    };
    format!(
        "{}{about}\n\n{}",
        describe::block(&rows),
        conditions::describe(revision, verbose, now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_revision_is_shown_with_its_service() {
        let revision = json!({ "metadata": { "name": "web-00002", "namespace": "d", "creationTimestamp": "1970-01-01T00:00:00Z",
                "labels": { "serving.knative.dev/service": "web", "serving.knative.dev/configurationGeneration": "2" } },
            "spec": { "containers": [{ "image": "i" }] },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let service = json!({ "metadata": { "name": "web", "namespace": "d" }, "status": { "latestReadyRevisionName": "web-00002",
            "traffic": [{ "revisionName": "web-00002", "percent": 30, "tag": "next" }] } });
        let brief = render(&revision, &Value::Null, false, Timestamp::UNIX_EPOCH);
        assert!(
            brief.starts_with("Name:       web-00002\nNamespace:  d\nAge:        0s\nImage:      i\nReplicas:   0/0\n\nService:\n  Name:  web\n\nConditions:"),
            "{brief}"
        );
        let all = render(&revision, &service, true, Timestamp::UNIX_EPOCH);
        for line in [
            "Configuration Generation:  2",
            "Latest Ready:              web-00002",
            "Traffic:                   30%",
            "Tags:                      next",
        ] {
            assert!(all.contains(line), "{all}");
        }
    }
}
