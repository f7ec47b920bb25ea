//! The conformance cases of the CloudEvents specification, read from the folder that `CESQL_TCK` names: its files are
//! those of `cesql/cesql_tck` in the repository of the specification.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use cesql::{CompileErrorKind, EvaluationErrorKind, Expression, Value};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use serde::Deserialize;
use serde_json::Value as Json;

const VARIABLE: &str = "CESQL_TCK";

/// Cases that contradict the specification they come with: the file, the case, and what the specification says.
///
/// Section 3.7 casts every Integer but 0 to true, and the suite's own casting functions do so; this one case still has
/// the rule of a draft, in which the cast fails.
const OUTDATED: [(&str, &str, Value<'_>); 1] = [("not_operator", "Invalid int cast", Value::Boolean(false))];

#[derive(Deserialize)]
struct File {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    name: String,
    expression: Json,
    result: Option<Json>,
    error: Option<String>,
    event: Option<BTreeMap<String, Json>>,
    #[serde(default)]
    event_overrides: BTreeMap<String, Json>,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match std::env::var_os(VARIABLE) {
        None => vec![
            // Also with `--ignored`: without its cases it can neither pass nor fail.
            Trial::ignorable_test("cases", || {
                Ok(Completion::ignored_with(
                    "needs CESQL_TCK: the folder of the conformance cases",
                ))
            }),
        ],
        Some(folder) => read(Path::new(&folder)).unwrap_or_else(|error| {
            let message = format!("{VARIABLE} is {}: {error}", Path::new(&folder).display());
            vec![Trial::test("cases", move || Err(Failed::from(message)))]
        }),
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn read(folder: &Path) -> Result<Vec<Trial>, Box<dyn std::error::Error>> {
    let mut trials = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let file = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let cases: File = serde_saphyr::from_str(&std::fs::read_to_string(&path)?)?;
        for case in cases.tests {
            let name = format!("{file}: {}", case.name);
            let file = file.clone();
            trials.push(Trial::test(name, move || {
                check(&file, &case).map_err(Failed::from)
            }));
        }
    }
    if trials.is_empty() {
        return Err("it has no .yaml file with cases".into());
    }
    Ok(trials)
}

fn check(file: &str, case: &Case) -> Result<(), String> {
    let outdated = OUTDATED
        .iter()
        .find(|(own, name, _)| *own == file && *name == case.name);
    let (result, error) = match outdated {
        Some((.., value)) => (Some(value.clone()), None),
        None => (case.result.as_ref().and_then(value), case.error.as_deref()),
    };
    let text = match &case.expression {
        Json::String(text) => text.clone(),
        Json::Bool(truth) => truth.to_string(),
        other => other.to_string(),
    };
    let expression = match Expression::compile(&text) {
        Ok(expression) => expression,
        Err(found) => {
            let kind = match found.kind {
                CompileErrorKind::Parse => "parse",
                CompileErrorKind::MissingFunction => "missingFunction",
            };
            // Found before any event: the value of such a case is that of no evaluation.
            return expect(&text, &Some(kind), &error);
        }
    };
    let event = event(case);
    let attributes: BTreeMap<&str, Value<'_>> = event
        .iter()
        .filter_map(|(name, json)| Some((name.as_str(), value(json)?)))
        .collect();
    let outcome = expression.evaluate(&attributes);
    let kind = outcome.errors.first().map(|error| match error.kind() {
        EvaluationErrorKind::MissingAttribute => "missingAttribute",
        EvaluationErrorKind::Cast => "cast",
        EvaluationErrorKind::Math => "math",
        EvaluationErrorKind::FunctionEvaluation => "functionEvaluation",
        EvaluationErrorKind::Generic => "generic",
    });
    expect(&text, &kind, &error)?;
    expect(&text, &Some(outcome.value), &result)
}

/// The event of the case, or the suite's own with the overrides.
fn event(case: &Case) -> BTreeMap<String, Json> {
    let mut event = case.event.clone().unwrap_or_else(|| {
        [
            ("specversion", "1.0"),
            ("id", "id"),
            ("source", "source"),
            ("type", "type"),
        ]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into()
    });
    event.extend(case.event_overrides.clone());
    event
}

fn value(json: &Json) -> Option<Value<'_>> {
    match json {
        Json::String(text) => Some(text.as_str().into()),
        Json::Bool(truth) => Some((*truth).into()),
        Json::Number(number) => Some(i32::try_from(number.as_i64()?).ok()?.into()),
        _ => None,
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(text: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{text}: expected {expected:?}, found {found:?}"))
}
