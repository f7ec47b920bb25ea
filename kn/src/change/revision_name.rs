//! Names of revisions from a template.

use rand::Rng;
use serde_json::Value;

use super::json::{at, object};
use crate::error::CliError;

/// No vowels, so that no words come out.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxyz";

/// Sets the template's name from `pattern`, or removes it: with a name that is there already the server would refuse a
/// changed template.
///
/// # Errors
/// The pattern is not valid.
pub fn apply(service: &mut Value, pattern: Option<&str>) -> Result<(), CliError> {
    let name = service["metadata"]["name"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let generation = service["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
    let metadata = at(service, &["spec", "template", "metadata"]);
    match pattern {
        Some(pattern) if !pattern.is_empty() => {
            let revision = expand(pattern, &name, generation)?;
            object(metadata).insert("name".to_owned(), Value::from(revision));
        }
        _ => {
            object(metadata).remove("name");
        }
    }
    Ok(())
}

fn expand(pattern: &str, service: &str, generation: i64) -> Result<String, CliError> {
    let mut result = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once("{{") {
        result.push_str(before);
        let (word, after) = after
            .split_once("}}")
            .ok_or_else(|| CliError::usage(format!("--revision-name \"{pattern}\": a {{{{ has no }}}}")))?;
        let words: Vec<&str> = word.split_whitespace().collect();
        match words.as_slice() {
            [".Service"] => result.push_str(service),
            [".Generation"] => result.push_str(&generation.to_string()),
            [".Random", count] if count.parse::<u8>().is_ok() => {
                let count = count.parse::<u8>().unwrap_or(0);
                result.push_str(&random(usize::from(count)));
            }
            _ => {
                return Err(CliError::usage(format!(
                    "--revision-name \"{pattern}\": \"{}\" is not known: use {{{{.Service}}}}, {{{{.Generation}}}} or {{{{.Random N}}}}",
                    word.trim()
                )));
            }
        }
        rest = after;
    }
    result.push_str(rest);
    let prefix = format!("{service}-");
    Ok(if result.starts_with(&prefix) {
        result
    } else {
        prefix + &result
    })
}

fn random(count: usize) -> String {
    let mut rng = rand::rng();
    (0..count)
        .filter_map(|_| LETTERS.get(rng.random_range(0..LETTERS.len())))
        .map(|letter| char::from(*letter))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert_eq!(expand("v1", "web", 3).unwrap(), "web-v1");
        assert_eq!(expand("web-v1", "web", 3).unwrap(), "web-v1");
        assert_eq!(
            expand("{{.Service}}-g{{ .Generation }}", "web", 3).unwrap(),
            "web-g3"
        );
        let name = expand("{{.Random 5}}", "web", 3).unwrap();
        assert!(
            name.len() == 9 && name.bytes().skip(4).all(|letter| LETTERS.contains(&letter)),
            "{name}"
        );
        assert!(expand("{{.Nothing}}", "web", 1).is_err());
        assert!(expand("{{.Service", "web", 1).is_err());
    }
}
