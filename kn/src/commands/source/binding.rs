//! `kn source binding`: workloads are told where to send events.

use clap::Args;
use serde_json::{Value, json};

use super::apiserver::{labels_of, labels_shown};
use super::verbs::SourceFlags;
use crate::commands::list::text;
use crate::describe;
use crate::error::CliError;
use crate::kind::Kind;

#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// The workloads: KIND:APIVERSION:NAME or KIND:APIVERSION:LABEL=VALUE,…, such as Deployment:apps/v1:web
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
}

impl SourceFlags for Flags {
    const KIND: Kind = Kind::SinkBinding;
    const EXAMPLE: &str = "--subject Deployment:apps/v1:web";
    const CHANGE: &str = "--subject Job:batch/v1:app=heartbeat";
    const HEADER: &str = "SUBJECT";

    fn missing(&self) -> Vec<&'static str> {
        match self.subject {
            None => vec!["subject"],
            Some(_) => Vec::new(),
        }
    }

    fn apply(&self, spec: &mut Value, namespace: &str) -> Result<(), CliError> {
        if let Some(text) = &self.subject {
            spec["subject"] = subject(text, namespace)?;
        }
        Ok(())
    }

    fn cell(source: &Value) -> String {
        let subject = &source["spec"]["subject"];
        let last = match text(subject, "/name") {
            name if name.is_empty() => labels_shown(&subject["selector"]["matchLabels"]),
            name => name,
        };
        format!(
            "{}:{}:{last}",
            text(subject, "/kind"),
            text(subject, "/apiVersion")
        )
    }

    fn head(_: &Value) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn blocks(source: &Value, _: bool) -> [(&'static str, String); 2] {
        let subject = &source["spec"]["subject"];
        let namespace =
            Some(text(subject, "/namespace")).filter(|own| *own != text(source, "/metadata/namespace"));
        let mut rows = vec![
            ("Namespace", namespace.unwrap_or_default()),
            ("Name", text(subject, "/name")),
            (
                "Resource",
                format!("{} ({})", text(subject, "/kind"), text(subject, "/apiVersion")),
            ),
            ("Selector", labels_shown(&subject["selector"]["matchLabels"])),
        ];
        rows.retain(|(_, value)| !value.is_empty());
        [("Subject", describe::block(&rows)), ("", String::new())]
    }
}

fn subject(text: &str, namespace: &str) -> Result<Value, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "--subject {text}: expected KIND:APIVERSION:NAME or KIND:APIVERSION:LABEL=VALUE,LABEL=VALUE"
        ))
    };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        parts if parts.contains(&"") => Err(wrong()),
        [kind, api_version, last] => {
            let mut subject = json!({ "apiVersion": api_version, "kind": kind, "namespace": namespace });
            match last.contains('=') {
                true => subject["selector"] = json!({ "matchLabels": labels_of(last).ok_or_else(wrong)? }),
                false => subject["name"] = json!(last),
            }
            Ok(subject)
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_a_name_or_labels() {
        for (text, expected) in [
            (
                "Deployment:apps/v1:web",
                json!({ "apiVersion": "apps/v1", "kind": "Deployment", "namespace": "d", "name": "web" }),
            ),
            (
                "Job:batch/v1:app=a,b=c",
                json!({ "apiVersion": "batch/v1", "kind": "Job", "namespace": "d", "selector": { "matchLabels": { "app": "a", "b": "c" } } }),
            ),
        ] {
            let subject = subject(text, "d").unwrap();
            assert_eq!(subject, expected);
            assert_eq!(Flags::cell(&json!({ "spec": { "subject": subject } })), text);
        }
        for wrong in [
            "Deployment",
            "Deployment:apps/v1",
            "Deployment:apps/v1:",
            "a:b:c:d",
            "a:b:=c",
        ] {
            assert!(
                subject(wrong, "d").unwrap_err().message.contains("--subject"),
                "{wrong}"
            );
        }
    }
}
