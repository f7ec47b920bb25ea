//! Query parameters of all verbs.

use std::borrow::Cow;
use std::time::Duration;

use percent_encoding::percent_decode;
use serde_json::Value;

use crate::status::StatusError;

/// What to do with unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Validation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

/// How `resourceVersion` of a list is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    Exact,
    NotOlderThan,
}

/// Parameters of a request. Unknown ones are ignored, as upstream does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    pub(crate) watch: bool,
    pub(crate) label_selector: String,
    pub(crate) field_selector: String,
    pub(crate) resource_version: String,
    pub(crate) resource_version_match: Option<Match>,
    pub(crate) limit: usize,
    pub(crate) continue_token: String,
    pub(crate) timeout: Option<Duration>,
    pub(crate) allow_bookmarks: bool,
    pub(crate) send_initial_events: Option<bool>,
    pub(crate) dry_run: bool,
    pub(crate) field_manager: String,
    pub(crate) validation: Validation,
    pub(crate) force: bool,
    pub(crate) include_object: String,
    pub(crate) delete: DeleteQuery,
    /// Everything as it came, for subresources with parameters of their own (`log`).
    pub(crate) pairs: Vec<(String, String)>,
}

/// `DeleteOptions`, from the body or the query; the body wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DeleteQuery {
    pub(crate) grace_period: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

impl Query {
    /// Parses the query part of a URL.
    ///
    /// # Errors
    /// A parameter with a value that it cannot have.
    pub(crate) fn parse(query: &str) -> Result<Self, StatusError> {
        let mut parsed = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decode(key), decode(value));
            parsed.set(&key, &value)?;
            parsed.pairs.push((key.into_owned(), value.into_owned()));
        }
        Ok(parsed)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), StatusError> {
        match key {
            "watch" => self.watch = boolean(value),
            "labelSelector" => self.label_selector = value.into(),
            "fieldSelector" => self.field_selector = value.into(),
            "resourceVersion" => self.resource_version = value.into(),
            "resourceVersionMatch" => {
                self.resource_version_match = match value {
                    "" => None,
                    "Exact" => Some(Match::Exact),
                    "NotOlderThan" => Some(Match::NotOlderThan),
                    _ => return Err(unusable(key, value, "Exact or NotOlderThan")),
                }
            }
            "limit" => self.limit = number(key, value)?.try_into().unwrap_or(0),
            "continue" => self.continue_token = value.into(),
            "timeoutSeconds" => {
                let seconds = number(key, value)?;
                self.timeout = u64::try_from(seconds)
                    .ok()
                    .filter(|seconds| *seconds > 0)
                    .map(Duration::from_secs);
            }
            "allowWatchBookmarks" => self.allow_bookmarks = boolean(value),
            "sendInitialEvents" => self.send_initial_events = Some(boolean(value)),
            "dryRun" => {
                self.dry_run = match value {
                    "" => false,
                    "All" => true,
                    _ => return Err(unusable(key, value, "All")),
                }
            }
            "fieldManager" => self.field_manager = value.into(),
            "fieldValidation" => {
                self.validation = match value {
                    "" | "Warn" => Validation::Warn,
                    "Ignore" => Validation::Ignore,
                    "Strict" => Validation::Strict,
                    _ => return Err(unusable(key, value, "Ignore, Warn or Strict")),
                }
            }
            "force" => self.force = boolean(value),
            "includeObject" => self.include_object = value.into(),
            "gracePeriodSeconds" => self.delete.grace_period = Some(number(key, value)?),
            "propagationPolicy" => self.delete.propagation = Some(value.into()),
            "orphanDependents" => self.delete.orphan_dependents = Some(boolean(value)),
            _ => {}
        }
        Ok(())
    }

    /// Takes over what a `DeleteOptions` body says.
    ///
    /// # Errors
    /// A `dryRun` other than `All`.
    pub(crate) fn merge_delete_options(&mut self, body: &Value) -> Result<(), StatusError> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let delete = &mut self.delete;
        delete.grace_period = body["gracePeriodSeconds"].as_i64().or(delete.grace_period);
        delete.propagation = text(&body["propagationPolicy"]).or(delete.propagation.take());
        delete.orphan_dependents = body["orphanDependents"].as_bool().or(delete.orphan_dependents);
        delete.uid = text(&body["preconditions"]["uid"]).or(delete.uid.take());
        delete.resource_version =
            text(&body["preconditions"]["resourceVersion"]).or(delete.resource_version.take());
        for value in body["dryRun"].as_array().into_iter().flatten() {
            self.set("dryRun", value.as_str().unwrap_or("?"))?;
        }
        Ok(())
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned())
    } else {
        percent_decode(text.as_bytes()).decode_utf8_lossy()
    }
}

/// Query booleans of Go: everything but `0` and `false` is true, and so is a parameter without a value.
fn boolean(value: &str) -> bool {
    !matches!(value, "0" | "false" | "False" | "FALSE")
}

fn number(key: &str, value: &str) -> Result<i64, StatusError> {
    value.parse().map_err(|_| unusable(key, value, "a whole number"))
}

fn unusable(key: &str, value: &str, expected: &str) -> StatusError {
    StatusError::bad_request(format!("query parameter {key}={value}: must be {expected}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query =
            Query::parse("labelSelector=a%3Db%2Cc+in+%28d%29&limit=5&watch=1&timeoutSeconds=30&dryRun=All")
                .unwrap();
        assert_eq!(query.label_selector, "a=b,c in (d)");
        assert_eq!((query.limit, query.watch, query.dry_run), (5, true, true));
        assert_eq!(query.timeout, Some(Duration::from_secs(30)));
    }

    #[test]
    fn impossible_values_are_refused_with_what_is_possible() {
        for query in [
            "dryRun=Some",
            "fieldValidation=strict",
            "limit=many",
            "resourceVersionMatch=Older",
        ] {
            let error = Query::parse(query).unwrap_err();
            assert_eq!(error.code, 400, "{query}");
            assert!(error.message.contains("must be"), "{}", error.message);
        }
    }

    #[test]
    fn delete_options_in_the_body_win() {
        let mut query = Query::parse("propagationPolicy=Background&gracePeriodSeconds=5").unwrap();
        query
            .merge_delete_options(
                &json!({"propagationPolicy": "Foreground", "preconditions": {"uid": "u"}, "dryRun": ["All"]}),
            )
            .unwrap();
        assert_eq!(query.delete.propagation.as_deref(), Some("Foreground"));
        assert_eq!(query.delete.grace_period, Some(5));
        assert_eq!(query.delete.uid.as_deref(), Some("u"));
        assert!(query.dry_run);
    }
}
