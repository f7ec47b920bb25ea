//! `kn source ping`: events at given times.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::verbs::SourceFlags;
use crate::change::json::set_text;
use crate::commands::list::text;
use crate::error::CliError;
use crate::kind::Kind;

#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// When to send: five fields of cron, or six with seconds first [default of the platform: every minute]
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// Time zone of the schedule, such as Europe/Berlin
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,
    /// What to send
    #[arg(short, long, value_name = "DATA")]
    data: Option<String>,
    /// How the data is written here: text or base64 [default: base64 if it is such]
    #[arg(
        short,
        long,
        value_name = "ENCODING",
        hide_possible_values = true,
        requires = "data"
    )]
    encoding: Option<Encoding>,
    /// Media type of the data
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Text,
    Base64,
}

impl SourceFlags for Flags {
    const KIND: Kind = Kind::PingSource;
    const EXAMPLE: &str = "--schedule '*/2 * * * *' --data '{\"tick\":1}'";
    const CHANGE: &str = "--schedule '0 * * * *'";
    const HEADER: &str = "SCHEDULE";

    fn missing(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn apply(&self, spec: &mut Value, _: &str) -> Result<(), CliError> {
        for (field, value) in [
            ("schedule", &self.schedule),
            ("timezone", &self.timezone),
            ("contentType", &self.content_type),
        ] {
            if let Some(value) = value {
                set_text(spec, field, value);
            }
        }
        if let Some(data) = &self.data {
            let is_base64 = !data.is_empty() && STANDARD.decode(data).is_ok();
            let (field, other) = match self.encoding {
                Some(Encoding::Base64) if !is_base64 && !data.is_empty() => {
                    return Err(CliError::usage(format!("--data {data}: this is not base64")));
                }
                Some(Encoding::Base64) => ("dataBase64", "data"),
                None if is_base64 => ("dataBase64", "data"),
                _ => ("data", "dataBase64"),
            };
            set_text(spec, field, data);
            set_text(spec, other, "");
        }
        Ok(())
    }

    fn cell(source: &Value) -> String {
        text(source, "/spec/schedule")
    }

    fn head(source: &Value) -> Vec<(&'static str, String)> {
        vec![
            ("Schedule", text(source, "/spec/schedule")),
            ("Time Zone", text(source, "/spec/timezone")),
            ("Data", text(source, "/spec/data")),
            ("DataBase64", text(source, "/spec/dataBase64")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_is_text_or_base64() {
        for (data, encoding, expected) in [
            ("{\"a\":1}", None, json!({ "data": "{\"a\":1}" })),
            ("SGVsbG8=", None, json!({ "dataBase64": "SGVsbG8=" })),
            ("SGVsbG8=", Some(Encoding::Text), json!({ "data": "SGVsbG8=" })),
            (
                "SGVsbG8=",
                Some(Encoding::Base64),
                json!({ "dataBase64": "SGVsbG8=" }),
            ),
            ("", None, json!({})),
        ] {
            let flags = Flags {
                data: Some(data.to_owned()),
                encoding,
                ..Flags::default()
            };
            let mut spec = json!({ "data": "old", "dataBase64": "b2xk" });
            flags.apply(&mut spec, "d").unwrap();
            assert_eq!(spec, expected, "{data}");
        }
        let flags = Flags {
            data: Some("{}".into()),
            encoding: Some(Encoding::Base64),
            ..Flags::default()
        };
        assert!(
            flags
                .apply(&mut json!({}), "d")
                .unwrap_err()
                .message
                .contains("--data")
        );
    }
}
