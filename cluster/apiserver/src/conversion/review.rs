//! `ConversionReview`: what is asked, and what an answer must be
//! (`k8s.io/apiextensions-apiserver/pkg/apiserver/conversion/webhook_converter.go`).

use std::fmt;

use kube::core::TypeMeta;
use kube::core::conversion::{ConversionRequest, ConversionReview};
use kube::core::response::StatusSummary;
use serde_json::{Map, Value, json};

const KIND: &str = "ConversionReview";

/// What of an object a conversion may not change.
#[derive(Debug)]
pub(super) struct Original {
    api_version: String,
    kind: Value,
    metadata: Map<String, Value>,
}

impl Original {
    pub(super) fn of(object: &Value) -> Self {
        Self {
            api_version: object["apiVersion"].as_str().unwrap_or_default().to_owned(),
            kind: object["kind"].clone(),
            metadata: object["metadata"].as_object().cloned().unwrap_or_default(),
        }
    }

    pub(super) fn version(&self) -> &str {
        version_of(&self.api_version)
    }
}

/// `stable.example.com/v1beta1, Kind=CronTab`, as errors name types.
impl fmt::Display for Original {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str().unwrap_or_default();
        write!(f, "{}, Kind={kind}", self.api_version)
    }
}

/// The version of an `apiVersion`.
pub(super) fn version_of(api_version: &str) -> &str {
    api_version
        .split_once('/')
        .map_or(api_version, |(_, version)| version)
}

/// Makes the question about objects.
pub(super) fn question(review_version: &str, desired: &str, objects: Vec<Value>) -> Value {
    let mut review = json!({
        "apiVersion": format!("apiextensions.k8s.io/{review_version}"),
        "kind": KIND,
        "request": {"uid": uuid::Uuid::new_v4().to_string(), "desiredAPIVersion": desired},
    });
    // Moved, not copied.
    review["request"]["objects"] = Value::Array(objects);
    review
}

/// Makes the question for a handler in process.
pub(super) fn question_in_process(desired: &str, objects: Vec<Value>) -> ConversionReview {
    let types = TypeMeta {
        api_version: "apiextensions.k8s.io/v1".to_owned(),
        kind: KIND.to_owned(),
    };
    ConversionReview {
        types: types.clone(),
        request: Some(ConversionRequest {
            types: Some(types),
            uid: uuid::Uuid::new_v4().to_string(),
            desired_api_version: desired.to_owned(),
            objects,
        }),
        response: None,
    }
}

/// Reads the answer to `question`.
///
/// # Errors
/// A sentence: it is none, or says why not.
pub(super) fn answer(question: &Value, mut answer: Value) -> Result<Vec<Value>, String> {
    let invalid = |why: String| Err(format!("invalid response: {why}"));
    for field in ["apiVersion", "kind"] {
        if answer[field] != question[field] {
            return invalid(format!(
                "expected webhook response of {field} {}, got {}",
                question[field], answer[field]
            ));
        }
    }
    let expected = &question["request"]["uid"];
    if !answer["response"].is_object() {
        return invalid("no response provided".to_owned());
    }
    if answer["response"]["uid"] != *expected {
        return invalid(format!(
            "expected response.uid={expected}, got {}",
            answer["response"]["uid"]
        ));
    }
    let result = &answer["response"]["result"];
    if result["status"] != "Success" {
        return Err(reason(result["message"].as_str().unwrap_or_default()));
    }
    match answer["response"]["convertedObjects"].take() {
        Value::Array(objects) => Ok(objects),
        _ => Ok(Vec::new()),
    }
}

/// Reads the answer of a handler in process, which need not repeat what it was asked.
///
/// # Errors
/// A sentence: there is none, or it says why not.
pub(super) fn answer_in_process(answered: ConversionReview) -> Result<Vec<Value>, String> {
    let response = answered.response.ok_or("no response provided")?;
    match response.result.status {
        Some(StatusSummary::Success) => Ok(response.converted_objects),
        _ => Err(reason(&response.result.message)),
    }
}

fn reason(message: &str) -> String {
    if message.is_empty() {
        "unknown reason".to_owned()
    } else {
        message.to_owned()
    }
}

/// Checks what came back and gives it the metadata that it had: only labels and annotations may be others.
///
/// # Errors
/// A sentence: something was changed that must not be, or is missing.
pub(super) fn checked(
    originals: &[Original],
    converted: Vec<Value>,
    desired: &str,
) -> Result<Vec<Value>, String> {
    if converted.len() != originals.len() {
        return Err(format!(
            "expected {} converted objects, got {}",
            originals.len(),
            converted.len()
        ));
    }
    let pairs = originals.iter().zip(converted).enumerate();
    pairs
        .map(|(index, (original, converted))| {
            restored(original, converted, desired)
                .map_err(|why| format!("invalid converted object at index {index}: {why}"))
        })
        .collect()
}

fn restored(original: &Original, mut converted: Value, desired: &str) -> Result<Value, String> {
    if converted["apiVersion"] != *desired {
        let got = converted["apiVersion"].as_str().unwrap_or_default();
        return Err(format!(
            "invalid groupVersion, expected=\"{desired}\", got=\"{got}\""
        ));
    }
    if converted["kind"] != original.kind {
        return Err(format!(
            "invalid kind, expected={}, got={}",
            original.kind, converted["kind"]
        ));
    }
    let Some(metadata) = converted.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err("metadata is missing".to_owned());
    };
    for field in ["name", "namespace", "uid"] {
        let (had, has) = (original.metadata.get(field), metadata.get(field));
        if has.filter(|value| **value != "") != had.filter(|value| **value != "") {
            return Err(format!("must have the same metadata.{field}"));
        }
    }
    let mut kept = original.metadata.clone();
    for field in ["labels", "annotations"] {
        kept.remove(field);
        match metadata.remove(field) {
            None | Some(Value::Null) => {}
            Some(Value::Object(map)) if map.values().all(Value::is_string) => {
                if !map.is_empty() {
                    kept.insert(field.to_owned(), Value::Object(map));
                }
            }
            Some(_) => return Err(format!("metadata.{field} must be texts by name")),
        }
    }
    *metadata = kept;
    Ok(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn original() -> Value {
        json!({
            "apiVersion": "e.com/v1", "kind": "Widget", "spec": {"old": 1},
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"},
                         "finalizers": ["f"]},
        })
    }

    fn back(converted: Value) -> Result<Value, String> {
        checked(&[Original::of(&original())], vec![converted], "e.com/v2").map(|mut all| all.remove(0))
    }

    #[test]
    fn only_labels_and_annotations_of_the_metadata_change() {
        let converted = json!({
            "apiVersion": "e.com/v2", "kind": "Widget", "spec": {"new": 1},
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "8", "labels": {},
                         "annotations": {"k": "v"}, "generation": 5},
        });
        let expected = json!({
            "apiVersion": "e.com/v2", "kind": "Widget", "spec": {"new": 1},
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "finalizers": ["f"],
                         "annotations": {"k": "v"}},
        });
        assert_eq!(back(converted), Ok(expected));
    }

    #[test]
    fn what_must_stay_is_checked() {
        let table = [
            (
                "/apiVersion",
                json!("e.com/v3"),
                "invalid groupVersion, expected=\"e.com/v2\", got=\"e.com/v3\"",
            ),
            (
                "/kind",
                json!("Gadget"),
                "invalid kind, expected=\"Widget\", got=\"Gadget\"",
            ),
            ("/metadata", json!(1), "metadata is missing"),
            ("/metadata/name", json!("b"), "must have the same metadata.name"),
            (
                "/metadata/namespace",
                json!(""),
                "must have the same metadata.namespace",
            ),
            ("/metadata/uid", json!("other"), "must have the same metadata.uid"),
            (
                "/metadata/labels",
                json!({"a": 1}),
                "metadata.labels must be texts by name",
            ),
        ];
        for (path, value, expected) in table {
            let mut converted = original();
            converted["apiVersion"] = json!("e.com/v2");
            *converted.pointer_mut(path).unwrap() = value;
            assert_eq!(
                back(converted).unwrap_err(),
                format!("invalid converted object at index 0: {expected}")
            );
        }
        assert_eq!(
            checked(&[], vec![original()], "e.com/v2").unwrap_err(),
            "expected 0 converted objects, got 1"
        );
    }

    #[test]
    fn an_answer_must_fit_the_question() {
        let question = question("v1", "e.com/v2", vec![original()]);
        let uid = question["request"]["uid"].clone();
        let good = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
            "response": {"uid": uid, "result": {"status": "Success"}, "convertedObjects": [original()]},
        });
        assert_eq!(answer(&question, good.clone()), Ok(vec![original()]));
        let failed = json!({"status": "Failed", "message": "no"});
        for (path, value, expected) in [
            (
                "/apiVersion",
                json!("v1"),
                "expected webhook response of apiVersion",
            ),
            ("/response", Value::Null, "no response provided"),
            ("/response/uid", json!("x"), "expected response.uid="),
            ("/response/result", failed, "no"),
            ("/response/result", json!({}), "unknown reason"),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(path).unwrap() = value;
            let why = answer(&question, bad).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
