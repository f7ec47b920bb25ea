//! The filters of a trigger: as flags change them, and as people read them.

use serde_json::{Value, json};

use crate::change::json::{at, drop_empty, object};
use crate::change::pairs;
use crate::error::CliError;
use crate::flags::list;

/// Merges `KEY=VALUE` and `KEY-` into the attributes that an event must have.
///
/// # Errors
/// Names the word that is neither.
pub fn merge(spec: &mut Value, flags: &[String]) -> Result<(), CliError> {
    if flags.is_empty() {
        return Ok(());
    }
    let pairs = pairs::parse("filter", &list::split(flags), false)?;
    let attributes = object(at(spec, &["filter", "attributes"]));
    for (name, value) in pairs.set {
        attributes.insert(name, json!(value));
    }
    for name in &pairs.remove {
        attributes.remove(name);
    }
    drop_empty(at(spec, &["filter"]), "attributes");
    drop_empty(spec, "filter");
    Ok(())
}

/// Sets the expressions that an event must satisfy, all of them; an empty one removes those there are.
pub fn cesql(spec: &mut Value, expressions: &[String]) {
    if expressions.is_empty() {
        return;
    }
    let filters: Vec<Value> = expressions
        .iter()
        .filter(|expression| !expression.is_empty())
        .map(|expression| json!({ "cesql": expression }))
        .collect();
    *at(spec, &["filters"]) = Value::Array(filters);
    drop_empty(spec, "filters");
}

/// Filters on one line.
pub fn cell(spec: &Value) -> String {
    if let Some(filters) = spec["filters"].as_array().filter(|filters| !filters.is_empty()) {
        return match filters.as_slice() {
            [one] => one
                .as_object()
                .and_then(|one| one.get("cesql")?.as_str())
                .map_or_else(|| one.to_string(), str::to_owned),
            several => json!(several).to_string(),
        };
    }
    let attributes = spec["filter"]["attributes"].as_object().into_iter().flatten();
    let pair = |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    attributes.map(pair).collect::<Vec<_>>().join(",")
}

/// The tree of filters, a line for each operator and attribute.
pub fn tree(filters: &Value) -> String {
    let mut lines = Vec::new();
    branch(filters, 0, &mut lines);
    lines.join("\n")
}

fn branch(filters: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match filters {
        Value::Array(items) => items.iter().for_each(|item| branch(item, depth, lines)),
        Value::Object(fields) => {
            for (name, below) in fields {
                match below.as_str() {
                    Some(text) => lines.push(format!("{indent}{name}: {text}")),
                    None => {
                        lines.push(format!("{indent}{name}:"));
                        branch(below, depth + 1, lines);
                    }
                }
            }
        }
        Value::Null => {}
        other => lines.push(format!("{indent}{other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_merged() {
        let flags = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut spec = json!({ "filter": { "attributes": { "type": "a", "old": "x" } } });
        merge(&mut spec, &flags(&["type=b,\"note=x,y\"", "old-"])).unwrap();
        assert_eq!(
            spec["filter"]["attributes"],
            json!({ "type": "b", "note": "x,y" })
        );
        assert_eq!(cell(&spec), "note=x,y,type=b");
        merge(&mut spec, &flags(&["type-,note-"])).unwrap();
        assert_eq!(spec, json!({}));
        let message = merge(&mut spec, &flags(&["type"])).unwrap_err().message;
        assert!(message.contains("--filter \"type\""), "{message}");
        cesql(&mut spec, &flags(&["type LIKE 'a%'", "id = 'x'"]));
        assert_eq!(
            spec["filters"],
            json!([{ "cesql": "type LIKE 'a%'" }, { "cesql": "id = 'x'" }])
        );
        cesql(&mut spec, &flags(&["type = 'b'"]));
        assert_eq!(cell(&spec), "type = 'b'");
        cesql(&mut spec, &flags(&[""]));
        assert_eq!(spec, json!({}));
    }
}
