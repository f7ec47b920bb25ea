//! The resolver `hub`: tasks and pipelines of a catalog that speaks Artifact Hub's API.

mod version;

use crds::tekton::RefSource;
use event_client::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use url::Url;

use crate::config::HubConfig;
use crate::question::{Answer, Failure, MAX_DATA, Question, sha256};
use crate::web;

/// Lists of versions have grown long; a manifest in JSON is a little longer than it is.
const MAX_ANSWER: usize = 4 * MAX_DATA;
const LIMIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    available_versions: Vec<Available>,
    #[serde(default)]
    data: Option<Manifest>,
}

#[derive(Deserialize)]
struct Available {
    version: String,
    #[serde(default)]
    prerelease: bool,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default, rename = "manifestRaw")]
    raw: String,
}

pub(crate) async fn resolve(
    question: &Question,
    config: &HubConfig,
    web: &Client,
) -> Result<Answer, Failure> {
    let hub = question.need("type", &config.default_type)?;
    if hub != "artifact" {
        return Failure::never(format!(
            "the type {hub:?} is not there, only \"artifact\": Tekton Hub has been shut down"
        ));
    }
    let kind = question.need("kind", &config.default_kind)?.to_ascii_lowercase();
    let catalog = match kind.as_str() {
        "task" => &config.task_catalog,
        "pipeline" => &config.pipeline_catalog,
        _ => return Failure::never(format!("the kind {kind:?} is not there, only task and pipeline")),
    };
    let package = Wanted {
        kind: &kind,
        catalog: segment("catalog", question.need("catalog", catalog)?)?,
        name: segment("name", question.need("name", "")?)?,
        version: question.need("version", "")?,
    };
    let given = question.get("url").map(|url| vec![url.to_owned()]);
    let urls = given.unwrap_or_else(|| config.urls.clone());
    let mut last = Failure::Never("no hub is configured".to_owned());
    for url in &urls {
        match package.of(&web::address(url)?, web).await {
            Ok(answer) => return Ok(answer),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

struct Wanted<'a> {
    kind: &'a str,
    catalog: &'a str,
    name: &'a str,
    version: &'a str,
}

impl Wanted<'_> {
    async fn of(&self, hub: &Url, web: &Client) -> Result<Answer, Failure> {
        let version = match version::Constraint::parse(self.version) {
            None => version::exact(self.version),
            Some(constraint) => {
                let package: Package = ask(web, &self.at(hub, None)?).await?;
                let constraint = constraint.map_err(Failure::Never)?;
                let all = package
                    .available_versions
                    .iter()
                    .map(|one| (one.version.as_str(), one.prerelease));
                match constraint.newest(all) {
                    Some(version) => version.to_owned(),
                    None => {
                        return Failure::never(format!(
                            "{}/{} has no version that is {}",
                            self.catalog, self.name, self.version
                        ));
                    }
                }
            }
        };
        let url = self.at(hub, Some(segment("version", &version)?))?;
        let package: Package = ask(web, &url).await?;
        let raw = package.data.map(|manifest| manifest.raw).unwrap_or_default();
        if raw.is_empty() || raw.len() > MAX_DATA {
            return Failure::never(format!("{url} has no manifest, or one that is too long"));
        }
        let data = raw.into_bytes();
        Ok(Answer {
            source: RefSource {
                uri: url.to_string(),
                digest: sha256(&data),
                ..RefSource::default()
            },
            data,
        })
    }

    /// Where the package is, or one version of it.
    fn at(&self, hub: &Url, version: Option<&str>) -> Result<Url, Failure> {
        let mut url = hub.clone();
        url.set_query(None);
        let kind = format!("tekton-{}", self.kind);
        let parts = ["api", "v1", "packages", &kind, self.catalog, self.name];
        match url.path_segments_mut() {
            Ok(mut path) => path.pop_if_empty().extend(parts).extend(version),
            Err(()) => return Failure::never("the url of the hub cannot have a path"),
        };
        Ok(url)
    }
}

/// One part of a path. Dots would lead elsewhere on the same host.
fn segment<'a>(param: &str, text: &'a str) -> Result<&'a str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    match text.bytes().all(plain) && !text.starts_with('.') {
        true => Ok(text),
        false => Failure::never(format!(
            "the param {param} is {text:?}: expected letters, digits, - _ . +"
        )),
    }
}

async fn ask<T: DeserializeOwned>(web: &Client, url: &Url) -> Result<T, Failure> {
    let wanted = web::Get {
        url,
        authorization: None,
        headers: &[],
        most: MAX_ANSWER,
        limit: LIMIT,
    };
    let got = web::get(web, wanted).await?;
    let message = |words: &str| format!("{}: {words}", web::shown(url));
    match got.status.as_u16() {
        200 => {}
        404 => return Failure::never(message("there is no such package or version")),
        status => return Failure::now(message(&format!("answered {status}"))),
    }
    serde_json::from_slice(&got.body).map_err(|error| Failure::Never(message(&error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_have_addresses() {
        let wanted = Wanted {
            kind: "task",
            catalog: "c",
            name: "git-clone",
            version: "0.9.0",
        };
        let hub = Url::parse("https://hub.example/mirror/?q").unwrap();
        assert_eq!(
            wanted.at(&hub, Some("0.9.0")).unwrap().as_str(),
            "https://hub.example/mirror/api/v1/packages/tekton-task/c/git-clone/0.9.0"
        );
        assert_eq!(
            wanted.at(&hub, None).unwrap().as_str(),
            "https://hub.example/mirror/api/v1/packages/tekton-task/c/git-clone"
        );
        for name in ["..", "a/b", "a?b", "a%2fb", ".hidden", "a b"] {
            assert!(segment("name", name).is_err(), "{name}");
        }
    }
}
