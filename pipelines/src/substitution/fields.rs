//! Which fields of a spec have variables, and walking through them.
//!
//! Specs are walked as JSON, the shape in which users write them: so a list of fields reads like the reference, and an
//! error names the field as it stands in the user's YAML.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::cel;
use super::scope::{Error as ScopeError, Scope};
use super::template::{Template, Variable};
use crds::tekton::ParamValue;

/// Deepest nesting that `**` looks into.
const DEPTH: usize = 32;

/// A field that may have variables: words with dots between them, `[]` for every element of a list, `**` at the end
/// for every text below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// A text stays a text; in a list of texts, elements may spread.
    Text(&'static str),
    /// The value of a param, which may become a list or an object.
    Value(&'static str),
    /// An expression in CEL.
    Cel(&'static str),
}

/// How a leaf is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Value,
    Cel,
}

/// A variable that asks for what is not there, and the field that has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {source}")]
pub struct Error {
    /// As in `steps[0].args[1]`.
    pub field: String,
    pub source: ScopeError,
}

/// Replaces the variables of `scope` in these fields of `spec`.
///
/// # Errors
/// If an index is out of bounds.
pub fn apply(spec: &mut Value, fields: &[Field], scope: &Scope) -> Result<(), Error> {
    if scope.is_empty() {
        return Ok(());
    }
    each_leaf(spec, fields, &mut |leaf, kind, at| {
        replace(leaf, kind, scope).map_err(|source| Error {
            field: at.to_owned(),
            source,
        })
    })
}

/// Calls `tell` for every variable in these fields of `spec`, with the field.
pub fn each_variable(spec: &Value, fields: &[Field], tell: &mut dyn FnMut(&Variable<'_>, &str)) {
    each_text(spec, fields, &mut |text, _, at| {
        for variable in Template::parse(text).variables() {
            tell(variable, at);
        }
    });
}

/// Calls `tell` for every text in these fields of `spec`, with whether a list may stand in its place, and the field.
pub fn each_text(spec: &Value, fields: &[Field], tell: &mut dyn FnMut(&str, bool, &str)) {
    // The walk is the one that replaces; it needs a spec of its own, which it leaves as it is.
    let mut spec = spec.clone();
    let walked: Result<(), std::convert::Infallible> = each_leaf(&mut spec, fields, &mut |leaf, kind, at| {
        let spreads = leaf.is_array() || (kind == Kind::Value && leaf.is_string());
        for text in texts(leaf) {
            tell(text, spreads, at);
        }
        Ok(())
    });
    match walked {
        Ok(()) => {}
    }
}

/// The texts of a leaf.
fn texts(leaf: &Value) -> Vec<&str> {
    match leaf {
        Value::String(text) => vec![text],
        Value::Array(elements) => elements.iter().filter_map(Value::as_str).collect(),
        Value::Object(fields) => fields.values().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn replace(leaf: &mut Value, kind: Kind, scope: &Scope) -> Result<(), ScopeError> {
    // Most texts have none, and are left alone for next to nothing.
    if !texts(leaf).iter().any(|text| text.contains("$(")) {
        return Ok(());
    }
    match leaf {
        Value::String(text) if kind == Kind::Cel => *text = cel::fill(scope, text)?,
        Value::String(text) if kind == Kind::Value => {
            let value = scope.value(&ParamValue::String(std::mem::take(text)))?;
            *leaf = json(value);
        }
        Value::String(text) => *text = scope.text(text)?,
        Value::Array(elements) => {
            let list: Option<Vec<String>> = elements
                .iter()
                .map(|element| element.as_str().map(str::to_owned))
                .collect();
            if let Some(list) = list {
                *leaf = json(ParamValue::Array(scope.list(&list)?));
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                if let Value::String(text) = field {
                    *text = scope.text(text)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn json(value: ParamValue) -> Value {
    match value {
        ParamValue::String(text) => Value::String(text),
        ParamValue::Array(elements) => elements.into_iter().map(Value::String).collect(),
        ParamValue::Object(fields) => {
            let fields = fields.into_iter().map(|(key, text)| (key, Value::String(text)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

type Leaf<'a, E> = dyn FnMut(&mut Value, Kind, &str) -> Result<(), E> + 'a;

fn each_leaf<E>(spec: &mut Value, fields: &[Field], leaf: &mut Leaf<'_, E>) -> Result<(), E> {
    for field in fields {
        let (path, kind) = match field {
            Field::Text(path) => (path, Kind::Text),
            Field::Value(path) => (path, Kind::Value),
            Field::Cel(path) => (path, Kind::Cel),
        };
        walk(spec, path, kind, &Cow::Borrowed(""), leaf)?;
    }
    Ok(())
}

fn walk<E>(value: &mut Value, path: &str, kind: Kind, at: &str, leaf: &mut Leaf<'_, E>) -> Result<(), E> {
    if path.is_empty() {
        return leaf(value, kind, at);
    }
    if path == "**" {
        return deep(value, at, DEPTH, leaf);
    }
    let (word, rest) = path.split_once('.').unwrap_or((path, ""));
    let (word, each) = word.strip_suffix("[]").map_or((word, false), |word| (word, true));
    let Some(value) = value.get_mut(word) else {
        return Ok(());
    };
    let at = if at.is_empty() {
        word.to_owned()
    } else {
        format!("{at}.{word}")
    };
    if !each {
        return walk(value, rest, kind, &at, leaf);
    }
    for (index, element) in value.as_array_mut().into_iter().flatten().enumerate() {
        walk(element, rest, kind, &format!("{at}[{index}]"), leaf)?;
    }
    Ok(())
}

fn deep<E>(value: &mut Value, at: &str, depth: usize, leaf: &mut Leaf<'_, E>) -> Result<(), E> {
    match value {
        Value::String(_) => leaf(value, Kind::Text, at),
        Value::Array(elements) if depth > 0 => {
            for (index, element) in elements.iter_mut().enumerate() {
                deep(element, &format!("{at}[{index}]"), depth - 1, leaf)?;
            }
            Ok(())
        }
        Value::Object(fields) if depth > 0 => {
            for (name, field) in fields {
                deep(field, &format!("{at}.{name}"), depth - 1, leaf)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        Field::Text("steps[].args"),
        Field::Text("steps[].script"),
        Field::Text("volumes[].**"),
        Field::Value("params[].value"),
    ];

    fn scope() -> Scope {
        let mut scope = Scope::new();
        scope.set(&["s"], "S".to_owned());
        scope.set(&["a"], vec!["1".to_owned(), "2".to_owned()]);
        scope
    }

    #[test]
    fn only_the_named_fields_change() {
        let mut spec = json!({
            "description": "$(s)",
            "steps": [{"args": ["$(a[*])", "$(s)"], "script": "$(s) $(a[*])"}, {"other": "$(s)"}],
            "volumes": [{"name": "$(s)", "configMap": {"items": [{"key": "$(s)"}], "optional": true}}],
            "params": [{"value": "$(a[*])"}, {"value": {"k": "$(s)"}}, {"value": ["$(a[*])"]}],
        });
        apply(&mut spec, FIELDS, &scope()).unwrap();
        let expected = json!({
            "description": "$(s)",
            "steps": [{"args": ["1", "2", "S"], "script": "S $(a[*])"}, {"other": "$(s)"}],
            "volumes": [{"name": "S", "configMap": {"items": [{"key": "S"}], "optional": true}}],
            "params": [{"value": ["1", "2"]}, {"value": {"k": "S"}}, {"value": ["1", "2"]}],
        });
        assert_eq!(spec, expected);
    }

    #[test]
    fn an_error_names_the_field() {
        let mut spec = json!({"steps": [{}, {"args": ["-v", "$(a[2])"]}]});
        let error = apply(&mut spec, FIELDS, &scope()).unwrap_err();
        assert!(error.to_string().starts_with("steps[1].args: $(a[2])"), "{error}");
    }

    #[test]
    fn variables_are_told_with_their_fields() {
        let spec = json!({"steps": [{"args": ["$(a[*])", "$(s)"]}], "other": "$(s)"});
        let mut told = Vec::new();
        each_variable(&spec, FIELDS, &mut |variable, at| {
            told.push(format!("{at} {variable}"))
        });
        assert_eq!(told, ["steps[0].args $(a[*])", "steps[0].args $(s)"]);
    }
}
