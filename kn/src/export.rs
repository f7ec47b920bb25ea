//! Services as they can be carried elsewhere: without what belongs to the cluster they come from.

use serde_json::{Map, Value, json};

use crate::commands::list::text;

const GENERATION: &str = "/metadata/labels/serving.knative.dev~1configurationGeneration";

/// Annotations of a service that say something of the cluster it is in.
const SERVICE_ANNOTATIONS: [&str; 3] = [
    "serving.knative.dev/creator",
    "serving.knative.dev/lastModifier",
    "kubectl.kubernetes.io/last-applied-configuration",
];
/// The same of revisions; the time of the update would make a new one on every import.
const REVISION_ANNOTATIONS: [&str; 5] = [
    "serving.knative.dev/lastPinned",
    "serving.knative.dev/creator",
    "serving.knative.dev/routingStateModified",
    "serving.knative.dev/routes",
    "client.knative.dev/updateTimestamp",
];
const LABELS: [&str; 2] = [
    "serving.knative.dev/configurationUID",
    "serving.knative.dev/serviceUID",
];

/// The bare service, as it is now.
pub fn service(present: &Value) -> Value {
    let mut exported = bare(present, &SERVICE_ANNOTATIONS);
    let mut template = present["spec"]["template"].clone();
    clean_annotations(&mut template, &REVISION_ANNOTATIONS);
    exported["spec"] = json!({ "template": template });
    exported
}

/// An `Export`: the service, and with it the routed revisions that are not the latest.
pub fn export(present: &Value, revisions: &[Value], with_revisions: bool) -> Value {
    let mut exported = service(present);
    let mut spec = Map::new();
    let others = older(present, revisions);
    if with_revisions && !others.is_empty() {
        name_latest(&mut exported, present);
        set_traffic(&mut exported, present);
        let others: Vec<Value> = others.into_iter().map(revision).collect();
        spec.insert("revisions".into(), json!(others));
    }
    spec.insert("service".into(), exported);
    json!({ "apiVersion": "client.knative.dev/v1alpha1", "kind": "Export",
            "metadata": { "name": present["metadata"]["name"] }, "spec": spec })
}

/// Services that make the same revisions when they are applied one after the other; the last one has the traffic.
pub fn replay(present: &Value, revisions: &[Value], with_revisions: bool) -> Value {
    if !with_revisions {
        return service(present);
    }
    let mut items: Vec<Value> = older(present, revisions)
        .into_iter()
        .map(|revision| {
            let mut step = bare(present, &SERVICE_ANNOTATIONS);
            let mut template =
                json!({ "metadata": { "name": revision["metadata"]["name"] }, "spec": revision["spec"] });
            if revision["metadata"]["annotations"].is_object() {
                template["metadata"]["annotations"] = revision["metadata"]["annotations"].clone();
                clean_annotations(&mut template, &REVISION_ANNOTATIONS);
            }
            step["spec"] = json!({ "template": template });
            step
        })
        .collect();
    let mut last = service(present);
    name_latest(&mut last, present);
    if !items.is_empty() {
        set_traffic(&mut last, present);
    }
    items.push(last);
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

/// Revisions that traffic or a tag refers to by name, but the latest one, oldest first.
fn older<'a>(present: &Value, revisions: &'a [Value]) -> Vec<&'a Value> {
    let latest = text(present, "/status/latestReadyRevisionName");
    let targets = present["spec"]["traffic"].as_array().cloned().unwrap_or_default();
    let routed = |name: &str| targets.iter().any(|target| target["revisionName"] == name);
    let mut found: Vec<&Value> = revisions
        .iter()
        .filter(|revision| {
            let name = text(revision, "/metadata/name");
            name != latest && routed(&name)
        })
        .collect();
    found.sort_by_key(|revision| text(revision, GENERATION).parse::<i64>().unwrap_or(0));
    found
}

fn revision(revision: &Value) -> Value {
    let mut exported = bare(revision, &REVISION_ANNOTATIONS);
    exported["spec"] = revision["spec"].clone();
    exported
}

/// Traffic refers to revisions by name, so that the latest one needs the name it has now.
fn name_latest(exported: &mut Value, present: &Value) {
    let latest = text(present, "/status/latestReadyRevisionName");
    let template = &mut exported["spec"]["template"];
    if !latest.is_empty() && (template.is_object() || template.is_null()) {
        if !template["metadata"].is_object() {
            template["metadata"] = json!({});
        }
        template["metadata"]["name"] = json!(latest);
    }
}

fn set_traffic(exported: &mut Value, present: &Value) {
    let latest = text(present, "/status/latestReadyRevisionName");
    let mut targets = present["spec"]["traffic"].as_array().cloned().unwrap_or_default();
    for target in targets.iter_mut().filter_map(Value::as_object_mut) {
        if target.get("latestRevision") == Some(&json!(true)) && !latest.is_empty() {
            target.insert("revisionName".into(), json!(latest));
        }
        target.insert("latestRevision".into(), json!(false));
    }
    exported["spec"]["traffic"] = json!(targets);
}

/// Name, labels and annotations.
fn bare(object: &Value, annotations: &[&str]) -> Value {
    let metadata = &object["metadata"];
    let mut exported = json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": { "name": metadata["name"] } });
    for field in ["labels", "annotations"] {
        let kept: Map<String, Value> = metadata[field]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(key, _)| !LABELS.contains(&key.as_str()) && !annotations.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !kept.is_empty() {
            exported["metadata"][field] = Value::Object(kept);
        }
    }
    exported
}

fn clean_annotations(template: &mut Value, unwanted: &[&str]) {
    let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.retain(|_, value| !value.is_null());
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    annotations.retain(|key, _| !unwanted.contains(&key.as_str()));
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present() -> Value {
        json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": { "name": "web", "namespace": "d", "uid": "u", "resourceVersion": "1", "labels": { "team": "a" },
                          "annotations": { "serving.knative.dev/creator": "me", "own": "1" } },
            "spec": { "template": { "metadata": { "annotations": { "client.knative.dev/updateTimestamp": "t" } }, "spec": { "containers": [{ "image": "i:2" }] } },
                      "traffic": [{ "latestRevision": true, "percent": 10 }, { "revisionName": "web-00001", "percent": 90, "latestRevision": false }] },
            "status": { "latestReadyRevisionName": "web-00003" } })
    }

    fn revisions() -> Vec<Value> {
        let revision = |name: &str, generation: &str| {
            json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": { "name": name, "uid": "r", "ownerReferences": [{}], "annotations": { "serving.knative.dev/routes": "web", "own": "r" },
                    "labels": { "serving.knative.dev/configurationGeneration": generation, "serving.knative.dev/configurationUID": "c", "serving.knative.dev/service": "web" } },
                "spec": { "containers": [{ "image": "i:1" }] }, "status": {} })
        };
        vec![
            revision("web-00003", "3"),
            revision("web-00002", "2"),
            revision("web-00001", "1"),
        ]
    }

    #[test]
    fn the_bare_service() {
        let expected = json!({ "apiVersion": "serving.knative.dev/v1", "kind": "Service",
            "metadata": { "name": "web", "labels": { "team": "a" }, "annotations": { "own": "1" } },
            "spec": { "template": { "metadata": {}, "spec": { "containers": [{ "image": "i:2" }] } } } });
        assert_eq!(replay(&present(), &revisions(), false), expected);
        assert_eq!(
            export(&present(), &revisions(), false)["spec"],
            json!({ "service": expected })
        );
    }

    #[test]
    fn routed_revisions_go_with_it() {
        let exported = export(&present(), &revisions(), true);
        assert_eq!(exported["kind"], "Export");
        assert_eq!(
            exported["spec"]["revisions"],
            json!([{ "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
                "metadata": { "name": "web-00001", "annotations": { "own": "r" },
                    "labels": { "serving.knative.dev/configurationGeneration": "1", "serving.knative.dev/service": "web" } },
                "spec": { "containers": [{ "image": "i:1" }] } }])
        );
        let service = &exported["spec"]["service"]["spec"];
        assert_eq!(service["template"]["metadata"]["name"], "web-00003");
        assert_eq!(
            service["traffic"],
            json!([{ "latestRevision": false, "percent": 10, "revisionName": "web-00003" },
                   { "latestRevision": false, "percent": 90, "revisionName": "web-00001" }]),
            "a name and the flag together would be refused"
        );
    }

    #[test]
    fn a_replay_makes_the_oldest_first() {
        let list = replay(&present(), &revisions(), true);
        let names: Vec<&Value> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|step| &step["spec"]["template"]["metadata"]["name"])
            .collect();
        assert_eq!(names, ["web-00001", "web-00003"]);
        assert_eq!(
            list["items"][0]["spec"]["template"]["spec"],
            json!({ "containers": [{ "image": "i:1" }] })
        );
        assert!(list["items"][0]["spec"].get("traffic").is_none());
        assert_eq!(list["items"][1]["spec"]["traffic"][1]["percent"], 90);
    }
}
