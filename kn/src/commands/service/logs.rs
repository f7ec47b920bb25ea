//! `kn service logs`

use std::collections::HashSet;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use futures::stream::{BoxStream, SelectAll};
use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, LogParams};
use kube::runtime::watcher::{self, Event};
use serde_json::Value;

use crate::cli::NamespaceArgs;
use crate::commands::list::text;
use crate::completion;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::kind::Kind;
use crate::output::Output;

/// The sidecar; what it logs is seldom what is looked for.
const SIDECAR: &str = "queue-proxy";

/// Shows what the containers of a service have logged, each line with its revision and pod.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn service logs web\n  kn service logs web --follow\n  kn service logs web --revision web-00001 --tail 100\n  kn service logs web --previous\n  kn service logs web -c queue-proxy --since 10m"
)]
pub struct Logs {
    /// Name of the service
    #[arg(add = ArgValueCompleter::new(completion::names))]
    name: String,
    /// Go on, with pods that come later, too
    #[arg(short, long, conflicts_with = "previous")]
    follow: bool,
    /// Only this revision
    #[arg(long, value_name = "REVISION")]
    revision: Option<String>,
    /// Only this container [default: all but the sidecar queue-proxy]
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Only the last lines of each container
    #[arg(long, value_name = "COUNT")]
    tail: Option<i64>,
    /// Only lines younger than this, such as 10m
    #[arg(long, value_name = "DURATION")]
    since: Option<String>,
    /// The run before the present one
    #[arg(long)]
    previous: bool,
    /// With the time of each line
    #[arg(long)]
    timestamps: bool,
    #[command(flatten)]
    namespace: NamespaceArgs,
}

/// One run of one container.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Run {
    revision: String,
    pod: String,
    container: String,
    restarts: i64,
}

impl Logs {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let params = self.params()?;
        let namespace = context.namespace(&self.namespace).await?;
        // Tells a name that is wrong from a service without pods.
        context.get(Kind::Service, &namespace, &self.name).await?;
        let labels = match &self.revision {
            Some(revision) => format!(
                "serving.knative.dev/service={},serving.knative.dev/revision={revision}",
                self.name
            ),
            None => format!("serving.knative.dev/service={}", self.name),
        };
        let pods: Api<Pod> = Api::namespaced(context.client().await?, &namespace);
        if self.follow {
            return self.follow(&pods, &labels, params, output).await;
        }
        let listed = pods.list(&ListParams::default().labels(&labels)).await?.items;
        let runs: Vec<Run> = listed.iter().flat_map(|pod| self.runs(pod)).collect();
        if runs.is_empty() {
            output.note(format!(
                "Service '{0}' has no running pod: it is scaled to zero, or cannot start (`kn service describe {0}`). --follow waits for one.",
                self.name
            ));
        }
        for run in runs {
            let mut lines = lines(&pods, &run, &params).await;
            while let Some(line) = lines.next().await {
                if !print(line, output)? {
                    return Ok(Exit::Success);
                }
            }
        }
        Ok(Exit::Success)
    }

    /// Reads all runs at once, and those that begin later.
    async fn follow(
        &self,
        pods: &Api<Pod>,
        labels: &str,
        mut params: LogParams,
        output: &mut Output,
    ) -> Result<Exit, CliError> {
        params.follow = true;
        let mut known: HashSet<Run> = HashSet::new();
        let mut open: SelectAll<BoxStream<'static, Result<String, String>>> = SelectAll::new();
        let mut events = watcher::watcher(pods.clone(), watcher::Config::default().labels(labels)).boxed();
        loop {
            tokio::select! {
                Some(line) = open.next() => {
                    if !print(line, output)? {
                        return Ok(Exit::Success);
                    }
                }
                event = events.next() => match event {
                    Some(Ok(Event::Apply(pod) | Event::InitApply(pod))) => {
                        for run in self.runs(&pod) {
                            if known.insert(run.clone()) {
                                open.push(lines(pods, &run, &params).await);
                            }
                        }
                    }
                    Some(Ok(Event::Delete(pod))) => {
                        known.retain(|run| Some(&run.pod) != pod.metadata.name.as_ref());
                    }
                    // What was asked for the start does not bind those that begin later.
                    Some(Ok(Event::InitDone)) => (params.tail_lines, params.since_seconds) = (None, None),
                    Some(Ok(Event::Init)) => {}
                    Some(Err(error)) => {
                        output.note(format!("warning: {}", crate::error::innermost(&error)));
                        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                    }
                    None => return Ok(Exit::Success),
                },
            }
        }
    }

    fn params(&self) -> Result<LogParams, CliError> {
        let since_seconds = match &self.since {
            Some(text) => {
                let duration = formats::duration::parse(text)
                    .map_err(|error| CliError::usage(format!("--since {text}: {error}")))?;
                Some(duration.as_secs().max(1))
            }
            None => None,
        };
        Ok(LogParams {
            tail_lines: self.tail,
            since_seconds,
            previous: self.previous,
            timestamps: self.timestamps,
            ..LogParams::default()
        })
    }

    /// The runs of a pod that have a log, by its status.
    fn runs(&self, pod: &Pod) -> Vec<Run> {
        let pod = serde_json::to_value(pod).unwrap_or_default();
        let statuses = ["initContainerStatuses", "containerStatuses"];
        let started = |status: &&Value| {
            let ran = |state: &Value| state["running"].is_object() || state["terminated"].is_object();
            // Between two runs the log is that of the last one.
            ran(&status["state"]) || ran(&status["lastState"])
        };
        let wanted = |status: &&Value| match &self.container {
            Some(name) => status["name"] == name.as_str(),
            None => status["name"] != SIDECAR,
        };
        statuses
            .iter()
            .flat_map(|field| pod["status"][*field].as_array().into_iter().flatten())
            .filter(started)
            .filter(wanted)
            .map(|status| Run {
                revision: text(&pod, "/metadata/labels/serving.knative.dev~1revision"),
                pod: text(&pod, "/metadata/name"),
                container: text(status, "/name"),
                restarts: status["restartCount"].as_i64().unwrap_or(0),
            })
            .collect()
    }
}

impl Run {
    /// `[web-00001 6f9c-x2x4z]`: the revision, and what tells its pods apart.
    fn prefix(&self) -> String {
        let pod = self
            .pod
            .strip_prefix(&format!("{}-deployment-", self.revision))
            .unwrap_or(&self.pod);
        let container = match self.container.as_str() {
            "user-container" => String::new(),
            other => format!(" {other}"),
        };
        format!("[{} {pod}{container}]", self.revision)
    }
}

/// The lines of one run; one that cannot be read is a single line that says why.
async fn lines(pods: &Api<Pod>, run: &Run, params: &LogParams) -> BoxStream<'static, Result<String, String>> {
    let prefix = run.prefix();
    let params = LogParams {
        container: Some(run.container.clone()),
        ..params.clone()
    };
    match pods.log_stream(&run.pod, &params).await {
        Ok(stream) => stream
            .lines()
            .map(move |line| match line {
                Ok(line) => Ok(format!("{prefix} {line}")),
                Err(error) => Err(format!("{prefix} the log broke off: {error}")),
            })
            .boxed(),
        Err(error) => {
            let message = format!("{prefix} {}", CliError::from(error));
            futures::stream::iter([Err(message)]).boxed()
        }
    }
}

fn print(line: Result<String, String>, output: &mut Output) -> Result<bool, CliError> {
    match line {
        Ok(line) => output.line_of_many(&line),
        Err(trouble) => {
            output.note(trouble);
            Ok(true)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        logs: Logs,
    }

    fn logs(words: &[&str]) -> Logs {
        Line::try_parse_from([&["kn", "web"], words].concat())
            .unwrap()
            .logs
    }

    fn pod() -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "web-00001-deployment-6f9c-x2x4z", "labels": { "serving.knative.dev/revision": "web-00001" } },
            "status": { "containerStatuses": [
                { "name": "user-container", "restartCount": 1, "ready": true, "image": "i", "imageID": "i", "state": { "running": {} } },
                { "name": "log", "restartCount": 0, "ready": false, "image": "i", "imageID": "i", "state": { "waiting": { "reason": "x" } }, "lastState": { "terminated": { "exitCode": 1 } } },
                { "name": "starting", "restartCount": 0, "ready": false, "image": "i", "imageID": "i", "state": { "waiting": { "reason": "ContainerCreating" } } },
                { "name": "queue-proxy", "restartCount": 0, "ready": true, "image": "i", "imageID": "i", "state": { "running": {} } }] } }))
        .unwrap()
    }

    #[test]
    fn containers_that_ran_are_read_without_the_sidecar() {
        let names = |words: &[&str]| {
            logs(words)
                .runs(&pod())
                .into_iter()
                .map(|run| run.container)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&[]), ["user-container", "log"]);
        assert_eq!(names(&["-c", "queue-proxy"]), ["queue-proxy"]);
        let run = &logs(&[]).runs(&pod())[0];
        assert_eq!(
            (run.prefix().as_str(), run.restarts),
            ("[web-00001 6f9c-x2x4z]", 1)
        );
        assert_eq!(
            logs(&["-c", "queue-proxy"]).runs(&pod())[0].prefix(),
            "[web-00001 6f9c-x2x4z queue-proxy]"
        );
    }

    #[test]
    fn durations_are_read() {
        assert_eq!(
            logs(&["--since", "10m", "--tail", "5"])
                .params()
                .unwrap()
                .since_seconds,
            Some(600)
        );
        assert!(
            logs(&["--since", "soon"])
                .params()
                .unwrap_err()
                .message
                .contains("--since soon")
        );
    }
}
