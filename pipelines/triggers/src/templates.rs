//! Templates: the objects that params make.
//!
//! Params are put into texts, wherever in an object they are, and never read again: what a value spells is not a
//! placeholder of its own. As values get into texts rather than into JSON, nothing in them ends a text early.

use std::collections::{BTreeMap, BTreeSet};

use crds::triggers::TriggerTemplateSpec;
use serde_json::{Map, Value};

use crate::bindings::{Given, separate};

/// Before the names of params.
const PARAM: &str = "tt.params.";
/// A UUID that is the same in all objects of one event and trigger.
const UID: &str = "uid";

/// Why a template makes no objects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nobody gives a param that has no default.
    #[error("the param {name:?} has no default, and {}", .expression.as_ref().map_or_else(
        || "no binding gives it".to_owned(),
        |expression| format!("the event has no {expression}")
    ))]
    Missing {
        /// Its name.
        name: String,
        /// What it is bound to, if it is.
        expression: Option<String>,
    },
}

/// The objects of a template.
///
/// # Errors
/// If a param has no value.
pub fn fill(template: &TriggerTemplateSpec, given: &Given, uid: &str) -> Result<Vec<Value>, TemplateError> {
    let mut params = BTreeMap::new();
    for declared in &template.params {
        let value = given.params.get(&declared.name).or(declared.default.as_ref());
        let value = value.ok_or_else(|| TemplateError::Missing {
            name: declared.name.clone(),
            expression: given.missing.get(&declared.name).cloned(),
        })?;
        params.insert(declared.name.as_str(), value.as_str());
    }
    let objects = template.resourcetemplates.iter();
    Ok(objects.map(|object| filled(object, &params, uid)).collect())
}

/// Params that are used in a template and not declared.
pub fn undeclared(template: &TriggerTemplateSpec) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for object in &template.resourcetemplates {
        each_text(object, &mut |text| {
            for piece in pieces(text) {
                if let Piece::Param(name) = piece {
                    names.insert(name.to_owned());
                }
            }
        });
    }
    for declared in &template.params {
        names.remove(&declared.name);
    }
    names
}

fn each_text(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(list) => list.iter().for_each(|value| each_text(value, visit)),
        Value::Object(map) => {
            for (key, value) in map {
                visit(key);
                each_text(value, visit);
            }
        }
        _ => {}
    }
}

fn filled(value: &Value, params: &BTreeMap<&str, &str>, uid: &str) -> Value {
    match value {
        Value::String(text) => Value::String(filled_text(text, params, uid)),
        Value::Array(list) => Value::Array(list.iter().map(|value| filled(value, params, uid)).collect()),
        Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| (filled_text(key, params, uid), filled(value, params, uid)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn filled_text(text: &str, params: &BTreeMap<&str, &str>, uid: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut put_in = false;
    for piece in pieces(text) {
        let (next, is_value) = match piece {
            Piece::Text(text) => (text, false),
            Piece::Uid(_) => (uid, true),
            Piece::Param(name) => match params.get(name) {
                Some(value) => (*value, true),
                None => {
                    // Admission refuses these; one that is stored nevertheless stays as it is written.
                    out.push_str("$(");
                    out.push_str(PARAM);
                    out.push_str(name);
                    (")", false)
                }
            },
        };
        if put_in || is_value {
            separate(&mut out, next);
        }
        out.push_str(next);
        // Nothing put in is no seam, but what is left of it still is one.
        put_in = is_value || (put_in && next.is_empty());
    }
    out
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Param(&'t str),
    Uid(&'t str),
}

/// The placeholders of a text, and what is around them. `$$(` is none.
fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut from = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("$(")) {
        let start = at + found;
        at = start + 2;
        let inside = text.get(at..).unwrap_or_default();
        let escaped = text.get(..start).is_some_and(|before| before.ends_with('$'));
        let Some(end) = inside.find(')').filter(|_| !escaped) else {
            continue;
        };
        let name = inside.get(..end).unwrap_or_default();
        let piece = match name.strip_prefix(PARAM) {
            Some(param) if !param.is_empty() && !param.contains("$(") => Piece::Param(param),
            None if name == UID => Piece::Uid(name),
            _ => continue,
        };
        if let Some(before) = text.get(from..start).filter(|before| !before.is_empty()) {
            pieces.push(Piece::Text(before));
        }
        pieces.push(piece);
        at += end + 1;
        from = at;
    }
    if let Some(rest) = text.get(from..).filter(|rest| !rest.is_empty()) {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn template(params: Value, objects: Value) -> TriggerTemplateSpec {
        serde_json::from_value(json!({"params": params, "resourcetemplates": objects})).unwrap()
    }

    fn given(params: &[(&str, &str)]) -> Given {
        Given {
            params: params
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            missing: BTreeMap::new(),
        }
    }

    #[test]
    fn params_are_put_into_texts_once() {
        let declared =
            json!([{"name": "a"}, {"name": "b", "default": "d"}, {"name": "a-b.c", "default": "dotted"}]);
        for (text, a, expected) in [
            ("$(tt.params.a)", "x", "x"),
            ("1 $(tt.params.a) 2 $(tt.params.b)", "x", "1 x 2 d"),
            ("$(tt.params.a-b.c)", "x", "dotted"),
            ("$(uid)/$(tt.params.a)", "x", "u/x"),
            // What a value spells is not read.
            ("$(tt.params.a)", "$(tt.params.b)", "$(tt.params.b)"),
            ("$(tt.params.a)", "a \"quoted\"\nline", "a \"quoted\"\nline"),
            // Those of others stay.
            (
                "$(params.a) $(context.taskRun.name)",
                "x",
                "$(params.a) $(context.taskRun.name)",
            ),
            ("$(tt.params.unknown)", "x", "$(tt.params.unknown)"),
            ("$$(tt.params.a)", "x", "$$(tt.params.a)"),
            ("$(tt.params.a", "x", "$(tt.params.a"),
            ("$(echo $(tt.params.a))", "x", "$(echo x)"),
            // No seam makes a variable.
            ("$(tt.params.a)(params.b)", "$", "$$(params.b)"),
            ("$(tt.params.a)$(tt.params.b)(c)", "$", "$d(c)"),
        ] {
            let template = template(declared.clone(), json!([{"kind": "K", "v": text}]));
            let filled = fill(&template, &given(&[("a", a)]), "u").unwrap();
            assert_eq!(filled, [json!({"kind": "K", "v": expected})], "{text}");
        }
    }

    #[test]
    fn names_of_fields_and_lists_are_texts_too() {
        let template = template(
            json!([{"name": "a"}]),
            json!([{"kind": "K", "labels": {"$(tt.params.a)": ["$(tt.params.a)", 1, null]}}]),
        );
        let filled = fill(&template, &given(&[("a", "x")]), "u").unwrap();
        assert_eq!(filled, [json!({"kind": "K", "labels": {"x": ["x", 1, null]}})]);
    }

    #[test]
    fn a_param_without_a_value_is_told() {
        let template = template(json!([{"name": "a"}]), json!([{}]));
        let mut given = given(&[]);
        let error = fill(&template, &given, "u").unwrap_err().to_string();
        assert_eq!(error, "the param \"a\" has no default, and no binding gives it");
        given.missing.insert("a".to_owned(), "$(body.a)".to_owned());
        let error = fill(&template, &given, "u").unwrap_err().to_string();
        assert_eq!(
            error,
            "the param \"a\" has no default, and the event has no $(body.a)"
        );
    }

    #[test]
    fn undeclared_params_are_found() {
        let template = template(
            json!([{"name": "a"}]),
            json!([{"x": "$(tt.params.a) $(tt.params.b)", "$(tt.params.c)": 1, "y": "$$(tt.params.d)"}]),
        );
        assert_eq!(Vec::from_iter(undeclared(&template)), ["b", "c"]);
    }

    proptest! {
        #[test]
        fn any_text_is_cut_into_itself(text in "[$(a)t.prmsuid ]{0,40}") {
            let joined: String = pieces(&text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Text(text) => text.to_owned(),
                    Piece::Param(name) => format!("$(tt.params.{name})"),
                    Piece::Uid(_) => "$(uid)".to_owned(),
                })
                .collect();
            prop_assert_eq!(joined, text);
        }

        #[test]
        fn escaped_values_never_make_variables(value in "[$(a)]{0,8}", around in "[(a)]{0,3}") {
            let escaped = crate::bindings::escape(&value);
            let template = template(json!([{"name": "a"}]), json!([{"v": format!("{around}$(tt.params.a){around}")}]));
            let filled = fill(&template, &given(&[("a", &escaped)]), "u").unwrap();
            let text = filled[0]["v"].as_str().unwrap();
            prop_assert!(!crate::bindings::tests::has_variable(text), "{}", text);
        }
    }
}
