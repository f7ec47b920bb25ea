//! Where events go to: `ksvc:web`, `broker:default`, `http://…` on the command line; a destination in an object.

mod resolve;

use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use serde_json::Value;

use crate::commands::list::text;
use crate::config_file::SinkMapping;
use crate::error::CliError;

pub use resolve::{Reference, object, resolve};

/// What every help text about sinks says.
pub const FORMS: &str = "ksvc:NAME, svc:NAME, broker:NAME, channel:NAME, GROUP/VERSION/PLURAL:NAME, a URL, or a prefix of the configuration file";

/// Prefixes that are built in, the usual one first: group, version and plural of what they mean.
const PREFIXES: [(&[&str], [&str; 3]); 4] = [
    (&["ksvc", "kservice"], ["serving.knative.dev", "v1", "services"]),
    (&["svc", "service"], ["", "v1", "services"]),
    (&["broker"], ["eventing.knative.dev", "v1", "brokers"]),
    (&["channel"], ["messaging.knative.dev", "v1", "channels"]),
];

/// A sink as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    Uri(String),
    Object {
        resource: Resource,
        name: String,
        /// Another namespace than that of the referrer.
        namespace: Option<String>,
    },
}

/// A resource of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub group: String,
    pub version: String,
    pub plural: String,
}

impl Resource {
    fn new([group, version, plural]: [&str; 3]) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// How it is reached. The kind is not known before an object of it has been read.
    pub fn api(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(&self.group, &self.version, "");
        ApiResource::from_gvk_with_plural(&kind, &self.plural)
    }
}

/// Reads the value of `flag`; `mappings` are the prefixes of the configuration file, which win over the built-in ones.
///
/// # Errors
/// Lists the prefixes there are.
pub fn parse(flag: &str, value: &str, mappings: &[SinkMapping]) -> Result<Sink, CliError> {
    if value.starts_with("http://") || value.starts_with("https://") {
        let uri: http::Uri = value
            .parse()
            .map_err(|error| CliError::usage(format!("--{flag} {value}: this is no URL: {error}")))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(CliError::usage(format!("--{flag} {value}: the URL lacks a host")));
        }
        return Ok(Sink::Uri(value.to_owned()));
    }
    let wrong = |why: &str| CliError::usage(format!("--{flag} {value}: {why}: expected {FORMS}"));
    let (prefix, name, namespace) = split(value).map_err(wrong)?;
    let Some(resource) = resource(prefix, mappings) else {
        let known = known(mappings);
        return Err(wrong(&format!(
            "there is no sink prefix '{prefix}', only {known}"
        )));
    };
    Ok(Sink::Object {
        resource,
        name: name.to_owned(),
        namespace: namespace.map(str::to_owned),
    })
}

/// Splits `NAME`, `PREFIX:NAME` or `PREFIX:NAME:NAMESPACE`; the prefix of a name alone is `ksvc`.
///
/// # Errors
/// What is wrong about it.
pub fn split(value: &str) -> Result<(&str, &str, Option<&str>), &'static str> {
    let (prefix, name, namespace) = match value.split(':').collect::<Vec<_>>().as_slice() {
        [name] => ("ksvc", *name, None),
        [prefix, name] => (*prefix, *name, None),
        [prefix, name, namespace] => (*prefix, *name, Some(*namespace)),
        _ => return Err("too many colons"),
    };
    if name.is_empty() || namespace == Some("") {
        return Err("a name is missing");
    }
    Ok((prefix, name, namespace))
}

fn resource(prefix: &str, mappings: &[SinkMapping]) -> Option<Resource> {
    if let Some(mapping) = mappings.iter().find(|mapping| mapping.prefix == prefix) {
        return Some(Resource::new([
            mapping.group(),
            &mapping.version,
            &mapping.resource,
        ]));
    }
    if let Some((_, path)) = PREFIXES.iter().find(|(names, _)| names.contains(&prefix)) {
        return Some(Resource::new(*path));
    }
    match prefix.split('/').collect::<Vec<_>>().as_slice() {
        [group, version, plural] if !version.is_empty() && !plural.is_empty() => {
            // People write the kind, as manifests do.
            let plural = plural.to_lowercase();
            let plural = if plural.ends_with('s') {
                plural
            } else {
                format!("{plural}s")
            };
            let group = if *group == "core" { "" } else { group };
            Some(Resource::new([group, version, &plural]))
        }
        _ => None,
    }
}

fn known(mappings: &[SinkMapping]) -> String {
    let built_in = PREFIXES.iter().flat_map(|(names, _)| names.iter().copied());
    let own = mappings.iter().map(|mapping| mapping.prefix.as_str());
    built_in.chain(own).collect::<Vec<_>>().join(", ")
}

/// How tables show a destination: `ksvc:n`, `resource.group/version:n` or the URI; the namespace if it is not `home`.
pub fn cell(destination: &Value, home: &str) -> String {
    let reference = &destination["ref"];
    if !reference.is_object() {
        return text(destination, "/uri");
    }
    let (name, namespace) = (text(reference, "/name"), text(reference, "/namespace"));
    let prefix = prefix(&text(reference, "/apiVersion"), &text(reference, "/kind"));
    match namespace.is_empty() || namespace == home {
        true => format!("{prefix}:{name}"),
        false => format!("{prefix}:{name}:{namespace}"),
    }
}

fn prefix(api_version: &str, kind: &str) -> String {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let plural = format!("{}s", kind.to_lowercase());
    let known = PREFIXES.iter().find(|(_, [g, _, p])| *g == group && *p == plural);
    match known.and_then(|(names, _)| names.first()) {
        Some(name) => (*name).to_owned(),
        None if group.is_empty() => format!("{plural}/{version}"),
        None => format!("{plural}.{group}/{version}"),
    }
}

/// The rows of a destination in a description; the namespace if it is not `home`.
pub fn rows(destination: &Value, home: &str) -> Vec<(&'static str, String)> {
    let reference = &destination["ref"];
    let mut rows = Vec::new();
    if reference.is_object() {
        let namespace = Some(text(reference, "/namespace")).filter(|namespace| namespace != home);
        rows.extend([
            ("Name", text(reference, "/name")),
            ("Namespace", namespace.unwrap_or_default()),
            (
                "Resource",
                format!(
                    "{} ({})",
                    text(reference, "/kind"),
                    text(reference, "/apiVersion")
                ),
            ),
        ]);
    }
    rows.push(("URI", text(destination, "/uri")));
    rows.retain(|(_, value)| !value.is_empty());
    rows
}

#[cfg(test)]
mod tests;
