//! Interceptors that are services of their own.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crds::triggers::{ClientConfig, InterceptorParam, WebhookInterceptor};
use event_client::{BrokenBody, Client, Endpoint, SendError, Want};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Verdict;
use crate::event::Seen;

/// For an interceptor to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// For one of the old protocol to answer (upstream's limit).
const OLD_LIMIT: Duration = Duration::from_secs(5);
/// Longest answer.
const LARGEST: usize = 25 << 20;
const PORT: u16 = 80;
const TLS_PORT: u16 = 8443;

/// What an interceptor is asked.
#[derive(Debug, Serialize)]
struct Question<'a> {
    body: std::borrow::Cow<'a, str>,
    header: BTreeMap<String, Vec<String>>,
    extensions: &'a Map<String, Value>,
    interceptor_params: BTreeMap<&'a str, &'a Value>,
    context: Place<'a>,
}

#[derive(Debug, Serialize)]
struct Place<'a> {
    event_url: &'a str,
    event_id: &'a str,
    trigger_id: &'a str,
}

/// What it answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    extensions: Option<Map<String, Value>>,
    #[serde(rename = "continue")]
    goes_on: bool,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: i64,
    message: String,
}

/// Where an interceptor is asked, and the certificates that are trusted there.
///
/// # Errors
/// If it says too little, or nonsense.
pub fn address(config: &ClientConfig, domain: &str) -> Result<(String, Option<String>), String> {
    let certificates = match config.ca_bundle.as_deref().filter(|bundle| !bundle.is_empty()) {
        None => None,
        Some(bundle) => {
            let bytes = STANDARD
                .decode(bundle)
                .map_err(|error| format!("its caBundle is no base64: {error}"))?;
            Some(String::from_utf8(bytes).map_err(|_| "its caBundle is no PEM".to_owned())?)
        }
    };
    if let Some(url) = config.url.as_deref().filter(|url| !url.is_empty()) {
        return Ok((url.to_owned(), certificates));
    }
    let service = config
        .service
        .as_ref()
        .ok_or("it has neither a url nor a service")?;
    let namespace = if service.namespace.is_empty() {
        "default"
    } else {
        &service.namespace
    };
    let (scheme, port) = match certificates {
        Some(_) => ("https", TLS_PORT),
        None => ("http", PORT),
    };
    let port = service.port.unwrap_or(port);
    let path = service.path.trim_start_matches('/');
    let url = format!(
        "{scheme}://{}.{namespace}.svc.{domain}:{port}/{path}",
        service.name
    );
    Ok((url, certificates))
}

/// Asks an interceptor about an event.
pub async fn ask(endpoint: &Endpoint, event: &Seen, params: &[InterceptorParam], trigger: &str) -> Verdict {
    let question = Question {
        body: String::from_utf8_lossy(&event.raw),
        header: event.header_lists(),
        extensions: &event.extensions,
        interceptor_params: params
            .iter()
            .map(|param| (param.name.as_str(), &param.value))
            .collect(),
        context: Place {
            event_url: &event.url,
            event_id: &event.id,
            trigger_id: trigger,
        },
    };
    let body = match serde_json::to_vec(&question) {
        Ok(body) => Bytes::from(body),
        Err(error) => return Verdict::Fail(format!("it cannot be asked: {error}")),
    };
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let sent = endpoint.send(
        Some(LIMIT),
        || (headers.clone(), body.clone()),
        |_, _, _| Want::Whole(LARGEST),
    );
    match sent.await {
        Ok(answer) if answer.status != StatusCode::OK => refused(answer.status),
        Ok(answer) => match answer.broken {
            Some(broken) => cut(&broken),
            None => judge(&answer.body),
        },
        Err(error) => silent(&error),
    }
}

/// No answer came. One that takes too long is not waited for again: it would take the time of all others.
fn silent(error: &SendError) -> Verdict {
    let problem = format!("it does not answer: {error}");
    match error {
        SendError::Resolve(_)
        | SendError::Connect(_)
        | SendError::ConnectTimeout(_)
        | SendError::Http(_)
        | SendError::Closed => Verdict::Away(problem),
        SendError::Refused { .. } | SendError::TimedOut(_) | SendError::Credential(_) => {
            Verdict::Fail(problem)
        }
    }
}

/// The answer did not come in full. Only a connection that broke off may be better the next time.
fn cut(broken: &BrokenBody) -> Verdict {
    let problem = broken.to_string();
    match broken {
        BrokenBody::BrokeOff => Verdict::Away(problem),
        BrokenBody::TooLarge(_) | BrokenBody::TimedOut => Verdict::Fail(problem),
    }
}

/// The answer is none.
fn refused(status: StatusCode) -> Verdict {
    let problem = format!("it answered with {status}");
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        Verdict::Away(problem)
    } else {
        Verdict::Fail(problem)
    }
}

fn judge(body: &[u8]) -> Verdict {
    match serde_json::from_slice::<Answer>(body) {
        Ok(answer) if answer.goes_on => Verdict::Continue(answer.extensions.unwrap_or_default()),
        Ok(answer) => Verdict::Stop(match answer.status.message {
            message if message.is_empty() => format!("it stopped the event (code {})", answer.status.code),
            message => message,
        }),
        Err(error) => Verdict::Fail(format!("its answer cannot be read: {error}")),
    }
}

/// Where an interceptor of the old protocol is.
///
/// # Errors
/// If it does not say.
pub fn old_address(webhook: &WebhookInterceptor, namespace: &str, domain: &str) -> Result<String, String> {
    if let Some(url) = webhook.url.as_deref().filter(|url| !url.is_empty()) {
        return Ok(url.to_owned());
    }
    let service = webhook
        .object_ref
        .as_ref()
        .ok_or("it has neither a url nor an objectRef")?;
    let namespace = if service.namespace.is_empty() {
        namespace
    } else {
        &service.namespace
    };
    Ok(format!("http://{}.{namespace}.svc.{domain}/", service.name))
}

/// Asks one of the old protocol: what it answers is the event from then on.
pub async fn ask_old(client: &Client, url: &str, webhook: &WebhookInterceptor, event: &mut Seen) -> Verdict {
    let endpoint = match client.endpoint(url, None) {
        Ok(endpoint) => endpoint,
        Err(error) => return Verdict::Fail(error.to_string()),
    };
    let headers = match old_headers(webhook, event) {
        Ok(headers) => headers,
        Err(problem) => return Verdict::Fail(problem),
    };
    let body = old_body(event);
    let sent = endpoint.send(
        Some(OLD_LIMIT),
        || (headers.clone(), body.clone()),
        |_, _, _| Want::Whole(LARGEST),
    );
    let answer = match sent.await {
        Ok(answer) => answer,
        Err(error) => return silent(&error),
    };
    if !(answer.status == StatusCode::OK || answer.status == StatusCode::ACCEPTED) {
        return refused(answer.status);
    }
    if let Some(broken) = answer.broken {
        return cut(&broken);
    }
    event.headers = answer.headers;
    event.body = serde_json::from_slice(&answer.body).unwrap_or_default();
    event.raw = answer.body;
    Verdict::go()
}

fn old_headers(webhook: &WebhookInterceptor, event: &Seen) -> Result<HeaderMap, String> {
    let mut headers = event.headers.clone();
    // Those of the request that came, which this one is not.
    for name in [CONTENT_LENGTH, HOST, TRANSFER_ENCODING, http::header::CONNECTION] {
        headers.remove(name);
    }
    if let Ok(url) = HeaderValue::from_str(&event.url) {
        headers.insert("eventlistener-request-url", url);
    }
    for header in &webhook.header {
        let bad = || format!("its header {:?} cannot be sent", header.name);
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| bad())?;
        headers.remove(&name);
        let values = match &header.value {
            crds::tekton::ParamValue::String(value) => std::slice::from_ref(value),
            crds::tekton::ParamValue::Array(values) => values.as_slice(),
            crds::tekton::ParamValue::Object(_) => return Err(bad()),
        };
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).map_err(|_| bad())?);
        }
    }
    Ok(headers)
}

/// The body, with the extensions in it if there are any.
fn old_body(event: &Seen) -> Bytes {
    match &event.body {
        Value::Object(fields) if !event.extensions.is_empty() => {
            let mut fields = fields.clone();
            fields.insert("extensions".to_owned(), Value::Object(event.extensions.clone()));
            Bytes::from(Value::Object(fields).to_string())
        }
        _ => event.raw.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn interceptors_are_found() {
        let config = |json: Value| -> ClientConfig { serde_json::from_value(json).unwrap() };
        let pem = STANDARD.encode("pem");
        for (given, expected) in [
            (json!({"url": "https://x/y"}), Ok(("https://x/y", false))),
            (
                json!({"service": {"name": "s", "namespace": "n", "path": "/p"}}),
                Ok(("http://s.n.svc.d:80/p", false)),
            ),
            (
                json!({"service": {"name": "s"}, "caBundle": pem}),
                Ok(("https://s.default.svc.d:8443/", true)),
            ),
            (
                json!({"service": {"name": "s", "port": 9}}),
                Ok(("http://s.default.svc.d:9/", false)),
            ),
            (json!({}), Err("neither")),
            (json!({"url": "http://x", "caBundle": "?"}), Err("no base64")),
        ] {
            match (address(&config(given.clone()), "d"), expected) {
                (Ok((url, pem)), Ok((expected, secure))) => {
                    assert_eq!((url.as_str(), pem.is_some()), (expected, secure), "{given}");
                }
                (Err(problem), Err(words)) => assert!(problem.contains(words), "{problem}"),
                (found, _) => panic!("{given}: {found:?}"),
            }
        }
    }

    #[test]
    fn who_is_away_is_asked_again_and_who_refuses_is_not() {
        for (status, again) in [
            (500, true),
            (503, true),
            (429, true),
            (400, false),
            (404, false),
            (202, false),
        ] {
            let verdict = refused(StatusCode::from_u16(status).unwrap());
            assert_eq!(matches!(verdict, Verdict::Away(_)), again, "{status}");
        }
        let away = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let second = Duration::from_secs(1);
        for (error, again) in [
            (SendError::Connect(away()), true),
            (SendError::Resolve(away()), true),
            (SendError::Closed, true),
            (SendError::ConnectTimeout(second), true),
            (SendError::TimedOut(second), false),
            (SendError::Credential(String::new()), false),
        ] {
            assert_eq!(matches!(silent(&error), Verdict::Away(_)), again, "{error}");
        }
        for (broken, again) in [
            (BrokenBody::BrokeOff, true),
            (BrokenBody::TimedOut, false),
            (BrokenBody::TooLarge(LARGEST), false),
        ] {
            assert_eq!(matches!(cut(&broken), Verdict::Away(_)), again, "{broken}");
        }
    }

    #[test]
    fn answers_go_on_or_stop() {
        let extensions = json!({"a": {"b": 1}});
        let body = json!({"continue": true, "extensions": extensions}).to_string();
        assert_eq!(
            judge(body.as_bytes()),
            Verdict::Continue(extensions.as_object().unwrap().clone())
        );
        assert_eq!(judge(br#"{"continue": true, "extensions": null}"#), Verdict::go());
        let stopped = judge(br#"{"continue": false, "status": {"code": 9, "message": "no"}}"#);
        assert_eq!(stopped, Verdict::Stop("no".to_owned()));
        assert!(matches!(judge(b"x"), Verdict::Fail(_)));
    }
}
