//! A matrix: each combination of values is a run of its own.

use std::collections::BTreeSet;

use crds::tekton::{Matrix, Param, ParamValue};

/// Most combinations of one matrix (upstream: `default-max-matrix-combinations-count`).
pub const MAX_COMBINATIONS: usize = 256;

/// A matrix that cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("matrix parameter {0} must be an array")]
    NotAnArray(String),
    #[error("parameter {param} of matrix.include[{entry}] must be a string")]
    NotAString { entry: usize, param: String },
    #[error("the matrix has more than {MAX_COMBINATIONS} combinations")]
    TooMany,
}

/// The params of each combination, in the order in which their runs are counted. The first param varies fastest.
///
/// An entry of `include` adds its params to the combinations whose values it does not contradict; if there are none
/// among those of the lists, it is a combination of its own. There are no combinations if a list is empty.
///
/// # Errors
/// If values are of the wrong type, or there are too many combinations.
pub fn combinations(matrix: &Matrix) -> Result<Vec<Vec<Param>>, Error> {
    let mut combinations = product(&matrix.params)?;
    if combinations.is_empty() && !matrix.params.is_empty() {
        return Ok(combinations);
    }
    let in_lists: BTreeSet<&str> = matrix.params.iter().map(|param| param.name.as_str()).collect();
    let from_lists = combinations.len();
    for (entry, include) in matrix.include.iter().enumerate() {
        if let Some(param) = include.params.iter().find(|param| param.value.as_str().is_none()) {
            let param = param.name.clone();
            return Err(Error::NotAString { entry, param });
        }
        let (known, new): (Vec<&Param>, Vec<&Param>) = include
            .params
            .iter()
            .partition(|param| in_lists.contains(param.name.as_str()));
        let mut found = false;
        for combination in combinations.iter_mut().take(from_lists) {
            if known.iter().all(|param| combination.contains(param)) {
                found = true;
                for param in &new {
                    combination.retain(|there| there.name != param.name);
                    combination.push((*param).clone());
                }
            }
        }
        if !found {
            combinations.push(include.params.clone());
        }
    }
    if combinations.len() > MAX_COMBINATIONS {
        return Err(Error::TooMany);
    }
    Ok(combinations)
}

fn product(params: &[Param]) -> Result<Vec<Vec<Param>>, Error> {
    let mut combinations: Vec<Vec<Param>> = Vec::new();
    for (index, param) in params.iter().enumerate() {
        let ParamValue::Array(values) = &param.value else {
            return Err(Error::NotAnArray(param.name.clone()));
        };
        let one = |value: &String| Param::new(param.name.as_str(), value.as_str());
        combinations = if index == 0 {
            values.iter().map(|value| vec![one(value)]).collect()
        } else {
            if combinations.len().saturating_mul(values.len()) > MAX_COMBINATIONS {
                return Err(Error::TooMany);
            }
            let with = |value: &String| {
                let extended = combinations.iter().map(|combination| {
                    let mut combination = combination.clone();
                    combination.push(one(value));
                    combination
                });
                extended.collect::<Vec<_>>()
            };
            values.iter().flat_map(with).collect()
        };
    }
    Ok(combinations)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// Each combination as `name=value` joined with blanks.
    fn written(matrix: Value) -> Result<Vec<String>, Error> {
        let all = combinations(&serde_json::from_value::<Matrix>(matrix).unwrap())?;
        let one = |param: &Param| format!("{}={}", param.name, param.value.as_str().unwrap());
        Ok(all
            .iter()
            .map(|params| params.iter().map(one).collect::<Vec<_>>().join(" "))
            .collect())
    }

    fn lists() -> Value {
        json!([{"name": "os", "value": ["linux", "mac"]}, {"name": "v", "value": ["1", "2"]}])
    }

    #[test]
    fn the_first_param_varies_fastest() {
        let expected = ["os=linux v=1", "os=mac v=1", "os=linux v=2", "os=mac v=2"];
        assert_eq!(written(json!({"params": lists()})).unwrap(), expected);
    }

    #[test]
    fn include_adds_to_what_it_matches_and_is_its_own_otherwise() {
        let table: [(Value, &[&str]); 5] = [
            (
                json!([{"params": [{"name": "os", "value": "mac"}, {"name": "x", "value": "y"}]}]),
                &["os=linux v=1", "os=mac v=1 x=y", "os=linux v=2", "os=mac v=2 x=y"],
            ),
            (
                json!([{"params": [{"name": "x", "value": "y"}]}]),
                &[
                    "os=linux v=1 x=y",
                    "os=mac v=1 x=y",
                    "os=linux v=2 x=y",
                    "os=mac v=2 x=y",
                ],
            ),
            (
                json!([{"params": [{"name": "os", "value": "bsd"}]}]),
                &[
                    "os=linux v=1",
                    "os=mac v=1",
                    "os=linux v=2",
                    "os=mac v=2",
                    "os=bsd",
                ],
            ),
            (
                json!([
                    {"params": [{"name": "os", "value": "bsd"}]},
                    {"params": [{"name": "os", "value": "bsd"}, {"name": "x", "value": "y"}]},
                ]),
                &[
                    "os=linux v=1",
                    "os=mac v=1",
                    "os=linux v=2",
                    "os=mac v=2",
                    "os=bsd",
                    "os=bsd x=y",
                ],
            ),
            (
                json!([{"params": [{"name": "os", "value": "mac"}, {"name": "v", "value": "2"}, {"name": "x", "value": "y"}]}]),
                &["os=linux v=1", "os=mac v=1", "os=linux v=2", "os=mac v=2 x=y"],
            ),
        ];
        for (include, expected) in table {
            let matrix = json!({"params": lists(), "include": include});
            assert_eq!(written(matrix.clone()).unwrap(), expected, "{matrix}");
        }
        let alone = json!({"include": [{"params": [{"name": "a", "value": "1"}]}, {"params": [{"name": "b", "value": "2"}]}]});
        assert_eq!(written(alone).unwrap(), ["a=1", "b=2"]);
    }

    #[test]
    fn an_empty_list_leaves_nothing() {
        let params = json!([{"name": "a", "value": []}, {"name": "b", "value": ["1"]}]);
        assert!(written(json!({"params": params})).unwrap().is_empty());
        let params = json!([{"name": "b", "value": ["1"]}, {"name": "a", "value": []}]);
        assert!(written(json!({"params": params})).unwrap().is_empty());
    }

    #[test]
    fn wrong_types_and_too_many_are_refused() {
        let many: Vec<String> = (0..17).map(|n| n.to_string()).collect();
        for (matrix, error) in [
            (
                json!({"params": [{"name": "a", "value": "x"}]}),
                Error::NotAnArray("a".to_owned()),
            ),
            (
                json!({"include": [{"params": [{"name": "a", "value": ["x"]}]}]}),
                Error::NotAString {
                    entry: 0,
                    param: "a".to_owned(),
                },
            ),
            (
                json!({"params": [{"name": "a", "value": many}, {"name": "b", "value": many}]}),
                Error::TooMany,
            ),
        ] {
            assert_eq!(written(matrix), Err(error));
        }
    }
}
