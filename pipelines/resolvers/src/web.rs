//! One file by HTTP: addresses checked, redirects followed with care, everything bounded.

use std::time::Duration;

use bytes::Bytes;
use event_client::{Client, Want};
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, USER_AGENT};
use http::{Method, StatusCode};
use tokio::time::Instant;
use url::{Origin, Url};

use crate::policy::explained;
use crate::question::Failure;

const REDIRECTS: usize = 5;
pub(crate) const AGENT: &str = concat!("spindrift/", env!("CARGO_PKG_VERSION"), " (resolvers)");

/// What is asked for.
pub(crate) struct Get<'a> {
    pub url: &'a Url,
    pub authorization: Option<&'a HeaderValue>,
    pub headers: &'a [(&'static str, &'static str)],
    /// Most bytes of the body.
    pub most: usize,
    /// For redirects and body, too.
    pub limit: Duration,
}

pub(crate) struct Got {
    pub status: StatusCode,
    /// Where it was, after redirects.
    pub url: Url,
    pub body: Bytes,
}

/// An address of the web, without credentials: they would end up in statuses and logs.
///
/// # Errors
/// What it should be.
pub(crate) fn address(text: &str) -> Result<Url, Failure> {
    let Ok(url) = Url::parse(text) else {
        return Failure::never("the url cannot be read: expected http:// or https://");
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Failure::never(format!(
            "{:?} is not supported: expected a url with http:// or https://",
            url.scheme()
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Failure::never("the url has a user or password in it: name a secret instead");
    }
    Ok(url)
}

/// # Errors
/// If no answer came, or too much of one. An answer of any status is one.
pub(crate) async fn get(client: &Client, wanted: Get<'_>) -> Result<Got, Failure> {
    let deadline = Instant::now() + wanted.limit;
    let mut url = wanted.url.clone();
    for _ in 0..=REDIRECTS {
        let endpoint = match client.endpoint(url.as_str(), None) {
            Ok(endpoint) => endpoint,
            Err(error) => return Failure::never(error.to_string()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        for (name, value) in wanted.headers {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        // Credentials are for who they were meant for, not for where that leads.
        if let Some(value) = wanted.authorization.filter(|_| same_origin(&url, wanted.url)) {
            headers.insert(AUTHORIZATION, value.clone());
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let message = || (headers.clone(), Bytes::new());
        let want = |status: StatusCode, _: &HeaderMap, _| match status.is_success() {
            true if wanted.most == 0 => Want::Nothing,
            true => Want::Whole(wanted.most),
            false => Want::Start(0),
        };
        let answer = match endpoint.request(&Method::GET, Some(left), message, want).await {
            Ok(answer) => answer,
            Err(error @ event_client::SendError::Refused { .. }) => {
                return Failure::never(format!("{}: {}", shown(&url), explained(&error)));
            }
            Err(error) => return Failure::now(format!("{}: {error}", shown(&url))),
        };
        if let Some(broken) = answer.broken.filter(|_| answer.status.is_success()) {
            return Failure::never(format!("{}: {broken}", shown(&url)));
        }
        let place = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        match place.filter(|_| answer.status.is_redirection()) {
            Some(place) => url = redirected(&url, place)?,
            None => {
                return Ok(Got {
                    status: answer.status,
                    url,
                    body: answer.body,
                });
            }
        }
    }
    Failure::never(format!("{}: more than {REDIRECTS} redirects", shown(wanted.url)))
}

/// Where an answer leads; not from https to clear text, and not to credentials.
fn redirected(from: &Url, place: &str) -> Result<Url, Failure> {
    let Ok(to) = from.join(place) else {
        return Failure::never(format!("{}: redirects to what is no url", shown(from)));
    };
    if from.scheme() == "https" && to.scheme() != "https" {
        return Failure::never(format!(
            "{}: redirects from https to {}",
            shown(from),
            to.scheme()
        ));
    }
    address(to.as_str())
}

pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    matches!(a.origin(), Origin::Tuple(..)) && a.origin() == b.origin()
}

/// A url as it may be told: without query, where tokens are put at times.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_the_web_and_have_no_credentials() {
        for (text, words) in [
            ("file:///etc/passwd", "expected a url with http"),
            ("ssh://git@example.com/a", "expected a url with http"),
            ("git@example.com:a/b", "cannot be read"),
            ("https://user:secret@example.com/", "name a secret instead"),
            ("https://token@example.com/", "name a secret instead"),
            ("words", "cannot be read"),
        ] {
            let error = address(text).unwrap_err().to_string();
            assert!(
                error.contains(words) && !error.contains("secret@") && !error.contains("token@"),
                "{error}"
            );
        }
        // Other spellings of an address are that address.
        assert_eq!(
            address("http://0x7f000001/x").unwrap().as_str(),
            "http://127.0.0.1/x"
        );
    }

    #[test]
    fn redirects_do_not_leave_https_nor_bring_credentials() {
        let from = Url::parse("https://a.example/x/y").unwrap();
        assert_eq!(redirected(&from, "../z").unwrap().as_str(), "https://a.example/z");
        assert_eq!(
            redirected(&from, "https://b.example/").unwrap().as_str(),
            "https://b.example/"
        );
        for place in [
            "http://a.example/x",
            "https://u:p@b.example/",
            "file:///etc/passwd",
        ] {
            assert!(redirected(&from, place).is_err(), "{place}");
        }
        assert!(!same_origin(
            &from,
            &Url::parse("https://a.example:444/").unwrap()
        ));
        assert!(same_origin(&from, &Url::parse("https://a.example:443/").unwrap()));
    }

    #[test]
    fn tokens_in_queries_are_not_told() {
        let url = Url::parse("https://a.example/x?token=secret#f").unwrap();
        assert_eq!(shown(&url), "https://a.example/x");
    }
}
