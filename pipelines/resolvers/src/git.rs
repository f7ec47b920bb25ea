//! The resolver `git`: one file of one commit, fetched by the program `git` with as little as it takes.
//!
//! Only the commit, its trees and the one file are asked for. There is no work tree: links are followed within the
//! commit, so that nothing outside of it can be meant.

mod place;
mod program;
mod tree;

use std::collections::BTreeMap;
use std::time::Duration;

use crds::tekton::RefSource;
use event_client::Client;
use url::Url;

use crate::config::GitSettings;
use crate::question::{Answer, Failure, Question};
use crate::{http_file, policy, secrets, web};

pub(crate) use place::{Place, is_commit};
use program::{Access, Repository};

/// Tries, and the pause between them (upstream's: 2 s, 2 steps).
const TRIES: u32 = 2;
const PAUSE: Duration = Duration::from_secs(2);
/// The user of a token; hosts look at the token only.
const TOKEN_USER: &str = "git";

pub(crate) async fn resolve(
    question: &Question,
    settings: &GitSettings,
    api: &kube::Client,
    web: &Client,
) -> Result<Answer, Failure> {
    let place = Place::of(question, settings)?;
    let token = match &place.token {
        None => None,
        Some(secret) => {
            let namespace = secret.namespace.as_deref().unwrap_or(&question.namespace);
            Some(secrets::value(api, namespace, &secret.name, &secret.key).await?)
        }
    };
    let work = async {
        let mut tried = 1;
        loop {
            match fetch(&place, token.as_deref(), settings.fetch_timeout, web).await {
                Err(Failure::Now(_)) if tried < TRIES => {
                    tried += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    };
    match tokio::time::timeout(settings.fetch_timeout, work).await {
        Ok(done) => done,
        Err(_) => Failure::now(format!(
            "{} was not fetched within {:?}",
            web::shown(&place.url),
            settings.fetch_timeout
        )),
    }
}

async fn fetch(place: &Place, token: Option<&str>, limit: Duration, web: &Client) -> Result<Answer, Failure> {
    let authorization = token
        .map(|token| http_file::basic(TOKEN_USER, token))
        .transpose()?;
    let url = served_at(place, authorization.as_ref(), limit, web).await?;
    let host = url.host_str().unwrap_or_default();
    let access = Access {
        addresses: policy::addresses(web, host.trim_matches(['[', ']'])).await?,
        authorization,
        url,
    };
    let repository = Repository::fetch(&access, &place.revision).await?;
    let commit = repository.commit().await?;
    let data = tree::file(&repository, &place.path).await?;
    Ok(Answer {
        data,
        source: RefSource {
            uri: format!("git+{}", web::shown(&place.url)),
            digest: BTreeMap::from([("sha1".to_owned(), commit)]),
            entry_point: place.path.clone(),
        },
    })
}

/// Where the repository really is. Redirects are followed here, where each address is checked, and by git not at all.
async fn served_at(
    place: &Place,
    authorization: Option<&http::HeaderValue>,
    limit: Duration,
    web: &Client,
) -> Result<Url, Failure> {
    const SERVICE: &str = "info/refs";
    let mut url = place.url.clone();
    let path = format!("{}/{SERVICE}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    url.set_query(Some("service=git-upload-pack"));
    let wanted = web::Get {
        url: &url,
        authorization,
        // Without it the answer is the list of all branches.
        headers: &[("git-protocol", "version=2")],
        most: 0,
        limit,
    };
    let got = web::get(web, wanted).await?;
    let shown = web::shown(&place.url);
    match got.status.as_u16() {
        200 => {}
        401 | 403 => {
            return Failure::never(format!(
                "{shown} refuses access ({}): give the params gitToken and gitTokenKey",
                got.status.as_u16()
            ));
        }
        404 => return Failure::never(format!("{shown} is not there, or not for everyone")),
        status if status >= 500 => return Failure::now(format!("{shown} answered {status}")),
        status => return Failure::never(format!("{shown} answered {status}")),
    }
    if authorization.is_some() && !web::same_origin(&got.url, &url) {
        return Failure::never(format!(
            "{shown} redirects to another host, which the token is not sent to"
        ));
    }
    let mut found = got.url;
    let Some(base) = found
        .path()
        .strip_suffix(SERVICE)
        .map(|path| path.trim_end_matches('/').to_owned())
    else {
        return Failure::never(format!("{shown} redirects to what is no repository"));
    };
    found.set_path(&base);
    found.set_query(None);
    found.set_fragment(None);
    Ok(found)
}
