//! The part of GitHub's API that knows webhooks.

use std::time::Duration;

use bytes::Bytes;
use event_client::{Client, EndpointError, SendError, Want};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::hook::Hook;

/// For one request, its answer included.
const LIMIT: Duration = Duration::from_secs(15);
/// Longest answer: a page of webhooks is some 100 KiB.
const MAX_ANSWER: usize = 1 << 20;
/// Webhooks on one page, GitHub's most.
const PAGE: usize = 100;
/// Pages that are looked through; GitHub allows 20 webhooks for each event.
const MAX_PAGES: usize = 10;
/// Characters of what GitHub says that go into a condition.
const MAX_SAID: usize = 500;

/// Pause before trying again what may go well by itself.
const SOON: Duration = Duration::from_secs(30);
/// Pause before trying again what somebody has to mend first, maybe at GitHub, where nothing tells us.
const LATER: Duration = Duration::from_secs(300);
const LONGEST: Duration = Duration::from_secs(3600);

#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error(transparent)]
    Address(#[from] EndpointError),
    #[error("the access token has characters that no token has")]
    Token,
    #[error("{method} {url}: {error}")]
    Unreachable {
        method: Method,
        url: String,
        error: SendError,
    },
    #[error("{method} {url} was answered with {status}{said}{}", hint(*.status))]
    Refused {
        method: Method,
        url: String,
        status: StatusCode,
        /// Empty, or what GitHub says, after a colon.
        said: String,
        again: Option<Duration>,
    },
    #[error("{method} {url} was answered with something that is no webhook: {problem}")]
    Nonsense {
        method: Method,
        url: String,
        problem: String,
    },
}

impl ApiError {
    /// Is what was asked for not there any more?
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if matches!(*status, StatusCode::NOT_FOUND | StatusCode::GONE))
    }

    /// Was it an answer that will be the same until somebody changes something?
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Address(_) | Self::Token => true,
            Self::Unreachable { .. } | Self::Nonsense { .. } => false,
            Self::Refused { status, again, .. } => {
                again.is_none() && !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS
            }
        }
    }

    /// When it is worth trying again although nothing here has changed.
    pub(super) fn again(&self) -> Duration {
        match self {
            Self::Refused {
                again: Some(again), ..
            } => (*again).clamp(SOON, LONGEST),
            _ if self.is_final() => LATER,
            _ => SOON,
        }
    }
}

fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => " (has the repository moved? spec.ownerAndRepository must have its present name)",
        401 => " (is the access token still valid?)",
        403 | 404 => " (is there such a repository, and may the access token administer its webhooks?)",
        _ => "",
    }
}

/// The webhooks of one repository or organisation.
pub(super) struct Hooks<'a> {
    client: &'a Client,
    /// Their URL.
    place: &'a str,
    token: &'a str,
}

#[derive(Deserialize)]
struct Known {
    id: u64,
    #[serde(default)]
    config: KnownConfig,
}

#[derive(Default, Deserialize)]
struct KnownConfig {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<serde_json::Value>,
}

impl<'a> Hooks<'a> {
    pub(super) fn new(client: &'a Client, place: &'a str, token: &'a str) -> Self {
        Self { client, place, token }
    }

    /// Makes `hook` so, whether it exists or not; `known` is the id that it had. Returns its id.
    ///
    /// A webhook that was made just before this process died is found by the URL that it calls.
    pub(super) async fn ensure(
        &self,
        known: Option<&str>,
        hook: &Hook,
        secret: &str,
    ) -> Result<String, ApiError> {
        if let Some(id) = known {
            match self.update(id, hook, secret).await {
                Ok(()) => return Ok(id.to_owned()),
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(id) = self.find(&hook.url).await? {
            self.update(&id, hook, secret).await?;
            return Ok(id);
        }
        match self.create(hook, secret).await {
            Err(
                error @ ApiError::Refused {
                    status: StatusCode::UNPROCESSABLE_ENTITY,
                    ..
                },
            ) => {
                // GitHub has one like it already: made since we looked.
                let Some(id) = self.find(&hook.url).await? else {
                    return Err(error);
                };
                self.update(&id, hook, secret).await?;
                Ok(id)
            }
            result => result,
        }
    }

    /// Deletes the webhook `id`, or without one that which calls `url`. One that is not there is fine.
    pub(super) async fn remove(&self, id: Option<&str>, url: Option<&str>) -> Result<(), ApiError> {
        let removed = match (id, url) {
            (Some(id), _) => self.delete(id).await,
            (None, Some(url)) => match self.find(url).await {
                Ok(Some(id)) => self.delete(&id).await,
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            },
            (None, None) => Ok(()),
        };
        match removed {
            Err(error) if error.is_gone() => Ok(()),
            result => result,
        }
    }

    async fn find(&self, url: &str) -> Result<Option<String>, ApiError> {
        for page in 1..=MAX_PAGES {
            let at = format!("{}?per_page={PAGE}&page={page}", self.place);
            let hooks: Vec<Known> = read(&Method::GET, &at, &self.ask(Method::GET, &at, None).await?)?;
            if let Some(found) = hooks.iter().find(|hook| hook.config.url.as_deref() == Some(url)) {
                return Ok(Some(found.id.to_string()));
            }
            if hooks.len() < PAGE {
                break;
            }
        }
        Ok(None)
    }

    async fn create(&self, hook: &Hook, secret: &str) -> Result<String, ApiError> {
        let answer = self
            .ask(Method::POST, self.place, Some(hook.body(secret)))
            .await?;
        let made: Known = read(&Method::POST, self.place, &answer)?;
        Ok(made.id.to_string())
    }

    async fn update(&self, id: &str, hook: &Hook, secret: &str) -> Result<(), ApiError> {
        let at = format!("{}/{id}", self.place);
        self.ask(Method::PATCH, &at, Some(hook.body(secret)))
            .await
            .map(drop)
    }

    async fn delete(&self, id: &str) -> Result<(), ApiError> {
        let at = format!("{}/{id}", self.place);
        self.ask(Method::DELETE, &at, None).await.map(drop)
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<serde_json::Value>,
    ) -> Result<Bytes, ApiError> {
        let headers = self.headers(body.is_some())?;
        let secret = body
            .as_ref()
            .and_then(|body| body.pointer("/config/secret")?.as_str());
        let sent = Bytes::from(body.as_ref().map(ToString::to_string).unwrap_or_default());
        let endpoint = self.client.endpoint(url, None)?;
        let message = || (headers.clone(), sent.clone());
        let answer = endpoint
            .request(&method, Some(LIMIT), message, |_, _, _| Want::Whole(MAX_ANSWER))
            .await
            .map_err(|error| ApiError::Unreachable {
                method: method.clone(),
                url: url.to_owned(),
                error,
            })?;
        if answer.status.is_success() {
            return match answer.broken {
                None => Ok(answer.body),
                Some(broken) => Err(ApiError::Nonsense {
                    method,
                    url: url.to_owned(),
                    problem: broken.to_string(),
                }),
            };
        }
        Err(ApiError::Refused {
            method,
            url: url.to_owned(),
            status: answer.status,
            said: said(&answer.body, &[Some(self.token), secret]),
            again: again(&answer.headers),
        })
    }

    fn headers(&self, with_body: bool) -> Result<HeaderMap, ApiError> {
        let mut token =
            HeaderValue::try_from(format!("Bearer {}", self.token)).map_err(|_| ApiError::Token)?;
        token.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, token);
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("spindrift"));
        headers.insert("x-github-api-version", HeaderValue::from_static("2022-11-28"));
        if with_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(headers)
    }
}

fn read<'de, T: Deserialize<'de>>(method: &Method, url: &str, answer: &'de Bytes) -> Result<T, ApiError> {
    serde_json::from_slice(answer).map_err(|error| ApiError::Nonsense {
        method: method.clone(),
        url: url.to_owned(),
        problem: error.to_string(),
    })
}

/// When GitHub wants to be asked again; it says so when it limits the rate.
fn again(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(seconds) = text(RETRY_AFTER.as_str()).and_then(|text| text.parse().ok()) {
        return Some(Duration::from_secs(seconds));
    }
    // The hour's share is used up; the header with its end is a point in time by GitHub's clock.
    (text("x-ratelimit-remaining") == Some("0")).then_some(LATER)
}

/// What the answer says in words, without `secrets`, which whoever answers knows, and without control characters.
fn said(body: &[u8], secrets: &[Option<&str>]) -> String {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return String::new();
    };
    let details = problem.errors.iter().filter_map(|error| {
        let text = error.as_str().or_else(|| error.get("message")?.as_str());
        text.map(str::to_owned)
    });
    let mut words = [problem.message]
        .into_iter()
        .chain(details)
        .collect::<Vec<_>>()
        .join("; ");
    for secret in secrets.iter().flatten().filter(|secret| !secret.is_empty()) {
        words = words.replace(secret, "***");
    }
    let words: String = words.chars().filter(|c| !c.is_control()).take(MAX_SAID).collect();
    if words.is_empty() {
        words
    } else {
        format!(": {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_github_says_is_told_without_secrets() {
        let secrets = &[Some("tok"), None, Some("hush"), Some("")];
        for (body, expected) in [
            ("", ""),
            ("<html>", ""),
            (r#"{"message": "Bad credentials"}"#, ": Bad credentials"),
            (
                r#"{"message": "Validation Failed", "errors": [{"message": "Hook already exists"}, "x", {"code": 1}]}"#,
                ": Validation Failed; Hook already exists; x",
            ),
            ("{\"message\": \"a tok of hush\\n\"}", ": a *** of ***"),
        ] {
            assert_eq!(said(body.as_bytes(), secrets), expected);
        }
        let long = format!(r#"{{"message": "{}"}}"#, "ä".repeat(MAX_SAID * 2));
        assert_eq!(said(long.as_bytes(), &[]).chars().count(), MAX_SAID + 2);
    }

    #[test]
    fn answers_say_when_to_ask_again() {
        let refused = |status: u16, headers: &[(&'static str, &'static str)]| ApiError::Refused {
            method: Method::GET,
            url: "https://x".to_owned(),
            status: StatusCode::from_u16(status).unwrap(),
            said: String::new(),
            again: again(
                &headers
                    .iter()
                    .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                    .collect(),
            ),
        };
        for (status, headers, is_final, seconds) in [
            (401, &[][..], true, 300),
            (404, &[], true, 300),
            (422, &[], true, 300),
            (500, &[], false, 30),
            (503, &[("retry-after", "120")], false, 120),
            (403, &[("retry-after", "1")], false, 30),
            (403, &[("retry-after", "999999999")], false, 3600),
            (403, &[("x-ratelimit-remaining", "0")], false, 300),
            (403, &[("x-ratelimit-remaining", "7")], true, 300),
            (
                429,
                &[("retry-after", "Sat, 21 Nov 2026 15:00:00 GMT")],
                false,
                30,
            ),
        ] {
            let error = refused(status, headers);
            assert_eq!(
                (error.is_final(), error.again().as_secs()),
                (is_final, seconds),
                "{status} {headers:?}"
            );
        }
        assert!(refused(410, &[]).is_gone() && refused(404, &[]).is_gone() && !refused(401, &[]).is_gone());
        assert_eq!(
            refused(401, &[]).to_string(),
            "GET https://x was answered with 401 Unauthorized (is the access token still valid?)"
        );
    }
}
