//! What the pod tells its sidecar, by environment.

use std::str::FromStr;
use std::time::Duration;

use proxy::Timeouts;
use proxy::probe::{ParseProbeError, Probe, parse_probes};
use proxy::request_log::{RequestLog, RevisionInfo};

/// Time without requests after which a draining pod may stop (upstream value).
const QUIET_PERIOD: Duration = Duration::from_secs(30);

/// Everything the sidecar needs to know.
#[derive(Debug)]
pub struct Config {
    pub revision: RevisionInfo,
    pub ports: Ports,
    pub user_port: u16,
    /// Requests the container may run at once; 0 is no limit.
    pub container_concurrency: usize,
    pub timeouts: Timeouts,
    pub probes: Vec<Probe>,
    pub autodetect_http2: bool,
    pub request_log: Option<RequestLog>,
    pub quiet_period: Duration,
}

/// Ports that the sidecar listens on, on all addresses; 0 takes a free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports {
    /// Requests: 8012 for HTTP/1.1 revisions, 8013 for h2c; both accept either.
    pub serving: u16,
    /// `/wait-for-drain`.
    pub admin: u16,
    /// Statistics for the autoscaler.
    pub autometric: u16,
    /// The sidecar's own Prometheus metrics.
    pub usermetric: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            serving: 8012,
            admin: 8022,
            autometric: 9090,
            usermetric: 9091,
        }
    }
}

/// A variable of the environment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name}={value:?} is not a number in range")]
    Number { name: &'static str, value: String },
    #[error("SERVING_READINESS_PROBE cannot be used")]
    Probe(#[from] ParseProbeError),
    #[error("OBSERVABILITY_CONFIG is not a JSON object of strings")]
    Observability(#[source] serde_json::Error),
    #[error("the request log template in OBSERVABILITY_CONFIG cannot be used: {0}")]
    RequestLog(String),
}

impl Config {
    /// Reads the configuration with `env` looking variables up.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable. A variable that is absent or empty has its default.
    pub fn from_env(env: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let text = |name: &str| env(name).unwrap_or_default();
        let user_port = number(&env, "USER_PORT", 8080)?;
        let revision = RevisionInfo {
            name: text("SERVING_REVISION"),
            namespace: text("SERVING_NAMESPACE"),
            service: text("SERVING_SERVICE"),
            configuration: text("SERVING_CONFIGURATION"),
            pod_name: text("SERVING_POD"),
            pod_ip: text("SERVING_POD_IP"),
        };
        let observability = observability(&text("OBSERVABILITY_CONFIG"))?;
        Ok(Self {
            ports: Ports {
                serving: number(&env, "QUEUE_SERVING_PORT", 8012)?,
                ..Ports::default()
            },
            user_port,
            container_concurrency: number(&env, "CONTAINER_CONCURRENCY", 0)?,
            timeouts: Timeouts::from_seconds(
                number(&env, "REVISION_TIMEOUT_SECONDS", 300)?,
                number(&env, "REVISION_RESPONSE_START_TIMEOUT_SECONDS", 0)?,
                number(&env, "REVISION_IDLE_TIMEOUT_SECONDS", 0)?,
            ),
            probes: parse_probes(&text("SERVING_READINESS_PROBE"), user_port)?,
            autodetect_http2: text("ENABLE_HTTP2_AUTO_DETECTION") == "true",
            request_log: RequestLog::from_config(&observability, revision.clone())
                .map_err(|error| ConfigError::RequestLog(error.to_string()))?,
            revision,
            quiet_period: QUIET_PERIOD,
        })
    }
}

fn number<T: FromStr>(
    env: impl Fn(&str) -> Option<String>,
    name: &'static str,
    default: T,
) -> Result<T, ConfigError> {
    match env(name).filter(|value| !value.is_empty()) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| ConfigError::Number { name, value }),
    }
}

fn observability(json: &str) -> Result<std::collections::BTreeMap<String, String>, ConfigError> {
    if json.is_empty() {
        Ok(Default::default())
    } else {
        serde_json::from_str(json).map_err(ConfigError::Observability)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let map: HashMap<_, _> = pairs.iter().copied().collect();
        Config::from_env(|name| map.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn an_empty_environment_gives_the_defaults() {
        let config = config(&[]).unwrap();
        assert_eq!(config.ports, Ports::default());
        assert_eq!((config.user_port, config.container_concurrency), (8080, 0));
        assert_eq!(config.timeouts, Timeouts::from_seconds(300, 0, 0));
        assert_eq!(config.probes, [Probe::tcp(8080)]);
        assert!(config.request_log.is_none());
    }

    #[test]
    fn variables_are_read_and_bad_ones_named() {
        let config = config(&[
            ("QUEUE_SERVING_PORT", "8013"),
            ("CONTAINER_CONCURRENCY", "7"),
            ("REVISION_IDLE_TIMEOUT_SECONDS", "9"),
            ("USER_PORT", "3000"),
            (
                "SERVING_READINESS_PROBE",
                r#"{"tcpSocket":{"port":3000},"successThreshold":1}"#,
            ),
            ("SERVING_REVISION", "r"),
        ])
        .unwrap();
        assert_eq!((config.ports.serving, config.container_concurrency), (8013, 7));
        assert_eq!(config.timeouts.idle, Some(Duration::from_secs(9)));
        assert_eq!(config.revision.name, "r");
        let error = self::config(&[("CONTAINER_CONCURRENCY", "many")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"CONTAINER_CONCURRENCY="many" is not a number in range"#
        );
    }
}
