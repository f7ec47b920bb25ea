//! Conditions of a step that may look at the results of earlier ones, so that they are known only when its turn comes.

use std::io;

use serde::{Deserialize, Serialize};

use crate::step_results::StepResults;

/// One condition; all have to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What is looked for.
    #[serde(default)]
    pub input: String,
    /// Whether it has to be there.
    pub operator: Operator,
    /// Where it is looked for.
    #[serde(default)]
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operator {
    In,
    NotIn,
}

/// Do all hold?
///
/// # Errors
/// If a result of an earlier step is asked for that is not there.
pub(crate) fn hold(conditions: &[Condition], earlier: &StepResults) -> io::Result<bool> {
    for condition in conditions {
        let input = earlier.in_text(&condition.input)?;
        let values = earlier.in_list(&condition.values)?;
        if values.contains(&input) != (condition.operator == Operator::In) {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(conditions: &str) -> io::Result<bool> {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("step-a/results");
        std::fs::create_dir_all(&results).unwrap();
        std::fs::write(results.join("r"), "yes").unwrap();
        std::fs::write(results.join("l"), r#"["yes","no"]"#).unwrap();
        hold(
            &serde_json::from_str::<Vec<Condition>>(conditions).unwrap(),
            &StepResults::new(folder.path()),
        )
    }

    #[test]
    fn all_have_to_hold_with_what_earlier_steps_said() {
        let yes = r#"{"input":"$(steps.a.results.r)","operator":"in","values":["yes"]}"#;
        let no = r#"{"input":"x","operator":"in","values":["$(steps.a.results.l[*])"]}"#;
        let not = r#"{"input":"x","operator":"notin","values":["$(steps.a.results.l[*])"]}"#;
        for (conditions, expected) in [
            ("[]".to_owned(), true),
            (format!("[{yes}]"), true),
            (format!("[{no}]"), false),
            (format!("[{yes},{not}]"), true),
            (format!("[{not},{no}]"), false),
        ] {
            assert_eq!(held(&conditions).unwrap(), expected, "{conditions}");
        }
        let absent = r#"[{"input":"$(steps.a.results.z)","operator":"in","values":["x"]}]"#;
        assert!(held(absent).unwrap_err().to_string().contains("\"z\""));
    }
}
