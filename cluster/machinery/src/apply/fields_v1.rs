//! The `fieldsV1` form of a set: `{"f:spec":{".":{},"f:replicas":{}}}`
//! (`structured-merge-diff/fieldpath/serialize.go`).

use std::fmt::Write;

use serde_json::{Map, Value};

use super::path::{PathElement, Scalar};
use super::set::{Entry, FieldSet};

pub(super) fn encode(set: &FieldSet) -> Value {
    let entries = set.entries().iter().map(|entry| {
        let mut below = match encode(&entry.children) {
            Value::Object(below) => below,
            _ => Map::new(),
        };
        if entry.member && !below.is_empty() {
            below.insert(".".to_owned(), Value::Object(Map::new()));
        }
        (name(&entry.element), Value::Object(below))
    });
    Value::Object(entries.collect())
}

/// `None` if the document is no `fieldsV1`.
pub(super) fn decode(document: &Value) -> Option<FieldSet> {
    let map = document.as_object()?;
    let mut entries = Vec::with_capacity(map.len());
    for (name, below) in map {
        if name == "." {
            continue;
        }
        let children = decode(below)?;
        let member = children.is_empty() || below.get(".").is_some();
        entries.push(Entry {
            element: element(name)?,
            member,
            children,
        });
    }
    Some(FieldSet::from_entries(entries))
}

fn name(element: &PathElement) -> String {
    match element {
        PathElement::Field(name) => format!("f:{name}"),
        PathElement::Value(value) => format!("v:{value}"),
        PathElement::Index(position) => format!("i:{position}"),
        PathElement::Key(fields) => {
            let mut text = "k:{".to_owned();
            for (position, (name, value)) in fields.iter().enumerate() {
                let comma = if position > 0 { "," } else { "" };
                // Writing to a text cannot fail.
                let _ = write!(text, "{comma}{}:{value}", Scalar::Text(name.clone()));
            }
            text.push('}');
            text
        }
    }
}

fn element(name: &str) -> Option<PathElement> {
    let (kind, rest) = name.split_once(':')?;
    Some(match kind {
        "f" => PathElement::Field(rest.into()),
        "v" => PathElement::Value(Scalar::of(&serde_json::from_str(rest).ok()?)?),
        "i" => PathElement::Index(rest.parse().ok()?),
        "k" => {
            let fields: Map<String, Value> = serde_json::from_str(rest).ok()?;
            let mut fields = fields
                .iter()
                .map(|(name, value)| Some((Box::from(name.as_str()), Scalar::of(value)?)))
                .collect::<Option<Vec<(Box<str>, Scalar)>>>()?;
            fields.sort_unstable();
            PathElement::Key(fields.into())
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_of_real_objects_read_back_as_they_were() {
        let table = [
            (json!({}), vec![]),
            (json!({"f:data": {".": {}, "f:a": {}}}), vec![".data", ".data.a"]),
            (
                json!({"f:spec": {"f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}}}}),
                vec![
                    ".spec.ports[containerPort=80,protocol=\"TCP\"]",
                    ".spec.ports[containerPort=80,protocol=\"TCP\"].name",
                ],
            ),
            (
                json!({"f:metadata": {"f:finalizers": {"v:\"a\\\"b\"": {}}, "f:x": {"i:3": {}, "v:true": {}, "v:null": {}}}}),
                vec![
                    ".metadata.finalizers[=\"a\\\"b\"]",
                    ".metadata.x[=null]",
                    ".metadata.x[=true]",
                    ".metadata.x[3]",
                ],
            ),
        ];
        for (document, texts) in table {
            let set = decode(&document).unwrap();
            assert_eq!(set.texts(), texts);
            assert_eq!(encode(&set), document);
        }
    }

    #[test]
    fn other_documents_are_refused() {
        for document in [
            json!([]),
            json!({"spec": {}}),
            json!({"f:a": 1}),
            json!({"k:x": {}}),
            json!({"v:{}": {}}),
            json!({"i:-1": {}}),
        ] {
            assert_eq!(decode(&document), None, "{document}");
        }
    }
}
