//! Tests of single attributes.

use event::{Event, ValueRef};

/// What is asked of the text of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    Exact,
    Prefix,
    Suffix,
    /// As `filter.attributes` has it: exact, any text that is not empty for the empty value, and only text.
    Legacy,
}

/// One attribute and what its value has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Test {
    pub attribute: Box<str>,
    pub relation: Relation,
    pub value: Box<str>,
}

impl Test {
    /// An attribute that the event does not have passes no test.
    pub fn passes(&self, event: &Event) -> bool {
        let Some(value) = event.get(&self.attribute) else {
            return false;
        };
        match self.relation {
            Relation::Exact => *value.text() == *self.value,
            Relation::Prefix => value.text().starts_with(&*self.value),
            Relation::Suffix => value.text().ends_with(&*self.value),
            Relation::Legacy => match value {
                ValueRef::String(text) if self.value.is_empty() => !text.is_empty(),
                ValueRef::String(text) => *text == *self.value,
                ValueRef::Integer(_) | ValueRef::Boolean(_) => false,
            },
        }
    }
}

/// Whether a filter may name an attribute so: a letter, then letters and digits, all in lower case.
pub(crate) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The attributes of an event for expressions.
pub(crate) struct OfEvent<'e>(pub &'e Event);

impl cesql::Attributes for OfEvent<'_> {
    fn attribute(&self, name: &str) -> Option<cesql::Value<'_>> {
        Some(match self.0.get(name)? {
            ValueRef::String(text) => text.into(),
            ValueRef::Integer(number) => number.into(),
            ValueRef::Boolean(truth) => truth.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["type", "c1d2e3", "anameofmorethantwentycharacters"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "1a", "Type", "a-b", "a_b", "ä", "a b"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
