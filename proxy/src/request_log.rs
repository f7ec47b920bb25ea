//! One line per request, from the user's Go template.
//!
//! Templates are users' configuration, made for upstream: fields of `.Request`, `.Response`, `.Revision` and
//! `.TraceID`, the functions of Go templates, and `.Request.Header.Get "Name"` work. Other methods with arguments do
//! not; such a template is refused when it is read.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gotmpl::{Template, TemplateError, Value};
use http::header::{HOST, REFERER, USER_AGENT};
use http::{HeaderMap, Request, StatusCode, Version};

use crate::body::Body;

/// The line's shape when the configuration gives none.
const DEFAULT_TEMPLATE: &str = concat!(
    r#"{"httpRequest": {"requestMethod": "{{.Request.Method}}", "requestUrl": "{{js .Request.RequestURI}}", "#,
    r#""requestSize": "{{.Request.ContentLength}}", "status": {{.Response.Code}}, "responseSize": "{{.Response.Size}}", "#,
    r#""userAgent": "{{js .Request.UserAgent}}", "remoteIp": "{{js .Request.RemoteAddr}}", "#,
    r#""serverIp": "{{.Revision.PodIP}}", "referer": "{{js .Request.Referer}}", "latency": "{{.Response.Latency}}s", "#,
    r#""protocol": "{{.Request.Proto}}"}, "traceId": "{{.TraceID}}"}"#
);
const TEMPLATE_KEY: &str = "logging.request-log-template";
const ENABLE_KEY: &str = "logging.enable-request-log";

/// Which revision and pod a process serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RevisionInfo {
    pub name: String,
    pub namespace: String,
    pub service: String,
    pub configuration: String,
    pub pod_name: String,
    pub pod_ip: String,
}

/// Writes request lines to standard output.
pub struct RequestLog {
    template: Template,
    revision: Value,
}

impl std::fmt::Debug for RequestLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestLog").finish_non_exhaustive()
    }
}

/// What is kept of a request until its line is written.
#[derive(Debug)]
pub struct Entry {
    request: Value,
    trace_id: String,
}

impl RequestLog {
    /// Reads config-observability; `None` unless it switches the log on.
    ///
    /// # Errors
    /// The template does not parse, or does not work on an empty request.
    pub fn from_config(
        config: &BTreeMap<String, String>,
        revision: RevisionInfo,
    ) -> Result<Option<Self>, TemplateError> {
        if config
            .get(ENABLE_KEY)
            .is_none_or(|value| !value.eq_ignore_ascii_case("true"))
        {
            return Ok(None);
        }
        let source = config.get(TEMPLATE_KEY).filter(|template| !template.is_empty());
        Self::new(source.map_or(DEFAULT_TEMPLATE, String::as_str), &revision).map(Some)
    }

    /// # Errors
    /// The template does not parse, or does not work on an empty request.
    pub fn new(template: &str, revision: &RevisionInfo) -> Result<Self, TemplateError> {
        // gotmpl has no methods with arguments; the one that templates use becomes a function of its receiver.
        let source = template
            .replace("$.Request.Header.Get", "headerOf $")
            .replace(".Request.Header.Get", "headerOf .");
        let template = Template::new("request-log")
            .func("headerOf", header_of)
            .parse(&source)?;
        let revision = map([
            ("Name", string(&revision.name)),
            ("Namespace", string(&revision.namespace)),
            ("Service", string(&revision.service)),
            ("Configuration", string(&revision.configuration)),
            ("PodName", string(&revision.pod_name)),
            ("PodIP", string(&revision.pod_ip)),
        ]);
        let log = Self { template, revision };
        let probe = Request::new(Body::empty());
        log.line(
            log.entry(&probe, SocketAddr::from(([127, 0, 0, 1], 1))),
            StatusCode::OK,
            0,
            Duration::ZERO,
        )?;
        Ok(log)
    }

    /// Remembers what the line may say about the request.
    pub fn entry(&self, request: &Request<Body>, peer: SocketAddr) -> Entry {
        let headers = request.headers();
        let text = |name| {
            headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let uri = request.uri();
        let request_uri = uri.path_and_query().map_or("/", |path| path.as_str());
        let host = text(HOST)
            .or_else(|| uri.authority().map(ToString::to_string))
            .unwrap_or_default();
        let length = http_body::Body::size_hint(request.body())
            .exact()
            .map_or(-1, |length| i64::try_from(length).unwrap_or(i64::MAX));
        let request = map([
            ("Method", string(request.method().as_str())),
            ("RequestURI", string(request_uri)),
            (
                "URL",
                map([
                    ("Path", string(uri.path())),
                    ("RawQuery", string(uri.query().unwrap_or_default())),
                    ("RequestURI", string(request_uri)),
                ]),
            ),
            ("Host", string(&host)),
            ("ContentLength", Value::Int(length)),
            ("RemoteAddr", string(&peer.to_string())),
            ("UserAgent", string(&text(USER_AGENT).unwrap_or_default())),
            ("Referer", string(&text(REFERER).unwrap_or_default())),
            ("Proto", string(protocol(request.version()))),
            ("Header", header_values(headers)),
        ]);
        Entry {
            request,
            trace_id: trace_id(headers).unwrap_or_default(),
        }
    }

    /// Writes the line of a finished request.
    pub fn write(&self, entry: Entry, status: StatusCode, bytes: u64, latency: Duration) {
        match self.line(entry, status, bytes, latency) {
            Ok(line) => {
                // A closed standard output is not a reason to fail requests.
                let _ = writeln!(std::io::stdout().lock(), "{line}");
            }
            Err(error) => tracing::debug!(%error, "Request log template failed"),
        }
    }

    fn line(
        &self,
        entry: Entry,
        status: StatusCode,
        bytes: u64,
        latency: Duration,
    ) -> Result<String, TemplateError> {
        let response = map([
            ("Code", Value::Int(i64::from(status.as_u16()))),
            ("Size", Value::Int(i64::try_from(bytes).unwrap_or(i64::MAX))),
            ("Latency", Value::Float(latency.as_secs_f64())),
        ]);
        self.template.execute_to_string(&map([
            ("Request", entry.request),
            ("Response", response),
            ("Revision", self.revision.clone()),
            ("TraceID", string(&entry.trace_id)),
        ]))
    }
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(Arc::new(
        entries
            .into_iter()
            .map(|(name, value)| (Arc::from(name), value))
            .collect(),
    ))
}

fn header_values(headers: &HeaderMap) -> Value {
    let values = headers.keys().map(|name| {
        let values: Vec<Value> = headers
            .get_all(name)
            .iter()
            .map(|value| string(&String::from_utf8_lossy(value.as_bytes())))
            .collect();
        (Arc::from(canonical(name.as_str())), Value::List(values.into()))
    });
    Value::Map(Arc::new(values.collect()))
}

/// Go's spelling of a header name: `X-Request-Id`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|letter| {
            let letter = if upper {
                letter.to_ascii_uppercase()
            } else {
                letter.to_ascii_lowercase()
            };
            upper = letter == '-';
            letter
        })
        .collect()
}

fn header_of(args: &[Value]) -> gotmpl::Result<Value> {
    let name = args
        .get(1)
        .and_then(Value::as_str)
        .map(canonical)
        .unwrap_or_default();
    let value = args
        .first()
        .and_then(|root| root.field("Request"))
        .and_then(|request| request.field("Header"))
        .and_then(|headers| headers.field(&name))
        .and_then(|values| values.index(&Value::Int(0)).ok());
    Ok(value.unwrap_or_else(|| string("")))
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// The trace of W3C `traceparent`, or of B3, which is only read.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    text("traceparent")
        .and_then(|value| value.split('-').nth(1))
        .or_else(|| text("x-b3-traceid"))
        .filter(|id| id.len() <= 64)
        .map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(template: &str) -> String {
        let log = RequestLog::new(
            template,
            &RevisionInfo {
                name: "r".into(),
                ..RevisionInfo::default()
            },
        )
        .unwrap();
        let request = Request::builder()
            .method("POST")
            .uri("/a?b=c")
            .header("host", "h.example")
            .header("user-agent", "ua\"x")
            .header("x-request-id", "id1")
            .header(
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            )
            .body(Body::full("body"))
            .unwrap();
        let entry = log.entry(&request, "1.2.3.4:5".parse().unwrap());
        log.line(entry, StatusCode::OK, 7, Duration::from_millis(1500))
            .unwrap()
    }

    #[test]
    fn the_default_line_is_json_with_upstreams_keys() {
        let line: serde_json::Value = serde_json::from_str(&line(DEFAULT_TEMPLATE)).unwrap();
        assert_eq!(line["httpRequest"]["status"], 200);
        assert_eq!(line["httpRequest"]["requestSize"], "4");
        assert_eq!(line["httpRequest"]["latency"], "1.5s");
        assert_eq!(line["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn templates_in_use_work() {
        for (template, expected) in [
            (r#"{{.Request.Header.Get "X-Request-ID"}}"#, "id1"),
            (r#"{{$.Request.Header.Get "absent"}}-"#, "-"),
            (
                r#"{{if eq .Response.Code 200}}ok {{.Revision.Name}}{{end}}"#,
                "ok r",
            ),
            (r#"{{js .Request.UserAgent}}"#, r#"ua\"x"#),
            (
                r#"{{printf "%.2f" .Response.Latency}} {{.Request.URL.Path}}"#,
                "1.50 /a",
            ),
        ] {
            assert_eq!(line(template), expected, "{template}");
        }
    }

    #[test]
    fn a_log_is_off_by_default_and_a_bad_template_is_refused() {
        let config = |enabled: &str, template: &str| {
            BTreeMap::from([
                (ENABLE_KEY.into(), enabled.into()),
                (TEMPLATE_KEY.into(), template.into()),
            ])
        };
        assert!(
            RequestLog::from_config(&BTreeMap::new(), RevisionInfo::default())
                .unwrap()
                .is_none()
        );
        assert!(
            RequestLog::from_config(&config("false", ""), RevisionInfo::default())
                .unwrap()
                .is_none()
        );
        assert!(
            RequestLog::from_config(&config("true", ""), RevisionInfo::default())
                .unwrap()
                .is_some()
        );
        assert!(RequestLog::from_config(&config("true", "{{.Oops"), RevisionInfo::default()).is_err());
    }
}
