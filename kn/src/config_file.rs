//! The configuration file of a person: `config.yaml` in `~/.kn` if that exists, else in `$XDG_CONFIG_HOME/kn` or `~/.config/kn`.
//! It is only read, never written.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::{CliError, Exit};

/// What the file may hold; what other programs read in it is left to them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ConfigFile {
    profiles: BTreeMap<String, Profile>,
    eventing: Eventing,
    /// The old place of `eventing.sink-mappings`.
    sink: Vec<SinkMapping>,
}

/// What concerns events.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Eventing {
    sink_mappings: Vec<SinkMapping>,
    channel_type_mappings: Vec<ChannelAlias>,
}

/// A prefix of sinks, and the resource it means.
#[derive(Clone, Debug, Deserialize)]
pub struct SinkMapping {
    pub prefix: String,
    #[serde(default)]
    group: String,
    pub version: String,
    pub resource: String,
}

impl SinkMapping {
    /// The API group; that of Kubernetes itself is empty, and people call it `core`.
    pub fn group(&self) -> &str {
        if self.group == "core" { "" } else { &self.group }
    }
}

/// A short name for a type of channel.
#[derive(Clone, Debug, Deserialize)]
pub struct ChannelAlias {
    pub alias: String,
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// A named set of annotations and labels.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Profile {
    /// Annotations of the revision.
    pub annotations: Vec<Pair>,
    /// Labels of the service.
    pub labels: Vec<Pair>,
}

/// One annotation or label.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

impl ConfigFile {
    /// Reads the file that `--config` names, or the one in its usual place; without one everything is as by default.
    ///
    /// # Errors
    /// The named file is not there, or a file is malformed: with its path and the place in it.
    pub fn read(given: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = given.map(Path::to_path_buf).or_else(usual_place) else {
            return Ok(Self::default());
        };
        let wrong = |error: String| {
            CliError::new(Exit::Failure, format!("cannot use {}: {error}", path.display()))
                .with_hint("mend the file, or name another by --config")
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(wrong),
            Err(error) if error.kind() == io::ErrorKind::NotFound && given.is_none() => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let file: Option<Self> = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        Ok(file.unwrap_or_default())
    }

    /// Prefixes of sinks.
    pub fn sinks(&self) -> &[SinkMapping] {
        match self.eventing.sink_mappings.is_empty() {
            true => &self.sink,
            false => &self.eventing.sink_mappings,
        }
    }

    /// Short names for types of channels.
    pub fn channels(&self) -> &[ChannelAlias] {
        &self.eventing.channel_type_mappings
    }

    /// The profile of this name, out of the file or built in.
    ///
    /// # Errors
    /// There is none; the message lists those there are.
    pub fn profile(&self, name: &str) -> Result<Profile, CliError> {
        let built_in = ("istio".to_owned(), istio());
        let all: BTreeMap<String, Profile> = std::iter::once(built_in).chain(self.profiles.clone()).collect();
        all.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = all.keys().map(String::as_str).collect();
            CliError::usage(format!(
                "profile {name} doesn't exist; there are: {}",
                known.join(", ")
            ))
        })
    }
}

/// What a service needs in a mesh of Istio.
fn istio() -> Profile {
    let pair = |(name, value): (&str, &str)| Pair {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Profile {
        annotations: [
            ("sidecar.istio.io/rewriteAppHTTPProbers", "true"),
            ("serving.knative.openshift.io/enablePassthrough", "true"),
        ]
        .map(pair)
        .to_vec(),
        labels: [("sidecar.istio.io/inject", "true")].map(pair).to_vec(),
    }
}

fn usual_place() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let old = home
        .as_ref()
        .map(|home| home.join(".kn"))
        .filter(|folder| folder.is_dir());
    let folder = old.or_else(|| {
        let config = std::env::var_os("XDG_CONFIG_HOME")
            .filter(|folder| !folder.is_empty())
            .map(PathBuf::from)
            .or_else(|| Some(home?.join(".config")))?;
        Some(config.join("kn"))
    })?;
    Some(folder.join("config.yaml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_from_the_file_or_are_built_in() {
        let text = "plugins:\n  directory: /x\nprofiles:\n  mine:\n    annotations:\n    - name: a\n      value: \"1\"\n";
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.profile("mine").unwrap().annotations.len(), 1);
        assert_eq!(file.profile("istio").unwrap(), istio());
        assert!(file.profile("other").unwrap_err().message.contains("istio, mine"));
        let text = "eventing:\n  sink-mappings:\n  - prefix: s\n    group: core\n    version: v1\n    resource: services\n  channel-type-mappings:\n  - {alias: k, group: g, version: v1, kind: K}\n";
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(
            (file.sinks()[0].group(), file.channels()[0].kind.as_str()),
            ("", "K")
        );
        let old = ConfigFile::parse("sink:\n- {prefix: s, group: g, version: v1, resource: rs}\n").unwrap();
        assert_eq!(old.sinks()[0].resource, "rs");
        assert!(ConfigFile::parse("# nothing\n").unwrap().profile("istio").is_ok());
        assert!(ConfigFile::parse("profiles: 5\n").is_err());
        assert!(
            ConfigFile::read(Some(Path::new("/nowhere/config.yaml")))
                .unwrap_err()
                .message
                .contains("/nowhere")
        );
    }
}
