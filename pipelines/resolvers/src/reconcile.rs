//! Answers requests, and ends those that nobody answers.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crds::conditions::ConditionStatus;
use crds::config::tekton::Defaults;
use crds::tekton::reasons::resolution as reasons;
use crds::tekton::{RefSource, ResolutionRequest, ResolutionRequestStatus, RunStatus as _, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Clock, ConfigStore, Controller, Error, Key, Next, Reconcile};

use crate::cache::{Cache as Answers, Mode};
use crate::config::{
    BundlesConfig, CacheConfig, ClusterConfig, Flags, GitConfig, HttpConfig, HubConfig, RESOLVERS,
};
use crate::policy::Clients;
use crate::question::{Answer, Failure, Question};
use crate::{bundles, cluster, git, http_file, hub};

/// Requests that are worked on at the same time: nearly all of their time they wait for somebody else.
const CONCURRENCY: usize = 32;
/// Beyond what a request may take.
const MARGIN: Duration = Duration::from_secs(30);
/// The longest that a request may take, whatever the configuration says.
const MOST: Duration = Duration::from_secs(600);
/// When a resolver takes longer, the request says that it is worked on.
const SHORT: Duration = Duration::from_millis(500);

pub(crate) struct Resolvers {
    pub client: kube::Client,
    pub applier: Applier,
    pub clock: Clock,
    pub requests: Cache<ResolutionRequest>,
    /// Of the namespace of pipelines.
    pub pipelines: ConfigStore,
    /// Of the namespace of resolvers.
    pub config: ConfigStore,
    pub clients: Clients,
    pub answers: Answers,
}

pub(crate) fn controller(resolvers: Resolvers) -> Controller<Resolvers> {
    let requests = resolvers.requests.clone();
    Controller::new("resolvers", resolvers)
        .watches(&requests)
        .concurrency(CONCURRENCY)
        .time_limit(MOST + MARGIN)
}

impl Reconcile for Resolvers {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(request) = self.requests.get(key) else {
            return Ok(Next::OnChange);
        };
        let status = request.status.clone().unwrap_or_default();
        if request.metadata.deletion_timestamp.is_some() || status.is_done() {
            return Ok(Next::OnChange);
        }
        let patience = self
            .pipelines
            .get::<Defaults>()
            .maximum_resolution_timeout
            .min(MOST);
        let left = left(&request, (self.clock)(), patience);
        if left.is_zero() {
            let message = format!("resolution took longer than the time limit of {patience:?}");
            return self.end(&request, reasons::TIMED_OUT, Err(message)).await;
        }
        let labels = request.metadata.labels.as_ref();
        let type_ = labels.and_then(|labels| labels.get(labels::RESOLVER));
        let resolver = type_.and_then(|type_| RESOLVERS.iter().find(|ours| *ours == type_));
        let Some(resolver) = resolver.copied() else {
            // Somebody else's, who may be slow, or not there at all.
            return Ok(Next::After(left));
        };
        let mut work = std::pin::pin!(tokio::time::timeout(left, self.resolve(resolver, &request)));
        let (request, answered) = match tokio::time::timeout(SHORT, &mut work).await {
            Ok(answered) => (request.clone(), answered),
            Err(_) => (self.in_progress(&request).await?, work.await),
        };
        match answered {
            Ok(Ok(answer)) => self.end(&request, reasons::SUCCESSFUL, Ok(answer)).await,
            Ok(Err(failure)) => {
                self.end(&request, reasons::FAILED, Err(failure.to_string()))
                    .await
            }
            Err(_) => {
                let message = format!("resolution took longer than the time limit of {patience:?}");
                self.end(&request, reasons::TIMED_OUT, Err(message)).await
            }
        }
    }
}

/// How much of the time that a request has is left.
fn left(request: &ResolutionRequest, now: Timestamp, patience: Duration) -> Duration {
    let since = request
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |time| time.0);
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    patience.saturating_sub(waited)
}

impl Resolvers {
    async fn resolve(&self, resolver: &'static str, request: &ResolutionRequest) -> Result<Answer, Failure> {
        if !self.config.get::<Flags>().is_on(resolver) {
            return Failure::never(format!(
                "the resolver {resolver:?} is off: enable-{resolver}-resolver in resolvers-feature-flags"
            ));
        }
        let namespace = request.metadata.namespace.as_deref().unwrap_or_default();
        let question = Question::new(namespace, &request.spec.params)?;
        let mode = match resolver {
            "git" => {
                let settings = self.config.get::<GitConfig>();
                let revision = question.get("revision");
                let settings = settings.of(question.get("configKey").unwrap_or_default());
                let usual = settings.map(|settings| settings.default_revision.as_str());
                Mode::of(&question, revision.or(usual).is_some_and(git::is_commit))?
            }
            "bundles" => Mode::of(&question, bundles::bundle(&question)?.digest().is_some())?,
            "cluster" => Mode::of(&question, false)?,
            _ => Mode::Never,
        };
        let (key, config) = (
            format!("{resolver} {}", question.identity()),
            self.config.get::<CacheConfig>(),
        );
        if mode == Mode::Always
            && let Some(answer) = self.answers.get(&key, &config)
        {
            return Ok(answer);
        }
        let answer = self.ask(resolver, &question).await?;
        if mode == Mode::Always {
            self.answers.keep(key, answer.clone(), &config);
        }
        Ok(answer)
    }

    async fn ask(&self, resolver: &'static str, question: &Question) -> Result<Answer, Failure> {
        let (client, web) = (&self.client, self.clients.web());
        match resolver {
            "cluster" => cluster::resolve(question, &self.config.get::<ClusterConfig>(), client).await,
            "http" => http_file::resolve(question, &self.config.get::<HttpConfig>(), client, &web).await,
            "hub" => hub::resolve(question, &self.config.get::<HubConfig>(), &web).await,
            "bundles" => {
                let registry = self.clients.registry();
                bundles::resolve(question, &self.config.get::<BundlesConfig>(), client, &registry).await
            }
            _ => {
                let config = self.config.get::<GitConfig>();
                let name = question.get("configKey").unwrap_or_default();
                match config.of(name) {
                    Some(settings) => git::resolve(question, settings, client, &web).await,
                    None => Failure::never(format!("git-resolver-config has no settings of {name:?}")),
                }
            }
        }
    }

    async fn in_progress(&self, request: &Arc<ResolutionRequest>) -> Result<Arc<ResolutionRequest>, Error> {
        let mut updated = (**request).clone();
        let status = updated.status.get_or_insert_default();
        let now = Time((self.clock)());
        status.set_succeeded(ConditionStatus::Unknown, reasons::IN_PROGRESS, "", &now);
        self.applier
            .update_status(&self.requests, request, &updated)
            .await
    }

    async fn end(
        &self,
        request: &Arc<ResolutionRequest>,
        reason: &str,
        answer: Result<Answer, String>,
    ) -> Result<Next, Error> {
        let mut updated = (**request).clone();
        let status = updated.status.get_or_insert_default();
        status.observed_generation = request.metadata.generation;
        show(status, reason, answer, &Time((self.clock)()));
        let stored = self
            .applier
            .update_status(&self.requests, request, &updated)
            .await;
        stored.map(|_| Next::OnChange)
    }
}

fn show(status: &mut ResolutionRequestStatus, reason: &str, answer: Result<Answer, String>, now: &Time) {
    match answer {
        Ok(Answer { data, source }) => {
            status.data = STANDARD.encode(data);
            status.ref_source = Some(source).filter(|source| *source != RefSource::default());
            status.set_succeeded(ConditionStatus::True, reason, "", now);
        }
        Err(message) => {
            status.set_succeeded(ConditionStatus::False, reason, &message, now);
        }
    }
}
