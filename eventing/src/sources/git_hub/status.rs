//! The status of a GitHubSource from what was observed.

use crds::annotations::{WEBHOOK, WEBHOOK_URL};
use crds::duck::CloudEventAttributes;
use crds::sources::{GIT_HUB_EVENT_TYPE, GitHubSource, GitHubSourceStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{ConditionSet, Next};

use super::hook::Hook;
use super::secrets::Missing;
use crate::identity::Identity;
use crate::sources::sink::{self, SINK_PROVIDED, Sink};

const SECRETS_PROVIDED: &str = "SecretsProvided";
const WEBHOOK_CONFIGURED: &str = "WebhookConfigured";
const CONDITIONS: ConditionSet = ConditionSet::new(&[SECRETS_PROVIDED, SINK_PROVIDED, WEBHOOK_CONFIGURED]);

/// What one look at a source's surroundings found.
#[derive(Debug)]
pub(super) struct Observed {
    pub secrets: Result<(), Missing>,
    pub sink: Sink,
    pub identity: Identity,
    /// The URL that the webhook calls, or is to call.
    pub url: Option<String>,
    pub webhook: Webhook,
}

/// How the webhook is.
#[derive(Debug)]
pub(super) enum Webhook {
    Configured {
        id: String,
        hook: Hook,
    },
    /// Something else is missing first.
    Waiting(&'static str),
    /// And when to try again.
    Failed(Failure, Next),
}

/// Why there is no webhook as it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub reason: &'static str,
    pub message: String,
}

impl Failure {
    pub(super) fn webhook(self, again: std::time::Duration) -> Webhook {
        Webhook::Failed(self, Next::After(again))
    }
}

impl Observed {
    pub(super) fn next(&self) -> Next {
        let webhook = match &self.webhook {
            Webhook::Failed(_, next) => *next,
            Webhook::Configured { .. } | Webhook::Waiting(_) => Next::OnChange,
        };
        let secrets = match &self.secrets {
            Err(missing) if missing.look_again => Next::After(crate::broker::LOOK_AGAIN),
            _ => Next::OnChange,
        };
        sink::next(&self.sink).sooner(webhook).sooner(secrets)
    }
}

pub(super) fn git_hub_status(
    source: &GitHubSource,
    observed: &Observed,
    now: Timestamp,
) -> GitHubSourceStatus {
    let mut status = source.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = source.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    sink::fill(&mut status, &observed.sink, events(source), &observed.identity);
    let annotations = status.annotations.get_or_insert_default();
    match &observed.url {
        Some(url) => annotations.insert(WEBHOOK_URL.to_owned(), url.clone()),
        None => annotations.remove(WEBHOOK_URL),
    };
    if let Webhook::Configured { id, hook } = &observed.webhook {
        annotations.insert(WEBHOOK.to_owned(), hook.record());
        status.webhook_id_key = Some(id.clone());
    }
    if status
        .annotations
        .as_ref()
        .is_some_and(|annotations| annotations.is_empty())
    {
        status.annotations = None;
    }
    let mut conditions = CONDITIONS.manage(&mut status, now);
    match &observed.secrets {
        Ok(()) => conditions.mark_true(SECRETS_PROVIDED),
        Err(missing) => conditions.mark_false(SECRETS_PROVIDED, missing.reason, &missing.message),
    }
    sink::mark_sink(&mut conditions, &observed.sink);
    match &observed.webhook {
        Webhook::Configured { .. } => conditions.mark_true(WEBHOOK_CONFIGURED),
        Webhook::Waiting(message) => conditions.mark_unknown(WEBHOOK_CONFIGURED, "Waiting", message),
        Webhook::Failed(failure, _) => {
            conditions.mark_false(WEBHOOK_CONFIGURED, failure.reason, &failure.message)
        }
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}

fn events(source: &GitHubSource) -> Vec<CloudEventAttributes> {
    let event = |name: &String| CloudEventAttributes {
        type_: Some(format!("{GIT_HUB_EVENT_TYPE}{name}")),
        source: Some(source.spec.event_source()),
    };
    source.spec.event_types.iter().map(event).collect()
}

#[cfg(test)]
mod tests {
    use crds::conditions::{Condition, ConditionedStatus, READY};
    use serde_json::json;

    use super::*;
    use crate::resolver::{ResolveError, Resolved};

    fn source() -> GitHubSource {
        serde_json::from_value(json!({
            "apiVersion": "sources.knative.dev/v1alpha1", "kind": "GitHubSource",
            "metadata": {"name": "web", "namespace": "ns", "generation": 2},
            "spec": {"ownerAndRepository": "me/web", "eventTypes": ["push", "issues"], "sink": {"uri": "http://sink"}},
        }))
        .unwrap()
    }

    fn sink() -> Sink {
        Ok(Resolved {
            url: "http://sink".to_owned(),
            ..Resolved::default()
        })
    }

    fn told(status: &GitHubSourceStatus) -> Vec<String> {
        let text = |found: &Condition| {
            let reason = found.reason.clone().unwrap_or_default();
            format!("{} {} {reason}", found.type_, found.status.as_str())
        };
        status.conditions.iter().map(text).collect()
    }

    #[test]
    fn a_source_with_a_webhook_is_ready() {
        let hook = Hook {
            url: "http://hooks/ns/web".to_owned(),
            ..Hook::default()
        };
        let observed = Observed {
            secrets: Ok(()),
            sink: sink(),
            identity: Identity::Disabled,
            url: Some(hook.url.clone()),
            webhook: Webhook::Configured {
                id: "12".to_owned(),
                hook: hook.clone(),
            },
        };
        let status = git_hub_status(&source(), &observed, Timestamp::UNIX_EPOCH);
        assert!(status.is_ready(Some(2)));
        assert_eq!(
            told(&status),
            [
                "Ready True ",
                "SecretsProvided True ",
                "SinkProvided True ",
                "WebhookConfigured True "
            ]
        );
        assert_eq!(status.webhook_id_key.as_deref(), Some("12"));
        assert_eq!(Hook::recorded(Some(&status)), Some(hook));
        assert_eq!(
            serde_json::to_value(&status.ce_attributes).unwrap(),
            json!([
                {"type": "dev.knative.source.github.push", "source": "https://github.com/me/web"},
                {"type": "dev.knative.source.github.issues", "source": "https://github.com/me/web"},
            ])
        );
        // What follows later does not forget the webhook, which is still there.
        let mut later = source();
        later.status = Some(status);
        let observed = Observed {
            secrets: Err(Missing {
                reason: "AccessTokenNotFound",
                message: "gone".to_owned(),
                look_again: false,
            }),
            sink: Err(ResolveError::Nothing),
            identity: Identity::Disabled,
            url: None,
            webhook: Webhook::Waiting("x"),
        };
        let status = git_hub_status(&later, &observed, Timestamp::UNIX_EPOCH);
        assert_eq!(status.webhook_id_key.as_deref(), Some("12"));
        assert!(Hook::recorded(Some(&status)).is_some());
        assert_eq!(status.condition(READY).unwrap().status.as_str(), "False");
        assert!(told(&status).contains(&"SecretsProvided False AccessTokenNotFound".to_owned()));
        assert!(told(&status).contains(&"WebhookConfigured Unknown Waiting".to_owned()));
        assert!(status.ce_attributes.is_empty());
    }

    #[test]
    fn the_earliest_look_wins() {
        let failure = Failure {
            reason: "CreationFailed",
            message: String::new(),
        };
        let failed = failure.webhook(std::time::Duration::from_secs(300));
        let observed = Observed {
            secrets: Ok(()),
            sink: sink(),
            identity: Identity::Disabled,
            url: None,
            webhook: failed,
        };
        assert_eq!(observed.next(), Next::After(std::time::Duration::from_secs(300)));
    }
}
