//! `kn event tail`

use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::Value;

use super::operator::BrokerArgs;
use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::table;

/// Shows the events that a broker stores, and what becomes of them, until interrupted.
///
/// Below each event is told which triggers took it, what their subscribers answered, what is tried again, and what ends
/// among the dead letters. Of what happened before, only the events are shown. Where several data planes share the work
/// of one broker, the one that answers tells of its own deliveries.
///
/// Needs the right to make a token of the ServiceAccount `default` in the broker's namespace.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn event tail broker:default\n  kn event tail default --from earliest --no-follow -o json\n  kn event tail default --limit 10 -o jsonpath='{.event.type}{\"\\n\"}'"
)]
pub struct Tail {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Where to begin: latest, earliest, or a position
    #[arg(long, value_name = "PLACE", default_value = "latest", value_parser = place)]
    from: String,
    /// End with the last event there is
    #[arg(long)]
    no_follow: bool,
    /// Tell also which triggers did not want an event
    #[arg(long, conflicts_with = "no_follow")]
    filtered: bool,
    /// Most events to show
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    #[command(flatten)]
    form: OutputArgs,
}

fn place(text: &str) -> Result<String, String> {
    match text {
        "latest" | "earliest" => Ok(text.to_owned()),
        _ if text.parse::<u64>().is_ok() => Ok(text.to_owned()),
        _ => Err("expected latest, earliest, or a position, which is a number".to_owned()),
    }
}

impl Tail {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let limit = self
            .limit
            .map(|limit| format!("&limit={limit}"))
            .unwrap_or_default();
        let filtered = if self.filtered { "&filtered=true" } else { "" };
        let verb = format!(
            "tail?from={}&follow={}{filtered}{limit}",
            self.from, !self.no_follow
        );
        let mut lines = self.broker.ask(context, Method::GET, &verb).await?;
        while let Some(line) = lines.next().await? {
            if !self.form.print(&line, output)? {
                output.line(shown(&line))?;
            }
            if output.is_closed() {
                break;
            }
        }
        Ok(Exit::Success)
    }
}

fn shown(line: &Value) -> String {
    if let Some(missed) = line["missed"].as_u64() {
        return format!("    (too fast to show: {missed} answers are left out)");
    }
    match line.get("event") {
        Some(_) => row(line),
        None => outcome(line),
    }
}

/// What became of an event at one trigger. The position comes first, as other events may have come between.
fn outcome(line: &Value) -> String {
    let number = |name: &str| {
        line[name]
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
    };
    let took = number("seconds").map(|took| format!(" in {}", brief(took)));
    let code = line["code"].as_u64();
    let answer = code.map_or("no answer".to_owned(), |code| format!("answered {code}"));
    let answer = format!("{answer}{}", took.unwrap_or_default());
    let to = match text(line, "/destination") {
        to if to.is_empty() => "the subscriber".to_owned(),
        to => to,
    };
    let reason = match table::one_line(text(line, "/reason").trim()) {
        reason if reason.is_empty() => reason,
        reason => format!(": {reason}"),
    };
    let attempt = line["attempt"].as_u64().unwrap_or(1);
    let reply = match (&line["reply"]["stored"], line["reply"].as_str()) {
        (Value::Number(position), _) => format!("; its reply is event {position}"),
        (_, Some("no-rounds-left")) => {
            "; its reply is dropped, as it went round too often (knativebrokerttl)".to_owned()
        }
        _ => String::new(),
    };
    let what = match text(line, "/outcome").as_str() {
        "filtered" => "not wanted by its filter".to_owned(),
        "delivered" => format!("delivered to {to}, {answer}{reply}"),
        "replied" => format!("delivered to {to}, {answer}; its reply goes on"),
        "retry" => {
            let wait = brief(number("wait").unwrap_or_default());
            format!("{to} failed, {answer}, attempt {attempt}, again after {wait}{reason}")
        }
        "failed" => format!("{to} failed for good, {answer}, attempt {attempt}{reason}"),
        "dead-lettered" => format!("dead letter sink {to} took it, {answer}"),
        "kept" => "kept as a dead letter".to_owned(),
        "expired" => "removed before it could be delivered".to_owned(),
        other => other.to_owned(),
    };
    format!("    {}  {}: {what}", line["position"], text(line, "/trigger"))
}

fn brief(time: Duration) -> String {
    match time.as_millis() {
        0 => format!("{} µs", time.as_micros()),
        millis @ 1..1000 => format!("{millis} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}

/// When, what, and from where, on one line.
fn row(line: &Value) -> String {
    let event = &line["event"];
    let only = match text(line, "/only") {
        only if only.is_empty() => only,
        only => format!("  (again, to {only} only)"),
    };
    let data = match (&event["data"], &event["data_base64"]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, bytes) => format!("  base64:{}", bytes.as_str().unwrap_or_default()),
        (data, _) => format!("  {data}"),
    };
    format!(
        "{}  {}  {}  {}  {}{data}{only}",
        text(line, "/time"),
        line["position"],
        text(event, "/type"),
        text(event, "/source"),
        text(event, "/id")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line() {
        let line = |extra: Value| {
            let mut line = json!({ "position": 3, "time": "2026-01-01T00:00:00Z", "event": { "type": "t", "source": "/s", "id": "7", "data": { "a": "b\nc" } } });
            json_patch::merge(&mut line, &extra);
            row(&line)
        };
        assert_eq!(
            line(json!({})),
            "2026-01-01T00:00:00Z  3  t  /s  7  {\"a\":\"b\\nc\"}"
        );
        assert!(
            line(json!({ "only": "d/x", "event": { "data": null, "data_base64": "AA==" } }))
                .ends_with("7  base64:AA==  (again, to d/x only)")
        );
        assert!(place("earliest").is_ok() && place("12").is_ok() && place("first").is_err());
    }

    #[test]
    fn what_became_of_an_event_is_one_line_for_each_trigger() {
        for (line, expected) in [
            (
                json!({ "position": 3, "trigger": "hello", "outcome": "delivered", "attempt": 1, "destination": "http://a/",
                    "code": 200, "seconds": 0.0123, "reply": { "stored": 4 } }),
                "    3  hello: delivered to http://a/, answered 200 in 12 ms; its reply is event 4",
            ),
            (
                json!({ "position": 3, "trigger": "hello", "outcome": "delivered", "attempt": 1, "destination": "http://a/",
                    "code": 200, "seconds": 0.0001, "reply": "no-rounds-left" }),
                "    3  hello: delivered to http://a/, answered 200 in 100 µs; its reply is dropped, as it went round too often (knativebrokerttl)",
            ),
            (
                json!({ "position": 3, "trigger": "hello", "outcome": "retry", "attempt": 2, "destination": "http://a/",
                    "code": 503, "seconds": 1.5, "wait": 0.4, "reason": "not\nnow" }),
                "    3  hello: http://a/ failed, answered 503 in 1.5 s, attempt 2, again after 400 ms: not now",
            ),
            (
                json!({ "position": 3, "trigger": "hello", "outcome": "failed", "attempt": 1, "destination": "",
                    "seconds": 0.001, "reason": "the subscriber is not resolved" }),
                "    3  hello: the subscriber failed for good, no answer in 1 ms, attempt 1: the subscriber is not resolved",
            ),
            (
                json!({ "position": 3, "trigger": "hello", "outcome": "filtered" }),
                "    3  hello: not wanted by its filter",
            ),
            (
                json!({ "missed": 7 }),
                "    (too fast to show: 7 answers are left out)",
            ),
        ] {
            assert_eq!(shown(&line), expected);
        }
    }
}
