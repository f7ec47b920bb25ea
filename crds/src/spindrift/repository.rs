//! Repository: where the source of a Service is, and how a push there becomes a revision.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::duck::status;
use crate::tekton::Duration;
use crate::types::Addressable;

/// Where the source is, and what becomes of it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "spindrift.dev",
    version = "v1alpha1",
    kind = "Repository",
    plural = "repositories",
    shortname = "repo",
    namespaced,
    status = "RepositoryStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Builds each push to a git repository, or each upload of a folder, and runs the image as a Service.",
    category = "spindrift",
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.service"),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.deployed.commit"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RepositorySpec {
    /// Address of the git repository; either this or [`source`](Self::source).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// An uploaded folder, by digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The branch whose builds the Service runs; admission makes it `main`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub branch: String,
    /// The Service, in the same namespace; admission gives it the name of the Repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What the Service is made from when the first build is done and there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_template: Option<ServiceTemplate>,
    /// How an image is made of the source.
    #[serde(default)]
    pub build: Build,
    /// Whose secrets clone and push.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service_account_name: String,
    /// Which pushes are built.
    #[serde(default)]
    pub filters: Filters,
    /// Do pushes to other branches get a revision with a URL of its own?
    #[serde(default, skip_serializing_if = "is_false")]
    pub previews: bool,
    /// Who may tell of pushes.
    #[serde(default)]
    pub webhook: Webhook,
    /// How often the git host is asked for the branch, for those whose webhooks do not get here; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<Duration>,
    /// Where the git host is told how builds go; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Statuses>,
}

/// What a Service is made from; its fields are checked when it is made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTemplate {
    /// Labels, annotations.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// The spec; the image of the first container need not be there.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub spec: Map<String, Value>,
}

/// How an image is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// By what; admission makes it `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// The Dockerfile within the source; admission makes it `Dockerfile`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dockerfile: String,
    /// The folder within the source that is built; admission makes it `.`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// Build arguments, `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Where the image is pushed to, without tag; by default `<registry>/<namespace>/<service>`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Are layers of earlier builds used? Unless it says no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<bool>,
    /// How long a build may take; admission makes it 30 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}

/// By what an image is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// By its Dockerfile if there is one, else of its files.
    #[default]
    Auto,
    /// By its Dockerfile.
    Dockerfile,
    /// Of its files: a static program, or what a web server shows.
    Files,
}

/// Which pushes are built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filters {
    /// By branch.
    #[serde(default, skip_serializing_if = "Globs::is_empty")]
    pub branches: Globs,
    /// Are tags built, too?
    #[serde(default, skip_serializing_if = "is_false")]
    pub tags: bool,
    /// By the files that changed.
    #[serde(default, skip_serializing_if = "Globs::is_empty")]
    pub paths: Globs,
}

/// Patterns: `*` is anything but a slash, `**` anything, `?` one character but a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Globs {
    /// What is meant; empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// What of it is not meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
}

impl Globs {
    /// Does it mean everything?
    pub fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

/// Who may tell of pushes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The secret that they sign with, one in each line: old and new are both good while it is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// May anybody?
    #[serde(default, skip_serializing_if = "is_false")]
    pub allow_unsigned: bool,
}

/// Where a git host is told how builds of its commits go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statuses {
    /// The token that it takes them with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKey>,
    /// Whose API it has; absent: as its name says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Address of the API; absent: where the provider has it on the host of [`RepositorySpec::url`].
    #[serde(default, rename = "apiURL", skip_serializing_if = "String::is_empty")]
    pub api_url: String,
}

/// A kind of git host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    GitHub,
    GitLab,
    /// Forgejo and Codeberg, too.
    Gitea,
}

impl Provider {
    /// Of hosts that everybody knows; `None` for others.
    pub fn of_host(host: &str) -> Option<Self> {
        match host {
            "github.com" => Some(Self::GitHub),
            "gitlab.com" => Some(Self::GitLab),
            "codeberg.org" | "gitea.com" => Some(Self::Gitea),
            _ => None,
        }
    }
}

/// The host in the address of a git repository, without its port; empty if there is none.
pub fn host_of(url: &str) -> &str {
    let authority = match url.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        // `user@host:path`
        None => url.split_once(':').map_or("", |(host, _)| host),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[serde(default)]
    pub name: String,
    /// The key; absent: every key is a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
}

status! {
    /// What has been observed of it.
    RepositoryStatus {
        /// Where the git host tells of pushes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// The last number that a push was given.
        #[serde(default, skip_serializing_if = "is_zero")]
        pub sequence: i64,
        /// What the Service runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub deployed: Option<Deployed>,
        /// What runs of other branches.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub previews: Vec<Preview>,
        /// The latest pushes, oldest first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub pushes: Vec<PushRecord>,
        /// The value of the annotation that last asked for a build.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        pub rebuilt: String,
    }
}

/// A build that runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Deployed {
    /// The number of its push.
    #[serde(default)]
    pub sequence: i64,
    /// The commit; empty for an uploaded folder.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub commit: String,
    /// The git ref, such as `refs/heads/main`.
    #[serde(default, rename = "ref", skip_serializing_if = "String::is_empty")]
    pub git_ref: String,
    /// Hash of all files; of an uploaded folder its digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tree: String,
    /// Name of the PipelineRun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// The image, by digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The Revision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Generation of the Repository that it was built by: another one may build something else of the same files.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub generation: i64,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A build of another branch that has a URL of its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// The tag of the traffic target.
    #[serde(default)]
    pub tag: String,
    /// The URL, once the Service tells it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// What runs there.
    #[serde(flatten)]
    pub deployed: Deployed,
}

/// A push as it was received.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PushRecord {
    /// Its number; 0 if nothing is built of it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sequence: i64,
    /// The git ref, such as `refs/heads/main`.
    #[serde(default, rename = "ref", skip_serializing_if = "String::is_empty")]
    pub git_ref: String,
    /// Where the ref pointed before; empty if it is new or nobody says.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub before: String,
    /// Address of the repository that it was pushed to; empty if an older version noted it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Where it points now; empty: wherever it does when it is cloned.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub after: String,
    /// Hash of all files, if the git host tells it; of an uploaded folder its artifact.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tree: String,
    /// Who wrote the commit.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// First line of the commit's message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Id under which it was delivered.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub delivery: String,
    /// Name of the PipelineRun that builds it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// What becomes of it.
    #[serde(default)]
    pub state: PushState,
    /// Why nothing is built.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// When it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// What becomes of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PushState {
    /// Its PipelineRun is about to be made.
    Accepted,
    /// Its PipelineRun has been made.
    Started,
    /// A newer push came before it was built.
    Superseded,
    /// Nothing is built of it.
    #[default]
    #[serde(other)]
    Skipped,
}

impl RepositorySpec {
    /// The branch whose builds the Service runs, as a ref.
    pub fn main_ref(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }
}

impl ServiceTemplate {
    /// Labels or annotations of the template, those that are texts.
    pub fn texts(&self, field: &str) -> BTreeMap<String, String> {
        let texts = self.metadata.get(field).and_then(Value::as_object);
        let texts = texts.into_iter().flatten();
        texts
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect()
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_repository_is_read_and_written_as_it_is() {
        let wire = json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
            "spec": {
                "url": "http://git/app.git", "branch": "main", "service": "web",
                "serviceTemplate": {"spec": {"template": {"spec": {"containers": [{"ports": [{"containerPort": 80}]}]}}}},
                "build": {"strategy": "files", "args": ["A=b"], "cache": false, "timeout": "30m0s"},
                "filters": {"branches": {"include": ["main"]}, "paths": {"exclude": ["docs/**"]}},
                "previews": true,
                "webhook": {"secretRef": {"name": "hook", "key": "secret"}},
                "poll": "1m0s",
                "statuses": {"secretRef": {"name": "token"}, "provider": "gitea", "apiURL": "http://git/api/v1"},
            },
            "status": {
                "sequence": 2,
                "previews": [{"tag": "feature", "sequence": 2, "commit": "c", "ref": "refs/heads/feature"}],
                "pushes": [{"sequence": 1, "ref": "refs/heads/main", "after": "a", "state": "Started", "run": "r"}],
            },
        });
        let typed: Repository = serde_json::from_value(wire.clone()).unwrap();
        assert_eq!(typed.spec.main_ref(), "refs/heads/main");
        assert_eq!(serde_json::to_value(typed).unwrap(), wire);
    }

    #[test]
    fn addresses_have_hosts() {
        for (url, host) in [
            ("https://github.com/me/app.git", "github.com"),
            ("http://git:3000/me/app", "git"),
            ("ssh://git@gitlab.com:22/me/app", "gitlab.com"),
            ("git@codeberg.org:me/app.git", "codeberg.org"),
            ("http://[::1]:80/app", "[::1]"),
            ("nothing", ""),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }
}
