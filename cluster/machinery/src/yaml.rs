//! YAML text to [`Value`], with limits against alias bombs and the same report of repeated fields as JSON.

use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_saphyr::Options;
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};

use crate::MAX_DEPTH;
use crate::json::{Duplicates, ParseError, Path, ValueSeed, parse_strict};

/// Most events aliases may inject into one document. Hand-written manifests need a few hundred.
const MAX_REPLAYED_EVENTS: usize = 100_000;

/// Parses one YAML document; JSON is accepted as what it is, a subset, on a faster path.
/// Beside the value, returns the paths of repeated fields; the last one wins.
///
/// # Errors
/// If the text is not UTF-8 or not YAML, holds several documents, nests too deep or expands too far.
pub fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), ParseError> {
    let starts_like_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if starts_like_json && let Ok(parsed) = parse_strict(bytes) {
        return Ok(parsed);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| ParseError::Encoding)?;
    let duplicates = Duplicates::default();
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |reader| {
        ValueSeed {
            path: Path::Root,
            depth: 0,
            duplicates: &duplicates,
        }
        .deserialize(reader)
    })
    .map_err(|error| ParseError::Syntax(error.to_string()))?;
    Ok((value, duplicates.0.into_inner()))
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED_EVENTS,
        },
        // Repetitions must reach the seed, which reports them and keeps the last.
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::Merge,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_manifests_as_kubernetes_does() {
        let text = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a # comment\n  labels: {x: \"1\"}\n\
                    data:\n  n: 1\n  f: 1.5\n  b: true\n  none: ~\n  text: |\n    two\n    lines\n  8080: port\n";
        let (value, duplicates) = parse(text.as_bytes()).unwrap();
        assert_eq!(
            value,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "labels": {"x": "1"}},
                   "data": {"n": 1, "f": 1.5, "b": true, "none": null, "text": "two\nlines\n", "8080": "port"}})
        );
        assert!(duplicates.is_empty());
    }

    #[test]
    fn reports_repeated_fields_and_keeps_the_last() {
        let (value, duplicates) = parse(b"spec:\n  a: 1\n  list:\n  - x: 1\n    x: 2\n  a: 3\n").unwrap();
        assert_eq!(value, json!({"spec": {"a": 3, "list": [{"x": 2}]}}));
        assert_eq!(duplicates, ["spec.list[0].x", "spec.a"]);
    }

    #[test]
    fn expands_anchors_and_merge_keys() {
        let (value, _) = parse(b"a: &x {n: 1}\nb:\n  <<: *x\n  m: 2\nc: *x\n").unwrap();
        assert_eq!(
            value,
            json!({"a": {"n": 1}, "b": {"n": 1, "m": 2}, "c": {"n": 1}})
        );
    }

    #[test]
    fn alias_bombs_are_refused() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..12 {
            let before = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![before; 10].join(",")));
        }
        assert!(parse(text.as_bytes()).is_err());
    }

    #[test]
    fn refuses_what_is_no_single_document() {
        for text in [
            &b"a: 1\n---\nb: 2\n"[..],
            b"a: [",
            b"\xff",
            b"a: 1\n b: 2\n",
            "[".repeat(5000).as_bytes(),
        ] {
            assert!(parse(text).is_err(), "{:?}", String::from_utf8_lossy(text));
        }
    }
}
