//! Picks single values out of a payload without building all of it: one may have 25 MiB.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longest value that becomes an attribute; longer ones are left to the data.
const LONGEST: usize = 1024;

/// The values found, by their paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Payload(Vec<(&'static str, String)>);

impl Payload {
    /// Reads the values at `wanted`: names of fields, joined by dots.
    ///
    /// # Errors
    /// If `body` is not one JSON object.
    pub fn read(body: &[u8], wanted: &[&'static str]) -> Result<Self, serde_json::Error> {
        let mut found = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let whole = Fields {
            wanted,
            path: "",
            found: &mut found,
        };
        (&mut json).deserialize_map(whole)?;
        json.end()?;
        Ok(found)
    }

    pub fn get(&self, path: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(known, _)| *known == path)?;
        Some(value)
    }

    fn set(&mut self, path: &'static str, value: String) {
        if !value.is_empty() && value.len() <= LONGEST && self.get(path).is_none() {
            self.0.push((path, value));
        }
    }
}

/// What is at `path`, of which values at `wanted` are kept.
struct Fields<'a> {
    wanted: &'a [&'static str],
    path: &'a str,
    found: &'a mut Payload,
}

impl Fields<'_> {
    fn keep<E>(self, value: impl fmt::Display) -> Result<(), E> {
        if let Some(path) = self.wanted.iter().find(|wanted| **wanted == self.path) {
            self.found.set(path, value.to_string());
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.keep(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            let path = match self.path {
                "" => name,
                parent => format!("{parent}.{name}"),
            };
            let leads = |wanted: &&'static str| {
                wanted
                    .strip_prefix(path.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if self.wanted.iter().any(leads) {
                fields.next_value_seed(Fields {
                    wanted: self.wanted,
                    path: &path,
                    found: self.found,
                })?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wanted_values_are_found_and_all_else_is_passed_over() {
        let body = br#"{"a": "x", "b": {"c": 7, "d": {"e": true}, "f": [1, {"c": 2}]}, "n": null, "b.c": 9, "l": [1], "m": -1, "e": "", "g": 1.5, "a": "y"}"#;
        let payload = Payload::read(
            body,
            &["a", "b.c", "b.d.e", "n", "l", "m", "e", "b.f", "b.d", "g", "none"],
        )
        .unwrap();
        let found = |path| payload.get(path);
        assert_eq!(
            (found("a"), found("b.c"), found("b.d.e"), found("m")),
            (Some("x"), Some("7"), Some("true"), Some("-1"))
        );
        for path in ["n", "l", "e", "b.f", "b.d", "g", "none"] {
            assert_eq!(found(path), None, "{path}");
        }
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(LONGEST + 1));
        assert_eq!(
            Payload::read(long.as_bytes(), &["a"]).unwrap(),
            Payload::default()
        );
    }

    #[test]
    fn only_one_object_is_a_payload() {
        for body in [
            "",
            "[]",
            "1",
            "null",
            "\"x\"",
            "{",
            "{} {}",
            "{}x",
            "{\"a\": }",
            "payload=%7B%7D",
        ] {
            assert!(Payload::read(body.as_bytes(), &["a"]).is_err(), "{body}");
        }
        // A single quote's depth is bounded, and so is what is passed over.
        let deep = format!("{{\"a\": {}", "[".repeat(1_000_000));
        assert!(Payload::read(deep.as_bytes(), &["b"]).is_err());
        assert!(
            Payload::read(
                format!("{{\"a\": {}", "{\"a\":".repeat(1_000_000)).as_bytes(),
                &["a.a.a"]
            )
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Payload::read(&body, &["a", "a.b"]);
        }
    }
}
