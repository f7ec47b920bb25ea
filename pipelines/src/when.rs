//! Conditions of tasks and steps: all of them have to hold.

use crds::tekton::{Operator, WhenExpression};

use crate::cel;

/// A condition that cannot be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Cel(#[from] cel::Error),
    #[error("the results of steps are not known to CEL: use input, operator and values instead of {0:?}")]
    StepResults(String),
    #[error("when expression on {0:?} has neither an operator nor a CEL expression")]
    NoOperator(String),
}

/// Do all of the conditions hold? Their variables have been replaced.
///
/// # Errors
/// If an expression in CEL has no answer, or there is no condition at all.
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
        return Ok(cel::holds(&condition.cel)?);
    }
    let found = condition.values.contains(&condition.input);
    match condition.operator {
        Some(Operator::In) => Ok(found),
        Some(Operator::NotIn) => Ok(!found),
        None => Err(Error::NoOperator(condition.input.clone())),
    }
}

/// Conditions of a step as the entrypoint gets them: it knows the results of earlier steps, which only comparisons can
/// look at; what is in CEL is decided here.
///
/// # Errors
/// As [`hold`], and if an expression in CEL looks at the results of steps.
pub fn of_step(conditions: &[WhenExpression]) -> Result<Vec<entrypoint::Condition>, Error> {
    conditions.iter().map(comparison).collect()
}

fn comparison(condition: &WhenExpression) -> Result<entrypoint::Condition, Error> {
    if condition.cel.is_empty() {
        return Ok(entrypoint::Condition {
            input: condition.input.clone(),
            operator: match condition.operator {
                Some(Operator::In) => entrypoint::Operator::In,
                Some(Operator::NotIn) => entrypoint::Operator::NotIn,
                None => return Err(Error::NoOperator(condition.input.clone())),
            },
            values: condition.values.clone(),
        });
    }
    if condition.cel.contains("$(steps.") {
        return Err(Error::StepResults(condition.cel.clone()));
    }
    Ok(entrypoint::Condition {
        input: holds(condition)?.to_string(),
        operator: entrypoint::Operator::In,
        values: vec!["true".to_owned()],
    })
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
            (json!([yes, {"cel": "'a' == 'a'"}]), true),
            (json!([yes, {"cel": "'a' == 'b'"}]), false),
        ] {
            assert_eq!(decided(conditions.clone()), Ok(expected), "{conditions}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_refused() {
        assert!(matches!(
            decided(json!([{"cel": "1 == 'a'+"}])),
            Err(Error::Cel(cel::Error::Invalid { .. }))
        ));
        assert!(matches!(
            decided(json!([{"input": "a"}])),
            Err(Error::NoOperator(_))
        ));
    }

    #[test]
    fn steps_get_comparisons() {
        let of = |conditions: Value| {
            let conditions: Vec<WhenExpression> = serde_json::from_value(conditions).unwrap();
            of_step(&conditions).map(|all| serde_json::to_value(all).unwrap())
        };
        let plain = json!({"input": "$(steps.a.results.r)", "operator": "notin", "values": ["x"]});
        assert_eq!(
            of(json!([plain, {"cel": "1 == 1"}, {"cel": "1 == 2"}])).unwrap(),
            json!([
                plain,
                {"input": "true", "operator": "in", "values": ["true"]},
                {"input": "false", "operator": "in", "values": ["true"]},
            ])
        );
        let error = of(json!([{"cel": "'$(steps.a.results.r)' == 'x'"}])).unwrap_err();
        assert!(matches!(error, Error::StepResults(_)), "{error}");
    }
}
