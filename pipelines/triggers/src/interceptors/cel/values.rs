//! JSON as values of CEL, and back.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::Value as Cel;
use kube_cel::cel::objects::{Key, Map};
use serde_json::{Value, json};

/// Above this a double does not hold every whole number.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// JSON as a value; all numbers are doubles.
pub(super) fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(to_cel).collect())),
        Value::Object(fields) => {
            let entries = fields
                .iter()
                .map(|(name, value)| (Key::String(Arc::new(name.clone())), to_cel(value)));
            Cel::Map(Map {
                map: Arc::new(entries.collect::<HashMap<_, _>>()),
            })
        }
    }
}

/// A value as JSON; whole numbers have no fraction there. `None` for what JSON does not have.
pub(super) fn to_json(value: &Cel) -> Option<Value> {
    Some(match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => json!(value),
        Cel::Int(number) => json!(number),
        Cel::UInt(number) => json!(number),
        Cel::Float(number) if number.fract() == 0.0 && number.abs() < LARGEST_WHOLE => {
            #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
            let whole = *number as i64;
            json!(whole)
        }
        Cel::Float(number) => serde_json::Number::from_f64(*number).map(Value::Number)?,
        Cel::String(text) => json!(text.as_str()),
        Cel::Bytes(bytes) => json!(STANDARD.encode(bytes.as_slice())),
        Cel::List(list) => Value::Array(list.iter().map(to_json).collect::<Option<_>>()?),
        Cel::Map(map) => {
            let entries = map.map.iter().map(|(key, value)| {
                let Key::String(name) = key else { return None };
                Some((name.as_str().to_owned(), to_json(value)?))
            });
            Value::Object(entries.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
