//! What a resolver is asked, and what it answers.

use std::collections::BTreeMap;

use crds::tekton::{Param, RefSource};

/// Most bytes of an answer: in base64 it has to fit into an object.
pub(crate) const MAX_DATA: usize = 1 << 20;

/// The params of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Where it was asked; secrets are looked for here only.
    pub namespace: String,
    params: BTreeMap<String, String>,
}

/// What was found, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    pub data: Vec<u8>,
    pub source: RefSource,
}

/// Why there is no answer. The message is shown to whoever asked: no credentials in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Never(String),
    /// Trying again may help.
    #[error("{0}")]
    Now(String),
}

impl Failure {
    pub(crate) fn never<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Never(message.into()))
    }

    pub(crate) fn now<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Now(message.into()))
    }
}

impl Question {
    /// # Errors
    /// If a param is no text.
    pub(crate) fn new(namespace: &str, params: &[Param]) -> Result<Self, Failure> {
        let text = |param: &Param| match param.value.as_str() {
            Some(text) => Ok((param.name.clone(), text.to_owned())),
            None => Failure::never(format!("the param {} has to be a text", param.name)),
        };
        Ok(Self {
            namespace: namespace.to_owned(),
            params: params.iter().map(text).collect::<Result<_, _>>()?,
        })
    }

    /// The value of a param; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.params
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// The value of a param, or else a default that is not empty.
    ///
    /// # Errors
    /// If there is neither.
    pub(crate) fn need<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, Failure> {
        match self.get(name) {
            Some(value) => Ok(value),
            None if !default.is_empty() => Ok(default),
            None => Failure::never(format!("the param {name} is missing")),
        }
    }

    /// All that tells this question from others, but for how its answer is kept.
    pub(crate) fn identity(&self) -> String {
        let params: BTreeMap<_, _> = self.params.iter().filter(|(name, _)| *name != "cache").collect();
        serde_json::to_string(&(&self.namespace, params)).unwrap_or_default()
    }
}

/// `sha256` and the digest of these bytes.
pub(crate) fn sha256(bytes: &[u8]) -> BTreeMap<String, String> {
    use sha2::{Digest as _, Sha256};
    BTreeMap::from([("sha256".to_owned(), hex(&Sha256::digest(bytes)))])
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn question(params: &[(&str, &str)]) -> Question {
        let params: Vec<Param> = params
            .iter()
            .map(|(name, value)| Param::new(*name, *value))
            .collect();
        Question::new("ns", &params).unwrap()
    }

    #[test]
    fn params_are_texts_and_empty_ones_are_none() {
        let asked = question(&[("url", " u "), ("revision", "")]);
        assert_eq!(asked.get("url"), Some("u"));
        assert_eq!(asked.need("revision", "main"), Ok("main"));
        assert!(
            asked
                .need("name", "")
                .unwrap_err()
                .to_string()
                .contains("name is missing")
        );
        let list = Param::new("url", vec!["a".to_owned()]);
        assert!(
            Question::new("ns", &[list])
                .unwrap_err()
                .to_string()
                .contains("param url")
        );
    }

    #[test]
    fn identity_is_that_of_what_is_asked_and_where() {
        let one = question(&[("a", "1"), ("b", "2"), ("cache", "always")]);
        assert_eq!(one.identity(), question(&[("b", "2"), ("a", "1")]).identity());
        assert_ne!(one.identity(), question(&[("b", "2"), ("a", "2")]).identity());
        let elsewhere = Question {
            namespace: "other".to_owned(),
            ..one.clone()
        };
        assert_ne!(one.identity(), elsewhere.identity());
    }
}
