//! Conditions of tasks and steps: all of them have to hold.

use crds::tekton::{Operator, WhenExpression};

/// A condition that cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `cel` needs an evaluator, which this build does not have.
    #[error(
        "when expressions in CEL are not supported here, use input, operator and values instead of {0:?}"
    )]
    Cel(String),
    #[error("when expression on {0:?} has neither an operator nor a CEL expression")]
    NoOperator(String),
}

/// Do all of the conditions hold? Their variables have been replaced.
///
/// # Errors
/// If a condition is written in CEL, or in no way at all.
pub fn hold(conditions: &[WhenExpression]) -> Result<bool, Error> {
    for condition in conditions {
        if !holds(condition)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(condition: &WhenExpression) -> Result<bool, Error> {
    if !condition.cel.is_empty() {
        return Err(Error::Cel(condition.cel.clone()));
    }
    let found = condition.values.contains(&condition.input);
    match condition.operator {
        Some(Operator::In) => Ok(found),
        Some(Operator::NotIn) => Ok(!found),
        None => Err(Error::NoOperator(condition.input.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn decided(conditions: Value) -> Result<bool, Error> {
        hold(&serde_json::from_value::<Vec<WhenExpression>>(conditions).unwrap())
    }

    #[test]
    fn all_conditions_have_to_hold() {
        let yes = json!({"input": "a", "operator": "in", "values": ["b", "a"]});
        let no = json!({"input": "a", "operator": "notin", "values": ["a"]});
        let other = json!({"input": "", "operator": "notin", "values": ["a"]});
        for (conditions, expected) in [
            (json!([]), true),
            (json!([yes]), true),
            (json!([no]), false),
            (json!([yes, other]), true),
            (json!([yes, no]), false),
        ] {
            assert_eq!(decided(conditions.clone()), Ok(expected), "{conditions}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        assert!(matches!(decided(json!([{"cel": "1 == 1"}])), Err(Error::Cel(text)) if text == "1 == 1"));
        assert!(matches!(
            decided(json!([{"input": "a"}])),
            Err(Error::NoOperator(_))
        ));
    }
}
