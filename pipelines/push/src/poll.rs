//! Asks git hosts whose webhooks do not get here where the branch is, as often as the Repository says.
//!
//! What is seen is noted like a push that was delivered, with the commit that was known before, so that one that is also
//! delivered is built once (see [`ledger`](crate::ledger)).

mod advertisement;
mod credentials;
mod seen;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crds::spindrift::Repository;
use event_client::Client;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use kube::ResourceExt;
use parking_lot::Mutex;
use reconciler::{Applier, Controller, Error, Key, Next, Reconcile};
use tokio::time::Instant;
use url::Url;

use crate::delivery::Push;
use crate::filter::verdict;
use crate::ledger::{self, Taken, take};
use crate::queue;
use crate::shared::Shared;
use crate::web::{self, WebError};
use seen::{is_undecided, moved};

/// Largest list of refs that is read: some hundred thousand.
const MOST: usize = 16 << 20;
/// Admission refuses less; who got past it waits as long.
const MOST_OFTEN: Duration = Duration::from_secs(10);
/// Git hosts that are asked at the same time.
const AT_ONCE: usize = 4;

pub(crate) struct Polls {
    shared: Shared,
    applier: Applier,
    client: Client,
    asked: Mutex<HashMap<Key, Asked>>,
}

/// When a git host was asked last, and what it said.
#[derive(Clone, Debug)]
struct Asked {
    at: Instant,
    url: String,
    commit: Option<String>,
    problem: Option<String>,
}

/// Why it is not known where the branch is.
#[derive(Clone, Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Web(#[from] WebError),
    #[error(transparent)]
    Advertisement(#[from] advertisement::AdvertisementError),
    #[error("it refuses access ({0}): give the ServiceAccount a Secret for git, see tekton.dev/git-0")]
    Access(StatusCode),
    #[error("it redirects to {0}: let spec.url say so")]
    Moved(String),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it has no branch {0}")]
    NoBranch(String),
}

/// The controller of those Repositories that are asked for.
pub(crate) fn controller(shared: &Shared) -> Controller<Polls> {
    let polls = Polls {
        shared: shared.clone(),
        applier: shared.applier("spindrift-poll"),
        client: Client::new(shared.config.outgoing.clone()),
        asked: Mutex::default(),
    };
    Controller::new("repository-poll", polls)
        .concurrency(AT_ONCE)
        .watches(&shared.repositories)
}

impl Reconcile for Polls {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let repository = self.shared.repositories.get(key);
        let repository = repository.filter(|found| found.metadata.deletion_timestamp.is_none());
        let Some((every, repository)) = repository.and_then(|found| Some((every(&found)?, found))) else {
            self.asked.lock().remove(key);
            return Ok(Next::OnChange);
        };
        let before = self.asked.lock().get(key).cloned();
        let before = before.filter(|before| before.url == repository.spec.url);
        if let Some(before) = &before
            && let Some(rest) = every.checked_sub(before.at.elapsed())
            && !rest.is_zero()
        {
            return Ok(Next::After(rest));
        }
        self.client.expire_idle();
        let answer = self.ask(&repository).await?;
        let known = before.as_ref().and_then(|before| before.commit.as_deref());
        if let Ok(commit) = &answer {
            self.note(&repository, commit, known).await?;
        }
        let problem = answer.as_ref().err().map(ToString::to_string);
        if let Some(problem) = &problem
            && before
                .as_ref()
                .is_none_or(|before| before.problem.as_ref() != Some(problem))
        {
            let message = format!(
                "{} was asked for its branch: {problem}",
                place(&repository.spec.url)
            );
            self.shared
                .events
                .warning(repository.as_ref(), "PollFailed", message);
        }
        let (seen, known) = (answer.ok(), known.map(str::to_owned));
        // What comes while nobody can say what is being built is news once that has failed.
        let commit = match is_undecided(&repository, |run| self.is_over(&repository, run)) {
            true => known.or(seen),
            false => seen.or(known),
        };
        let asked = Asked {
            at: Instant::now(),
            url: repository.spec.url.clone(),
            commit,
            problem,
        };
        self.asked.lock().insert(key.clone(), asked);
        Ok(Next::After(every))
    }
}

impl Polls {
    /// Where the branch is.
    async fn ask(&self, repository: &Repository) -> Result<Result<String, PollError>, Error> {
        let spec = &repository.spec;
        let namespace = repository.namespace().unwrap_or_default();
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        let authorization = credentials::for_url(
            &self.shared.client,
            &namespace,
            &spec.service_account_name,
            &spec.url,
        );
        if let Some(value) = authorization.await? {
            headers.insert(AUTHORIZATION, value);
        }
        let ask = web::Ask {
            method: Method::GET,
            url: format!(
                "{}/info/refs?service=git-upload-pack",
                place(&spec.url).trim_end_matches('/')
            ),
            headers,
            body: Bytes::new(),
            most: MOST,
        };
        let answer = match web::ask(&self.client, ask).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error.into())),
        };
        Ok(read(&answer, &spec.main_ref()))
    }

    fn is_over(&self, repository: &Repository, run: &str) -> bool {
        let namespace = repository.namespace().unwrap_or_default();
        let run = self.shared.runs.named(&namespace, run);
        run.is_none_or(|run| queue::is_done(&run))
    }

    /// Notes where the branch is, if that is news.
    async fn note(
        &self,
        repository: &Arc<Repository>,
        commit: &str,
        known: Option<&str>,
    ) -> Result<(), Error> {
        let Some(push) = moved(repository, commit, known, |run| self.is_over(repository, run)) else {
            return Ok(());
        };
        let Some(status) = noted(repository, &push, self.shared.now()) else {
            return Ok(());
        };
        let mut updated = (**repository).clone();
        updated.status = Some(*status);
        self.applier
            .update_status(&self.shared.repositories, repository, &updated)
            .await
            .map(drop)
    }
}

/// The address without who asks: that is said by the credentials, if any, and may be a token.
fn place(url: &str) -> String {
    let Ok(mut place) = Url::parse(url) else {
        return url.to_owned();
    };
    let without = place.set_username("").and_then(|()| place.set_password(None));
    without.map_or_else(|()| url.to_owned(), |()| place.into())
}

/// How often the git host is asked; `None` if it is not.
fn every(repository: &Repository) -> Option<Duration> {
    let spec = &repository.spec;
    let is_web = spec.url.starts_with("http://") || spec.url.starts_with("https://");
    let every = spec.poll?.timeout()?;
    is_web.then_some(every.max(MOST_OFTEN))
}

fn read(answer: &web::Answer, git_ref: &str) -> Result<String, PollError> {
    match answer.status {
        status if status.is_success() => {}
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            return Err(PollError::Access(status));
        }
        status if status.is_redirection() => {
            let place = answer.headers.get(LOCATION);
            let place = place.and_then(|place| place.to_str().ok()).unwrap_or_default();
            // What follows is ours.
            let place = place.split("/info/refs").next().unwrap_or_default();
            return Err(PollError::Moved(place.to_owned()));
        }
        status => return Err(PollError::Status(status)),
    }
    let commit = advertisement::commit(&answer.body, git_ref)?;
    commit.ok_or_else(|| PollError::NoBranch(git_ref.to_owned()))
}

/// The status with the note of a push, `None` if it is known.
fn noted(
    repository: &Repository,
    push: &Push,
    now: k8s_openapi::jiff::Timestamp,
) -> Option<Box<crds::spindrift::RepositoryStatus>> {
    let id = ledger::asked(repository.status.as_ref()?, push);
    match take(repository, push, &id, verdict(&repository.spec, push), now) {
        Taken::Noted { status, .. } | Taken::Skipped { status, .. } => Some(status),
        Taken::Repeated { .. } | Taken::Full => None,
    }
}

#[cfg(test)]
mod tests;
