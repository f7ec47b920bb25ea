//! What the API server does not let the sender watch, told in the status of the source.
//!
//! The control plane looks at what the account of the source may see. The sender watches with rights of its own, which
//! may be fewer: then nothing is sent, and the status has to say so. The sender writes an annotation of the status; the
//! control plane makes a condition of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crds::annotations::REFUSED;
use crds::conditions::ConditionedStatus as _;
use crds::sources::ApiServerSource;
use informer::Key;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::plan::Scope;
use super::watch::Access;

/// Reason of `SufficientPermissions` while that annotation is there and all else is granted. The control plane has the
/// same.
const SENDER_NOT_PERMITTED: &str = "SenderNotPermitted";

/// Refusals that are told of at a time.
const MOST: usize = 5;

/// Before a status that could not be written is written again.
const AGAIN: Duration = Duration::from_secs(10);

/// Whether the source's account may watch what it asks for. The sender goes on trying what is refused to itself.
pub(crate) fn is_permitted(source: &ApiServerSource) -> bool {
    let status = source.status.as_ref();
    let condition = status.and_then(|status| status.condition("SufficientPermissions"));
    condition.is_some_and(|condition| {
        condition.is_true() || condition.reason.as_deref() == Some(SENDER_NOT_PERMITTED)
    })
}

/// Whether the status of a source tells of refusals.
fn is_told(source: &ApiServerSource) -> bool {
    let annotations = source
        .status
        .as_ref()
        .and_then(|status| status.annotations.as_ref());
    annotations.is_some_and(|annotations| annotations.contains_key(REFUSED))
}

/// What is known of the watches of one source.
#[derive(Debug)]
pub(crate) struct Refusals {
    source: Key,
    known: HashMap<Arc<Scope>, Access>,
    /// What the status says, as far as it is known here; `None` before it was written.
    told: Option<String>,
    /// Not to be written before.
    next: Instant,
}

impl Refusals {
    pub fn new(source: Key) -> Self {
        Self {
            source,
            known: HashMap::new(),
            told: None,
            next: Instant::now(),
        }
    }

    pub fn note(&mut self, scope: Arc<Scope>, access: Access) {
        if let Access::Refused(message) = &access {
            let (namespace, name) = (&self.source.namespace, &self.source.name);
            tracing::warn!(%namespace, %name, kind = scope.kind, message, "The sender may not watch for a source");
        }
        self.known.insert(scope, access);
    }

    /// When to write what is [`untold`](Self::untold).
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Forgets what is watched no more.
    pub fn keep(&mut self, wanted: &HashSet<Scope>) {
        self.known.retain(|scope, _| wanted.contains(scope.as_ref()));
    }

    /// What to write into the status, empty for nothing; `None` if that is there, or not known yet.
    pub fn untold(&self, watches: usize) -> Option<String> {
        let text = self.text();
        let complete = !text.is_empty() || self.known.len() == watches;
        (complete && self.told.as_ref() != Some(&text)).then_some(text)
    }

    fn text(&self) -> String {
        let mut all: Vec<&str> = self
            .known
            .values()
            .filter_map(|access| match access {
                Access::Refused(message) => Some(message.as_str()),
                Access::Granted => None,
            })
            .collect();
        all.sort_unstable();
        all.dedup();
        let more = all.len().saturating_sub(MOST);
        let mut text = all.split_off(more.min(all.len())).join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }

    /// Writes `text` into the status of the source. Nothing is not written where nothing was.
    pub async fn tell(&mut self, client: &kube::Client, live: Option<&ApiServerSource>, text: String) {
        if self.told.is_none() && text.is_empty() && !live.is_some_and(is_told) {
            self.told = Some(text);
            return;
        }
        self.next = Instant::now() + AGAIN;
        let value = (!text.is_empty()).then_some(&text);
        let patch = Patch::Merge(json!({"status": {"annotations": {REFUSED: value}}}));
        let Key { namespace, name } = &self.source;
        let sources: Api<ApiServerSource> = Api::namespaced(client.clone(), namespace);
        match sources.patch_status(name, &PatchParams::default(), &patch).await {
            Ok(_) => {
                self.told = Some(text);
                self.next = Instant::now();
            }
            Err(error) => tracing::debug!(%namespace, %name, %error, "What is refused is not told yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(kind: &str) -> Arc<Scope> {
        Arc::new(Scope {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            labels: String::new(),
            namespace: None,
        })
    }

    fn refused(message: &str) -> Access {
        Access::Refused(message.to_owned())
    }

    #[test]
    fn refusals_are_told_at_once_and_their_end_when_all_is_granted() {
        let mut refusals = Refusals::new(Key::new("ns", "watch"));
        assert_eq!(refusals.untold(2), None, "nothing is known");
        refusals.note(scope("A"), Access::Granted);
        assert_eq!(refusals.untold(2), None, "the other may be refused");
        refusals.note(scope("B"), refused("b"));
        assert_eq!(refusals.untold(2).as_deref(), Some("b"));
        refusals.told = Some("b".to_owned());
        assert_eq!(refusals.untold(2), None);
        refusals.note(scope("B"), Access::Granted);
        assert_eq!(refusals.untold(2).as_deref(), Some(""));
        refusals.keep(&HashSet::new());
        assert!(refusals.known.is_empty());
    }

    #[test]
    fn many_refusals_are_cut() {
        let mut refusals = Refusals::new(Key::new("ns", "watch"));
        for number in 0..MOST + 2 {
            refusals.note(scope(&number.to_string()), refused(&format!("no {number}")));
        }
        refusals.note(scope("same"), refused("no 0"));
        assert_eq!(refusals.text(), "no 2; no 3; no 4; no 5; no 6; and 2 more");
    }

    #[test]
    fn only_refusals_of_the_sender_leave_a_source_permitted() {
        for (condition, expected) in [
            (json!({"type": "SufficientPermissions", "status": "True"}), true),
            (
                json!({"type": "SufficientPermissions", "status": "False", "reason": SENDER_NOT_PERMITTED}),
                true,
            ),
            (
                json!({"type": "SufficientPermissions", "status": "False", "reason": "NoSufficientPermissions"}),
                false,
            ),
            (json!({"type": "Ready", "status": "True"}), false),
        ] {
            let source = serde_json::from_value(json!({
                "apiVersion": "sources.knative.dev/v1", "kind": "ApiServerSource", "metadata": {"name": "watch"},
                "spec": {}, "status": {"conditions": [condition]},
            }));
            assert_eq!(is_permitted(&source.unwrap()), expected, "{condition}");
        }
    }
}
