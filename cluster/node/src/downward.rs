//! Fields of a pod as its containers may read them (`fieldRef`), in variables and in files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;

/// Addresses that are known to the agent before they are in the pod's status.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Addresses {
    /// Of the pod.
    pub pod: String,
    /// Of the node.
    pub host: String,
}

/// The value of a field path; `None` for a path that the API does not define.
pub fn field(pod: &Pod, path: &str, addresses: &Addresses) -> Option<String> {
    let meta = &pod.metadata;
    let spec = pod.spec.as_ref();
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => meta.labels.as_ref(),
            "metadata.annotations" => meta.annotations.as_ref(),
            _ => return None,
        };
        return Some(map.and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let text = match path {
        "metadata.name" => meta.name.clone(),
        "metadata.namespace" => meta.namespace.clone(),
        "metadata.uid" => meta.uid.clone(),
        "metadata.labels" => Some(lines(meta.labels.as_ref())),
        "metadata.annotations" => Some(lines(meta.annotations.as_ref())),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        "spec.restartPolicy" => spec.and_then(|spec| spec.restart_policy.clone()),
        "status.hostIP" | "status.hostIPs" => Some(addresses.host.clone()),
        "status.podIP" | "status.podIPs" => Some(addresses.pod.clone()),
        _ => return None,
    };
    Some(text.unwrap_or_default())
}

/// `metadata.labels['key']` as map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.split_once("['")?;
    Some((map, rest.strip_suffix("']")?))
}

/// `key="value"` lines, quoted as Go's `%q` does (upstream: pkg/fieldpath).
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", quoted(value)))
        .collect();
    lines.join("\n")
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() && (c as u32) < 0x80 => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_every_field_that_the_api_defines() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u", "labels": {"a": "1", "b/c": "x\"y\n"}},
            "spec": {"containers": [], "nodeName": "node", "serviceAccountName": "sa"},
        }))
        .unwrap();
        let addresses = Addresses {
            pod: "10.0.0.2".into(),
            host: "10.0.0.1".into(),
        };
        let table = [
            ("metadata.name", Some("p")),
            ("metadata.labels['a']", Some("1")),
            ("metadata.labels['none']", Some("")),
            ("metadata.labels", Some("a=\"1\"\nb/c=\"x\\\"y\\n\"")),
            ("metadata.annotations", Some("")),
            ("spec.nodeName", Some("node")),
            ("spec.serviceAccountName", Some("sa")),
            ("status.podIP", Some("10.0.0.2")),
            ("status.hostIP", Some("10.0.0.1")),
            ("status.phase", None),
            ("metadata.nonsense['a']", None),
        ];
        for (path, wanted) in table {
            assert_eq!(field(&pod, path, &addresses).as_deref(), wanted, "{path}");
        }
    }
}
