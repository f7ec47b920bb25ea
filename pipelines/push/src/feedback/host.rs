//! How each kind of git host is told.

use bytes::Bytes;
use crds::spindrift::{Provider, Statuses, host_of};
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::State;
use crate::web::{self, Ask};

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Told<'a> {
    pub commit: &'a str,
    pub state: State,
    pub run: &'a str,
    pub repository: &'a str,
    pub link: Option<String>,
}

/// Where an API is, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    provider: Provider,
    /// Without a slash at its end.
    base: String,
    /// The repository there, `owner/name` or longer.
    path: String,
}

/// The API for a repository; `None` if it is not known.
pub(super) fn address(url: &str, statuses: &Statuses) -> Option<Address> {
    let host = host_of(url);
    let provider = statuses.provider.or_else(|| Provider::of_host(host))?;
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (authority, path) = match scheme {
        // `user@host:path`
        "" => rest.split_once(':')?,
        _ => rest.split_once('/')?,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // A port is that of the web only if this is its address.
    let site = match scheme {
        "http" | "https" => {
            let authority = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{authority}")
        }
        _ => format!("https://{host}"),
    };
    let base = match (statuses.api_url.as_str(), provider) {
        ("", Provider::GitHub) if host == "github.com" => "https://api.github.com".to_owned(),
        ("", Provider::GitHub) => format!("{site}/api/v3"),
        ("", Provider::GitLab) => format!("{site}/api/v4"),
        ("", Provider::Gitea) => format!("{site}/api/v1"),
        (given, _) => given.trim_end_matches('/').to_owned(),
    };
    path.contains('/').then(|| Address {
        provider,
        base,
        path: path.to_owned(),
    })
}

/// The request that tells; `None` if the token or the path cannot be part of one.
pub(super) fn request(address: &Address, token: &str, told: &Told<'_>) -> Option<Ask> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let commit = told.commit;
    let place = match address.provider {
        Provider::GitHub => {
            headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
            headers.insert(
                HeaderName::from_static("x-github-api-version"),
                HeaderValue::from_static("2022-11-28"),
            );
            headers.insert(AUTHORIZATION, web::secret(&format!("Bearer {token}"))?);
            format!("repos/{}/statuses/{commit}", owned(&address.path)?)
        }
        Provider::GitLab => {
            headers.insert(HeaderName::from_static("private-token"), web::secret(token)?);
            format!("projects/{}/statuses/{commit}", encoded(&address.path))
        }
        Provider::Gitea => {
            headers.insert(AUTHORIZATION, web::secret(&format!("token {token}"))?);
            format!("repos/{}/statuses/{commit}", owned(&address.path)?)
        }
    };
    Some(Ask {
        method: Method::POST,
        url: format!("{}/{place}", address.base),
        headers,
        body: Bytes::from(body(address.provider, told).to_string()),
        most: 0,
    })
}

/// `owner/name`, the end of a longer path.
fn owned(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/');
    let (name, owner) = parts.next().zip(parts.next())?;
    (!owner.is_empty()).then(|| format!("{}/{}", encoded(owner), encoded(name)))
}

fn body(provider: Provider, told: &Told<'_>) -> Value {
    let context = format!("spindrift/{}", told.repository);
    let state = match (provider, told.state) {
        (_, State::Pending) => "pending",
        (_, State::Success) => "success",
        (Provider::GitLab, State::Failure) => "failed",
        (Provider::GitLab, State::Cancelled) => "canceled",
        (_, State::Failure) => "failure",
        (_, State::Cancelled) => "error",
    };
    let name = match provider {
        Provider::GitLab => "name",
        Provider::GitHub | Provider::Gitea => "context",
    };
    // Whatever else is known of a build may be for fewer eyes than those of the git host.
    let run = told.run;
    let description = match told.state {
        State::Pending => format!("{run} builds"),
        State::Success => format!("{run} is deployed"),
        State::Failure => format!("{run} failed"),
        State::Cancelled => format!("{run} was ended before it was done"),
    };
    let mut body = json!({"state": state, name: context, "description": description});
    if let Some(link) = &told.link {
        body["target_url"] = json!(link);
    }
    body
}

/// As one part of a path.
fn encoded(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => all.push(char::from(byte)),
            _ => all.push_str(&format!("%{byte:02X}")),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_own_address_and_words() {
        let commit = "a".repeat(40);
        let table = [
            (
                "https://github.com/me/web.git",
                None,
                "",
                Some(format!("https://api.github.com/repos/me/web/statuses/{commit}")),
            ),
            (
                "git@github.com:me/web.git",
                None,
                "",
                Some(format!("https://api.github.com/repos/me/web/statuses/{commit}")),
            ),
            (
                "ssh://git@ghe:2222/me/web",
                Some(Provider::GitHub),
                "",
                Some(format!("https://ghe/api/v3/repos/me/web/statuses/{commit}")),
            ),
            (
                "https://gitlab.com/group/sub/web.git/",
                None,
                "",
                Some(format!(
                    "https://gitlab.com/api/v4/projects/group%2Fsub%2Fweb/statuses/{commit}"
                )),
            ),
            (
                "http://git:3000/me/web?x",
                Some(Provider::Gitea),
                "",
                Some(format!("http://git:3000/api/v1/repos/me/web/statuses/{commit}")),
            ),
            (
                "http://git:3000/me/web",
                Some(Provider::Gitea),
                "https://other/git/api/v1/",
                Some(format!("https://other/git/api/v1/repos/me/web/statuses/{commit}")),
            ),
            ("http://git:3000/me/web", None, "", None),
            ("http://git:3000/web", Some(Provider::Gitea), "", None),
        ];
        let told = Told {
            commit: &commit,
            state: State::Pending,
            run: "web-1",
            repository: "web",
            link: None,
        };
        for (url, provider, api_url, expected) in table {
            let statuses = Statuses {
                provider,
                api_url: api_url.to_owned(),
                ..Statuses::default()
            };
            let found = address(url, &statuses).and_then(|address| request(&address, "t0ken", &told));
            assert_eq!(found.as_ref().map(|ask| ask.url.clone()), expected, "{url}");
            if let Some(ask) = found {
                assert!(!format!("{ask:?}").contains("t0ken"), "{ask:?}");
                assert_eq!(
                    ask.headers.values().filter(|value| value.is_sensitive()).count(),
                    1
                );
            }
        }
    }

    #[test]
    fn states_have_the_names_of_the_host() {
        for (provider, names, key) in [
            (
                Provider::GitHub,
                ["pending", "success", "failure", "error"],
                "context",
            ),
            (
                Provider::GitLab,
                ["pending", "success", "failed", "canceled"],
                "name",
            ),
            (
                Provider::Gitea,
                ["pending", "success", "failure", "error"],
                "context",
            ),
        ] {
            let states = [State::Pending, State::Success, State::Failure, State::Cancelled];
            for (state, name) in states.into_iter().zip(names) {
                let body = body(
                    provider,
                    &Told {
                        commit: "c",
                        state,
                        run: "web-1",
                        repository: "web",
                        link: Some("http://x".to_owned()),
                    },
                );
                assert_eq!(body["state"], name);
                assert_eq!(body[key], "spindrift/web");
                assert_eq!(body["target_url"], "http://x");
            }
        }
    }

    #[test]
    fn a_token_that_is_no_header_is_no_request() {
        let address = Address {
            provider: Provider::Gitea,
            base: "http://git".to_owned(),
            path: "me/web".to_owned(),
        };
        let told = Told {
            commit: "c",
            state: State::Pending,
            run: "r",
            repository: "web",
            link: None,
        };
        assert!(request(&address, "a\nHost: x", &told).is_none());
    }
}
