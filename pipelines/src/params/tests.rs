use serde_json::{Value, json};

use super::*;

fn resolved(declared: Value, given: Value) -> Result<Value, Error> {
    let declared: Vec<ParamSpec> = serde_json::from_value(declared).unwrap();
    let given: Vec<Param> = serde_json::from_value(given).unwrap();
    resolve(&declared, &given).map(|values| serde_json::to_value(values).unwrap())
}

#[test]
fn values_come_from_the_run_and_then_from_defaults() {
    for (declared, given, expected) in [
        (
            json!([{"name": "a"}]),
            json!([{"name": "a", "value": "1"}]),
            json!({"a": "1"}),
        ),
        (
            json!([{"name": "a", "default": "d"}]),
            json!([]),
            json!({"a": "d"}),
        ),
        (
            json!([{"name": "a", "default": "d"}]),
            json!([{"name": "a", "value": ""}]),
            json!({"a": ""}),
        ),
        (
            json!([]),
            json!([{"name": "extra", "value": ["x"]}]),
            json!({"extra": ["x"]}),
        ),
        (
            json!([{"name": "o", "properties": {"k": {}, "l": {}}, "default": {"k": "d", "l": "e"}}]),
            json!([{"name": "o", "value": {"l": "given"}}]),
            json!({"o": {"k": "d", "l": "given"}}),
        ),
        (
            json!([{"name": "a", "default": "$(params.b)-x"}, {"name": "b", "default": "$(params['c.d'])"}, {"name": "c.d"}]),
            json!([{"name": "c.d", "value": "$(params.a)"}]),
            json!({"a": "$(params.a)-x", "b": "$(params.a)", "c.d": "$(params.a)"}),
        ),
        (
            json!([{"name": "l", "type": "array", "default": ["0", "$(params.m[*])"]}, {"name": "m", "default": ["1", "2"]}]),
            json!([]),
            json!({"l": ["0", "1", "2"], "m": ["1", "2"]}),
        ),
    ] {
        assert_eq!(resolved(declared.clone(), given), Ok(expected), "{declared}");
    }
}

#[test]
fn every_mistake_has_its_reason_and_is_named() {
    let chain: Vec<Value> = (0..12)
        .map(|n| json!({"name": format!("p{n}"), "default": format!("$(params.p{})", n + 1)}))
        .collect();
    for (declared, given, reason, names) in [
        (
            json!([{"name": "a"}, {"name": "b"}]),
            json!([]),
            "ParameterMissing",
            "a, b",
        ),
        (
            json!([{"name": "a", "type": "array"}]),
            json!([{"name": "a", "value": "x"}]),
            "ParameterTypeMismatch",
            "a is string, and array is declared",
        ),
        (
            json!([{"name": "o", "properties": {"k": {}, "l": {}}, "default": {"k": "d"}}]),
            json!([{"name": "o", "value": {}}]),
            "ObjectParameterMissKeys",
            "o lacks l",
        ),
        (
            json!([{"name": "a", "enum": ["x", "y"]}]),
            json!([{"name": "a", "value": "z"}]),
            "InvalidParamValue",
            "one of: x, y",
        ),
        (
            json!([{"name": "a", "default": "$(params.b)"}, {"name": "b", "default": "$(params.a)"}]),
            json!([]),
            "PipelineValidationFailed",
            "a → b → a",
        ),
        (
            Value::Array(chain),
            json!([]),
            "PipelineValidationFailed",
            "more than 10 levels",
        ),
        (
            json!([{"name": "a", "default": "$(params.l[2])"}, {"name": "l", "default": ["0"]}]),
            json!([]),
            "ParamArrayIndexingInvalid",
            "no element 2 in an array of 1",
        ),
    ] {
        let error = resolved(declared, given).unwrap_err();
        assert_eq!(error.pipeline_run_reason(), reason);
        assert!(error.to_string().contains(names), "{error}");
    }
}
