//! `kn event dead-letters`

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::operator::BrokerArgs;
use crate::commands::list::text;
use crate::context::Context;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};
use crate::table;

/// Most characters of a reason.
const REASON: usize = 80;

/// Lists the events that a broker could not deliver, and why.
///
/// Needs the right to make a token of the ServiceAccount `default` in the broker's namespace.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn event dead-letters broker:default\n  kn event dead-letters default --from 100 --limit 20 -o yaml\n  kn event replay default 3 4"
)]
pub struct DeadLetters {
    #[command(flatten)]
    broker: BrokerArgs,
    /// Position to begin at
    #[arg(long, value_name = "POSITION", default_value_t = 0)]
    from: u64,
    /// Most dead letters to show
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: u64,
    /// Leave out the column headers
    #[arg(long)]
    no_headers: bool,
    #[command(flatten)]
    form: OutputArgs,
}

impl DeadLetters {
    pub async fn run(&self, context: &Context, output: &mut Output) -> Result<Exit, CliError> {
        let verb = format!("dead-letters?from={}&limit={}", self.from, self.limit);
        let mut lines = self.broker.ask(context, Method::GET, &verb).await?;
        let mut letters = Vec::new();
        while let Some(letter) = lines.next().await? {
            letters.push(letter);
        }
        let list = json!({ "apiVersion": "client.spindrift.dev/v1alpha1", "kind": "DeadLetterList", "metadata": {}, "items": letters });
        if self.form.print(&list, output)? {
            return Ok(Exit::Success);
        }
        if letters.is_empty() {
            output.line("No dead letters found.")?;
            return Ok(Exit::Success);
        }
        let headers = ["POSITION", "GIVEN UP", "TRIGGER", "TYPE", "ID", "CODE", "REASON"];
        let rows: Vec<Vec<String>> = letters.iter().map(row).collect();
        output.line(table::render(&headers, &rows, !self.no_headers))?;
        Ok(Exit::Success)
    }
}

fn row(letter: &Value) -> Vec<String> {
    let (failure, event) = (&letter["failure"], &letter["event"]);
    let reason = [text(failure, "/data"), text(failure, "/sinkError")];
    let reason: Vec<&str> = reason
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .collect();
    vec![
        letter["position"].to_string(),
        text(failure, "/time"),
        text(failure, "/consumer"),
        text(event, "/type"),
        text(event, "/id"),
        failure["code"]
            .as_u64()
            .map(|code| code.to_string())
            .unwrap_or_default(),
        cut(&table::one_line(&reason.join("; "))),
    ]
}

fn cut(reason: &str) -> String {
    match reason.chars().count() > REASON {
        true => reason.chars().take(REASON - 3).chain("...".chars()).collect(),
        false => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_says_who_failed_and_why() {
        let letter = json!({ "position": 3, "failure": { "consumer": "broken", "code": 500, "data": "no\nroute", "sinkError": "gone", "time": "T" },
            "event": { "type": "t", "id": "7" } });
        assert_eq!(
            row(&letter),
            ["3", "T", "broken", "t", "7", "500", "no route; gone"]
        );
        assert_eq!(cut(&"x".repeat(100)).len(), REASON);
    }
}
