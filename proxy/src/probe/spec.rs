//! The fields of core/v1 `Probe` that matter here.

use std::time::Duration;

use serde::Deserialize;

/// A probe as the pod's specification carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub action: Action,
    /// Seconds between kubelet's checks; 0 asks for aggressive probing.
    pub period_seconds: u32,
    pub timeout_seconds: u32,
    pub success_threshold: u32,
}

/// What is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// 200–399 passes.
    Http {
        host: String,
        port: u16,
        path: String,
        headers: Vec<HttpHeader>,
    },
    /// A connection passes.
    Tcp { host: String, port: u16 },
    /// `SERVING` from the standard health service passes.
    Grpc { port: u16, service: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HttpHeader {
    pub name: String,
    #[serde(default)]
    pub value: String,
}

/// The probe's JSON cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParseProbeError {
    #[error("readiness probe is not a JSON probe")]
    Json(#[from] serde_json::Error),
    #[error("readiness probe names the port {0:?}; only numbers can be probed here")]
    NamedPort(String),
    #[error("readiness probe has the port {0}, which is outside 1-65535")]
    Port(i64),
}

impl Probe {
    /// A TCP probe of the port, aggressive: what a container without a probe gets.
    pub fn tcp(port: u16) -> Self {
        Self {
            action: Action::Tcp {
                host: LOCALHOST.into(),
                port,
            },
            period_seconds: 0,
            timeout_seconds: 1,
            success_threshold: 1,
        }
    }

    pub fn is_aggressive(&self) -> bool {
        self.period_seconds == 0
    }

    /// Time for one attempt; 0 means Kubernetes' default of a second.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.timeout_seconds.max(1)))
    }

    pub fn success_threshold(&self) -> u32 {
        self.success_threshold.max(1)
    }
}

/// The sidecar shares the network with what it probes.
const LOCALHOST: &str = "127.0.0.1";

/// Reads one probe, or the array of probes of several containers. `user_port` stands in for a port of 0 and for probes
/// that cannot be carried out here (`exec`): those become a TCP check.
///
/// # Errors
/// [`ParseProbeError`] names what cannot be used.
pub fn parse_probes(json: &str, user_port: u16) -> Result<Vec<Probe>, ParseProbeError> {
    if json.trim().is_empty() || json.trim() == "null" {
        return Ok(vec![Probe::tcp(user_port)]);
    }
    let several = json.trim_start().starts_with('[');
    let wire: Vec<WireProbe> = if several {
        serde_json::from_str(json)?
    } else {
        vec![serde_json::from_str(json)?]
    };
    let probes = wire
        .into_iter()
        // Kubelet itself runs exec probes of sidecars.
        .filter(|probe| !(several && probe.exec.is_some()))
        .map(|probe| probe.resolve(user_port))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(if probes.is_empty() {
        vec![Probe::tcp(user_port)]
    } else {
        probes
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireProbe {
    http_get: Option<WireHttp>,
    tcp_socket: Option<WireTcp>,
    grpc: Option<WireGrpc>,
    exec: Option<serde_json::Value>,
    #[serde(default)]
    period_seconds: u32,
    #[serde(default)]
    timeout_seconds: u32,
    #[serde(default)]
    success_threshold: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireHttp {
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<Port>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    http_headers: Option<Vec<HttpHeader>>,
}

#[derive(Deserialize)]
struct WireTcp {
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    port: Option<Port>,
}

#[derive(Deserialize)]
struct WireGrpc {
    #[serde(default)]
    port: Option<Port>,
    #[serde(default)]
    service: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Port {
    Number(i64),
    Name(String),
}

impl WireProbe {
    fn resolve(self, user_port: u16) -> Result<Probe, ParseProbeError> {
        let host = |host: Option<String>| {
            host.filter(|host| !host.is_empty())
                .unwrap_or_else(|| LOCALHOST.into())
        };
        let action = if let Some(http) = self.http_get {
            let path = http
                .path
                .filter(|path| !path.is_empty())
                .unwrap_or_else(|| "/".into());
            Action::Http {
                host: host(http.host),
                port: port(http.port, user_port)?,
                path: if path.starts_with('/') {
                    path
                } else {
                    format!("/{path}")
                },
                headers: http.http_headers.unwrap_or_default(),
            }
        } else if let Some(tcp) = self.tcp_socket {
            Action::Tcp {
                host: host(tcp.host),
                port: port(tcp.port, user_port)?,
            }
        } else if let Some(grpc) = self.grpc {
            Action::Grpc {
                port: port(grpc.port, user_port)?,
                service: grpc.service.unwrap_or_default(),
            }
        } else {
            Action::Tcp {
                host: LOCALHOST.into(),
                port: user_port,
            }
        };
        Ok(Probe {
            action,
            period_seconds: self.period_seconds,
            timeout_seconds: self.timeout_seconds,
            success_threshold: self.success_threshold,
        })
    }
}

fn port(port: Option<Port>, user_port: u16) -> Result<u16, ParseProbeError> {
    match port {
        None | Some(Port::Number(0)) => Ok(user_port),
        Some(Port::Number(number)) => u16::try_from(number).map_err(|_| ParseProbeError::Port(number)),
        Some(Port::Name(name)) => match name.parse() {
            Ok(0) => Ok(user_port),
            Ok(number) => Ok(number),
            Err(_) => Err(ParseProbeError::NamedPort(name)),
        },
    }
}
