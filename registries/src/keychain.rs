//! Credentials for registries: the pull secrets of a pod and of its service account.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use formats::image::ImageReference;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use serde::Deserialize;
use tracing::debug;

/// A name and a password for one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub password: String,
}

/// Where the credentials of a pod are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullSecrets {
    pub service_account: String,
    pub names: Vec<String>,
}

impl PullSecrets {
    /// Of a pod with this account, which is `default` if it names none, and these pull secrets.
    pub fn new(account: Option<&str>, names: impl Iterator<Item = String>) -> Self {
        let account = account.filter(|name| !name.is_empty()).unwrap_or("default");
        Self {
            service_account: account.to_owned(),
            names: names.collect(),
        }
    }
}

/// Credentials by registry, with an optional path.
#[derive(Default)]
pub struct Keychain {
    entries: Vec<(String, Credentials)>,
}

impl Keychain {
    /// Reads the secrets. One that is missing or malformed is passed over: the image may be public, and if it is not,
    /// the registry says so.
    pub async fn read(client: &kube::Client, namespace: &str, wanted: &PullSecrets) -> Self {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let mut names = wanted.names.clone();
        match accounts.get_opt(&wanted.service_account).await {
            Ok(account) => {
                let listed = account
                    .and_then(|account| account.image_pull_secrets)
                    .unwrap_or_default();
                names.extend(listed.into_iter().map(|secret| secret.name));
            }
            Err(error) => debug!(%error, "Service account could not be read"),
        }
        let mut keychain = Self::default();
        for name in names {
            match secrets.get_opt(&name).await {
                Ok(Some(secret)) => keychain.add(&secret),
                Ok(None) => debug!(name, "Pull secret does not exist"),
                Err(error) => debug!(%error, name, "Pull secret could not be read"),
            }
        }
        keychain
    }

    /// The credentials of a `config.json` of Docker's.
    ///
    /// # Errors
    /// If it is none.
    pub fn from_docker_config(json: &[u8]) -> Result<Self, serde_json::Error> {
        let mut keychain = Self::default();
        keychain.extend(serde_json::from_slice::<DockerConfig>(json)?.auths);
        Ok(keychain)
    }

    fn add(&mut self, secret: &Secret) {
        let of = |key: &str| {
            secret
                .data
                .as_ref()
                .and_then(|data| data.get(key))
                .map(|bytes| bytes.0.as_slice())
        };
        let auths = match (of(".dockerconfigjson"), of(".dockercfg")) {
            (Some(json), _) => serde_json::from_slice::<DockerConfig>(json).map(|config| config.auths),
            (None, Some(json)) => serde_json::from_slice::<BTreeMap<String, Auth>>(json),
            (None, None) => return,
        };
        let Ok(auths) = auths else {
            debug!(
                name = secret.metadata.name,
                "Pull secret is not a Docker configuration"
            );
            return;
        };
        self.extend(auths);
    }

    fn extend(&mut self, auths: BTreeMap<String, Auth>) {
        for (registry, auth) in auths {
            if let Some(credentials) = auth.credentials() {
                self.entries.push((plain(&registry), credentials));
            }
        }
    }

    /// The credentials whose registry and path match best.
    pub fn for_image(&self, image: &ImageReference) -> Option<&Credentials> {
        let name = image.name();
        let matching = self.entries.iter().filter(|(registry, _)| {
            name.strip_prefix(registry.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        matching
            .max_by_key(|(registry, _)| registry.len())
            .map(|(_, credentials)| credentials)
    }
}

/// Registry and path without scheme and API version; all names of Docker Hub are one.
fn plain(registry: &str) -> String {
    let bare = registry
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let bare = bare.trim_end_matches("/v1").trim_end_matches("/v2");
    let (host, path) = bare
        .split_once('/')
        .map_or((bare, None), |(host, path)| (host, Some(path)));
    let host = match host {
        "docker.io" | "registry-1.docker.io" | "www.docker.com" => formats::image::DEFAULT_REGISTRY,
        host => host,
    };
    path.map_or_else(|| host.to_owned(), |path| format!("{host}/{path}"))
}

#[derive(Deserialize)]
struct DockerConfig {
    /// Absent where a helper keeps them all.
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

impl Auth {
    fn credentials(self) -> Option<Credentials> {
        if !self.username.is_empty() {
            return Some(Credentials {
                username: self.username,
                password: self.password,
            });
        }
        let decoded = String::from_utf8(STANDARD.decode(self.auth.trim()).ok()?).ok()?;
        let (username, password) = decoded.split_once(':')?;
        (!username.is_empty()).then(|| Credentials {
            username: username.to_owned(),
            password: password.trim_end_matches('\0').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn keychain(json: &str) -> Keychain {
        let mut keychain = Keychain::default();
        keychain.add(&Secret {
            data: Some(
                [(
                    ".dockerconfigjson".to_owned(),
                    ByteString(json.as_bytes().to_vec()),
                )]
                .into(),
            ),
            ..Secret::default()
        });
        keychain
    }

    #[test]
    fn best_match_of_registry_and_path_wins() {
        let keychain = keychain(
            r#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnNlY3JldA=="},
                "registry.example.com": {"username": "all", "password": "p"},
                "registry.example.com/team": {"username": "team", "password": "p"},
                "broken.example.com": {"auth": "%%%"}
            }}"#,
        );
        for (image, expected) in [
            ("nginx", Some("hub")),
            ("registry.example.com/app", Some("all")),
            ("registry.example.com/team/app:1", Some("team")),
            ("registry.example.com/teamwork/app", Some("all")),
            ("registry.example.com.evil.org/app", None),
            ("broken.example.com/app", None),
        ] {
            let found = keychain.for_image(&ImageReference::parse(image).unwrap());
            assert_eq!(found.map(|found| found.username.as_str()), expected, "{image}");
        }
    }

    #[test]
    fn malformed_secrets_are_passed_over() {
        assert!(keychain("not json").entries.is_empty());
        assert!(keychain("{}").entries.is_empty());
    }
}
