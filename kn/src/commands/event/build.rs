//! `kn event build`

use clap::Args;
use event::{Event, Mode};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::make::EventArgs;
use crate::describe;
use crate::error::{CliError, Exit};
use crate::output::{Output, OutputArgs};

/// Shows an event without sending it.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  kn event build --field person.name=Ada --field person.age=36 --type com.example.hired\n  kn event build --field a=1 -o json | curl -H 'content-type: application/cloudevents+json' -d @- URL"
)]
pub struct Build {
    #[command(flatten)]
    event: EventArgs,
    #[command(flatten)]
    form: OutputArgs,
}

impl Build {
    pub fn run(&self, output: &mut Output) -> Result<Exit, CliError> {
        let event = self.event.event(Uuid::new_v4, Timestamp::now())?;
        let view = view(&event);
        let human = self.form.output.as_deref() == Some("human");
        if human || !self.form.print(&view, output)? {
            output.line(render(&view))?;
        }
        Ok(Exit::Success)
    }
}

/// The event as one JSON object.
pub fn view(event: &Event) -> Value {
    let (_, body) = event::http::write(event, Mode::Structured);
    serde_json::from_slice(&body).unwrap_or_default()
}

/// The event for people: its attributes, then its data.
pub fn render(view: &Value) -> String {
    let attributes = view
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| *name != "data");
    let rows: Vec<(&str, String)> = attributes
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.as_str(), text)
        })
        .collect();
    format!("{}\n\ndata:\n{:#}", describe::block(&rows), view["data"])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_come_before_data() {
        let text = render(&json!({ "data": { "a": 1 }, "id": "7", "type": "t" }));
        assert_eq!(text, "id:    7\ntype:  t\n\ndata:\n{\n  \"a\": 1\n}");
    }
}
