//! What is wrong with the filters of an object, in the words of who compiles them.

use crds::eventing::SubscriptionsApiFilter;
use crds::resource::events::Resource;
use crds::validation::{FieldError, FieldErrors};
use serde_json::Value;
use std::collections::BTreeMap;

/// The dialects; a schema cannot tell those inside of a filter from other words.
const DIALECTS: [&str; 7] = ["all", "any", "not", "exact", "prefix", "suffix", "cesql"];

pub(super) fn problems(resource: Resource, object: &Value) -> FieldErrors {
    if !matches!(
        resource,
        Resource::Trigger | Resource::EventPolicy | Resource::ApiServerSource
    ) {
        return FieldErrors::default();
    }
    let Some(spec) = object.get("spec") else {
        return FieldErrors::default();
    };
    let mut errors = FieldErrors::default();
    for (index, filter) in list(spec, "filters").iter().enumerate() {
        errors.also(unknown(filter).via_field_index("filters", index));
    }
    // Types were checked before; a filter that cannot be read is of a wrong type deep inside.
    let filters: Result<Vec<SubscriptionsApiFilter>, _> = read(spec, "filters");
    let attributes: Result<BTreeMap<String, String>, _> = spec
        .get("filter")
        .map_or_else(|| Ok(BTreeMap::new()), |filter| read(filter, "attributes"));
    match (filters, attributes) {
        (Ok(filters), Ok(attributes)) => {
            errors.also(event_filter::problems(&filters, Some(&attributes)));
        }
        (Err(error), _) => errors.also(FieldError::invalid(error, "filters")),
        (_, Err(error)) => errors.also(FieldError::invalid(error, "filter.attributes")),
    }
    errors.via_field("spec")
}

fn read<T: Default + serde::de::DeserializeOwned>(
    holder: &Value,
    name: &str,
) -> Result<T, serde_json::Error> {
    match holder.get(name) {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => serde_json::from_value(value.clone()),
    }
}

fn list<'v>(holder: &'v Value, name: &str) -> &'v [Value] {
    holder
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Words that are no dialect, at any depth: a filter with one would otherwise let everything pass.
fn unknown(filter: &Value) -> FieldErrors {
    let words = filter
        .as_object()
        .into_iter()
        .flatten()
        .map(|(word, _)| word.as_str());
    let mut errors: FieldErrors = words
        .filter(|word| !DIALECTS.contains(word))
        .map(FieldError::disallowed)
        .collect();
    for name in ["all", "any"] {
        for (index, inner) in list(filter, name).iter().enumerate() {
            errors.also(unknown(inner).via_field_index(name, index));
        }
    }
    if let Some(inner) = filter.get("not") {
        errors.also(unknown(inner).via_field("not"));
    }
    errors
}
