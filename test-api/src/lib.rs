//! The Kubernetes API that integration tests run against. For tests only: everything here panics when it cannot go on.
//!
//! Usually it is the embedded server, in process. When `KUBEBUILDER_ASSETS` names a folder with the binaries `etcd` and
//! `kube-apiserver` (the convention of controller-runtime's envtest), the same test runs against those instead, so that
//! the embedded server never is the only judge of what a controller writes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test may fail"
)]

mod real;
mod requests;
mod wait;

use std::time::Duration;

use cluster_apiserver::{ApiServer, Config};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, ListParams, PostParams};

pub use requests::{Operation, Requests};
pub use wait::eventually;

/// A running API server; dropping it stops it and removes what it stored.
pub struct TestApi {
    client: Client,
    requests: Requests,
    _server: Server,
}

enum Server {
    Embedded {
        _server: ApiServer,
        _dir: tempfile::TempDir,
    },
    Real {
        _server: Box<real::Server>,
    },
}

impl TestApi {
    /// Starts the server that the environment asks for.
    pub async fn start() -> Self {
        let (client, server) = match real::assets() {
            Some(assets) => {
                let (client, server) = real::start(&assets).await;
                (
                    client,
                    Server::Real {
                        _server: Box::new(server),
                    },
                )
            }
            None => {
                let dir = tempfile::tempdir().unwrap();
                let server = ApiServer::open(Config::ephemeral(dir.path())).await.unwrap();
                let client = server.client();
                (
                    client,
                    Server::Embedded {
                        _server: server,
                        _dir: dir,
                    },
                )
            }
        };
        let requests = Requests::default();
        Self {
            client: requests.count(client),
            requests,
            _server: server,
        }
    }

    /// A client with every right, whose requests are counted.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What was asked of the server through [`TestApi::client`].
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Whether a real kube-apiserver answers.
    pub fn is_real(&self) -> bool {
        matches!(self._server, Server::Real { .. })
    }

    /// Creates the definitions and waits until their resources are served.
    pub async fn define(&self, all: &[CustomResourceDefinition]) {
        let definitions: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        for definition in all {
            definitions
                .create(&PostParams::default(), definition)
                .await
                .unwrap();
        }
        let established = async || {
            let list = definitions.list(&ListParams::default()).await.unwrap();
            let conditions = |definition: &CustomResourceDefinition| {
                let status = definition.status.clone().unwrap_or_default();
                let mut conditions = status.conditions.into_iter().flatten();
                conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
            };
            list.items
                .iter()
                .filter(|definition| conditions(definition))
                .count()
                == all.len()
        };
        tokio::time::timeout(Duration::from_secs(60), async {
            while !established().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("all definitions become established");
    }
}
