//! Reads the logs of one TaskRun: pod after pod, and in each its steps in order.

use std::collections::{HashSet, VecDeque};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, LogParams};
use serde_json::Value;
use tokio::sync::mpsc;

use super::line::{Line, archived, is_result, read, results};
use super::watched::Watched;
use crate::archive::Archive;
use crate::commands::list::text;
use crate::context::Context;
use crate::error::CliError;
use crate::kind::Kind;
use crate::tekton;

/// Where lines go has been closed: nobody reads any more.
struct Closed;

/// How a reader ends early.
enum Stop {
    Closed,
    Failed(CliError),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<CliError> for Stop {
    fn from(error: CliError) -> Self {
        Self::Failed(error)
    }
}

impl From<kube::Error> for Stop {
    fn from(error: kube::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads logs of TaskRuns of one namespace.
#[derive(Clone)]
pub struct Reader {
    task_runs: Api<DynamicObject>,
    pods: Api<DynamicObject>,
    logs: Api<Pod>,
    params: LogParams,
    /// Only these steps; all if there are none.
    only: Vec<String>,
    lines: mpsc::Sender<Line>,
    archive: Archive,
}

/// A TaskRun, as the lines of its log begin.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Name of the TaskRun.
    pub name: String,
    /// Name of the task within the pipeline; none for the run of a task alone.
    pub task: Option<String>,
}

impl Reader {
    /// A reader that sends what it reads to `lines`.
    pub async fn new(
        context: &Context,
        namespace: &str,
        params: LogParams,
        only: Vec<String>,
        lines: mpsc::Sender<Line>,
        archive: Archive,
    ) -> Result<Self, CliError> {
        Ok(Self {
            task_runs: context.api(Kind::TaskRun, namespace).await?,
            pods: context.api(ApiResource::erase::<Pod>(&()), namespace).await?,
            logs: Api::namespaced(context.client().await?, namespace),
            params,
            only,
            lines,
            archive,
        })
    }

    /// Reads what there is; with `follow`, goes on until the TaskRun is over.
    ///
    /// # Errors
    /// The cluster refuses, or does not answer.
    pub async fn read(self, subject: Subject) -> Result<(), CliError> {
        let read = match self.params.follow {
            true => self.follow(&subject).await,
            false => self.present(&subject).await,
        };
        match read {
            Ok(()) | Err(Stop::Closed) => Ok(()),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn present(&self, subject: &Subject) -> Result<(), Stop> {
        let present = self.task_runs.get_opt(&subject.name).await?;
        let run = match present.and_then(|run| serde_json::to_value(run).ok()) {
            Some(run) => run,
            None => match self.archive.run(Kind::TaskRun, &subject.name).await {
                Ok(Some(run)) => run,
                Ok(None) => return Ok(self.gone("taskrun", &subject.name, None).await?),
                Err(error) => return Ok(self.gone("taskrun", &subject.name, Some(error)).await?),
            },
        };
        let uid = text(&run, "/metadata/uid");
        for name in tekton::attempts(&run) {
            let Some(pod) = self.pods.get_opt(&name).await? else {
                self.read_archive(subject, &name, &uid).await?;
                continue;
            };
            let pod = serde_json::to_value(pod).unwrap_or_default();
            for (container, step) in self.steps(&pod) {
                if has_begun(&pod, &container) {
                    self.container(subject, &name, container, step).await?;
                }
            }
        }
        Ok(())
    }

    async fn follow(&self, subject: &Subject) -> Result<(), Stop> {
        let mut run = Watched::new(self.task_runs.clone(), &subject.name);
        let mut known = HashSet::new();
        loop {
            run.changed().await?;
            while let Some(pod) = run
                .object
                .as_ref()
                .and_then(|run| tekton::attempts(run).into_iter().find(|pod| !known.contains(pod)))
            {
                self.pod(subject, &pod, &mut run).await?;
                known.insert(pod);
            }
            if is_over(&run) {
                return Ok(());
            }
        }
    }

    /// Follows the steps of a pod, as each begins.
    async fn pod(&self, subject: &Subject, name: &str, run: &mut Watched) -> Result<(), Stop> {
        let mut pod = Watched::new(self.pods.clone(), name);
        pod.changed().await?;
        let mut next = 0;
        loop {
            let over = is_over(run);
            if over {
                pod.refresh().await?;
            }
            match &pod.object {
                Some(object) => {
                    let steps = self.steps(object);
                    while let Some((container, step)) = steps.get(next).cloned() {
                        if has_begun(object, &container) {
                            self.container(subject, name, container, step).await?;
                        } else if !over && !has_ended(object) {
                            break;
                        }
                        next += 1;
                    }
                    if next >= steps.len() {
                        return Ok(());
                    }
                }
                None if over => {
                    let uid = run.object.as_ref().map(|run| text(run, "/metadata/uid"));
                    return Ok(self.read_archive(subject, name, &uid.unwrap_or_default()).await?);
                }
                None => {}
            }
            tokio::select! {
                changed = pod.changed() => changed?,
                changed = run.changed() => changed?,
            }
        }
    }

    /// The containers of the steps to read, and the steps' names.
    fn steps(&self, pod: &Value) -> Vec<(String, String)> {
        let mut steps = tekton::steps(pod);
        steps.retain(|(_, step)| self.only.is_empty() || self.only.contains(step));
        steps
    }

    async fn container(
        &self,
        subject: &Subject,
        pod: &str,
        container: String,
        step: String,
    ) -> Result<(), Closed> {
        let params = LogParams {
            container: Some(container.clone()),
            ..self.params.clone()
        };
        let trouble = |why: String| Line::Trouble(format!("pod '{pod}', container '{container}': {why}"));
        let log = match self.logs.log_stream(pod, &params).await {
            Ok(log) => log,
            Err(error) => return self.send(trouble(CliError::from(error).message)).await,
        };
        let mut log = Box::pin(log);
        let mut hidden = 0;
        loop {
            match read(&mut log).await {
                Ok(Some(text)) if is_result(&text, self.params.timestamps) => hidden += 1,
                Ok(Some(text)) => {
                    let (task, step) = (subject.task.clone(), step.clone());
                    self.send(Line::Log { task, step, text }).await?;
                }
                Ok(None) => break,
                Err(error) => return self.send(trouble(format!("the log broke off: {error}"))).await,
            }
        }
        match results(&step, &subject.name, hidden) {
            Some(note) => self.send(note).await,
            None => Ok(()),
        }
    }

    /// What the archive has of a pod that is gone.
    async fn read_archive(&self, subject: &Subject, pod: &str, owner: &str) -> Result<(), Closed> {
        let mut kept = match self.archive.log(pod, owner).await {
            Ok(Some(kept)) => kept,
            Ok(None) => return self.gone("pod", pod, None).await,
            Err(error) => return self.gone("pod", pod, Some(error)).await,
        };
        let tail = self
            .params
            .tail_lines
            .map(|lines| usize::try_from(lines).unwrap_or(0));
        // The lines of one step, as far as they may still be the last ones.
        let mut waiting: VecDeque<Line> = VecDeque::new();
        let mut current = String::new();
        let mut hidden = 0;
        loop {
            let line = match kept.next().await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(error) => {
                    waiting.push_back(Line::Trouble(format!("pod '{pod}': {}", error.message)));
                    break;
                }
            };
            let step = text(&line, "/step");
            if !self.only.is_empty() && !self.only.contains(&step) {
                continue;
            }
            if step != current {
                waiting.extend(results(&current, &subject.name, std::mem::take(&mut hidden)));
                self.send_all(&mut waiting).await?;
                current = step;
            }
            if is_result(&text(&line, "/log"), true) {
                hidden += 1;
                continue;
            }
            waiting.push_back(archived(&line, subject.task.as_deref(), self.params.timestamps));
            match tail {
                Some(tail) if waiting.len() > tail => drop(waiting.pop_front()),
                Some(_) => {}
                None => self.send_all(&mut waiting).await?,
            }
        }
        waiting.extend(results(&current, &subject.name, hidden));
        self.send_all(&mut waiting).await
    }

    async fn send_all(&self, lines: &mut VecDeque<Line>) -> Result<(), Closed> {
        for line in lines.drain(..) {
            self.send(line).await?;
        }
        Ok(())
    }

    async fn gone(&self, noun: &str, name: &str, error: Option<CliError>) -> Result<(), Closed> {
        let mut text = format!("{noun} '{name}' is gone, and its log with it");
        if let Some(error) = error {
            text.push_str(&format!(" (the archive cannot be asked: {})", error.message));
        }
        self.send(Line::Trouble(text)).await
    }

    async fn send(&self, line: Line) -> Result<(), Closed> {
        self.lines.send(line).await.map_err(|_| Closed)
    }
}

/// Is the run over, or gone?
fn is_over(run: &Watched) -> bool {
    run.object.as_ref().is_none_or(tekton::is_over)
}

/// Does the container have a log?
fn has_begun(pod: &Value, container: &str) -> bool {
    let statuses = pod["status"]["containerStatuses"]
        .as_array()
        .into_iter()
        .flatten();
    let ran = |state: &Value| state["running"].is_object() || state["terminated"].is_object();
    statuses
        .filter(|status| status["name"] == container)
        .any(|status| ran(&status["state"]) || ran(&status["lastState"]))
}

/// Will no container of the pod begin any more?
fn has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}
