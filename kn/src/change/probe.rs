//! Probes.

use serde_json::{Value, json};

use super::json::{at, object};
use crate::error::CliError;

const HANDLERS: [&str; 4] = ["httpGet", "exec", "tcpSocket", "grpc"];
const OPTIONS: [&str; 5] = [
    "initialDelaySeconds",
    "periodSeconds",
    "timeoutSeconds",
    "successThreshold",
    "failureThreshold",
];

/// Applies `--probe-<name>` and `--probe-<name>-opts` to `field` of the container.
pub fn apply(
    container: &mut Value,
    field: &str,
    probe: Option<&str>,
    options: Option<&str>,
) -> Result<(), CliError> {
    if let Some(probe) = probe {
        let (handler, value) = handler(probe)?;
        let fields = object(at(container, &[field]));
        fields.retain(|name, _| !HANDLERS.contains(&name.as_str()));
        fields.insert(handler.to_owned(), value);
    }
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        let known = option.split_once('=').and_then(|(name, value)| {
            let name = OPTIONS
                .iter()
                .find(|known| known.eq_ignore_ascii_case(name.trim()))?;
            Some((*name, value.trim().parse::<i32>().ok()?))
        });
        let Some((name, value)) = known else {
            return Err(CliError::usage(format!(
                "probe option \"{option}\": expected NAME=NUMBER with a name out of InitialDelaySeconds, PeriodSeconds, TimeoutSeconds, SuccessThreshold, FailureThreshold"
            )));
        };
        object(at(container, &[field])).insert(name.to_owned(), json!(value));
    }
    Ok(())
}

fn handler(probe: &str) -> Result<(&'static str, Value), CliError> {
    let wrong = || {
        CliError::usage(format!(
            "probe \"{probe}\": expected http:HOST:PORT:PATH, https:HOST:PORT:PATH, exec:COMMAND,ARG or tcp:HOST:PORT"
        ))
    };
    let (kind, rest) = probe.split_once(':').ok_or_else(wrong)?;
    match kind {
        "http" | "https" => {
            let parts: Vec<&str> = rest.split(':').collect();
            let [host, port_text, path] = parts.as_slice() else {
                return Err(wrong());
            };
            let mut action = json!({ "port": port(port_text), "path": path });
            if !host.is_empty() {
                object(&mut action).insert("host".to_owned(), json!(host));
            }
            if kind == "https" {
                object(&mut action).insert("scheme".to_owned(), json!("HTTPS"));
            }
            Ok(("httpGet", action))
        }
        "exec" if !rest.is_empty() => Ok(("exec", json!({ "command": rest.split(',').collect::<Vec<_>>() }))),
        "tcp" => {
            let (host, port_text) = rest.split_once(':').ok_or_else(wrong)?;
            if port_text.is_empty() || port_text.contains(':') {
                return Err(wrong());
            }
            let mut action = json!({ "port": port(port_text) });
            if !host.is_empty() {
                object(&mut action).insert("host".to_owned(), json!(host));
            }
            Ok(("tcpSocket", action))
        }
        _ => Err(wrong()),
    }
}

/// A number, or a port's name.
fn port(text: &str) -> Value {
    text.parse::<u16>()
        .map_or_else(|_| json!(text), |port| json!(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_and_their_options() {
        let mut container = json!({ "readinessProbe": { "tcpSocket": { "port": 1 }, "periodSeconds": 3 } });
        let options = Some("initialdelayseconds=2,FailureThreshold=9");
        apply(&mut container, "readinessProbe", Some("https::8443:/up"), options).unwrap();
        assert_eq!(
            container["readinessProbe"],
            json!({ "httpGet": { "port": 8443, "path": "/up", "scheme": "HTTPS" }, "periodSeconds": 3,
                    "initialDelaySeconds": 2, "failureThreshold": 9 })
        );
        assert_eq!(
            handler("exec:cat,/x").unwrap().1,
            json!({ "command": ["cat", "/x"] })
        );
        assert_eq!(handler("tcp:h:80").unwrap().1, json!({ "port": 80, "host": "h" }));
        for wrong in ["http:80", "http:a:b:c:d", "tcp:80", "udp:x:1", "exec:", "x"] {
            assert!(handler(wrong).is_err(), "{wrong}");
        }
        assert!(apply(&mut container, "livenessProbe", None, Some("Period=1")).is_err());
    }
}
