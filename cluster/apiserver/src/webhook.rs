//! Webhooks of all sorts: where they are, and asking them over HTTPS.

mod remote;
mod resolve;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(crate) use self::remote::{Remote, roots};
use crate::meta;

/// How a webhook is reached: a `clientConfig`.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) target: Target,
    /// PEM of the authorities that its certificate is checked against; empty for those of the machine.
    pub(crate) ca_bundle: Vec<u8>,
    /// Time for one call.
    pub(crate) timeout: Duration,
}

/// Where a webhook is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Url(String),
    Service {
        namespace: String,
        name: String,
        port: u16,
        path: String,
    },
}

impl Target {
    fn of(config: &Value) -> Self {
        if let Some(url) = config["url"].as_str() {
            return Self::Url(url.to_owned());
        }
        let service = &config["service"];
        Self::Service {
            namespace: meta::text(service, "/namespace").to_owned(),
            name: meta::text(service, "/name").to_owned(),
            port: service["port"]
                .as_u64()
                .and_then(|port| port.try_into().ok())
                .unwrap_or(443),
            path: meta::text(service, "/path").to_owned(),
        }
    }

    /// Returns the URL that is asked. A service's has no port: the resolver supplies it with the address.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Service {
                namespace,
                name,
                path,
                ..
            } => format!("https://{name}.{namespace}.svc/{}", path.trim_start_matches('/')),
        }
    }

    /// Returns the URL as errors show it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Url(url) => url.clone(),
            Self::Service {
                namespace,
                name,
                port,
                path,
            } => format!(
                "https://{name}.{namespace}.svc:{port}/{}",
                path.trim_start_matches('/')
            ),
        }
    }
}

impl Endpoint {
    /// Reads a stored `clientConfig`.
    pub(crate) fn of(config: &Value, timeout: Duration) -> Self {
        Self {
            target: Target::of(config),
            ca_bundle: config["caBundle"]
                .as_str()
                .and_then(|bundle| STANDARD.decode(bundle).ok())
                .unwrap_or_default(),
            timeout,
        }
    }
}

/// Returns why a `caBundle` of a stored `clientConfig` cannot be used, if it has one.
pub(crate) fn bundle_problem(config: &Value) -> Option<String> {
    let text = config["caBundle"].as_str().filter(|text| !text.is_empty())?;
    STANDARD
        .decode(text)
        .map_err(|error| error.to_string())
        .and_then(|pem| roots(&pem).map(|_| ()))
        .err()
}
