//! Volumes, and where a container mounts them.

use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use super::json::{array, at, drop_empty, named, object, set_text};
use super::pairs;
use crate::error::CliError;

const LONGEST_NAME: usize = 63;

/// Applies `--volume` and then `--mount` to the pod.
pub fn apply(pod: &mut Value, volumes: &[String], mounts: &[String]) -> Result<(), CliError> {
    if volumes.is_empty() && mounts.is_empty() {
        return Ok(());
    }
    let volume_flags = pairs::parse("volume", volumes, false)?;
    let mount_flags = pairs::parse("mount", mounts, false)?;
    for (name, text) in &volume_flags.set {
        let wrong = |why: &str| CliError::usage(format!("--volume {name}={text}: {why}"));
        let source = Source::parse(text)
            .map_err(|why| wrong(&why))?
            .ok_or_else(|| wrong("expected config-map:, secret:, emptyDir: or pvc: and a name"))?;
        set_volume(pod, name, source.volume);
    }
    for (path, text) in &mount_flags.set {
        mount(pod, path, text)?;
    }
    for path in &mount_flags.remove {
        unmount(pod, path)?;
    }
    for name in &volume_flags.remove {
        if mounted(pod, name) {
            return Err(
                CliError::usage(format!("--volume {name}-: the volume is still mounted"))
                    .with_hint("remove the mount as well: --mount PATH-"),
            );
        }
        array(at(pod, &["volumes"])).retain(|volume| volume["name"] != name.as_str());
    }
    drop_empty(pod, "volumes");
    if let Some(container) = first_container(pod) {
        drop_empty(container, "volumeMounts");
    }
    Ok(())
}

/// A source as a flag has it.
struct Source {
    /// The volume's field and content.
    volume: (&'static str, Value),
    sub_path: Option<String>,
    read_only: bool,
}

impl Source {
    /// `KIND:NAME[/sub/path][:option=…]`; `None` if the prefix is none of the known ones.
    ///
    /// # Errors
    /// Why the text is no source although its prefix is known.
    fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = text.split_once(':') else {
            return Ok(None);
        };
        let (name, options) = split(rest, ':');
        let (name, sub_path) = split(name, '/');
        let empty_dir = matches!(kind, "ed" | "emptyDir");
        let known = if empty_dir {
            &["readOnly", "type", "size"][..]
        } else {
            &["readOnly"]
        };
        let (field, content, read_only) = match kind {
            "cm" | "config-map" => ("configMap", json!({ "name": name }), true),
            "sc" | "secret" => ("secret", json!({ "secretName": name }), true),
            "ed" | "emptyDir" => ("emptyDir", json!({}), false),
            "pvc" | "persistentVolumeClaim" => ("persistentVolumeClaim", json!({ "claimName": name }), false),
            _ => return Ok(None),
        };
        if name.is_empty() && !empty_dir {
            return Err(format!("the name behind \"{kind}:\" is missing"));
        }
        let mut source = Self {
            volume: (field, content),
            sub_path: sub_path.map(str::to_owned),
            read_only,
        };
        for (name, value) in read_options(options.unwrap_or_default(), known)? {
            match name {
                "type" => set_text(&mut source.volume.1, "medium", value),
                "size" => set_text(&mut source.volume.1, "sizeLimit", value),
                _ => source.read_only = read_bool(value)?,
            }
        }
        Ok(Some(source))
    }
}

/// The text before the first `at`, and what follows it.
fn split(text: &str, at: char) -> (&str, Option<&str>) {
    match text.split_once(at) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

/// `NAME=VALUE` behind a comma each, the names as in `known`.
fn read_options<'a>(text: &'a str, known: &[&'static str]) -> Result<Vec<(&'static str, &'a str)>, String> {
    text.split(',')
        .filter(|option| !option.is_empty())
        .map(|option| {
            option
                .split_once('=')
                .and_then(|(name, value)| {
                    let name = known.iter().find(|known| known.eq_ignore_ascii_case(name))?;
                    Some((*name, value))
                })
                .ok_or_else(|| format!("option \"{option}\" is not one of {}", known.join(", ")))
        })
        .collect()
}

fn read_bool(text: &str) -> Result<bool, String> {
    text.to_lowercase()
        .parse()
        .map_err(|_| format!("readOnly={text} is neither true nor false"))
}

/// Replaces the whole volume: two sources in one would be refused.
fn set_volume(pod: &mut Value, name: &str, (field, content): (&'static str, Value)) {
    let volume = json!({ "name": name, field: content });
    let volumes = array(at(pod, &["volumes"]));
    match named(volumes, "name", name) {
        Some(present) => *present = volume,
        None => volumes.push(volume),
    }
}

fn mount(pod: &mut Value, path: &str, text: &str) -> Result<(), CliError> {
    let wrong = |why: &str| CliError::usage(format!("--mount {path}={text}: {why}"));
    let (name, sub_path, read_only) = match Source::parse(text).map_err(|why| wrong(&why))? {
        Some(source) => {
            let name = volume_name(path);
            set_volume(pod, &name, source.volume);
            (name, source.sub_path, source.read_only)
        }
        None => {
            let (name, options) = split(text, ':');
            let (name, sub_path) = split(name, '/');
            let Some(volume) = named(array(at(pod, &["volumes"])), "name", name) else {
                return Err(wrong(&format!("there is no volume \"{name}\"")).with_hint(format!(
                    "add --volume {name}=KIND:NAME, or mount KIND:NAME with a kind out of config-map, secret, emptyDir, pvc"
                )));
            };
            let writable = volume.get("emptyDir").is_some() || volume.get("persistentVolumeClaim").is_some();
            let mut read_only = !writable;
            for (_, value) in
                read_options(options.unwrap_or_default(), &["readOnly"]).map_err(|why| wrong(&why))?
            {
                read_only = read_bool(value).map_err(|why| wrong(&why))?;
            }
            (name.to_owned(), sub_path.map(str::to_owned), read_only)
        }
    };
    let mut mount = json!({ "name": name, "mountPath": path });
    if read_only {
        object(&mut mount).insert("readOnly".to_owned(), json!(true));
    }
    if let Some(sub_path) = sub_path {
        object(&mut mount).insert("subPath".to_owned(), json!(sub_path));
    }
    if let Some(container) = first_container(pod) {
        let mounts = array(at(container, &["volumeMounts"]));
        match named(mounts, "mountPath", path) {
            Some(present) => *present = mount,
            None => mounts.push(mount),
        }
    }
    Ok(())
}

/// Removes the mount at `path`, and its volume if it was made for that path.
fn unmount(pod: &mut Value, path: &str) -> Result<(), CliError> {
    if let Some(container) = first_container(pod) {
        array(at(container, &["volumeMounts"])).retain(|mount| mount["mountPath"] != path);
    }
    let name = volume_name(path);
    let made = pod["volumes"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|volume| volume["name"] == name.as_str());
    if made && mounted(pod, &name) {
        return Err(CliError::usage(format!(
            "--mount {path}-: its volume \"{name}\" is mounted elsewhere, too"
        ))
        .with_hint("remove that mount first"));
    }
    if made {
        array(at(pod, &["volumes"])).retain(|volume| volume["name"] != name.as_str());
    }
    Ok(())
}

fn first_container(pod: &mut Value) -> Option<&mut Value> {
    pod.get_mut("containers")?.as_array_mut()?.first_mut()
}

fn mounted(pod: &Value, name: &str) -> bool {
    pod["containers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|container| container["volumeMounts"].as_array().into_iter().flatten())
        .any(|mount| mount["name"] == name)
}

/// A volume's name from the path it is mounted at, so that mounting there again uses it again.
fn volume_name(path: &str) -> String {
    let mut name: String = path
        .to_lowercase()
        .strip_prefix('/')
        .unwrap_or(&path.to_lowercase())
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    name.push('-');
    for byte in Sha1::digest(path.as_bytes()).iter().take(4) {
        name.push_str(&format!("{byte:02x}"));
    }
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        name.insert_str(0, "k-");
    }
    if name.len() > LONGEST_NAME {
        name.truncate(LONGEST_NAME - 2);
        name.push_str("-n");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounting_and_unmounting() {
        let mut pod = json!({ "containers": [{}] });
        apply(
            &mut pod,
            &["data=ed:data:type=Memory,size=1Gi".into()],
            &["/etc/x=cm:conf/sub".into(), "/data=data".into()],
        )
        .unwrap();
        let name = volume_name("/etc/x");
        assert!(
            name.starts_with("etc-x-") && name.len() == "etc-x-".len() + 8,
            "{name}"
        );
        assert_eq!(
            pod,
            json!({ "containers": [{ "volumeMounts": [
                        { "name": name, "mountPath": "/etc/x", "readOnly": true, "subPath": "sub" },
                        { "name": "data", "mountPath": "/data" } ] }],
                    "volumes": [{ "name": "data", "emptyDir": { "medium": "Memory", "sizeLimit": "1Gi" } },
                                { "name": name, "configMap": { "name": "conf" } }] })
        );
        assert!(
            apply(&mut pod.clone(), &["data-".into()], &[]).is_err(),
            "it is mounted"
        );
        assert!(apply(&mut pod.clone(), &[], &["/y=nothing".into()]).is_err());
        apply(&mut pod, &["data-".into()], &["/etc/x-".into(), "/data-".into()]).unwrap();
        assert_eq!(pod, json!({ "containers": [{}] }));
    }

    #[test]
    fn another_source_replaces_the_whole_volume() {
        let mut pod = json!({ "containers": [{}], "volumes": [{ "name": "v", "emptyDir": {} }] });
        apply(&mut pod, &["v=secret:s".into()], &[]).unwrap();
        assert_eq!(
            pod["volumes"],
            json!([{ "name": "v", "secret": { "secretName": "s" } }])
        );
    }

    #[test]
    fn names_are_valid_whatever_the_path() {
        assert!(volume_name("/.hidden").starts_with("k--hidden-"));
        assert_eq!(volume_name(&"/a".repeat(60)).len(), 63);
    }

    #[test]
    fn options_and_refusals() {
        let mut pod =
            json!({ "containers": [{}], "volumes": [{ "name": "v", "configMap": { "name": "c" } }] });
        let mounts = ["/a=ed:x:readOnly=true", "/b=v/sub:readOnly=false", "/c=pvc:claim"].map(str::to_owned);
        apply(&mut pod, &[], &mounts).unwrap();
        assert_eq!(
            pod["containers"][0]["volumeMounts"],
            json!([{ "name": volume_name("/a"), "mountPath": "/a", "readOnly": true },
                   { "name": "v", "mountPath": "/b", "subPath": "sub" },
                   { "name": volume_name("/c"), "mountPath": "/c" }])
        );
        assert_eq!(
            pod["volumes"][1],
            json!({ "name": volume_name("/a"), "emptyDir": {} })
        );
        for (mount, token) in [
            ("/a=cm:", "missing"),
            ("/a=cm:x:readOnly=maybe", "neither"),
            ("/a=cm:x:size=1Gi", "readOnly"),
            ("/a=nfs:x", "no volume"),
            ("/a", "'='"),
        ] {
            let message = apply(&mut pod, &[], &[mount.to_owned()]).unwrap_err().message;
            assert!(message.contains(token), "{message}");
        }
        assert!(
            apply(&mut pod, &["w=x".into()], &[])
                .unwrap_err()
                .message
                .contains("--volume w=x")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_path_makes_a_name_that_the_api_takes(path in "\\PC{0,90}") {
            let name = volume_name(&path);
            let inside = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
            proptest::prop_assert!(inside && name.len() <= LONGEST_NAME, "{}", name);
            proptest::prop_assert!(ends(name.chars().next()) && ends(name.chars().last()), "{}", name);
        }

        #[test]
        fn no_text_is_too_odd_to_be_refused_or_taken(mount in "\\PC{0,40}", volume in "\\PC{0,40}") {
            let mut pod = json!({ "containers": [{}] });
            let _ = apply(&mut pod, &[volume], &[mount]);
        }
    }
}
