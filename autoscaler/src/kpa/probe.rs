//! Asks whether requests for a revision reach an activator, by the public Service as clients use it.

use std::time::Duration;

use bytes::Bytes;
use crds::headers;
use http::header::{HOST, USER_AGENT};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Service;

/// An activator that is in the path answers at once.
const TIMEOUT: Duration = Duration::from_secs(1);
/// What the activator answers.
const EXPECTED: &[u8] = b"activator";

/// Makes probes; each on a connection of its own, since an old one may lead to where the Service used to point.
pub struct Prober {
    client: Client<HttpConnector, Empty<Bytes>>,
    cluster_domain: String,
}

impl Prober {
    pub fn new(cluster_domain: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector);
        Self {
            client,
            cluster_domain,
        }
    }

    /// Whether `service`, the public Service of a revision, leads to an activator. It is asked by its cluster IP, which
    /// reaches it also where cluster DNS does not.
    pub async fn reaches_activator(&self, service: &Service) -> bool {
        let Some(request) = self.request(service) else {
            return false;
        };
        let exchange = async {
            let response = self.client.request(request).await.ok()?;
            let ok = response.status() == http::StatusCode::OK;
            let body = Limited::new(response.into_body(), EXPECTED.len())
                .collect()
                .await
                .ok()?;
            Some(ok && body.to_bytes() == EXPECTED)
        };
        tokio::time::timeout(TIMEOUT, exchange)
            .await
            .ok()
            .flatten()
            .unwrap_or(false)
    }

    fn request(&self, service: &Service) -> Option<http::Request<Empty<Bytes>>> {
        let spec = service.spec.as_ref()?;
        let ip = spec
            .cluster_ip
            .as_deref()
            .filter(|ip| !ip.is_empty() && *ip != "None")?;
        let port = spec.ports.as_ref()?.first()?.port;
        let host = format!(
            "{}.{}.svc.{}",
            service.metadata.name.as_deref()?,
            service.metadata.namespace.as_deref()?,
            self.cluster_domain
        );
        http::Request::get(format!("http://{ip}:{port}/healthz"))
            .header(HOST, host)
            .header(USER_AGENT, headers::USER_AGENT_AUTOSCALER_PROBE)
            .header(headers::PROBE, headers::PROBE_ACTIVATOR)
            .body(Empty::new())
            .ok()
    }
}
