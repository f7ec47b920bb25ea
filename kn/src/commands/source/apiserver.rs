//! `kn source apiserver`: the changes of objects in the cluster.

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::verbs::SourceFlags;
use crate::change::json::{array, at, set_text};
use crate::commands::list::text;
use crate::error::CliError;
use crate::kind::Kind;

#[derive(Args, Clone, Debug, Default)]
pub struct Flags {
    /// Objects to watch: KIND:APIVERSION or KIND:APIVERSION:LABEL=VALUE,…, such as Deployment:apps/v1:app=web; with - behind it, it is removed; may be repeated
    #[arg(long, value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Service account that may watch them
    #[arg(long, value_name = "NAME")]
    service_account: Option<String>,
    /// What events hold: Reference, which names the object, or Resource, the object itself
    #[arg(long, value_name = "MODE", ignore_case = true, hide_possible_values = true)]
    mode: Option<Mode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Reference,
    Resource,
}

impl SourceFlags for Flags {
    const KIND: Kind = Kind::ApiServerSource;
    const EXAMPLE: &str =
        "--resource Event:v1 --resource Deployment:apps/v1:app=web --mode Resource --service-account watcher";
    const CHANGE: &str = "--resource Event:v1-";
    const HEADER: &str = "RESOURCES";

    fn missing(&self) -> Vec<&'static str> {
        match self.resource.is_empty() {
            true => vec!["resource"],
            false => Vec::new(),
        }
    }

    fn apply(&self, spec: &mut Value, _: &str) -> Result<(), CliError> {
        if let Some(account) = &self.service_account {
            set_text(spec, "serviceAccountName", account);
        }
        match self.mode {
            None => {}
            Some(Mode::Reference) => set_text(spec, "mode", "Reference"),
            Some(Mode::Resource) => set_text(spec, "mode", "Resource"),
        }
        let mut removed = Vec::new();
        for flag in &self.resource {
            if let Some(flag) = flag.strip_suffix('-') {
                removed.push(resource(flag)?);
                continue;
            }
            let wanted = resource(flag)?;
            let list = array(at(spec, &["resources"]));
            if !list.contains(&wanted) {
                list.push(wanted);
            }
        }
        if !removed.is_empty() {
            let same = |a: &Value, b: &Value| {
                a["apiVersion"] == b["apiVersion"]
                    && a["kind"] == b["kind"]
                    && (b.get("selector").is_none() || a.get("selector") == b.get("selector"))
            };
            array(at(spec, &["resources"])).retain(|present| !removed.iter().any(|gone| same(present, gone)));
        }
        Ok(())
    }

    fn cell(source: &Value) -> String {
        resources(source)
            .iter()
            .map(|(_, short)| short.clone())
            .collect::<Vec<_>>()
            .join(",")
    }

    fn head(source: &Value) -> Vec<(&'static str, String)> {
        vec![
            ("ServiceAccountName", text(source, "/spec/serviceAccountName")),
            ("EventMode", text(source, "/spec/mode")),
        ]
    }

    fn blocks(source: &Value, _: bool) -> [(&'static str, String); 2] {
        let lines: Vec<String> = resources(source).into_iter().map(|(long, _)| long).collect();
        [("", String::new()), ("Resources", lines.join("\n"))]
    }
}

/// `KIND:APIVERSION[:LABEL=VALUE,…]`
fn resource(text: &str) -> Result<Value, CliError> {
    let wrong = || {
        CliError::usage(format!(
            "--resource {text}: expected KIND:APIVERSION or KIND:APIVERSION:LABEL=VALUE,LABEL=VALUE"
        ))
    };
    match text.split(':').collect::<Vec<_>>().as_slice() {
        parts if parts.contains(&"") => Err(wrong()),
        // Kinds begin with a capital letter, versions do not: the commonest mistake is to put them the other way round.
        [version, kind, ..] if !version.starts_with(char::is_uppercase) => Err(CliError::usage(format!(
            "--resource {text}: the kind comes first, and then its version: {kind}:{version}"
        ))),
        [kind, api_version] => Ok(json!({ "apiVersion": api_version, "kind": kind })),
        [kind, api_version, labels] => {
            let labels = labels_of(labels).ok_or_else(wrong)?;
            Ok(json!({ "apiVersion": api_version, "kind": kind, "selector": { "matchLabels": labels } }))
        }
        _ => Err(wrong()),
    }
}

/// `LABEL=VALUE,…` as an object.
pub fn labels_of(text: &str) -> Option<Value> {
    let mut labels = serde_json::Map::new();
    for pair in text.split(',') {
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.is_empty())?;
        labels.insert(key.to_owned(), json!(value));
    }
    Some(Value::Object(labels))
}

/// `a=1,b=2`, of an object.
pub fn labels_shown(labels: &Value) -> String {
    let pair = |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
    labels
        .as_object()
        .into_iter()
        .flatten()
        .map(pair)
        .collect::<Vec<_>>()
        .join(",")
}

/// Each resource at length, and as it is typed.
fn resources(source: &Value) -> Vec<(String, String)> {
    let shown = |resource: &Value| {
        let (kind, api_version) = (text(resource, "/kind"), text(resource, "/apiVersion"));
        match labels_shown(&resource["selector"]["matchLabels"]) {
            labels if labels.is_empty() => {
                (format!("{kind} ({api_version})"), format!("{kind}:{api_version}"))
            }
            labels => (
                format!("{kind} ({api_version})  Selector: {labels}"),
                format!("{kind}:{api_version}:{labels}"),
            ),
        }
    };
    source["spec"]["resources"]
        .as_array()
        .into_iter()
        .flatten()
        .map(shown)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_added_and_removed() {
        let flags = |words: &[&str]| Flags {
            resource: words.iter().map(|word| (*word).to_owned()).collect(),
            mode: Some(Mode::Resource),
            ..Flags::default()
        };
        let mut spec = json!({});
        flags(&["Event:v1", "Deployment:apps/v1:app=web,tier=x", "Event:v1"])
            .apply(&mut spec, "d")
            .unwrap();
        assert_eq!(
            spec,
            json!({ "mode": "Resource", "resources": [{ "apiVersion": "v1", "kind": "Event" },
                { "apiVersion": "apps/v1", "kind": "Deployment", "selector": { "matchLabels": { "app": "web", "tier": "x" } } }] })
        );
        assert_eq!(
            Flags::cell(&json!({ "spec": spec })),
            "Event:v1,Deployment:apps/v1:app=web,tier=x"
        );
        flags(&["Event:v1-", "Pod:v1"]).apply(&mut spec, "d").unwrap();
        assert_eq!(
            Flags::cell(&json!({ "spec": spec })),
            "Deployment:apps/v1:app=web,tier=x,Pod:v1"
        );
        flags(&["Deployment:apps/v1-"]).apply(&mut spec, "d").unwrap();
        assert_eq!(Flags::cell(&json!({ "spec": spec })), "Pod:v1");
        for wrong in ["Event", "Event:v1:x", "Event:v1:a=b:c", ":v1", "-"] {
            let message = flags(&[wrong]).apply(&mut spec, "d").unwrap_err().message;
            assert!(message.contains("--resource"), "{wrong}");
        }
    }
}
