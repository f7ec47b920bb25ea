//! `kn event tail`

use clap::Args;
use http::Method;
use serde_json::Value;

use super::operator::BrokerArgs;
use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};

/// Shows the events that a broker stores, until interrupted.
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
        let verb = format!("tail?from={}&follow={}{limit}", self.from, !self.no_follow);
        let mut lines = self.broker.ask(context, Method::GET, &verb).await?;
        while let Some(line) = lines.next().await? {
            if !self.form.print(&line, output)? {
                output.line(row(&line))?;
            }
            if output.is_closed() {
                break;
            }
        }
        Ok(Exit::Success)
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
}
