//! Which cluster and namespace a command works on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::HeaderValue;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::Value;
use tokio::sync::OnceCell;

use crate::cli::{Global, NamespaceArgs};
use crate::error::{CliError, Exit};
use crate::{http_log, local};

/// The environment of one command; connects when it is first needed. Clones share the connection.
#[derive(Clone)]
pub struct Context {
    global: Global,
    connected: Arc<OnceCell<Connected>>,
}

/// What is known once there is a connection.
struct Connected {
    client: Client,
    namespace: String,
    /// Address of the API.
    url: String,
}

impl Context {
    pub fn new(global: Global) -> Self {
        Self {
            global,
            connected: Arc::default(),
        }
    }

    /// Where `--config` says that the configuration file is.
    pub fn config_file(&self) -> Option<&Path> {
        self.global.config.as_deref()
    }

    async fn connect(&self) -> Result<&Connected, CliError> {
        self.connected
            .get_or_try_init(|| async {
                let config = configuration(&self.global).await?;
                let namespace = config.default_namespace.clone();
                let url = config.cluster_url.to_string();
                let client = client(config, &self.global)?;
                Ok(Connected {
                    client,
                    namespace,
                    url,
                })
            })
            .await
    }

    /// Names the address of a cluster that cannot be reached.
    pub fn locate(&self, mut error: CliError) -> CliError {
        if let (Exit::NoConnection, Some(connected)) = (error.exit, self.connected.get()) {
            error.message = format!("{} ({})", error.message, connected.url.trim_end_matches('/'));
        }
        error
    }

    /// The client.
    pub async fn client(&self) -> Result<Client, CliError> {
        Ok(self.connect().await?.client.clone())
    }

    /// The namespace that a flag names, or that of the kubeconfig's context.
    pub async fn namespace(&self, flag: &NamespaceArgs) -> Result<String, CliError> {
        match &flag.namespace {
            Some(namespace) => Ok(namespace.clone()),
            None => Ok(self.connect().await?.namespace.clone()),
        }
    }

    /// As [`Self::namespace`], for work without a cluster: without a kubeconfig it is `default`.
    pub async fn namespace_offline(&self, flag: &NamespaceArgs) -> String {
        self.namespace(flag)
            .await
            .unwrap_or_else(|_| "default".to_owned())
    }

    /// The objects of `kind` in `namespace`.
    pub async fn api(
        &self,
        kind: impl Into<ApiResource>,
        namespace: &str,
    ) -> Result<Api<DynamicObject>, CliError> {
        Ok(Api::namespaced_with(
            self.client().await?,
            namespace,
            &kind.into(),
        ))
    }

    /// `url` with the port that the gateway of this machine listens on, if the cluster is on this machine and the port is
    /// another than the URL means.
    pub async fn local_url(&self, url: &str) -> Option<String> {
        let connected = self.connect().await.ok()?;
        let folders = [kubeconfig_folders(&self.global), local::folders()].concat();
        local::at_port(url, local::gateway_port(&folders, &connected.url)?)
    }

    /// `host:port` of the registry that the cluster says it has on this machine (KEP-1755), if it says so.
    pub async fn local_registry(&self) -> Option<String> {
        let maps = ApiResource::erase::<ConfigMap>(&());
        let map = self
            .get(maps, "kube-public", "local-registry-hosting")
            .await
            .ok()?;
        let hosting: Value = serde_saphyr::from_str(map["data"]["localRegistryHosting.v1"].as_str()?).ok()?;
        Some(hosting["host"].as_str()?.to_owned())
    }

    /// One object as JSON, with apiVersion and kind.
    pub async fn get(
        &self,
        kind: impl Into<ApiResource>,
        namespace: &str,
        name: &str,
    ) -> Result<Value, CliError> {
        let object = self.api(kind, namespace).await?.get(name).await?;
        serde_json::to_value(object).map_err(|error| CliError::new(Exit::Failure, error.to_string()))
    }

    /// The objects of `kind` in all namespaces.
    pub async fn api_all(&self, kind: impl Into<ApiResource>) -> Result<Api<DynamicObject>, CliError> {
        Ok(Api::all_with(self.client().await?, &kind.into()))
    }
}

/// Flag, then `KUBECONFIG`, then `~/.kube/config`, then a pod's own account, then a local `spindrift up`.
async fn configuration(global: &Global) -> Result<Config, CliError> {
    let options = KubeConfigOptions {
        context: global.context.clone(),
        cluster: global.cluster.clone(),
        user: None,
    };
    let unreadable = |error: kube::config::KubeconfigError| {
        CliError::new(
            Exit::Failure,
            format!("cannot use the kubeconfig: {}", crate::error::innermost(&error)),
        )
    };
    let kubeconfig = match &global.kubeconfig {
        Some(path) => Some(read(path)?),
        None => match Kubeconfig::read() {
            Ok(kubeconfig) => Some(kubeconfig),
            Err(kube::config::KubeconfigError::ReadConfig(error, _))
                if error.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(kube::config::KubeconfigError::FindPath) => None,
            Err(error) => return Err(unreadable(error)),
        },
    };
    let mut config = match kubeconfig {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .map_err(unreadable)?,
        None => match Config::incluster() {
            Ok(config) => config,
            Err(_) => {
                let local = local_kubeconfig().ok_or_else(|| {
                    CliError::new(Exit::NoConnection, "no kubeconfig has been given, and there is no cluster to be found")
                        .with_hint("start one on this machine with `kn up`, or name a kubeconfig by --kubeconfig or KUBECONFIG")
                })?;
                Config::from_custom_kubeconfig(read(&local)?, &options)
                    .await
                    .map_err(unreadable)?
            }
        },
    };
    if let Some(user) = &global.impersonate {
        config.auth_info.impersonate = Some(user.clone());
    }
    if !global.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(global.impersonate_groups.clone());
    }
    // A watch is quiet for as long as nothing happens.
    config.read_timeout = None;
    Ok(config)
}

fn client(config: Config, global: &Global) -> Result<Client, CliError> {
    if !global.log_http && global.impersonate_uid.is_none() {
        return Client::try_from(config).map_err(CliError::from);
    }
    let namespace = config.default_namespace.clone();
    let connection = Client::try_from(config)?;
    let uid = match &global.impersonate_uid {
        Some(uid) => Some(
            HeaderValue::from_str(uid)
                .map_err(|_| CliError::usage(format!("--as-uid {uid}: not allowed in a header")))?,
        ),
        None => None,
    };
    let logged = global.log_http;
    let service = tower::ServiceBuilder::new()
        .map_request(move |mut request: http::Request<Body>| {
            if let Some(uid) = &uid {
                request.headers_mut().insert("impersonate-uid", uid.clone());
            }
            request
        })
        .option_layer(logged.then(http_log::requests))
        .option_layer(logged.then(http_log::answers))
        .service(tower::service_fn(move |request| {
            let connection = connection.clone();
            async move { connection.send(request).await }
        }));
    Ok(Client::new(service, namespace))
}

fn read(path: &Path) -> Result<Kubeconfig, CliError> {
    if path.to_string_lossy().contains(':') && !path.exists() {
        return Err(CliError::usage(format!(
            "--kubeconfig takes one file, not the list {}: set KUBECONFIG to merge several",
            path.display()
        )));
    }
    Kubeconfig::read_from(path).map_err(|error| {
        CliError::new(
            Exit::Failure,
            format!(
                "cannot use {}: {}",
                path.display(),
                crate::error::innermost(&error)
            ),
        )
    })
}

/// What a local instance wrote.
fn local_kubeconfig() -> Option<PathBuf> {
    local::folders()
        .into_iter()
        .map(|folder| folder.join("kubeconfig"))
        .find(|path| path.is_file())
}

/// Folders of the kubeconfig files in use: an instance writes its own into the folder of its state.
fn kubeconfig_folders(global: &Global) -> Vec<PathBuf> {
    let named = match &global.kubeconfig {
        Some(path) => vec![path.clone()],
        None => std::env::var_os("KUBECONFIG")
            .map(|list| std::env::split_paths(&list).collect())
            .unwrap_or_default(),
    };
    named
        .iter()
        .filter_map(|path| path.parent().map(Path::to_path_buf))
        .collect()
}
