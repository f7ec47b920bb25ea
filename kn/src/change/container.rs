//! The pod and its first container.

use serde_json::{Value, json};

use super::json::{array, at, drop_empty, object, set_text};
use super::{containers, env, pairs, probe, resources, scheduling, volumes};
use crate::error::CliError;
use crate::flags::pod::{PodArgs, SecurityContext};

const PULL_POLICIES: [&str; 3] = ["Always", "Never", "IfNotPresent"];

/// The image that the flags name, if they do.
///
/// # Errors
/// It is named twice, or empty.
pub fn image(flags: &PodArgs) -> Result<Option<&str>, CliError> {
    match flags.image.as_slice() {
        [] => Ok(None),
        [image] if !image.is_empty() => Ok(Some(image)),
        [_] => Err(CliError::usage(
            "invalid argument for --image: the image is empty",
        )),
        _ => Err(CliError::usage(
            "invalid argument for --image: it can be given once only",
        )),
    }
}

/// Applies the flags to the pod spec.
pub fn apply(pod: &mut Value, flags: &PodArgs) -> Result<(), CliError> {
    let list = array(at(pod, &["containers"]));
    if list.is_empty() {
        list.push(json!({}));
    }
    if let Some(container) = list.first_mut() {
        apply_container(container, flags)?;
    }
    if let Some(extra) = &flags.extra {
        containers::merge(pod, extra)?;
    }
    volumes::apply(pod, &flags.volume, &flags.mount)?;
    if let Some(account) = &flags.service_account {
        set_text(pod, "serviceAccountName", account);
    }
    match flags.pull_secret.as_deref() {
        None => {}
        Some("") => {
            object(pod).remove("imagePullSecrets");
        }
        Some(name) => *at(pod, &["imagePullSecrets"]) = json!([{ "name": name }]),
    }
    if !flags.node_selector.is_empty() {
        let selector = pairs::parse("node-selector", &flags.node_selector, true)?;
        let map = object(at(pod, &["nodeSelector"]));
        for (key, value) in selector.set {
            map.insert(key, json!(value));
        }
        for key in selector.remove {
            map.remove(&key);
        }
        drop_empty(pod, "nodeSelector");
    }
    scheduling::tolerate(pod, &flags.toleration)?;
    scheduling::prefer(pod, &flags.node_affinity)
}

fn apply_container(container: &mut Value, flags: &PodArgs) -> Result<(), CliError> {
    if let Some(image) = image(flags)? {
        set_text(container, "image", image);
    }
    if let Some(policy) = &flags.pull_policy {
        set_text(container, "imagePullPolicy", pull_policy(policy)?);
    }
    env::apply(container, &flags.env.flags, &flags.env_from)?;
    for (field, words) in [("command", &flags.cmd), ("args", &flags.arg)] {
        if !words.is_empty() {
            *at(container, &[field]) = json!(words);
        }
    }
    if let Some(port) = &flags.port {
        *at(container, &["ports"]) = json!([parse_port(port)?]);
    }
    resources::apply(container, "request", "requests", &flags.request)?;
    resources::apply(container, "limit", "limits", &flags.limit)?;
    match flags.security_context {
        None => {}
        Some(SecurityContext::None) => {
            object(container).remove("securityContext");
        }
        Some(SecurityContext::Strict) => {
            *at(container, &["securityContext"]) = json!({
                "allowPrivilegeEscalation": false,
                "runAsNonRoot": true,
                "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            });
        }
    }
    if let Some(user) = flags.user {
        *at(container, &["securityContext", "runAsUser"]) = json!(user);
    }
    for (field, probe, options) in [
        ("livenessProbe", &flags.probe_liveness, &flags.probe_liveness_opts),
        (
            "readinessProbe",
            &flags.probe_readiness,
            &flags.probe_readiness_opts,
        ),
    ] {
        probe::apply(container, field, probe.as_deref(), options.as_deref())?;
    }
    Ok(())
}

fn pull_policy(text: &str) -> Result<&'static str, CliError> {
    PULL_POLICIES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text))
        .ok_or_else(|| {
            CliError::usage(format!(
                "invalid --pull-policy {text}: expected one of {}",
                PULL_POLICIES.join(", ")
            ))
        })
}

/// `8080` or `h2c:8080`.
fn parse_port(text: &str) -> Result<Value, CliError> {
    let (name, number) = text
        .split_once(':')
        .map_or(("", text), |(name, number)| (name, number));
    let number: i32 = number.parse().map_err(|_| {
        CliError::usage(format!(
            "--port {text}: expected a number, or NAME:NUMBER such as h2c:8080"
        ))
    })?;
    let mut port = json!({ "containerPort": number });
    set_text(&mut port, "name", name);
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_reach_their_fields_and_unknown_fields_stay() {
        let mut pod = json!({ "future": 1, "containers": [{ "image": "old", "newField": true, "args": ["x", "y"] }, { "name": "side" }] });
        let flags = PodArgs {
            image: vec!["new".into()],
            pull_policy: Some("always".into()),
            arg: vec!["--a b".into()],
            port: Some("h2c:8081".into()),
            service_account: Some("robot".into()),
            pull_secret: Some("reg".into()),
            user: Some(7),
            security_context: Some(SecurityContext::Strict),
            node_selector: vec!["disk=ssd".into()],
            ..PodArgs::default()
        };
        apply(&mut pod, &flags).unwrap();
        assert_eq!(
            pod,
            json!({ "future": 1, "serviceAccountName": "robot", "imagePullSecrets": [{ "name": "reg" }],
                "nodeSelector": { "disk": "ssd" }, "containers": [
                { "image": "new", "newField": true, "imagePullPolicy": "Always", "args": ["--a b"],
                  "ports": [{ "name": "h2c", "containerPort": 8081 }],
                  "securityContext": { "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 7,
                                       "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" } } },
                { "name": "side" }] })
        );
        let cleared = PodArgs {
            service_account: Some(String::new()),
            pull_secret: Some(String::new()),
            security_context: Some(SecurityContext::None),
            node_selector: vec!["disk-".into()],
            ..PodArgs::default()
        };
        apply(&mut pod, &cleared).unwrap();
        for field in ["serviceAccountName", "imagePullSecrets", "nodeSelector"] {
            assert!(pod.get(field).is_none(), "{field}");
        }
        assert!(pod["containers"][0].get("securityContext").is_none());
    }

    #[test]
    fn refusals_name_the_flag() {
        let twice = PodArgs {
            image: vec!["a".into(), "b".into()],
            ..PodArgs::default()
        };
        assert!(image(&twice).unwrap_err().message.contains("once"));
        assert!(parse_port("http").unwrap_err().message.contains("--port http"));
        assert!(
            pull_policy("sometimes")
                .unwrap_err()
                .message
                .contains("IfNotPresent")
        );
    }
}
