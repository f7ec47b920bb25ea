//! GET of a collection: selectors, pages, revisions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::get::too_large_version;
use super::shown::Shown;
use super::{Answer, Call, ListAnswer, Registry};
use crate::filter::Filter;
use crate::request::Match;
use crate::status::StatusError;
use crate::store::PastError;

/// Objects that are shown at once: those that have to be converted go to a webhook together.
const AT_ONCE: usize = 500;

/// Where a list goes on: after this key, as of this revision. Opaque to clients.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    #[serde(rename = "rv")]
    revision: u64,
    #[serde(rename = "start")]
    after: String,
}

impl Registry {
    /// Lists objects.
    pub(crate) async fn list(&self, call: &Call) -> Result<Answer, StatusError> {
        Ok(Answer::List(self.list_objects(call).await?))
    }

    pub(super) async fn list_objects(&self, call: &Call) -> Result<ListAnswer, StatusError> {
        let query = &call.query;
        let filter = Filter::parse(&call.resource, &query.label_selector, &query.field_selector)?;
        let prefix = call.resource.namespace_prefix(&call.namespace);
        let page = if query.continue_token.is_empty() {
            None
        } else {
            Some(decode_token(&query.continue_token)?)
        };
        let (revision, mut objects) = match (&page, query.resource_version_match) {
            (Some(page), _) => {
                let objects = self
                    .store
                    .list_at(&prefix, page.revision)
                    .map_err(|error| past_error(error, true))?;
                (page.revision, objects)
            }
            (None, Some(Match::Exact)) => {
                let revision = self.not_in_the_future(&query.resource_version)?;
                if revision == 0 {
                    return Err(StatusError::bad_request(
                        "resourceVersionMatch=Exact: Forbidden: it needs a resourceVersion other than 0",
                    ));
                }
                (
                    revision,
                    self.store
                        .list_at(&prefix, revision)
                        .map_err(|error| past_error(error, false))?,
                )
            }
            (None, _) => {
                self.not_in_the_future(&query.resource_version)?;
                self.store.list(&prefix)
            }
        };
        if let Some(page) = &page {
            objects.retain(|(key, _)| {
                key.strip_prefix(prefix.as_str())
                    .is_some_and(|rest| *rest > *page.after)
            });
        }
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let mut items: Vec<Bytes> = Vec::new();
        let mut answer = ListAnswer {
            revision,
            continue_token: String::new(),
            remaining: None,
            items: Vec::new(),
        };
        let mut last = "";
        let mut rest = objects.as_slice();
        while !rest.is_empty() {
            if items.len() == limit {
                answer.continue_token = encode_token(revision, last);
                // Upstream counts only what it need not read: without a selector.
                answer.remaining = filter.is_empty().then_some(rest.len());
                break;
            }
            let (some, later) = rest.split_at((limit - items.len()).min(AT_ONCE).min(rest.len()));
            let shown = Shown::all(&call.resource, some.iter().map(|(_, object)| &**object)).await?;
            for ((key, _), shown) in some.iter().zip(shown) {
                if filter.matches(&call.resource, &shown) {
                    items.push(shown.into_bytes());
                    last = key.strip_prefix(prefix.as_str()).unwrap_or_default();
                }
            }
            rest = later;
        }
        answer.items = items;
        Ok(answer)
    }
}

fn encode_token(revision: u64, after: &str) -> String {
    let token = Continue {
        revision,
        after: after.to_owned(),
    };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn decode_token(token: &str) -> Result<Continue, StatusError> {
    URL_SAFE_NO_PAD
        .decode(token.trim_end_matches('='))
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| {
            StatusError::bad_request("continue key is not valid: use the token that the last page returned")
        })
}

fn past_error(error: PastError, paging: bool) -> StatusError {
    match error {
        PastError::Future { requested, current } => too_large_version(requested, current),
        PastError::Expired(_) if paging => StatusError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter.",
        ),
        PastError::Expired(revision) => StatusError::expired(format!(
            "The resourceVersion for the provided list is too old: {revision}"
        )),
    }
}
