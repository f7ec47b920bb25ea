//! JSON text to [`Value`], noticing fields that occur twice.
//!
//! `serde_json::Value` silently keeps the last of two equal keys; Kubernetes does too, but reports the repetition
//! under `fieldValidation`. [`ValueSeed`] builds the value and collects the paths of the repetitions; the YAML
//! reader uses the same seed.

use std::cell::RefCell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::MAX_DEPTH;
use crate::field_error::{child, index};

/// Most repetitions reported for one document; a hostile body must not make an unbounded answer.
const MAX_DUPLICATES: usize = 100;

/// Why a body is not a JSON (or YAML) document this API accepts. Answered as 400.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ParseError {
    /// The text breaks the syntax, or nests too deep.
    #[error("{0}")]
    Syntax(String),
    /// The bytes are not UTF-8.
    #[error("the body is not UTF-8 text")]
    Encoding,
}

/// Parses one JSON document. Beside the value, returns the path of every field that repeats an earlier one
/// (`spec.replicas`, `spec.containers[0].image`); the last one wins, as in Kubernetes.
///
/// # Errors
/// If the text is not JSON, nests deeper than [`MAX_DEPTH`] or has something after the document.
pub fn parse_strict(bytes: &[u8]) -> Result<(Value, Vec<String>), ParseError> {
    let duplicates = Duplicates::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = ValueSeed {
        path: Path::Root,
        depth: 0,
        duplicates: &duplicates,
    }
    .deserialize(&mut reader)
    .and_then(|value| reader.end().map(|()| value))
    .map_err(|error| ParseError::Syntax(error.to_string()))?;
    Ok((value, duplicates.0.into_inner()))
}

/// Paths of the fields that were given twice.
#[derive(Default)]
pub(crate) struct Duplicates(pub(crate) RefCell<Vec<String>>);

/// Where the reader stands. Linked, so that no text is built unless something must be reported.
#[derive(Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Field(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl Path<'_> {
    fn text(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Field(parent, name) => child(&parent.text(), name),
            Self::Index(parent, position) => index(&parent.text(), *position),
        }
    }
}

/// Deserializes any self-describing document into a [`Value`].
#[derive(Clone, Copy)]
pub(crate) struct ValueSeed<'a> {
    pub(crate) path: Path<'a>,
    pub(crate) depth: usize,
    pub(crate) duplicates: &'a Duplicates,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl ValueSeed<'_> {
    fn descend<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!(
                "the document nests deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(self.depth + 1)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value)
            .map(Value::Number)
            .ok_or_else(|| E::custom("the number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.descend()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(ValueSeed {
            path: Path::Index(&self.path, items.len()),
            depth,
            duplicates: self.duplicates,
        })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.descend()?;
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let path = Path::Field(&self.path, &key);
            let value = access.next_value_seed(ValueSeed {
                path,
                depth,
                duplicates: self.duplicates,
            })?;
            if map.contains_key(&key) {
                let mut found = self.duplicates.0.borrow_mut();
                if found.len() < MAX_DUPLICATES {
                    found.push(path.text());
                }
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reports_each_repeated_field_and_keeps_the_last() {
        let (value, duplicates) =
            parse_strict(br#"{"spec":{"a":1,"a":2,"list":[{"x":1},{"x":1,"x":3}]},"spec2":null}"#).unwrap();
        assert_eq!(
            value,
            json!({"spec": {"a": 2, "list": [{"x": 1}, {"x": 3}]}, "spec2": null})
        );
        assert_eq!(duplicates, ["spec.a", "spec.list[1].x"]);
    }

    #[test]
    fn refuses_what_is_no_document() {
        for text in ["", "{", "{}{}", "{\"a\":}", "nul", "[1,]", "\"\u{1}\"", "1e999"] {
            assert!(parse_strict(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse_strict(&[b'"', 0xff, b'"']).is_err());
    }

    #[test]
    fn depth_is_bounded() {
        let ok = format!("{}{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        assert!(parse_strict(ok.as_bytes()).is_ok());
        let deep = "[".repeat(100_000);
        assert!(parse_strict(deep.as_bytes()).is_err());
        let deep = "{\"a\":".repeat(100_000);
        assert!(parse_strict(deep.as_bytes()).is_err());
    }

    #[test]
    fn numbers_keep_their_kind() {
        let (value, _) = parse_strict(b"[1,-1,18446744073709551615,1.0,1e3]").unwrap();
        assert_eq!(value.to_string(), "[1,-1,18446744073709551615,1.0,1000.0]");
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let reference = serde_json::from_slice::<Value>(&bytes).ok();
            let ours = parse_strict(&bytes).ok().map(|(value, _)| value);
            prop_assert_eq!(ours, reference);
        }
    }
}
