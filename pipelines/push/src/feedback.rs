//! Tells git hosts how the builds of their commits go, where a Repository says that they are to be told.
//!
//! A git host that does not listen holds up nothing: builds know nothing of this. What it was told is an annotation of
//! the run, so that nothing is told twice.

mod host;

use std::collections::HashMap;
use std::time::Duration;

use crds::conditions::ConditionStatus;
use crds::spindrift::annotations::{COMMIT, COMMIT_STATUS, SUPERSEDED_BY};
use crds::spindrift::{Repository, Statuses};
use crds::tekton::{PipelineRun, RunStatus as _};
use event_client::Client;
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use parking_lot::Mutex;
use reconciler::error::is_not_found;
use reconciler::object::controller_of;
use reconciler::{Applier, Controller, Error, Key, Next, Reconcile};
use serde_json::json;

use crate::shared::{Shared, repository_of};
use crate::web::{self, WebError};
use host::{Told, address, request};

/// Attempts at one state of one run.
const ATTEMPTS: u32 = 6;
/// After the first of them; each further pause is twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// Git hosts that are told at the same time.
const AT_ONCE: usize = 4;
/// Key of the token, unless the Repository names one.
const TOKEN: &str = "token";
/// In the annotation, behind a state that the git host did not take.
const REFUSED: &str = "refused";

/// How a build is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Pending,
    Success,
    Failure,
    /// A newer push came, or somebody ended it.
    Cancelled,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }

    fn of(run: &PipelineRun) -> Self {
        let condition = run.status.as_ref().and_then(|status| status.succeeded());
        let ended = run.spec.status.is_some_and(|status| {
            use crds::tekton::PipelineRunSpecStatus::{Cancelled, CancelledRunFinally, StoppedRunFinally};
            matches!(status, Cancelled | CancelledRunFinally | StoppedRunFinally)
        });
        match condition.map(|condition| condition.status) {
            Some(ConditionStatus::True) => Self::Success,
            Some(ConditionStatus::False) if ended || run.annotations().contains_key(SUPERSEDED_BY) => {
                Self::Cancelled
            }
            Some(ConditionStatus::False) => Self::Failure,
            _ => Self::Pending,
        }
    }
}

pub(crate) struct Feedback {
    shared: Shared,
    applier: Applier,
    client: Client,
    /// What is being tried, and how often that was done.
    attempts: Mutex<HashMap<Key, (State, u32)>>,
}

/// The controller of what is told; runs wake it.
pub(crate) fn controller(shared: &Shared) -> Controller<Feedback> {
    let feedback = Feedback {
        shared: shared.clone(),
        applier: shared.applier("spindrift-commit-status"),
        client: Client::new(shared.config.outgoing.clone()),
        attempts: Mutex::default(),
    };
    Controller::new("commit-status", feedback)
        .concurrency(AT_ONCE)
        .watches(&shared.runs)
}

/// How an attempt ended.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Taken,
    /// It may be taken another time.
    NotNow(String),
    Refused(String),
}

impl Reconcile for Feedback {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let run = self.shared.runs.get(key);
        let found = run.as_ref().and_then(|run| {
            let repository = self.repository(run)?;
            let statuses = repository.spec.statuses.clone()?;
            Some((run, commit(run, &repository)?, repository, statuses))
        });
        let Some((run, commit, repository, statuses)) = found else {
            self.attempts.lock().remove(key);
            return Ok(Next::OnChange);
        };
        let state = State::of(run);
        let told = run.annotations().get(COMMIT_STATUS);
        if told.is_some_and(|told| told.split(' ').next() == Some(state.as_str())) {
            self.attempts.lock().remove(key);
            return Ok(Next::OnChange);
        }
        let told = Told {
            commit: &commit,
            state,
            run: &run.name_any(),
            repository: &repository.name_any(),
            link: self.link(run, &repository, state),
        };
        let attempt = self.tell(&repository, &statuses, &told).await;
        let made = match attempt {
            Attempt::NotNow(_) => self.count(key, state),
            _ => 0,
        };
        let problem = match attempt {
            Attempt::Taken => None,
            Attempt::NotNow(why) if made < ATTEMPTS => {
                tracing::debug!(run = %key, %why, made, "The git host was not told");
                return Ok(Next::After(PAUSE * 2u32.pow(made.saturating_sub(1))));
            }
            Attempt::NotNow(why) | Attempt::Refused(why) => Some(why),
        };
        self.attempts.lock().remove(key);
        let mut mark = state.as_str().to_owned();
        if let Some(why) = problem {
            mark = format!("{mark} {REFUSED}");
            let message = format!(
                "the git host was not told that {commit} is {}: {why}",
                state.as_str()
            );
            self.shared
                .events
                .warning(repository.as_ref(), "CommitStatusFailed", message);
        }
        let change = json!({"metadata": {"annotations": {COMMIT_STATUS: mark}}});
        match self.applier.merge(&self.shared.runs, key, &change).await {
            Err(Error::Api { source, .. }) if is_not_found(&source) => Ok(Next::OnChange),
            marked => marked.map(|_| Next::OnChange),
        }
    }
}

impl Feedback {
    /// The Repository that made a run.
    fn repository(&self, run: &PipelineRun) -> Option<std::sync::Arc<Repository>> {
        let namespace = run.namespace()?;
        let repository = self.shared.repositories.named(&namespace, repository_of(run)?)?;
        let owner = controller_of(&run.metadata)?;
        (Some(&owner.uid) == repository.metadata.uid.as_ref()).then_some(repository)
    }

    /// Where people look: at what was built, where it runs. Logs are shown to those only who have a token.
    fn link(&self, run: &PipelineRun, repository: &Repository, state: State) -> Option<String> {
        let status = repository.status.as_ref().filter(|_| state == State::Success)?;
        let name = run.name_any();
        let mut previews = status.previews.iter();
        if let Some(preview) = previews.find(|preview| preview.deployed.run == name) {
            return Some(preview.url.clone()).filter(|url| !url.is_empty());
        }
        status.deployed.as_ref().filter(|deployed| deployed.run == name)?;
        let service = self
            .shared
            .services
            .named(&run.namespace()?, &repository.spec.service)?;
        service.status.as_ref()?.url.clone()
    }

    /// Counts an attempt; how many there were at this state.
    fn count(&self, key: &Key, state: State) -> u32 {
        let mut attempts = self.attempts.lock();
        let entry = attempts.entry(key.clone()).or_insert((state, 0));
        if entry.0 != state {
            *entry = (state, 0);
        }
        entry.1 += 1;
        entry.1
    }

    async fn tell(&self, repository: &Repository, statuses: &Statuses, told: &Told<'_>) -> Attempt {
        let Some(api) = address(&repository.spec.url, statuses) else {
            return Attempt::Refused(
                "it is not known whose API it has: set spec.statuses.provider".to_owned(),
            );
        };
        let token = match self.token(repository, statuses).await {
            Ok(token) => token,
            Err(why) => return Attempt::NotNow(why),
        };
        let Some(ask) = request(&api, &token, told) else {
            return Attempt::Refused("neither spec.url nor the token can be used for a request".to_owned());
        };
        self.client.expire_idle();
        match web::ask(&self.client, ask).await {
            Ok(answer) => judged(answer.status, &answer.headers),
            Err(WebError::Now(why)) => Attempt::NotNow(why),
            Err(WebError::Never(why)) => Attempt::Refused(why),
        }
    }

    async fn token(&self, repository: &Repository, statuses: &Statuses) -> Result<String, String> {
        let place = statuses.secret_ref.clone().unwrap_or_default();
        let key = match place.key.as_str() {
            "" => TOKEN,
            key => key,
        };
        let namespace = repository.namespace().unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(self.shared.client.clone(), &namespace);
        let secret = secrets.get_opt(&place.name).await.map_err(|error| {
            tracing::warn!(%error, namespace, name = place.name, "A Secret cannot be read");
            format!("Secret {} cannot be read", place.name)
        })?;
        let token = secret.and_then(|secret| web::text(secret.data.as_ref(), key));
        token.ok_or_else(|| format!("there is no key {key} in a Secret {}", place.name))
    }
}

/// The commit that a run builds, once it is known.
fn commit(run: &PipelineRun, repository: &Repository) -> Option<String> {
    let marked = run.annotations().get(COMMIT).cloned();
    let deployed = || {
        let deployed = repository.status.as_ref()?.deployed.as_ref()?;
        (deployed.run == run.name_any()).then(|| deployed.commit.clone())
    };
    let result = || {
        let mut results = run.status.as_ref()?.results.iter();
        let found = results.find(|result| result.name == "commit")?;
        found.value.as_str().map(|commit| commit.trim().to_owned())
    };
    let commit = marked.or_else(deployed).or_else(result)?;
    let whole = matches!(commit.len(), 40 | 64) && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    whole.then_some(commit)
}

fn judged(status: StatusCode, headers: &http::HeaderMap) -> Attempt {
    let exhausted = headers
        .get("x-ratelimit-remaining")
        .is_some_and(|left| left.as_bytes() == b"0");
    let later = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
        )
        || (status == StatusCode::FORBIDDEN && exhausted);
    match status {
        status if status.is_success() => Attempt::Taken,
        status if later => Attempt::NotNow(format!("it answers {status}")),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Attempt::Refused(format!(
            "it answers {status}: may the token write statuses of commits?"
        )),
        status => Attempt::Refused(format!("it answers {status}")),
    }
}

#[cfg(test)]
mod tests;
