//! Which repository, which commit and which file of it are meant.

use url::Url;

use crate::config::GitSettings;
use crate::question::{Failure, Question};
use crate::web;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub url: Url,
    pub revision: String,
    pub path: String,
    pub token: Option<Token>,
}

/// Where the token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// `None`: that of the request.
    pub namespace: Option<String>,
    pub name: String,
    pub key: String,
}

impl Place {
    pub(crate) fn of(question: &Question, settings: &GitSettings) -> Result<Self, Failure> {
        let path = question.need("pathInRepo", "")?.to_owned();
        let revision = question.need("revision", &settings.default_revision)?.to_owned();
        check_revision(&revision)?;
        let (url, token) = match question.get("repo") {
            Some(repo) => of_host(question, settings, repo)?,
            None => {
                let url = web::address(question.need("url", &settings.default_url)?)?;
                (url, token(question, "gitToken", "gitTokenKey"))
            }
        };
        if question.get("url").is_some() && question.get("repo").is_some() {
            return Failure::never("give either the param url, or org and repo, not both");
        }
        Ok(Self {
            url,
            revision,
            path,
            token,
        })
    }
}

/// A repository of a host by its owner and name.
fn of_host(question: &Question, settings: &GitSettings, repo: &str) -> Result<(Url, Option<Token>), Failure> {
    let org = question.need("org", &settings.default_org)?;
    let type_ = question.need("scmType", &settings.scm_type)?;
    let usual = match type_ {
        "github" => "https://github.com",
        "gitlab" => "https://gitlab.com",
        "bitbucket" | "bitbucketcloud" => "https://bitbucket.org",
        _ => "",
    };
    let of_config = match settings.server_url.as_str() {
        "" => usual,
        url => url,
    };
    let server = web::address(question.need("serverURL", of_config)?)?;
    let mut url = server.clone();
    {
        let Ok(mut path) = url.path_segments_mut() else {
            return Failure::never("the param serverURL cannot have a path");
        };
        path.pop_if_empty();
        for part in org.split('/').chain([repo]) {
            if part.is_empty() || part.starts_with('.') {
                return Failure::never(format!("{org}/{repo} is no repository"));
            }
            path.push(part);
        }
    }
    if !url.path().ends_with(".git") {
        let path = format!("{}.git", url.path());
        url.set_path(&path);
    }
    let own = token(question, "token", "tokenKey");
    // The administrator's token is for the administrator's server: whoever asks must not have it sent to another.
    let of_admin = settings
        .token_secret
        .as_ref()
        .filter(|_| Url::parse(of_config).is_ok_and(|configured| web::same_origin(&configured, &server)));
    let token = own.or_else(|| {
        of_admin.map(|secret| Token {
            namespace: Some(secret.namespace.clone()),
            name: secret.name.clone(),
            key: secret.key.clone(),
        })
    });
    Ok((url, token))
}

fn token(question: &Question, name: &str, key: &str) -> Option<Token> {
    question.get(name).map(|name| Token {
        namespace: None,
        name: name.to_owned(),
        key: question.get(key).unwrap_or("token").to_owned(),
    })
}

/// Is it the whole name of a commit, which never means another one?
pub(crate) fn is_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Branches, tags and commits: what `git check-ref-format` lets pass, and no option.
fn check_revision(revision: &str) -> Result<(), Failure> {
    let bad_char = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    let is_bad = revision.len() > 255
        || revision.starts_with(['-', '+', '/', '.'])
        || revision.ends_with(['/', '.'])
        || revision.ends_with(".lock")
        || revision.contains("..")
        || revision.contains("//")
        || revision.contains("@{")
        || revision.contains(bad_char);
    match is_bad {
        true => Failure::never(format!(
            "the revision {revision:?} is none: expected a branch, a tag, or a whole commit id"
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecretKey;
    use crate::question::tests::question;

    fn of(params: &[(&str, &str)]) -> Result<Place, String> {
        Place::of(&question(params), &GitSettings::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn places_come_from_params_and_settings() {
        let place = of(&[("pathInRepo", "task/a.yaml")]).unwrap();
        assert_eq!(place.url.as_str(), "https://github.com/tektoncd/catalog.git");
        assert_eq!(
            (place.revision.as_str(), place.path.as_str()),
            ("main", "task/a.yaml")
        );
        let place = of(&[("org", "o"), ("repo", "r"), ("pathInRepo", "a"), ("token", "s")]).unwrap();
        assert_eq!(place.url.as_str(), "https://github.com/o/r.git");
        assert_eq!(place.token.unwrap().key, "token");
        for (params, words) in [
            (&[("url", "https://h/r")][..], "pathInRepo is missing"),
            (
                &[("pathInRepo", "a"), ("url", "ssh://git@h/r")],
                "expected a url with http",
            ),
            (
                &[("pathInRepo", "a"), ("url", "--upload-pack=touch /tmp/x")],
                "cannot be read",
            ),
            (&[("pathInRepo", "a"), ("repo", "r")], "org is missing"),
            (
                &[("pathInRepo", "a"), ("org", "o"), ("repo", "../x")],
                "no repository",
            ),
            (
                &[
                    ("pathInRepo", "a"),
                    ("org", "o"),
                    ("repo", "r"),
                    ("url", "https://h/r"),
                ],
                "not both",
            ),
            (
                &[("pathInRepo", "a"), ("revision", "--upload-pack=x")],
                "the revision",
            ),
            (&[("pathInRepo", "a"), ("revision", "a:b")], "the revision"),
            (&[("pathInRepo", "a"), ("revision", "+main")], "the revision"),
            (&[("pathInRepo", "a"), ("revision", "main~1")], "the revision"),
        ] {
            let error = of(params).unwrap_err();
            assert!(error.contains(words), "{params:?}: {error}");
        }
    }

    #[test]
    fn the_administrators_token_goes_to_the_administrators_server_only() {
        let settings = GitSettings {
            server_url: "https://git.example.com".to_owned(),
            token_secret: Some(SecretKey {
                namespace: "admin".to_owned(),
                name: "s".to_owned(),
                key: "k".to_owned(),
            }),
            ..GitSettings::default()
        };
        let token = |server: &str| {
            let params = [
                ("org", "o"),
                ("repo", "r"),
                ("pathInRepo", "a"),
                ("serverURL", server),
            ];
            Place::of(&question(&params), &settings).unwrap().token
        };
        assert!(token("").is_some_and(|token| token.namespace.as_deref() == Some("admin")));
        assert!(token("https://git.example.com/").is_some());
        assert_eq!(token("https://evil.example.com"), None);
        assert_eq!(token("http://git.example.com"), None);
    }

    #[test]
    fn whole_commits_never_change() {
        assert!(is_commit(&"a1".repeat(20)) && is_commit(&"0f".repeat(32)));
        assert!(!is_commit("main") && !is_commit("a1b2c3") && !is_commit(&"g1".repeat(20)));
    }
}
