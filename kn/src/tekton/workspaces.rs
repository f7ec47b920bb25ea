//! `--workspace name=…,KIND=…`: what a run gives as a workspace.

use serde_json::{Value, json};

use crate::error::CliError;

/// How a workspace is given, for messages.
const FORM: &str = "name=NAME and one of emptyDir=, config=NAME, secret=NAME, claimName=NAME";

/// The workspaces of a run: those that the flags give, over those of an earlier run. Every declared one that is not
/// optional is there.
///
/// # Errors
/// A flag that says nothing usable, or a workspace that is missing, each by name.
pub fn workspaces(declared: &[Value], flags: &[String], earlier: &[Value]) -> Result<Vec<Value>, CliError> {
    let mut given: Vec<Value> = Vec::new();
    for flag in flags {
        let wrong = |why: String| CliError::usage(format!("--workspace {flag}: {why}"));
        let binding = binding(flag).map_err(wrong)?;
        if !declared.iter().any(|one| one["name"] == binding["name"]) {
            let names: Vec<&str> = declared.iter().filter_map(|one| one["name"].as_str()).collect();
            return Err(wrong(match names.is_empty() {
                true => "no such workspace is declared: it takes none".to_owned(),
                false => format!("no such workspace is declared: it takes {}", names.join(", ")),
            }));
        }
        if given.iter().any(|one| one["name"] == binding["name"]) {
            return Err(wrong("given twice".to_owned()));
        }
        given.push(binding);
    }
    for one in earlier {
        let is_new = !given.iter().any(|given| given["name"] == one["name"]);
        if is_new && declared.iter().any(|declared| declared["name"] == one["name"]) {
            given.push(one.clone());
        }
    }
    let missing: Vec<&str> = declared
        .iter()
        .filter(|one| one["optional"] != true && !given.iter().any(|given| given["name"] == one["name"]))
        .filter_map(|one| one["name"].as_str())
        .collect();
    match missing.first() {
        None => Ok(given),
        Some(first) => Err(
            CliError::usage(format!("nothing is given for workspace {}", missing.join(", "))).with_hint(
                format!("give each one by --workspace, such as --workspace name={first},emptyDir="),
            ),
        ),
    }
}

fn binding(flag: &str) -> Result<Value, String> {
    let mut name = "";
    let mut sub_path = "";
    let mut volume: Option<(&str, Value)> = None;
    let mut items = Vec::new();
    for part in flag.split(',') {
        let (key, value) = part
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .ok_or_else(|| format!("'{part}' is not KEY=VALUE: expected {FORM}"))?;
        let needed = || match value.is_empty() {
            true => Err(format!("{key} needs a name")),
            false => Ok(value),
        };
        let found = match key {
            "name" => {
                name = needed()?;
                continue;
            }
            "subPath" => {
                sub_path = value;
                continue;
            }
            "item" => {
                let (key, path) = value
                    .split_once('=')
                    .ok_or_else(|| format!("'{part}': expected item=KEY=PATH"))?;
                items.push(json!({ "key": key, "path": path }));
                continue;
            }
            "emptyDir" => match value {
                "" => ("emptyDir", json!({})),
                "Memory" => ("emptyDir", json!({ "medium": value })),
                _ => return Err("emptyDir is given without a value, or as emptyDir=Memory".to_owned()),
            },
            "config" => ("configMap", json!({ "name": needed()? })),
            "secret" => ("secret", json!({ "secretName": needed()? })),
            "claimName" => ("persistentVolumeClaim", json!({ "claimName": needed()? })),
            _ => return Err(format!("'{key}' is not known: expected {FORM}")),
        };
        if volume.replace(found).is_some() {
            return Err("only one volume can be given".to_owned());
        }
    }
    let Some((kind, mut source)) = volume else {
        return Err(format!("no volume is given: expected {FORM}"));
    };
    if name.is_empty() {
        return Err(format!("no name is given: expected {FORM}"));
    }
    if !items.is_empty() {
        if !["configMap", "secret"].contains(&kind) {
            return Err("only config and secret have items".to_owned());
        }
        source["items"] = json!(items);
    }
    let mut binding = json!({ "name": name, kind: source });
    if !sub_path.is_empty() {
        binding["subPath"] = json!(sub_path);
    }
    Ok(binding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Vec<Value> {
        vec![
            json!({ "name": "src" }),
            json!({ "name": "cache", "optional": true }),
        ]
    }

    fn read(flags: &[&str]) -> Result<Value, String> {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        workspaces(&declared(), &flags, &[])
            .map(|list| json!(list))
            .map_err(|error| error.message)
    }

    #[test]
    fn volumes_are_given_in_many_ways() {
        for (flag, expected) in [
            ("name=src,emptyDir=", json!({ "name": "src", "emptyDir": {} })),
            ("name=src,emptyDir=\"\"", json!({ "name": "src", "emptyDir": {} })),
            (
                "name=src,emptyDir=Memory",
                json!({ "name": "src", "emptyDir": { "medium": "Memory" } }),
            ),
            (
                "name=src,config=c",
                json!({ "name": "src", "configMap": { "name": "c" } }),
            ),
            (
                "name=src,config=c,item=k=a/b",
                json!({ "name": "src", "configMap": { "name": "c", "items": [{ "key": "k", "path": "a/b" }] } }),
            ),
            (
                "secret=s,name=src",
                json!({ "name": "src", "secret": { "secretName": "s" } }),
            ),
            (
                "name=src,claimName=c,subPath=a/b",
                json!({ "name": "src", "persistentVolumeClaim": { "claimName": "c" }, "subPath": "a/b" }),
            ),
        ] {
            assert_eq!(read(&[flag]).unwrap(), json!([expected]), "{flag}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (flags, expected) in [
            (&[][..], "nothing is given for workspace src"),
            (&["name=src"], "no volume is given"),
            (&["emptyDir="], "no name is given"),
            (&["src"], "'src' is not KEY=VALUE"),
            (&["name=src,emptyDir=,secret=s"], "only one volume"),
            (
                &["name=src,emptyDir=,item=a=b"],
                "only config and secret have items",
            ),
            (&["name=src,config="], "config needs a name"),
            (&["name=src,pvc=x"], "'pvc' is not known"),
            (&["name=src,emptyDir=big"], "emptyDir=Memory"),
            (
                &["name=other,emptyDir="],
                "no such workspace is declared: it takes src, cache",
            ),
            (&["name=src,emptyDir=", "name=src,emptyDir="], "given twice"),
        ] {
            let message = read(flags).unwrap_err();
            assert!(message.contains(expected), "{flags:?}: {message}");
        }
    }

    #[test]
    fn an_earlier_run_fills_what_is_not_given() {
        let earlier = [
            json!({ "name": "src", "emptyDir": {} }),
            json!({ "name": "gone", "emptyDir": {} }),
        ];
        assert_eq!(
            json!(workspaces(&declared(), &[], &earlier).unwrap()),
            json!([{ "name": "src", "emptyDir": {} }])
        );
        let flags = ["name=src,config=c".to_owned()];
        assert_eq!(
            json!(workspaces(&declared(), &flags, &earlier).unwrap()),
            json!([{ "name": "src", "configMap": { "name": "c" } }])
        );
    }
}
