//! Types of channels as people write them: `imc`, `messaging.knative.dev:v1:InMemoryChannel`.

use crate::config_file::ChannelAlias;
use crate::error::CliError;

/// A type of channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelType {
    pub api_version: String,
    pub kind: String,
}

impl ChannelType {
    fn new(group: &str, version: &str, kind: &str) -> Self {
        Self {
            api_version: format!("{group}/{version}"),
            kind: kind.to_owned(),
        }
    }

    /// The type of those channels that leave it to the platform what they are made of.
    pub fn generic() -> Self {
        Self::new("messaging.knative.dev", "v1", "Channel")
    }

    /// Reads `GROUP:VERSION:KIND` or an alias.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(flag: &str, text: &str, aliases: &[ChannelAlias]) -> Result<Self, CliError> {
        let wrong = |why: &str| {
            CliError::usage(format!(
                "--{flag} {text}: {why}: expected GROUP:VERSION:KIND, such as messaging.knative.dev:v1:InMemoryChannel, or an alias"
            ))
        };
        if let Some(found) = alias(text, aliases) {
            return Ok(found);
        }
        match text.split(':').collect::<Vec<_>>().as_slice() {
            parts if parts.contains(&"") => Err(wrong("a part is empty")),
            [group, version, kind] => Ok(Self::new(group, version, kind)),
            [name] => Err(wrong(&format!("there is no alias '{name}'"))),
            _ => Err(wrong("there must be three parts")),
        }
    }

    /// Reads `NAME`, `ALIAS:NAME` or `GROUP:VERSION:KIND:NAME`: a type and the name of a channel of it.
    ///
    /// # Errors
    /// It is none of these.
    pub fn parse_named(flag: &str, text: &str, aliases: &[ChannelAlias]) -> Result<(Self, String), CliError> {
        let wrong = |why: &str| {
            CliError::usage(format!(
                "--{flag} {text}: {why}: expected NAME, ALIAS:NAME or GROUP:VERSION:KIND:NAME"
            ))
        };
        match text.rsplit_once(':') {
            _ if text.is_empty() || text.ends_with(':') => Err(wrong("the name is missing")),
            None => Ok((Self::generic(), text.to_owned())),
            Some((type_, name)) => {
                let type_ = Self::parse(flag, type_, aliases).map_err(|_| wrong("the type is not known"))?;
                Ok((type_, name.to_owned()))
            }
        }
    }
}

fn alias(text: &str, aliases: &[ChannelAlias]) -> Option<ChannelType> {
    let own = aliases.iter().find(|alias| alias.alias == text);
    match (own, text) {
        (Some(alias), _) => Some(ChannelType::new(&alias.group, &alias.version, &alias.kind)),
        (None, "imc") => Some(ChannelType::new("messaging.knative.dev", "v1", "InMemoryChannel")),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_names() {
        let aliases: Vec<ChannelAlias> = serde_json::from_value(
            serde_json::json!([{ "alias": "k", "group": "g", "version": "v", "kind": "K" }]),
        )
        .unwrap();
        let memory = ChannelType::new("messaging.knative.dev", "v1", "InMemoryChannel");
        for (text, expected) in [
            ("imc", memory.clone()),
            ("messaging.knative.dev:v1:InMemoryChannel", memory.clone()),
            ("k", ChannelType::new("g", "v", "K")),
        ] {
            assert_eq!(ChannelType::parse("type", text, &aliases).unwrap(), expected);
        }
        for (text, expected) in [
            ("pipe", (ChannelType::generic(), "pipe".to_owned())),
            ("imc:pipe", (memory.clone(), "pipe".to_owned())),
            ("a:b:c:pipe", (ChannelType::new("a", "b", "c"), "pipe".to_owned())),
        ] {
            assert_eq!(
                ChannelType::parse_named("channel", text, &aliases).unwrap(),
                expected
            );
        }
        for wrong in ["x", "a:b", "a:b:c:d", "a::c", ""] {
            assert!(ChannelType::parse("type", wrong, &aliases).is_err(), "{wrong}");
        }
        for wrong in ["", "imc:", "a:b", "a:b:c:d:e"] {
            let message = ChannelType::parse_named("channel", wrong, &aliases)
                .unwrap_err()
                .message;
            assert!(message.contains("--channel"), "{wrong}");
        }
    }
}
