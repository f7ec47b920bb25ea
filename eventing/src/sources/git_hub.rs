//! GitHubSource: has a webhook made at GitHub that calls the receiver of the data plane, keeps it as the spec says,
//! and deletes it in the end.

mod api;
mod attempts;
mod hook;
mod secrets;
mod status;

use std::sync::Arc;
use std::time::Duration;

use crds::annotations::EXTERNAL_URL;
use crds::names::{GIT_HUB_SOURCE_FINALIZER, GIT_HUB_SOURCE_SERVICE};
use crds::sources::GitHubSource;
use event_client::Client;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Queue, Reconcile, report};
use serde_json::json;

use crate::identity::Identity;
use crate::ingress;
use crate::shared::{Shared, annotation, name_of, namespace_of};
use crate::sources::sink::Sink;
use crate::tracker::Referrer;
use api::{ApiError, Hooks};
use attempts::{Attempt, Attempts};
use hook::Hook;
use secrets::{Missing, Secrets};
use status::{Failure, Observed, Webhook};

const NAME: &str = "githubsource";

/// A source that is being deleted waits this long for a GitHub that does not answer. Then its webhook stays.
const PATIENCE: Duration = Duration::from_secs(600);

pub(crate) struct GitHubSources {
    shared: Shared,
    sources: Cache<GitHubSource>,
    client: Client,
    /// What went wrong lately.
    attempts: Attempts,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(
    shared: &Shared,
    sources: &Cache<GitHubSource>,
    client: event_client::Config,
) -> Controller<GitHubSources> {
    let queue = reconciler::queue("eventing-githubsource");
    let reconciler = GitHubSources {
        shared: shared.clone(),
        sources: sources.clone(),
        client: Client::new(client),
        attempts: Attempts::default(),
        applier: shared.applier("spindrift-githubsource"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-githubsource", queue, reconciler)
        .watches(sources)
        .owns::<GitHubSource, _>(&shared.identities)
        .wakes(
            &shared.services,
            ingress::reached_by(GIT_HUB_SOURCE_SERVICE, sources),
        )
}

impl Reconcile for GitHubSources {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let referrer = Referrer::new(NAME, &self.queue, key);
        self.shared.tracker.forget(&referrer);
        // Connections are not worth keeping: hours lie between two requests.
        self.client.expire_idle();
        let Some(source) = self.sources.get(key) else {
            self.attempts.forget(key);
            return Ok(Next::OnChange);
        };
        if source.metadata.deletion_timestamp.is_some() {
            return self.finalize(&source).await;
        }
        let source = self.with_finalizer(source).await?;
        let (shared, spec) = (&self.shared, &source.spec);
        let secrets = secrets::read(shared, &key.namespace, spec, &referrer).await?;
        let sink = shared
            .resolver
            .resolve(&spec.sink, &key.namespace, &referrer)
            .await;
        let url = self.url(&source);
        let webhook = self.webhook(&source, &secrets, &sink, url.as_deref()).await;
        let identity = Identity::ensure(shared, &self.applier, source.as_ref()).await?;
        let observed = Observed {
            secrets: secrets.map(drop),
            sink,
            identity,
            url,
            webhook,
        };
        let mut updated = (*source).clone();
        updated.status = Some(status::git_hub_status(&source, &observed, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &self.sources,
            &source,
            updated,
            Ok(observed.next()),
        )
        .await
    }
}

impl GitHubSources {
    /// The URL that the webhook of a source calls.
    fn url(&self, source: &GitHubSource) -> Option<String> {
        let service = self
            .shared
            .services
            .named(&self.shared.system_namespace, GIT_HUB_SOURCE_SERVICE)?;
        hook::address(annotation(&service.metadata, EXTERNAL_URL)?, source)
    }

    /// Makes the webhook as it has to be, if it is not so already.
    async fn webhook(
        &self,
        source: &Arc<GitHubSource>,
        secrets: &Result<Secrets, Missing>,
        sink: &Sink,
        url: Option<&str>,
    ) -> Webhook {
        let Ok(secrets) = secrets else {
            return Webhook::Waiting("No webhook is made before the secrets are there.");
        };
        if sink.is_err() {
            return Webhook::Waiting("No webhook is made before the sink is known.");
        }
        let Some(url) = url else {
            let failure = Failure {
                reason: "MissingReceiveAdapter",
                message: format!(
                    "Where GitHub can reach this cluster is not known: the Service {}/{GIT_HUB_SOURCE_SERVICE} needs the \
                     annotation {EXTERNAL_URL} with a URL.",
                    self.shared.system_namespace
                ),
            };
            return Webhook::Failed(failure, Next::OnChange);
        };
        let spec = &source.spec;
        let place = hook::place(
            spec.github_api_url.as_deref().unwrap_or_default(),
            &spec.owner_and_repository,
        );
        let hooks = match place {
            Ok(place) => place,
            Err(error) => {
                let (reason, message) = ("ReconciliationFailed", error.to_string());
                return Webhook::Failed(Failure { reason, message }, Next::OnChange);
            }
        };
        let wanted = Hook {
            hooks,
            url: url.to_owned(),
            events: spec.event_types.clone(),
            secret: secrets.version.clone(),
        };
        if let (Some(id), Some(recorded)) = recorded(source)
            && recorded == wanted
        {
            return Webhook::Configured {
                id: id.to_owned(),
                hook: wanted,
            };
        }
        let key = Key::of(source.as_ref());
        let attempt = Attempt {
            wanted: wanted.clone(),
            access_token: secrets.access_version.clone(),
        };
        // Whatever else wakes us, GitHub is not asked the same again before its time; our own status does, too.
        if let Some((failure, left)) = self.attempts.failed(&key, &attempt) {
            return failure.webhook(left);
        }
        match self.set_up(source, wanted, secrets).await {
            Ok((id, hook)) => {
                self.attempts.forget(&key);
                let message = format!("Webhook {id} of {} calls {url}", spec.owner_and_repository);
                self.shared
                    .events
                    .normal(source.as_ref(), "WebhookConfigured", message);
                Webhook::Configured { id, hook }
            }
            Err((error, existed)) => {
                let failure = Failure {
                    reason: if existed {
                        "ReconciliationFailed"
                    } else {
                        "CreationFailed"
                    },
                    message: error.to_string(),
                };
                self.attempts.note(key, attempt, failure.clone(), error.again());
                failure.webhook(error.again())
            }
        }
    }

    /// Makes the webhook `wanted`, from that of the source if it has one. The error comes with whether it has.
    async fn set_up(
        &self,
        source: &Arc<GitHubSource>,
        wanted: Hook,
        secrets: &Secrets,
    ) -> Result<(String, Hook), (ApiError, bool)> {
        let (mut known, old) = recorded(source);
        if let (Some(id), Some(old)) = (known, &old)
            && old.hooks != wanted.hooks
        {
            self.leave(source, id, old, &wanted, secrets)
                .await
                .map_err(|error| (error, true))?;
            known = None;
        }
        let hooks = Hooks::new(&self.client, &wanted.hooks, &secrets.access_token);
        match hooks.ensure(known, &wanted, &secrets.secret_token).await {
            Ok(id) => Ok((id, wanted)),
            Err(error) => Err((error, known.is_some())),
        }
    }

    /// Deletes the webhook that the source had in another place.
    async fn leave(
        &self,
        source: &Arc<GitHubSource>,
        id: &str,
        old: &Hook,
        wanted: &Hook,
        secrets: &Secrets,
    ) -> Result<(), ApiError> {
        if !hook::same_api(&old.hooks, &wanted.hooks) {
            let message = format!(
                "Webhook {id} at {} is left: the token may be for another API",
                old.hooks
            );
            self.shared
                .events
                .warning(source.as_ref(), "WebhookLeft", message);
            return Ok(());
        }
        let hooks = Hooks::new(&self.client, &old.hooks, &secrets.access_token);
        match hooks.remove(Some(id), None).await {
            Ok(()) => Ok(()),
            Err(error) if error.is_final() => {
                let message = format!("Webhook {id} at {} is left: {error}", old.hooks);
                self.shared
                    .events
                    .warning(source.as_ref(), "WebhookLeft", message);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes the webhook. What cannot be deleted is told, and does not keep the source.
    async fn finalize(&self, source: &Arc<GitHubSource>) -> Result<Next, Error> {
        let meta = &source.metadata;
        let finalizers = meta.finalizers.clone().unwrap_or_default();
        if !finalizers
            .iter()
            .any(|finalizer| finalizer == GIT_HUB_SOURCE_FINALIZER)
        {
            return Ok(Next::OnChange);
        }
        if let Err(error) = self.remove(source).await? {
            let deleted = meta
                .deletion_timestamp
                .as_ref()
                .map_or(self.shared.now(), |time| time.0);
            let waited = self.shared.now().duration_since(deleted);
            if !error.is_final() && waited.unsigned_abs() < PATIENCE {
                tracing::info!(%error, namespace = namespace_of(meta), name = name_of(meta), "A webhook is not deleted yet");
                return Ok(Next::After(error.again().min(PATIENCE)));
            }
            let message = format!("The webhook is left at GitHub: {error}");
            self.shared
                .events
                .warning(source.as_ref(), "WebhookLeft", message);
        }
        let rest: Vec<&String> = finalizers
            .iter()
            .filter(|finalizer| *finalizer != GIT_HUB_SOURCE_FINALIZER)
            .collect();
        let change = json!({"metadata": {"finalizers": rest, "resourceVersion": meta.resource_version}});
        let key = Key::of(source.as_ref());
        match self.applier.merge(&self.sources, &key, &change).await {
            Ok(_) => Ok(Next::OnChange),
            Err(Error::Api { source, .. }) if reconciler::error::is_not_found(&source) => Ok(Next::OnChange),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, source: &Arc<GitHubSource>) -> Result<Result<(), ApiError>, Error> {
        let (id, recorded) = recorded(source);
        let spec = &source.spec;
        let wanted = hook::place(
            spec.github_api_url.as_deref().unwrap_or_default(),
            &spec.owner_and_repository,
        );
        // Made, but not recorded yet, it is found by its URL.
        let (place, url) = match (recorded, wanted) {
            (Some(recorded), Ok(wanted)) if hook::same_api(&recorded.hooks, &wanted) => {
                (recorded.hooks, None)
            }
            (None, Ok(wanted)) => (wanted, self.url(source)),
            _ => return Ok(Ok(())),
        };
        let Some(token) = secrets::access_token(&self.shared, namespace_of(&source.metadata), spec).await?
        else {
            if let Some(id) = id {
                let message = format!("Webhook {id} at {place} is left: the access token is gone");
                self.shared
                    .events
                    .warning(source.as_ref(), "WebhookLeft", message);
            }
            return Ok(Ok(()));
        };
        let hooks = Hooks::new(&self.client, &place, &token);
        Ok(hooks.remove(id, url.as_deref()).await)
    }

    async fn with_finalizer(&self, source: Arc<GitHubSource>) -> Result<Arc<GitHubSource>, Error> {
        let meta = &source.metadata;
        let mut finalizers = meta.finalizers.clone().unwrap_or_default();
        if finalizers
            .iter()
            .any(|finalizer| finalizer == GIT_HUB_SOURCE_FINALIZER)
        {
            return Ok(source);
        }
        finalizers.push(GIT_HUB_SOURCE_FINALIZER.to_owned());
        let change =
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": meta.resource_version}});
        self.applier
            .merge(&self.sources, &Key::of(source.as_ref()), &change)
            .await
    }
}

/// The webhook that the source has, as far as its status says: its id, and what it was set up with.
fn recorded(source: &GitHubSource) -> (Option<&str>, Option<Hook>) {
    let status = source.status.as_ref();
    let id = status.and_then(|status| status.webhook_id_key.as_deref());
    (id, Hook::recorded(status))
}
