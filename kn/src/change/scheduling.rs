//! Which nodes a pod may run on: tolerations and node affinity, each flag a list of `Name=Value`.

use serde_json::{Value, json};

use super::json::{array, at, set_text};
use crate::error::CliError;

const TOLERATION_OPERATORS: [&str; 2] = ["Equal", "Exists"];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
const AFFINITY_OPERATORS: [&str; 6] = ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"];

/// Appends a toleration for each flag.
pub fn tolerate(pod: &mut Value, flags: &[String]) -> Result<(), CliError> {
    for flag in flags {
        let parts = Parts::parse("toleration", flag, &["Key", "Operator", "Value", "Effect"])?;
        let mut toleration = json!({});
        set_text(&mut toleration, "key", parts.get("Key"));
        set_text(
            &mut toleration,
            "operator",
            parts.one_of("Operator", &TOLERATION_OPERATORS)?,
        );
        set_text(&mut toleration, "value", parts.get("Value"));
        set_text(&mut toleration, "effect", parts.one_of("Effect", &EFFECTS)?);
        let list = array(at(pod, &["tolerations"]));
        if !list.contains(&toleration) {
            list.push(toleration);
        }
    }
    Ok(())
}

/// Adds a term of node affinity for each flag; several required ones are alternatives.
pub fn prefer(pod: &mut Value, flags: &[String]) -> Result<(), CliError> {
    for flag in flags {
        let parts = Parts::parse(
            "node-affinity",
            flag,
            &["Type", "Key", "Operator", "Values", "Weight"],
        )?;
        let operator = parts.one_of("Operator", &AFFINITY_OPERATORS)?;
        if parts.get("Key").is_empty() || operator.is_empty() {
            return Err(parts.wrong("Key and Operator are needed"));
        }
        let mut expression = json!({ "key": parts.get("Key"), "operator": operator });
        let values: Vec<&str> = parts.get("Values").split_whitespace().collect();
        if !values.is_empty() {
            *at(&mut expression, &["values"]) = json!(values);
        }
        let term = json!({ "matchExpressions": [expression] });
        let affinity = at(pod, &["affinity", "nodeAffinity"]);
        match parts.one_of("Type", &["Required", "Preferred"])? {
            "Required" => {
                let path = [
                    "requiredDuringSchedulingIgnoredDuringExecution",
                    "nodeSelectorTerms",
                ];
                array(at(affinity, &path)).push(term);
            }
            "Preferred" => {
                let Some(weight) = parts
                    .get("Weight")
                    .parse::<i32>()
                    .ok()
                    .filter(|w| (1..=100).contains(w))
                else {
                    return Err(parts.wrong("Type=Preferred needs a Weight from 1 to 100"));
                };
                let preferred = at(affinity, &["preferredDuringSchedulingIgnoredDuringExecution"]);
                array(preferred).push(json!({ "weight": weight, "preference": term }));
            }
            _ => return Err(parts.wrong("Type=Required or Type=Preferred is needed")),
        }
    }
    Ok(())
}

/// The parts of one flag.
struct Parts<'a> {
    flag: &'a str,
    text: &'a str,
    parts: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn parse(flag: &'a str, text: &'a str, known: &[&str]) -> Result<Self, CliError> {
        let mut found = Self {
            flag,
            text,
            parts: Vec::new(),
        };
        for part in text.split(',') {
            let pair = part
                .split_once('=')
                .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')));
            let Some((name, value)) =
                pair.filter(|(name, _)| known.iter().any(|k| k.eq_ignore_ascii_case(name)))
            else {
                return Err(found.wrong(&format!(
                    "\"{part}\" is not known: expected NAME=VALUE with a name out of {}",
                    known.join(", ")
                )));
            };
            found.parts.push((name, value));
        }
        Ok(found)
    }

    /// The value of a part; empty if there is none.
    fn get(&self, name: &str) -> &'a str {
        self.parts
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map_or("", |(_, value)| value)
    }

    /// The value out of `words` in any case, as the API spells it; empty if there is none.
    fn one_of(&self, name: &str, words: &[&'static str]) -> Result<&'static str, CliError> {
        let value = self.get(name);
        if value.is_empty() {
            return Ok("");
        }
        words
            .iter()
            .copied()
            .find(|word| word.eq_ignore_ascii_case(value))
            .ok_or_else(|| self.wrong(&format!("{name}={value} is not one of {}", words.join(", "))))
    }

    fn wrong(&self, why: &str) -> CliError {
        CliError::usage(format!("--{} {}: {why}", self.flag, self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_are_appended_once() {
        let mut pod = json!({ "tolerations": [{ "key": "old" }] });
        let flag = "key=gpu,Operator=equal,Value=yes,Effect=NoSchedule".to_owned();
        tolerate(&mut pod, &[flag.clone(), flag]).unwrap();
        assert_eq!(
            pod["tolerations"],
            json!([{ "key": "old" }, { "key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule" }])
        );
        for wrong in ["Key=a,Operator=Like", "Key=a,Effect=Never", "Colour=red", "Key"] {
            let message = tolerate(&mut pod, &[wrong.to_owned()]).unwrap_err().message;
            assert!(message.starts_with("--toleration"), "{message}");
        }
    }

    #[test]
    fn affinity_terms() {
        let mut pod = json!({});
        let flags = [
            r#"Type=Required,Key=zone,Operator=In,Values="a b""#.to_owned(),
            "Type=Required,Key=disk,Operator=Exists".to_owned(),
            "Type=preferred,Key=cpu,Operator=Gt,Values=4,Weight=10".to_owned(),
        ];
        prefer(&mut pod, &flags).unwrap();
        assert_eq!(
            pod["affinity"]["nodeAffinity"],
            json!({ "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                        { "matchExpressions": [{ "key": "zone", "operator": "In", "values": ["a", "b"] }] },
                        { "matchExpressions": [{ "key": "disk", "operator": "Exists" }] } ] },
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        { "weight": 10, "preference": { "matchExpressions": [{ "key": "cpu", "operator": "Gt", "values": ["4"] }] } } ] })
        );
        for (wrong, token) in [
            ("Key=a,Operator=In", "Type="),
            ("Type=Preferred,Key=a,Operator=In", "Weight"),
            ("Type=Preferred,Key=a,Operator=In,Weight=0", "Weight"),
            ("Type=Required,Key=a,Operator=Near", "one of"),
            ("Type=Required,Operator=In", "Key"),
        ] {
            let message = prefer(&mut pod, &[wrong.to_owned()]).unwrap_err().message;
            assert!(message.contains(token), "{message}");
        }
    }
}
