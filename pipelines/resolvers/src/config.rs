//! The ConfigMaps of the namespace `tekton-pipelines-resolvers`.

mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use crds::config::{ConfigError, Data, Snapshot};
use crds::tekton::{labels, names::RESOLVERS_NAMESPACE};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use read::{duration, flag, list, number, text};

/// `resolvers-feature-flags`: which resolvers there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    off: Vec<&'static str>,
}

/// The resolvers of this project.
pub const RESOLVERS: [&str; 5] = ["bundles", "cluster", "git", "http", "hub"];

impl Flags {
    pub(crate) fn is_on(&self, resolver: &str) -> bool {
        !self.off.contains(&resolver)
    }
}

impl Snapshot for Flags {
    const NAME: &'static str = "resolvers-feature-flags";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut off = Vec::new();
        for resolver in RESOLVERS {
            if !flag(data, &format!("enable-{resolver}-resolver"), true)? {
                off.push(resolver);
            }
        }
        Ok(Self { off })
    }
}

/// `resolver-addresses`: which special addresses are connected to. This project's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// This machine.
    pub loopback: bool,
    /// 169.254.0.0/16 and `fe80::/10`.
    pub link_local: bool,
    /// Metadata services of clouds.
    pub metadata: bool,
    /// Private networks, as in clusters and at home.
    pub private: bool,
}

impl Default for Addresses {
    fn default() -> Self {
        Self {
            loopback: false,
            link_local: false,
            metadata: false,
            private: true,
        }
    }
}

impl Snapshot for Addresses {
    const NAME: &'static str = "resolver-addresses";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let usual = Self::default();
        Ok(Self {
            loopback: flag(data, "allow-loopback", usual.loopback)?,
            link_local: flag(data, "allow-link-local", usual.link_local)?,
            metadata: flag(data, "allow-metadata", usual.metadata)?,
            private: flag(data, "allow-private", usual.private)?,
        })
    }
}

/// `resolver-cache-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Answers kept at most.
    pub max_size: usize,
    pub ttl: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            max_size: 1000,
            ttl: Duration::from_secs(300),
        }
    }
}

impl Snapshot for CacheConfig {
    const NAME: &'static str = "resolver-cache-config";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let usual = Self::default();
        Ok(Self {
            max_size: number(data, "max-size", usual.max_size)?,
            ttl: duration(data, "ttl", usual.ttl)?,
        })
    }
}

/// `cluster-resolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    pub default_kind: String,
    pub default_namespace: String,
    /// Empty: all that are not blocked.
    pub allowed: Vec<String>,
    /// `*` blocks all that are not allowed by name.
    pub blocked: Vec<String>,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            default_kind: "task".to_owned(),
            default_namespace: "default".to_owned(),
            allowed: Vec::new(),
            blocked: Vec::new(),
        }
    }
}

impl Snapshot for ClusterConfig {
    const NAME: &'static str = "cluster-resolver-config";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let usual = Self::default();
        Ok(Self {
            default_kind: text(data, "default-kind", &usual.default_kind),
            default_namespace: text(data, "default-namespace", &usual.default_namespace),
            allowed: list(data, "allowed-namespaces"),
            blocked: list(data, "blocked-namespaces"),
        })
    }
}

/// `http-resolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    pub fetch_timeout: Duration,
}

/// How long a resolver may take unless said otherwise.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            fetch_timeout: FETCH_TIMEOUT,
        }
    }
}

impl Snapshot for HttpConfig {
    const NAME: &'static str = "http-resolver-config";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let fetch_timeout = duration(data, "fetch-timeout", FETCH_TIMEOUT)?;
        Ok(Self { fetch_timeout })
    }
}

/// `bundleresolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundlesConfig {
    pub default_kind: String,
    /// Whose pull secrets are used if the request names none.
    pub default_service_account: String,
}

impl Default for BundlesConfig {
    fn default() -> Self {
        Self {
            default_kind: "task".to_owned(),
            default_service_account: "default".to_owned(),
        }
    }
}

impl Snapshot for BundlesConfig {
    const NAME: &'static str = "bundleresolver-config";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let usual = Self::default();
        Ok(Self {
            default_kind: text(data, "default-kind", &usual.default_kind),
            default_service_account: text(data, "default-service-account", &usual.default_service_account),
        })
    }
}

/// `hubresolver-config`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubConfig {
    pub default_kind: String,
    pub default_type: String,
    pub task_catalog: String,
    pub pipeline_catalog: String,
    /// Addresses of hubs that speak Artifact Hub's API, asked in this order.
    pub urls: Vec<String>,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            default_kind: "task".to_owned(),
            default_type: "artifact".to_owned(),
            task_catalog: "tekton-catalog-tasks".to_owned(),
            pipeline_catalog: "tekton-catalog-pipelines".to_owned(),
            urls: vec!["https://artifacthub.io".to_owned()],
        }
    }
}

impl Snapshot for HubConfig {
    const NAME: &'static str = "hubresolver-config";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let usual = Self::default();
        let urls = list(data, "artifact-hub-urls");
        Ok(Self {
            default_kind: text(data, "default-kind", &usual.default_kind),
            default_type: text(data, "default-type", &usual.default_type),
            task_catalog: text(data, "default-artifact-hub-task-catalog", &usual.task_catalog),
            pipeline_catalog: text(
                data,
                "default-artifact-hub-pipeline-catalog",
                &usual.pipeline_catalog,
            ),
            urls: if urls.is_empty() { usual.urls } else { urls },
        })
    }
}

/// `git-resolver-config`: settings by the name that the param `configKey` takes; the empty one is the usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitConfig {
    of: BTreeMap<String, GitSettings>,
}

/// One set of settings of the git resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    pub fetch_timeout: Duration,
    pub default_url: String,
    pub default_revision: String,
    pub default_org: String,
    pub scm_type: String,
    pub server_url: String,
    /// A token for `server_url`, and for nothing else.
    pub token_secret: Option<SecretKey>,
}

/// Where a secret value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKey {
    pub namespace: String,
    pub name: String,
    pub key: String,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            fetch_timeout: FETCH_TIMEOUT,
            default_url: "https://github.com/tektoncd/catalog.git".to_owned(),
            default_revision: "main".to_owned(),
            default_org: String::new(),
            scm_type: "github".to_owned(),
            server_url: String::new(),
            token_secret: None,
        }
    }
}

impl Default for GitConfig {
    fn default() -> Self {
        Self {
            of: BTreeMap::from([(String::new(), GitSettings::default())]),
        }
    }
}

impl GitConfig {
    /// The settings of this name.
    pub fn of(&self, name: &str) -> Option<&GitSettings> {
        self.of.get(name)
    }
}

impl Snapshot for GitConfig {
    const NAME: &'static str = "git-resolver-config";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut names: Vec<&str> = data
            .keys()
            .filter(|key| !key.starts_with('_'))
            .filter_map(|key| key.split_once('.').map(|(name, _)| name))
            .collect();
        names.push("");
        let mut of = BTreeMap::new();
        for name in names {
            let own: Data = match name {
                "" => data.clone(),
                name => data
                    .iter()
                    .filter_map(|(key, value)| {
                        let rest = key.strip_prefix(name)?.strip_prefix('.')?;
                        Some((rest.to_owned(), value.clone()))
                    })
                    .collect(),
            };
            of.insert(name.to_owned(), git_settings(&own)?);
        }
        Ok(Self { of })
    }
}

fn git_settings(data: &Data) -> Result<GitSettings, ConfigError> {
    let usual = GitSettings::default();
    let secret = text(data, "api-token-secret-name", "");
    Ok(GitSettings {
        fetch_timeout: duration(data, "fetch-timeout", usual.fetch_timeout)?,
        default_url: text(data, "default-url", &usual.default_url),
        default_revision: text(data, "default-revision", &usual.default_revision),
        default_org: text(data, "default-org", ""),
        scm_type: text(data, "scm-type", &usual.scm_type),
        server_url: text(data, "server-url", ""),
        token_secret: (!secret.is_empty()).then(|| SecretKey {
            namespace: text(data, "api-token-secret-namespace", RESOLVERS_NAMESPACE),
            name: secret,
            key: text(data, "api-token-secret-key", "token"),
        }),
    })
}

/// The ConfigMaps of an install: all at their defaults, to be found and changed.
pub fn manifests() -> Vec<ConfigMap> {
    let map = |name: &str| ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(RESOLVERS_NAMESPACE.to_owned()),
            labels: Some(BTreeMap::from([(
                labels::PART_OF.to_owned(),
                labels::PART_OF_PIPELINES.to_owned(),
            )])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::new()),
        ..ConfigMap::default()
    };
    [
        Flags::NAME,
        Addresses::NAME,
        CacheConfig::NAME,
        ClusterConfig::NAME,
        HttpConfig::NAME,
        BundlesConfig::NAME,
        HubConfig::NAME,
        GitConfig::NAME,
    ]
    .map(map)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> Data {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn empty_maps_mean_defaults() {
        let none = Data::new();
        assert_eq!(Flags::parse(&none), Ok(Flags::default()));
        assert_eq!(Addresses::parse(&none), Ok(Addresses::default()));
        assert_eq!(CacheConfig::parse(&none), Ok(CacheConfig::default()));
        assert_eq!(ClusterConfig::parse(&none), Ok(ClusterConfig::default()));
        assert_eq!(HttpConfig::parse(&none), Ok(HttpConfig::default()));
        assert_eq!(BundlesConfig::parse(&none), Ok(BundlesConfig::default()));
        assert_eq!(HubConfig::parse(&none), Ok(HubConfig::default()));
        assert_eq!(GitConfig::parse(&none), Ok(GitConfig::default()));
    }

    #[test]
    fn maps_say_otherwise() {
        let flags = Flags::parse(&data(&[("enable-git-resolver", "false")])).unwrap();
        assert!(!flags.is_on("git") && flags.is_on("http"));
        let cluster = ClusterConfig::parse(&data(&[
            ("allowed-namespaces", "a, b,"),
            ("blocked-namespaces", "*"),
        ]))
        .unwrap();
        assert_eq!(
            (cluster.allowed, cluster.blocked),
            (vec!["a".to_owned(), "b".to_owned()], vec!["*".to_owned()])
        );
        let hub = HubConfig::parse(&data(&[("artifact-hub-urls", "- https://a\n- http://b:1\n")])).unwrap();
        assert_eq!(hub.urls, ["https://a", "http://b:1"]);
        let git = GitConfig::parse(&data(&[
            ("default-revision", "trunk"),
            ("work.server-url", "https://git.example.com"),
            ("work.api-token-secret-name", "s"),
        ]))
        .unwrap();
        assert_eq!(git.of("").unwrap().default_revision, "trunk");
        let work = git.of("work").unwrap();
        assert_eq!(work.server_url, "https://git.example.com");
        assert_eq!(work.token_secret.as_ref().unwrap().key, "token");
        assert_eq!(git.of("other"), None);
    }

    #[test]
    fn bad_values_are_named() {
        for (error, key) in [
            (
                Flags::parse(&data(&[("enable-git-resolver", "maybe")])).err(),
                "enable-git-resolver",
            ),
            (
                Addresses::parse(&data(&[("allow-private", "x")])).err(),
                "allow-private",
            ),
            (CacheConfig::parse(&data(&[("max-size", "-1")])).err(), "max-size"),
            (
                HttpConfig::parse(&data(&[("fetch-timeout", "-1s")])).err(),
                "fetch-timeout",
            ),
        ] {
            assert!(error.unwrap().to_string().contains(key), "{key}");
        }
    }
}
