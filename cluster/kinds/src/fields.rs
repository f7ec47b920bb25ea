//! Fields by which lists and watches can be selected (`fieldSelector`): few, fixed, and different for each kind.

use serde_json::Value;

use crate::json::{at, integer, items, text};
use crate::kind::Kind;

/// How a field reads when the object does not have it.
#[derive(Clone, Copy)]
enum Field {
    /// Text, empty when absent.
    Text(&'static [&'static str]),
    /// `true` or `false`.
    Flag(&'static [&'static str]),
    /// A number, 0 when absent.
    Number(&'static [&'static str]),
    /// The first of several texts that is not empty.
    Either(&'static [&'static [&'static str]]),
    /// The addresses of a pod, separated by commas.
    PodIps,
}

impl Field {
    /// What of an object has to be known to read the field.
    fn paths(&self) -> Vec<&'static [&'static str]> {
        match *self {
            Self::Text(path) | Self::Flag(path) | Self::Number(path) => vec![path],
            Self::Either(paths) => paths.to_vec(),
            Self::PodIps => vec![&["status", "podIPs"]],
        }
    }
}

type Row = (&'static str, Field);

const POD: &[Row] = &[
    ("spec.nodeName", Field::Text(&["spec", "nodeName"])),
    ("spec.restartPolicy", Field::Text(&["spec", "restartPolicy"])),
    ("spec.schedulerName", Field::Text(&["spec", "schedulerName"])),
    (
        "spec.serviceAccountName",
        Field::Text(&["spec", "serviceAccountName"]),
    ),
    ("spec.hostNetwork", Field::Flag(&["spec", "hostNetwork"])),
    ("status.phase", Field::Text(&["status", "phase"])),
    ("status.podIP", Field::Text(&["status", "podIP"])),
    ("status.podIPs", Field::PodIps),
    (
        "status.nominatedNodeName",
        Field::Text(&["status", "nominatedNodeName"]),
    ),
];

const EVENT: &[Row] = &[
    ("involvedObject.kind", Field::Text(&["involvedObject", "kind"])),
    (
        "involvedObject.namespace",
        Field::Text(&["involvedObject", "namespace"]),
    ),
    ("involvedObject.name", Field::Text(&["involvedObject", "name"])),
    ("involvedObject.uid", Field::Text(&["involvedObject", "uid"])),
    (
        "involvedObject.apiVersion",
        Field::Text(&["involvedObject", "apiVersion"]),
    ),
    (
        "involvedObject.resourceVersion",
        Field::Text(&["involvedObject", "resourceVersion"]),
    ),
    (
        "involvedObject.fieldPath",
        Field::Text(&["involvedObject", "fieldPath"]),
    ),
    ("reason", Field::Text(&["reason"])),
    ("reportingComponent", Field::Text(&["reportingComponent"])),
    (
        "source",
        Field::Either(&[&["source", "component"], &["reportingComponent"]]),
    ),
    ("type", Field::Text(&["type"])),
];

const NEW_EVENT: &[Row] = &[
    ("regarding.kind", Field::Text(&["regarding", "kind"])),
    ("regarding.namespace", Field::Text(&["regarding", "namespace"])),
    ("regarding.name", Field::Text(&["regarding", "name"])),
    ("regarding.uid", Field::Text(&["regarding", "uid"])),
    ("regarding.apiVersion", Field::Text(&["regarding", "apiVersion"])),
    (
        "regarding.resourceVersion",
        Field::Text(&["regarding", "resourceVersion"]),
    ),
    ("regarding.fieldPath", Field::Text(&["regarding", "fieldPath"])),
    ("reason", Field::Text(&["reason"])),
    ("reportingController", Field::Text(&["reportingController"])),
    ("type", Field::Text(&["type"])),
];

/// Group, kind, fields beyond `metadata.name` and `metadata.namespace`.
const TABLE: &[(&str, &str, &[Row])] = &[
    ("", "Pod", POD),
    ("", "Event", EVENT),
    ("events.k8s.io", "Event", NEW_EVENT),
    (
        "",
        "Namespace",
        &[("status.phase", Field::Text(&["status", "phase"]))],
    ),
    (
        "",
        "Node",
        &[("spec.unschedulable", Field::Flag(&["spec", "unschedulable"]))],
    ),
    ("", "Secret", &[("type", Field::Text(&["type"]))]),
    (
        "",
        "Service",
        &[
            ("spec.clusterIP", Field::Text(&["spec", "clusterIP"])),
            ("spec.type", Field::Text(&["spec", "type"])),
        ],
    ),
    (
        "",
        "ReplicationController",
        &[("status.replicas", Field::Number(&["status", "replicas"]))],
    ),
    (
        "apps",
        "ReplicaSet",
        &[("status.replicas", Field::Number(&["status", "replicas"]))],
    ),
    (
        "batch",
        "Job",
        &[("status.successful", Field::Number(&["status", "succeeded"]))],
    ),
];

impl Kind {
    /// Reads a field for a selector from an object of this kind; `None` when the kind cannot be selected by it, to be
    /// answered with 400 `field label not supported: <label>`.
    pub fn field_label(&self, object: &Value, label: &str) -> Option<String> {
        match label {
            "metadata.name" => return Some(text(object, &["metadata", "name"]).to_owned()),
            "metadata.namespace" if self.namespaced() => {
                return Some(text(object, &["metadata", "namespace"]).to_owned());
            }
            // The old name of the label of nodes and namespaces.
            "name" if matches!((self.group, self.kind), ("", "Namespace" | "PersistentVolume")) => {
                return Some(text(object, &["metadata", "name"]).to_owned());
            }
            _ => {}
        }
        Some(match self.field(label)? {
            Field::Text(path) => text(object, path).to_owned(),
            Field::Flag(path) => at(object, path)
                .and_then(Value::as_bool)
                .unwrap_or_default()
                .to_string(),
            Field::Number(path) => integer(object, path).unwrap_or_default().to_string(),
            Field::Either(paths) => {
                let found = paths
                    .iter()
                    .map(|path| text(object, path))
                    .find(|text| !text.is_empty());
                found.unwrap_or_default().to_owned()
            }
            Field::PodIps => {
                let ips: Vec<&str> = items(object, &["status", "podIPs"])
                    .iter()
                    .map(|ip| text(ip, &["ip"]))
                    .collect();
                ips.join(",")
            }
        })
    }

    /// Returns the members of an object that [`Kind::field_label`] reads for a label, besides its metadata: an object
    /// without all others gives the same text.
    pub fn field_paths(&self, label: &str) -> Vec<&'static [&'static str]> {
        self.field(label).map(|field| field.paths()).unwrap_or_default()
    }

    fn field(&self, label: &str) -> Option<Field> {
        let rows = TABLE
            .iter()
            .find(|row| row.0 == self.group && row.1 == self.kind)?
            .2;
        Some(rows.iter().find(|row| row.0 == label)?.1)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::kind::by_resource;

    #[test]
    fn labels_read_fields_of_their_kind_only() {
        let pod = by_resource("", "v1", "pods").unwrap();
        let object = json!({
            "metadata": {"name": "p", "namespace": "n"},
            "spec": {"nodeName": "node"},
            "status": {"podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]},
        });
        for (label, value) in [
            ("metadata.name", Some("p")),
            ("metadata.namespace", Some("n")),
            ("spec.nodeName", Some("node")),
            ("spec.hostNetwork", Some("false")),
            ("status.phase", Some("")),
            ("status.podIPs", Some("10.0.0.1,fd00::1")),
            ("spec.hostname", None),
            ("type", None),
        ] {
            assert_eq!(pod.field_label(&object, label).as_deref(), value, "{label}");
        }
    }

    #[test]
    fn cluster_scoped_kinds_have_no_namespace() {
        let node = by_resource("", "v1", "nodes").unwrap();
        assert_eq!(node.field_label(&json!({}), "metadata.namespace"), None);
        assert_eq!(
            node.field_label(&json!({"spec": {"unschedulable": true}}), "spec.unschedulable")
                .unwrap(),
            "true"
        );
    }

    #[test]
    fn events_are_selected_by_what_they_are_about() {
        let event = by_resource("", "v1", "events").unwrap();
        let object = json!({"involvedObject": {"uid": "u"}, "reportingComponent": "kubelet", "count": 1});
        assert_eq!(event.field_label(&object, "involvedObject.uid").unwrap(), "u");
        assert_eq!(event.field_label(&object, "source").unwrap(), "kubelet");
        let newer = by_resource("events.k8s.io", "v1", "events").unwrap();
        assert_eq!(
            newer
                .field_label(&json!({"regarding": {"kind": "Pod"}}), "regarding.kind")
                .unwrap(),
            "Pod"
        );
    }

    #[test]
    fn counts_of_absent_status_are_zero() {
        let jobs = by_resource("batch", "v1", "jobs").unwrap();
        assert_eq!(jobs.field_label(&json!({}), "status.successful").unwrap(), "0");
    }
}
