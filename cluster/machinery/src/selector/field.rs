//! Field selectors (`apimachinery/pkg/fields`): `metadata.name=a,status.phase!=Running`.

use std::fmt;

use super::SelectorError;

/// Most requirements of one selector.
const MAX_REQUIREMENTS: usize = 64;

/// How a requirement compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldOperator {
    /// The field has the value.
    Equals,
    /// The field has another value, or none.
    NotEquals,
}

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldRequirement {
    /// Dotted path, as the kind names it: `spec.nodeName`.
    pub path: String,
    /// How to compare.
    pub operator: FieldOperator,
    /// What to compare with; an absent field equals the empty text.
    pub value: String,
}

/// A conjunction of requirements. Without any, everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Parses a `fieldSelector` query parameter. `\`, `,` and `=` in values are written with a `\` before them.
    /// Whether the kind has such a field is for the caller to say.
    ///
    /// # Errors
    /// If a part has no operator, no field, or a bad escape.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for part in split_unescaped(text).into_iter().filter(|part| !part.is_empty()) {
            if requirements.len() >= MAX_REQUIREMENTS {
                return Err(SelectorError::Invalid(format!(
                    "a field selector must not have more than {MAX_REQUIREMENTS} requirements"
                )));
            }
            requirements.push(requirement(part)?);
        }
        Ok(Self { requirements })
    }

    /// The conditions, in the order they were written.
    #[must_use]
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// Whether every object is selected.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Whether the fields, given by path, satisfy every requirement. An absent field counts as empty.
    #[must_use]
    pub fn matches_with(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = field(&requirement.path).unwrap_or_default();
            (found == requirement.value) == (requirement.operator == FieldOperator::Equals)
        })
    }

    /// The value the field must have, if the selector says so: lets `metadata.name=a` become a direct read.
    #[must_use]
    pub fn requires(&self, path: &str) -> Option<&str> {
        let exact = |requirement: &&FieldRequirement| {
            requirement.operator == FieldOperator::Equals && requirement.path == path
        };
        self.requirements
            .iter()
            .find(exact)
            .map(|requirement| requirement.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let operator = match requirement.operator {
                FieldOperator::Equals => "=",
                FieldOperator::NotEquals => "!=",
            };
            let value = requirement
                .value
                .replace('\\', "\\\\")
                .replace(',', "\\,")
                .replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", requirement.path)?;
        }
        Ok(())
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, ch) in text.char_indices() {
        match ch {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

fn requirement(part: &str) -> Result<FieldRequirement, SelectorError> {
    let operators = [
        ("!=", FieldOperator::NotEquals),
        ("==", FieldOperator::Equals),
        ("=", FieldOperator::Equals),
    ];
    let first = operators
        .iter()
        .filter_map(|(symbol, operator)| part.find(symbol).map(|at| (at, *symbol, *operator)))
        // At the same place the longer symbol is meant.
        .min_by_key(|(at, symbol, _)| (*at, usize::MAX - symbol.len()));
    let Some((at, symbol, operator)) = first else {
        return Err(SelectorError::Invalid(format!(
            "invalid selector: '{part}'; can't understand '{part}'"
        )));
    };
    let (path, rest) = part.split_at(at);
    let path = path.trim();
    let known = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/[]".contains(&byte);
    if path.is_empty() || !path.bytes().all(known) {
        return Err(SelectorError::Invalid(format!(
            "invalid selector: '{part}'; {path:?} is no path of a field"
        )));
    }
    let value = unescape(rest.get(symbol.len()..).unwrap_or_default())?;
    Ok(FieldRequirement {
        path: path.to_owned(),
        operator,
        value,
    })
}

fn unescape(text: &str) -> Result<String, SelectorError> {
    let mut value = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => value.push(escaped),
                _ => {
                    return Err(SelectorError::Invalid(format!(
                        "invalid field selector: invalid escape sequence in {text:?}"
                    )));
                }
            },
            '=' | ',' => {
                return Err(SelectorError::Invalid(format!(
                    "invalid field selector: unescaped character in value: {ch:?}"
                )));
            }
            other => value.push(other),
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_paths_operators_and_values() {
        let selector =
            FieldSelector::parse("metadata.name=a,status.phase!=Running,spec.x==1\\,2,involvedObject.uid=")
                .unwrap();
        let read: Vec<(&str, FieldOperator, &str)> = selector
            .requirements()
            .iter()
            .map(|r| (r.path.as_str(), r.operator, r.value.as_str()))
            .collect();
        assert_eq!(
            read,
            [
                ("metadata.name", FieldOperator::Equals, "a"),
                ("status.phase", FieldOperator::NotEquals, "Running"),
                ("spec.x", FieldOperator::Equals, "1,2"),
                ("involvedObject.uid", FieldOperator::Equals, ""),
            ]
        );
        assert_eq!(selector.requires("metadata.name"), Some("a"));
        assert_eq!(selector.requires("status.phase"), None);
        assert!(FieldSelector::parse("").unwrap().is_everything());
        assert!(selector.matches_with(|path| match path {
            "metadata.name" => Some("a".to_owned()),
            "spec.x" => Some("1,2".to_owned()),
            _ => None,
        }));
        assert!(!selector.matches_with(|_| None));
    }

    #[test]
    fn refuses_what_it_cannot_understand() {
        for text in ["metadata.name", "=a", "! =a", "a b=c", "a=b=c", "a=\\x", "a=\\"] {
            assert!(FieldSelector::parse(text).is_err(), "{text:?}");
        }
        assert!(FieldSelector::parse(&"a=b,".repeat(1000)).is_err());
    }

    proptest! {
        #[test]
        fn display_reads_back(path in "[a-z.]{1,9}", value in "[a-z=,\\\\]{0,9}") {
            let selector = FieldSelector {
                requirements: vec![FieldRequirement { path, operator: FieldOperator::NotEquals, value }],
            };
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()).unwrap(), selector);
        }
    }
}
