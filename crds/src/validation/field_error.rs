//! Complaints about fields: how they are collected, merged and printed. Clients match on the result, so the grammar is
//! exact.

use std::collections::BTreeMap;
use std::fmt;

/// Is a complaint a reason to refuse a request?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Yes.
    #[default]
    Error,
    /// No, it is only told.
    Warning,
}

/// One complaint about one or several fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldError {
    /// Is it a reason to refuse?
    pub level: Level,
    /// What is wrong.
    pub message: String,
    /// The fields; the empty text is the field that is being looked at.
    pub paths: Vec<String>,
    /// More about it, printed on a line of its own; may be empty.
    pub details: String,
}

/// Any number of complaints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldError {
    /// A complaint in its own words.
    pub fn new(message: impl Into<String>, path: &str) -> Self {
        Self {
            message: message.into(),
            paths: vec![path.to_owned()],
            ..Self::default()
        }
    }

    /// A complaint about no field in particular, which stays so whatever it is nested in.
    pub fn without_path(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// A field that must be given.
    pub fn missing(path: &str) -> Self {
        Self::new("missing field(s)", path)
    }

    /// A field that must not be given.
    pub fn disallowed(path: &str) -> Self {
        Self::new("must not set the field(s)", path)
    }

    /// A value that is not allowed.
    pub fn invalid(value: impl fmt::Display, path: &str) -> Self {
        Self::new(format!("invalid value: {value}"), path)
    }

    /// None of several fields of which one must be given.
    pub fn missing_one_of(paths: &[&str]) -> Self {
        Self {
            paths: owned(paths),
            ..Self::without_path("expected exactly one, got neither")
        }
    }

    /// More than one of several fields of which one must be given.
    pub fn multiple_one_of(paths: &[&str]) -> Self {
        Self {
            paths: owned(paths),
            ..Self::without_path("expected exactly one, got both")
        }
    }

    /// A value that is too small or too large.
    pub fn out_of_bounds(
        value: impl fmt::Display,
        lowest: impl fmt::Display,
        highest: impl fmt::Display,
        path: &str,
    ) -> Self {
        Self::new(format!("expected {lowest} <= {value} <= {highest}"), path)
    }

    /// A key that is not allowed.
    pub fn invalid_key(key: &str, path: &str, details: &[String]) -> Self {
        Self::new(format!("invalid key name {key:?}"), path).with_details(details.join(", "))
    }

    /// The same with more about it.
    pub fn with_details(mut self, details: impl Into<String>) -> Self {
        self.details = details.into();
        self
    }

    /// The same, only told.
    pub fn as_warning(mut self) -> Self {
        self.level = Level::Warning;
        self
    }

    /// The same about the entry `index` of a list.
    pub fn via_index(self, index: usize) -> Self {
        self.via(&format!("[{index}]"))
    }

    /// The same about fields of `field`.
    pub fn via_field(self, field: &str) -> Self {
        self.via(field)
    }

    /// The same about the entry `key` of a map.
    pub fn via_key(self, key: &str) -> Self {
        self.via(&format!("[{key}]"))
    }

    fn via(mut self, prefix: &str) -> Self {
        for path in &mut self.paths {
            let dot = if path.is_empty() || path.starts_with('[') {
                ""
            } else {
                "."
            };
            *path = format!("{prefix}{dot}{path}");
        }
        self
    }
}

impl FieldErrors {
    /// Is there no complaint?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds complaints.
    pub fn also(&mut self, more: impl Into<Self>) {
        self.0.extend(more.into().0);
    }

    /// The same complaints, about fields of `field`.
    pub fn via_field(self, field: &str) -> Self {
        self.map(|error| error.via(field))
    }

    /// The same complaints, about the entry `index` of a list.
    pub fn via_index(self, index: usize) -> Self {
        self.map(|error| error.via_index(index))
    }

    /// The same complaints, about the entry `index` of the list `field`.
    pub fn via_field_index(self, field: &str, index: usize) -> Self {
        self.via_index(index).via_field(field)
    }

    /// The complaints that are a reason to refuse.
    pub fn errors(&self) -> Self {
        self.at(Level::Error)
    }

    /// The complaints that are only told.
    pub fn warnings(&self) -> Self {
        self.at(Level::Warning)
    }

    /// The complaints as they are printed: equal ones merged, in order.
    pub fn merged(&self) -> Vec<FieldError> {
        let mut merged: BTreeMap<(&str, &str, Level), Vec<String>> = BTreeMap::new();
        for error in &self.0 {
            let paths = merged
                .entry((&error.message, &error.details, error.level))
                .or_default();
            paths.extend(error.paths.iter().cloned());
        }
        merged
            .into_iter()
            .map(|((message, details, level), mut paths)| {
                paths.sort();
                paths.dedup();
                FieldError {
                    level,
                    message: message.to_owned(),
                    paths,
                    details: details.to_owned(),
                }
            })
            .collect()
    }

    fn at(&self, level: Level) -> Self {
        Self(
            self.0
                .iter()
                .filter(|error| error.level == level)
                .cloned()
                .collect(),
        )
    }

    fn map(self, change: impl FnMut(FieldError) -> FieldError) -> Self {
        Self(self.0.into_iter().map(change).collect())
    }
}

impl From<FieldError> for FieldErrors {
    fn from(error: FieldError) -> Self {
        Self(vec![error])
    }
}

impl From<Option<FieldError>> for FieldErrors {
    fn from(error: Option<FieldError>) -> Self {
        Self(error.into_iter().collect())
    }
}

impl FromIterator<FieldError> for FieldErrors {
    fn from_iter<I: IntoIterator<Item = FieldError>>(errors: I) -> Self {
        Self(errors.into_iter().collect())
    }
}

impl Extend<FieldError> for FieldErrors {
    fn extend<I: IntoIterator<Item = FieldError>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.paths.join(", "))?;
        if self.details.is_empty() {
            Ok(())
        } else {
            write!(f, "\n{}", self.details)
        }
    }
}

impl fmt::Display for FieldErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.merged().iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n"))
    }
}

fn owned(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_glued_with_dots_and_indices_without() {
        let mut errors = FieldErrors::from(FieldError::missing("image"));
        errors.also(FieldError::missing(""));
        let errors = errors.via_field_index("containers", 0).via_field("spec");
        assert_eq!(
            errors.to_string(),
            "missing field(s): spec.containers[0], spec.containers[0].image"
        );
        assert_eq!(
            FieldError::missing("").via_key("a/b").via_field("m").to_string(),
            "missing field(s): m[a/b]"
        );
    }

    #[test]
    fn an_error_without_a_path_ends_in_a_blank() {
        let errors = FieldErrors::from(FieldError::without_path("off")).via_field("spec");
        assert_eq!(errors.to_string(), "off: ");
    }

    #[test]
    fn equal_errors_are_merged_and_all_are_sorted() {
        let mut errors = FieldErrors::default();
        errors.also(FieldError::new("b", "y"));
        errors.also(FieldError::new("a", "z").with_details("more"));
        errors.also(FieldError::new("b", "x"));
        errors.also(FieldError::new("b", "x"));
        errors.also(FieldError::new("a", "q").with_details("less"));
        assert_eq!(errors.to_string(), "a: q\nless\na: z\nmore\nb: x, y");
    }

    #[test]
    fn warnings_are_told_apart() {
        let mut errors = FieldErrors::from(FieldError::new("w", "p").as_warning());
        errors.also(FieldError::new("e", "p"));
        assert_eq!(errors.warnings().to_string(), "w: p");
        assert_eq!(errors.errors().to_string(), "e: p");
    }

    #[test]
    fn every_helper_has_its_words() {
        for (error, text) in [
            (FieldError::missing("a"), "missing field(s): a"),
            (FieldError::disallowed("a"), "must not set the field(s): a"),
            (FieldError::invalid("v", "a"), "invalid value: v: a"),
            (
                FieldError::missing_one_of(&["a", "b"]),
                "expected exactly one, got neither: a, b",
            ),
            (
                FieldError::multiple_one_of(&["a", "b"]),
                "expected exactly one, got both: a, b",
            ),
            (FieldError::out_of_bounds(3, 0, 2, "a"), "expected 0 <= 3 <= 2: a"),
            (
                FieldError::invalid_key("k", "a", &["w1".to_owned(), "w2".to_owned()]),
                "invalid key name \"k\": a\nw1, w2",
            ),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn the_order_of_complaints_does_not_matter(texts in proptest::collection::vec("[ab]{1,2}", 0..6)) {
            let forward: FieldErrors = texts.iter().map(|text| FieldError::new(text.as_str(), text)).collect();
            let backward: FieldErrors = texts.iter().rev().map(|text| FieldError::new(text.as_str(), text)).collect();
            prop_assert_eq!(forward.to_string(), backward.to_string());
        }
    }
}
