//! From the API's form to the compiled one, with all complaints on the way.

use std::collections::BTreeMap;

use cesql::Expression;
use crds::eventing::SubscriptionsApiFilter;
use crds::validation::{FieldError, FieldErrors};

use crate::attributes::{Relation, Test, is_name};
use crate::filter::{Filter, Node};

/// Deepest nesting of `all`, `any` and `not`.
pub const MAX_DEPTH: usize = 32;

const DIALECTS: [&str; 7] = ["all", "any", "cesql", "exact", "not", "prefix", "suffix"];

/// Why there is no filter: all complaints, with paths from `spec`, as admission prints them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FilterError(pub FieldErrors);

impl Filter {
    /// The filter of a trigger or policy. `legacy` (`filter.attributes`) counts only without `filters`; with neither,
    /// every event passes.
    ///
    /// # Errors
    /// If any part of what counts is not as it should be.
    pub fn compile(
        filters: &[SubscriptionsApiFilter],
        legacy: Option<&BTreeMap<String, String>>,
    ) -> Result<Self, FilterError> {
        let mut errors = FieldErrors::default();
        let filter = if filters.is_empty() {
            attributes(legacy, &mut errors)
        } else {
            let (nodes, problems) = list(filters, "filters", 0);
            errors.also(problems);
            Self::new(Node::All(nodes))
        };
        if errors.is_empty() {
            Ok(filter)
        } else {
            Err(FilterError(errors.via_field("spec")))
        }
    }
}

/// What admission has to say about `filters` and `filter.attributes`, with paths from the spec's fields. It looks at
/// both, also where only one counts.
pub fn problems(
    filters: &[SubscriptionsApiFilter],
    legacy: Option<&BTreeMap<String, String>>,
) -> FieldErrors {
    let mut errors = list(filters, "filters", 0).1;
    attributes(legacy, &mut errors);
    errors
}

fn attributes(legacy: Option<&BTreeMap<String, String>>, errors: &mut FieldErrors) -> Filter {
    let Some(legacy) = legacy.filter(|attributes| !attributes.is_empty()) else {
        return Filter::everything();
    };
    errors.also(names(legacy).via_field("attributes").via_field("filter"));
    Filter::new(Node::Attributes(tests(legacy, Relation::Legacy)))
}

fn list(filters: &[SubscriptionsApiFilter], field: &str, depth: usize) -> (Box<[Node]>, FieldErrors) {
    let mut errors = FieldErrors::default();
    let mut nodes = Vec::with_capacity(filters.len());
    for (index, filter) in filters.iter().enumerate() {
        let (node, problems) = element(filter, depth);
        errors.also(problems.via_field_index(field, index));
        nodes.push(node);
    }
    (nodes.into(), errors)
}

/// One element. What it returns beside complaints is never used.
fn element(filter: &SubscriptionsApiFilter, depth: usize) -> (Node, FieldErrors) {
    let nothing = || Node::Any(Box::default());
    if depth >= MAX_DEPTH {
        let error = FieldError::new(
            format!("filters are nested more than {MAX_DEPTH} levels deep"),
            "",
        );
        return (nothing(), error.into());
    }
    let mut errors = FieldErrors::default();
    let mut nodes = Vec::new();
    for (field, filters, node) in [
        ("all", &filter.all, Node::All as fn(_) -> _),
        ("any", &filter.any, Node::Any as fn(_) -> _),
    ] {
        if !filters.is_empty() {
            let (elements, problems) = list(filters, field, depth + 1);
            errors.also(problems);
            nodes.push(node(elements));
        }
    }
    if let Some(inner) = &filter.not {
        let (node, problems) = element(inner, depth + 1);
        errors.also(problems.via_field("not"));
        nodes.push(Node::Not(Box::new(node)));
    }
    for (field, map, relation) in [
        ("exact", &filter.exact, Relation::Exact),
        ("prefix", &filter.prefix, Relation::Prefix),
        ("suffix", &filter.suffix, Relation::Suffix),
    ] {
        if !map.is_empty() {
            errors.also(names(map).via_field(field));
            errors.also(values(map).via_field(field));
            nodes.push(Node::Attributes(tests(map, relation)));
        }
    }
    if !filter.cesql.is_empty() {
        match Expression::compile(&filter.cesql) {
            Ok(expression) => nodes.push(Node::Cesql(Box::new(expression))),
            Err(error) => {
                errors.also(FieldError::invalid(&filter.cesql, "cesql").with_details(error.to_string()));
                nodes.push(nothing());
            }
        }
    }
    if nodes.len() > 1 {
        errors.also(FieldError::new(
            "multiple dialects found, filters can have only one dialect set",
            "",
        ));
    }
    match nodes.pop() {
        Some(node) => (node, errors),
        None => (nothing(), FieldError::missing_one_of(&DIALECTS).into()),
    }
}

fn names(map: &BTreeMap<String, String>) -> FieldErrors {
    map.keys()
        .filter(|name| !is_name(name))
        .map(|name| {
            let details =
                "Attribute name must start with a letter and can only contain lowercase alphanumeric";
            FieldError::invalid_key(name, "", &[details.to_owned()])
        })
        .collect()
}

/// An empty value says nothing: every text begins and ends with it, and no valid attribute is it.
fn values(map: &BTreeMap<String, String>) -> FieldErrors {
    map.iter()
        .filter(|(_, value)| value.is_empty())
        .map(|(name, _)| FieldError::invalid("\"\"", name).with_details("the value must not be empty"))
        .collect()
}

fn tests(map: &BTreeMap<String, String>, relation: Relation) -> Box<[Test]> {
    map.iter()
        .map(|(name, value)| Test {
            attribute: name.as_str().into(),
            relation,
            value: value.as_str().into(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
