//! What Tekton's expressions know beside those of Kubernetes.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use expressions::Allowance;
use kube_cel::cel::extractors::{Arguments, This};
use kube_cel::cel::{Context, ExecutionError, Value as Cel};
use serde_json::{Value, json};

use super::super::signature;
use super::values::{to_cel, to_json};
use crate::event::canonical;

/// Finds a secret: key, name, and namespace if it is said. `None` if there is none.
pub type CompareSecret = Arc<dyn Fn(&str, &str, Option<&str>) -> Option<Vec<u8>> + Send + Sync>;

type Made = Result<Cel, ExecutionError>;

/// What a number of `lists.range` costs, compared with a turn of a loop: each takes as many bytes, and all are made at once.
const NUMBER: u64 = 64;

pub(super) fn register(context: &mut Context<'_>, compare: CompareSecret, allowance: &Allowance) {
    context.add_function("match", matches);
    context.add_function("canonical", canonical_header);
    context.add_function("truncate", truncate);
    context.add_function("decodeb64", decode_b64);
    context.add_function("parseJSON", parse_json);
    context.add_function("parseYAML", parse_yaml);
    context.add_function("parseURL", parse_url);
    context.add_function("marshalJSON", marshal_json);
    let spent = allowance.clone();
    context.add_function(
        "translate",
        move |This(given): This<Arc<String>>, pattern: Arc<String>, replacement: Arc<String>| {
            translate(&spent, &given, &pattern, &replacement)
        },
    );
    let spent = allowance.clone();
    context.add_function("lists.range", move |most: i64| range(&spent, most));
    // Those of Kubernetes give optional values.
    context.add_function("first", |This(list): This<Arc<Vec<Cel>>>| {
        at("first", list.first())
    });
    context.add_function("last", |This(list): This<Arc<Vec<Cel>>>| at("last", list.last()));
    context.add_function(
        "compareSecret",
        move |This(given): This<Arc<String>>, Arguments(rest): Arguments| {
            compare_secret(&compare, &given, &rest)
        },
    );
}

fn error(function: &str, problem: impl std::fmt::Display) -> ExecutionError {
    ExecutionError::FunctionError {
        function: function.to_owned(),
        message: problem.to_string(),
    }
}

fn at(function: &str, value: Option<&Cel>) -> Made {
    value.cloned().ok_or_else(|| error(function, "the list is empty"))
}

fn text(value: String) -> Cel {
    Cel::String(Arc::new(value))
}

/// The values of a header, whatever its name is spelt like.
fn values_of(function: &str, headers: &Cel, name: &str) -> Result<Vec<String>, ExecutionError> {
    let json = to_json(headers).ok_or_else(|| error(function, "it is of headers only"))?;
    let values = json.get(canonical(name)).and_then(Value::as_array).cloned();
    Ok(values
        .into_iter()
        .flatten()
        .filter_map(|value| value.as_str().map(str::to_owned))
        .collect())
}

fn matches(This(headers): This<Cel>, name: Arc<String>, value: Arc<String>) -> Made {
    let values = values_of("match", &headers, &name)?;
    Ok(Cel::Bool(values.iter().any(|found| *found == **value)))
}

fn canonical_header(This(headers): This<Cel>, name: Arc<String>) -> Made {
    let mut values = values_of("canonical", &headers, &name)?.into_iter();
    Ok(text(values.next().unwrap_or_default()))
}

fn truncate(This(given): This<Arc<String>>, length: Cel) -> Made {
    let length = match length {
        Cel::Int(length) => usize::try_from(length).ok(),
        Cel::UInt(length) => usize::try_from(length).ok(),
        _ => None,
    };
    let length = length.ok_or_else(|| error("truncate", "the length must be a number of characters"))?;
    Ok(text(given.chars().take(length).collect()))
}

fn decode_b64(This(given): This<Cel>) -> Made {
    let bytes = match &given {
        Cel::String(text) => STANDARD.decode(text.as_bytes()),
        Cel::Bytes(bytes) => STANDARD.decode(bytes.as_slice()),
        _ => return Err(error("decodeb64", "it is of texts only")),
    };
    let bytes = bytes.map_err(|problem| error("decodeb64", problem))?;
    Ok(match String::from_utf8(bytes) {
        Ok(decoded) => text(decoded),
        Err(problem) => Cel::Bytes(Arc::new(problem.into_bytes())),
    })
}

fn parse_json(This(given): This<Arc<String>>) -> Made {
    let value: Value = serde_json::from_str(&given).map_err(|problem| error("parseJSON", problem))?;
    Ok(to_cel(&value))
}

fn parse_yaml(This(given): This<Arc<String>>) -> Made {
    let value: Value = serde_saphyr::from_str(&given).map_err(|problem| error("parseYAML", problem))?;
    Ok(to_cel(&value))
}

fn parse_url(This(given): This<Arc<String>>) -> Made {
    let url = url::Url::parse(&given).map_err(|problem| error("parseURL", problem))?;
    let mut queries = serde_json::Map::new();
    for (name, value) in url.query_pairs() {
        if let Value::Array(values) = queries.entry(name.into_owned()).or_insert_with(|| json!([])) {
            values.push(json!(value));
        }
    }
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => String::new(),
    };
    let mut parts = json!({
        "scheme": url.scheme(),
        "host": host,
        "path": url.path(),
        "rawQuery": url.query().unwrap_or_default(),
        "query": queries,
        "fragment": url.fragment().unwrap_or_default(),
    });
    if !url.username().is_empty() {
        parts["auth"] = json!({"username": url.username(), "password": url.password().unwrap_or_default()});
    }
    Ok(to_cel(&parts))
}

fn marshal_json(This(given): This<Cel>) -> Made {
    to_json(&given)
        .map(|json| text(json.to_string()))
        .ok_or_else(|| error("marshalJSON", "JSON has no words for this"))
}

fn translate(allowance: &Allowance, given: &str, pattern: &str, replacement: &str) -> Made {
    let pattern = allowance.pattern("translate", pattern, given.len())?;
    let found = pattern.find_iter(given);
    // Each may come with all that was found there, for each `$`.
    let most = found.fold(0usize, |size, found| {
        let names = replacement.matches('$').count();
        let whole = replacement
            .len()
            .saturating_add(names.saturating_mul(found.len()));
        size.saturating_add(whole)
    });
    allowance.spend(u64::try_from(most).unwrap_or(u64::MAX))?;
    Ok(text(pattern.replace_all(given, replacement).into_owned()))
}

fn range(allowance: &Allowance, most: i64) -> Made {
    let numbers =
        u64::try_from(most).map_err(|_| error("lists.range", "there are no lists of fewer than none"))?;
    allowance.spend(numbers.saturating_mul(NUMBER))?;
    Ok(Cel::List(Arc::new((0..most).map(Cel::Int).collect())))
}

fn compare_secret(compare: &CompareSecret, given: &str, rest: &[Cel]) -> Made {
    // The text itself is the first argument where it is not what the function is called on.
    let texts: Option<Vec<&str>> = rest
        .iter()
        .map(|value| match value {
            Cel::String(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let texts = texts.unwrap_or_default();
    let (key, name, namespace) = match texts.as_slice() {
        [key, name] => (*key, *name, None),
        [key, name, namespace] => (*key, *name, Some(*namespace)),
        _ => {
            return Err(error(
                "compareSecret",
                "it needs the key and the name of a Secret",
            ));
        }
    };
    let secret = compare(key, name, namespace)
        .filter(|secret| !secret.is_empty())
        .ok_or_else(|| error("compareSecret", format!("the Secret {name} has no {key}")))?;
    Ok(Cel::Bool(signature::same(given.as_bytes(), &secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_translation_costs_what_may_come_out() {
        // To read a pattern, and then to look through four bytes.
        const READ: u64 = (1 << 16) + 4;
        for (replacement, longest) in [
            ("", 1),
            ("bb", 8),
            // Once for the name itself, and once for the one byte that it stands for.
            ("$0", 12),
            ("$0$0", 24),
        ] {
            let given = |left: u64| translate(&Allowance::new(READ + left), "aaaa", "a", replacement);
            let made = given(longest).unwrap();
            let expected = replacement.replace("$0", "a").repeat(4);
            assert_eq!(made, text(expected), "{replacement}");
            assert!(given(longest - 1).is_err(), "{replacement}");
        }
        // A page of one letter, each of which becomes the page.
        let page = "a".repeat(1 << 16);
        let allowance = Allowance::new(1 << 30);
        assert!(translate(&allowance, &page, "a", &page).is_err());
        assert!(
            allowance.spend(1).is_err(),
            "who asked for too much gets nothing more"
        );
    }
}
