//! An event out of flags.

use bytes::Bytes;
use clap::Args;
use event::{DataKind, Event, Mode};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::change::pairs;
use crate::error::CliError;

/// Type of events that have been given none.
const TYPE: &str = "dev.knative.cli.plugin.event.generic";
/// Attributes that have flags of their own, or that this program sets.
const RESERVED: [&str; 7] = [
    "id",
    "source",
    "type",
    "specversion",
    "time",
    "datacontenttype",
    "data",
];

/// Flags of what an event holds.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Event")]
pub struct EventArgs {
    /// Type of the event
    #[arg(short, long = "type", value_name = "TYPE", default_value = TYPE)]
    type_: String,
    /// Id of the event [default: a random one]
    #[arg(short, long, value_name = "ID")]
    id: Option<String>,
    /// Source of the event, a URI [default: kn-event/VERSION]
    #[arg(short, long, value_name = "URI")]
    source: Option<String>,
    /// Field of the data, such as person.age=18; numbers, true and false are kept as such; may be repeated
    #[arg(short, long, value_name = "PATH=VALUE")]
    field: Vec<String>,
    /// Field of the data whose value is text, whatever it looks like; may be repeated
    #[arg(long, value_name = "PATH=TEXT")]
    raw_field: Vec<String>,
    /// Further attribute of the event, such as subject=a; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    attribute: Vec<String>,
}

impl EventArgs {
    /// The event, with `id` if the flags have none.
    ///
    /// # Errors
    /// Names the flag that is wrong.
    pub fn event(&self, id: impl FnOnce() -> Uuid, now: Timestamp) -> Result<Event, CliError> {
        let id = match self.id.as_deref() {
            None => id().to_string(),
            Some(id) => id.to_owned(),
        };
        let source = self
            .source
            .clone()
            .unwrap_or_else(|| format!("kn-event/{}", env!("CARGO_PKG_VERSION")));
        for (flag, value) in [("id", &id), ("source", &source), ("type", &self.type_)] {
            if value.is_empty() {
                return Err(CliError::usage(format!("--{flag} must not be empty")));
            }
        }
        let mut event = Event::new(id, source, self.type_.as_str());
        event.mode = Mode::Structured;
        event.set_extension("time", now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        for (name, value) in pairs::parse("attribute", &self.attribute, false)?.set {
            let plain = name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
            if !plain || RESERVED.contains(&name.as_str()) {
                return Err(CliError::usage(format!(
                    "--attribute {name}: expected a name of lower-case letters and digits that is none of {}",
                    RESERVED.join(", ")
                )));
            }
            event.set_extension(name, value);
        }
        event.set_extension("datacontenttype", "application/json");
        event.data = Some(Bytes::from(self.data()?.to_string()));
        event.data_kind = DataKind::Json;
        Ok(event)
    }

    fn data(&self) -> Result<Value, CliError> {
        let mut data = Map::new();
        for (flag, texts, typed) in [
            ("field", &self.field, true),
            ("raw-field", &self.raw_field, false),
        ] {
            for text in texts {
                let (path, value) = text
                    .split_once('=')
                    .filter(|(path, _)| path.split('.').all(|step| !step.is_empty()))
                    .ok_or_else(|| {
                        CliError::usage(format!(
                            "--{flag} {text}: expected PATH=VALUE, such as person.name=Ada"
                        ))
                    })?;
                let value = if typed { guess(value) } else { json!(value) };
                set(&mut data, path, value).ok_or_else(|| {
                    CliError::usage(format!(
                        "--{flag} {text}: another field has a value where this one goes through"
                    ))
                })?;
            }
        }
        Ok(Value::Object(data))
    }
}

/// Numbers, true and false as what they are, all else as text.
fn guess(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Bool(_) | Value::Number(_))) => value,
        _ => json!(text),
    }
}

/// Sets the field at a path of names; `None` if something else than an object is on the way.
fn set(fields: &mut Map<String, Value>, path: &str, value: Value) -> Option<()> {
    match path.split_once('.') {
        None if fields.get(path).is_some_and(Value::is_object) => None,
        None => {
            fields.insert(path.to_owned(), value);
            Some(())
        }
        Some((step, rest)) => {
            let below = fields.entry(step.to_owned()).or_insert_with(|| json!({}));
            set(below.as_object_mut()?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> EventArgs {
        EventArgs {
            type_: TYPE.to_owned(),
            ..EventArgs::default()
        }
    }

    #[test]
    fn fields_become_data() {
        let flags = EventArgs {
            field: [
                "person.name=Ada",
                "person.age=36",
                "ok=true",
                "x=1e3",
                "empty=",
                "eq=a=b",
                "list=[1]",
            ]
            .map(str::to_owned)
            .to_vec(),
            raw_field: vec!["person.zip=0123".into(), "n=5".into()],
            attribute: vec!["subject=s".into()],
            id: Some("7".into()),
            ..args()
        };
        let event = flags.event(Uuid::nil, Timestamp::UNIX_EPOCH).unwrap();
        let data: Value = serde_json::from_slice(&event.data.clone().unwrap()).unwrap();
        assert_eq!(
            data,
            json!({ "person": { "name": "Ada", "age": 36, "zip": "0123" }, "ok": true, "x": 1e3, "empty": "", "eq": "a=b", "list": "[1]", "n": "5" })
        );
        let (headers, body) = event::http::write(&event, Mode::Structured);
        assert!(
            headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("application/cloudevents+json")
        );
        let whole: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(whole["id"], "7");
        assert_eq!(whole["subject"], "s");
        assert_eq!(whole["type"], TYPE);
        assert_eq!(whole["time"], "1970-01-01T00:00:00.000Z");
        assert_eq!(whole["data"]["person"]["age"], 36);
    }

    #[test]
    fn refusals_name_the_flag() {
        let with = |field: &[&str], attribute: &[&str], id: Option<&str>| EventArgs {
            field: field.iter().map(|text| (*text).to_owned()).collect(),
            attribute: attribute.iter().map(|text| (*text).to_owned()).collect(),
            id: id.map(str::to_owned),
            ..args()
        };
        for (flags, token) in [
            (with(&["a"], &[], None), "--field a"),
            (with(&[".a=1"], &[], None), "--field .a=1"),
            (with(&["a=1", "a.b=2"], &[], None), "--field a.b=2"),
            (with(&["a.b=2", "a=1"], &[], None), "--field a=1"),
            (with(&[], &["Sub=x"], None), "--attribute Sub"),
            (with(&[], &["id=x"], None), "--attribute id"),
            (with(&[], &[], Some("")), "--id"),
        ] {
            let message = flags.event(Uuid::nil, Timestamp::UNIX_EPOCH).unwrap_err().message;
            assert!(message.contains(token), "{message}");
        }
    }
}
