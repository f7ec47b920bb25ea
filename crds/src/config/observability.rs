//! `config-observability`

use std::time::Duration;

use super::data::{ConfigError, ensure, read, read_bool, read_duration, read_text};
use super::{Data, Snapshot};

/// The request log's line unless another is configured: JSON over `.Request`, `.Response`, `.Revision`, `.TraceID`.
pub const DEFAULT_REQUEST_LOG_TEMPLATE: &str = concat!(
    r#"{"httpRequest": {"requestMethod": "{{.Request.Method}}", "#,
    r#""requestUrl": "{{js .Request.RequestURI}}", "requestSize": "{{.Request.ContentLength}}", "#,
    r#""status": {{.Response.Code}}, "responseSize": "{{.Response.Size}}", "#,
    r#""userAgent": "{{js .Request.UserAgent}}", "remoteIp": "{{js .Request.RemoteAddr}}", "#,
    r#""serverIp": "{{.Revision.PodIP}}", "referer": "{{js .Request.Referer}}", "#,
    r#""latency": "{{.Response.Latency}}s", "protocol": "{{.Request.Proto}}"}, "traceId": "{{.TraceID}}"}"#,
);

/// Logs, metrics and traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Observability {
    /// Collect `/var/log` of the containers?
    pub enable_var_log_collection: bool,
    /// Where the logs of a revision can be read; `${REVISION_UID}` is replaced.
    pub revision_url_template: String,
    /// Go template of a line of the request log.
    pub request_log_template: String,
    /// Write the request log?
    pub enable_request_log: bool,
    /// Write probes into it too?
    pub enable_probe_request_log: bool,
    /// How components give their metrics.
    pub metrics: Metrics,
    /// How queue-proxies give their metrics.
    pub request_metrics: Metrics,
    /// How traces are given.
    pub tracing_protocol: TracingProtocol,
    /// Where traces are sent.
    pub tracing_endpoint: String,
    /// Share of the requests that are traced, 0–1.
    pub tracing_sampling_rate: f64,
    /// Serve profiles?
    pub runtime_profiling: bool,
    /// How often a process reports about itself.
    pub runtime_export_interval: Duration,
}

/// How metrics are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The protocol.
    pub protocol: MetricsProtocol,
    /// Where they are sent, or for Prometheus, where they are served.
    pub endpoint: String,
    /// How often they are sent.
    pub export_interval: Option<Duration>,
}

/// How metrics are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricsProtocol {
    /// Not at all.
    #[default]
    None,
    /// Served for Prometheus.
    Prometheus,
    /// Sent as OTLP over gRPC.
    Grpc,
    /// Sent as OTLP over HTTP.
    HttpProtobuf,
}

/// How traces are given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TracingProtocol {
    /// Not at all.
    #[default]
    None,
    /// Sent as OTLP over gRPC.
    Grpc,
    /// Sent as OTLP over HTTP.
    HttpProtobuf,
    /// Written to standard output.
    Stdout,
}

impl Default for Observability {
    fn default() -> Self {
        Self {
            enable_var_log_collection: false,
            revision_url_template: String::new(),
            request_log_template: DEFAULT_REQUEST_LOG_TEMPLATE.to_owned(),
            enable_request_log: false,
            enable_probe_request_log: false,
            metrics: Metrics::default(),
            request_metrics: Metrics::default(),
            tracing_protocol: TracingProtocol::None,
            tracing_endpoint: String::new(),
            tracing_sampling_rate: 0.0,
            runtime_profiling: false,
            runtime_export_interval: Duration::from_secs(15),
        }
    }
}

impl Snapshot for Observability {
    const NAME: &'static str = "config-observability";

    fn parse(data: &Data) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        read_bool(
            data,
            "logging.enable-var-log-collection",
            &mut config.enable_var_log_collection,
        )?;
        read_text(
            data,
            &["logging.revision-url-template"],
            &mut config.revision_url_template,
        );
        config.read_request_log(data)?;
        let keys = ["metrics-protocol", "metrics-endpoint", "metrics-export-interval"];
        config.metrics = read_metrics(data, keys)?;
        let keys = [
            "request-metrics-protocol",
            "request-metrics-endpoint",
            "request-metrics-export-interval",
        ];
        config.request_metrics = read_metrics(data, keys)?;
        config.read_tracing(data)?;
        config.read_runtime(data)?;
        Ok(config)
    }
}

impl Observability {
    fn read_request_log(&mut self, data: &Data) -> Result<(), ConfigError> {
        let key = "logging.request-log-template";
        read_text(data, &[key], &mut self.request_log_template);
        gotmpl::Template::new("request log")
            .parse(&self.request_log_template)
            .map_err(|error| ConfigError::parse(key, error))?;
        read_bool(data, "logging.enable-request-log", &mut self.enable_request_log)?;
        read_bool(
            data,
            "logging.enable-probe-request-log",
            &mut self.enable_probe_request_log,
        )
    }

    fn read_tracing(&mut self, data: &Data) -> Result<(), ConfigError> {
        let key = "tracing-protocol";
        if let Some(value) = data.get(key) {
            self.tracing_protocol = match value.as_str() {
                "" | "none" => TracingProtocol::None,
                "grpc" => TracingProtocol::Grpc,
                "http/protobuf" => TracingProtocol::HttpProtobuf,
                "stdout" => TracingProtocol::Stdout,
                _ => {
                    return Err(ConfigError::invalid(
                        key,
                        value,
                        "must be none, grpc, http/protobuf or stdout",
                    ));
                }
            };
        }
        read_text(data, &["tracing-endpoint"], &mut self.tracing_endpoint);
        let needed = matches!(
            self.tracing_protocol,
            TracingProtocol::Grpc | TracingProtocol::HttpProtobuf
        );
        let refused = self.tracing_protocol == TracingProtocol::None;
        check_endpoint("tracing-endpoint", &self.tracing_endpoint, needed, refused)?;
        read(data, "tracing-sampling-rate", &mut self.tracing_sampling_rate)?;
        ensure(
            (0.0..=1.0).contains(&self.tracing_sampling_rate),
            "tracing-sampling-rate",
            self.tracing_sampling_rate,
            "must be in [0, 1] range",
        )
    }

    fn read_runtime(&mut self, data: &Data) -> Result<(), ConfigError> {
        let key = "runtime-profiling";
        if let Some(value) = data.get(key) {
            self.runtime_profiling = match value.as_str() {
                "enabled" => true,
                "" | "disabled" => false,
                _ => return Err(ConfigError::invalid(key, value, "must be enabled or disabled")),
            };
        }
        read_duration(data, "runtime-export-interval", &mut self.runtime_export_interval)
    }
}

fn read_metrics(
    data: &Data,
    [protocol_key, endpoint_key, interval_key]: [&'static str; 3],
) -> Result<Metrics, ConfigError> {
    let mut metrics = Metrics::default();
    if let Some(value) = data.get(protocol_key) {
        metrics.protocol = match value.as_str() {
            "" | "none" => MetricsProtocol::None,
            "prometheus" => MetricsProtocol::Prometheus,
            "grpc" => MetricsProtocol::Grpc,
            "http/protobuf" => MetricsProtocol::HttpProtobuf,
            _ => {
                let allowed = "must be none, prometheus, grpc or http/protobuf";
                return Err(ConfigError::invalid(protocol_key, value, allowed));
            }
        };
    }
    read_text(data, &[endpoint_key], &mut metrics.endpoint);
    let needed = matches!(
        metrics.protocol,
        MetricsProtocol::Grpc | MetricsProtocol::HttpProtobuf
    );
    check_endpoint(
        endpoint_key,
        &metrics.endpoint,
        needed,
        metrics.protocol == MetricsProtocol::None,
    )?;
    if data.contains_key(interval_key) {
        let mut interval = Duration::ZERO;
        read_duration(data, interval_key, &mut interval)?;
        metrics.export_interval = Some(interval);
    }
    Ok(metrics)
}

fn check_endpoint(key: &'static str, endpoint: &str, needed: bool, refused: bool) -> Result<(), ConfigError> {
    if needed && endpoint.is_empty() {
        return Err(ConfigError::Missing { key: key.to_owned() });
    }
    ensure(
        !refused || endpoint.is_empty(),
        key,
        endpoint,
        "must not be set when the protocol is none",
    )
}
