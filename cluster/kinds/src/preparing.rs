//! What upstream's registry and its built-in admission plugins set on a new object, beyond defaults.

use formats::quantity::Quantity;
use serde_json::{Value, json};

use crate::json::{Object, at, flag, items, object_or_new, set_absent, text};
use crate::kind::Kind;

/// Seconds that a pod stays on a node that is not ready or not reachable (DefaultTolerationSeconds plugin).
const TOLERATION_SECONDS: i64 = 300;

impl Kind {
    /// Completes a new object: initial status of pods, priority and tolerations, the selector of jobs. To be called once,
    /// when the object has its uid and its defaults, and a status sent by the client has been dropped.
    pub fn prepare_create(&self, object: &mut Value) {
        match (self.group, self.kind) {
            ("", "Pod") => prepare_pod(object),
            ("batch", "Job") => select_by_uid(object),
            _ => {}
        }
    }
}

fn prepare_pod(pod: &mut Value) {
    let class = qos_class(pod);
    let Some(pod) = pod.as_object_mut() else { return };
    pod.insert(
        "status".to_owned(),
        json!({"phase": "Pending", "qosClass": class}),
    );
    let Some(spec) = object_or_new(pod, "spec") else {
        return;
    };
    // The priority of a class is looked up by whoever can read classes.
    if !spec.contains_key("priorityClassName") {
        set_absent(spec, "priority", 0);
        set_absent(spec, "preemptionPolicy", "PreemptLowerPriority");
    }
    for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        tolerate(spec, taint);
    }
}

fn tolerate(spec: &mut Object, taint: &str) {
    let tolerations = spec.entry("tolerations").or_insert_with(|| json!([]));
    let Some(tolerations) = tolerations.as_array_mut() else {
        return;
    };
    let covered = tolerations.iter().any(|toleration| {
        let key = text(toleration, &["key"]);
        (key == taint || key.is_empty()) && matches!(text(toleration, &["effect"]), "" | "NoExecute")
    });
    if !covered {
        tolerations.push(json!({
            "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATION_SECONDS,
        }));
    }
}

/// Returns the quality of service of a pod: `Guaranteed` if every container requests all it is limited to,
/// `BestEffort` if none requests or limits anything, otherwise `Burstable`.
pub fn qos_class(pod: &Value) -> &'static str {
    let lists = ["initContainers", "containers"].map(|list| items(pod, &["spec", list]));
    let mut containers = lists.into_iter().flatten().peekable();
    let amount = |container: &Value, list: &str, resource: &str| -> Option<Quantity> {
        let quantity: Quantity = at(container, &["resources", list, resource])?
            .as_str()?
            .parse()
            .ok()?;
        (!quantity.is_zero()).then_some(quantity)
    };
    let (mut guaranteed, mut asks) = (containers.peek().is_some(), false);
    for container in containers {
        for resource in ["cpu", "memory"] {
            let limit = amount(container, "limits", resource);
            let request = amount(container, "requests", resource);
            asks |= limit.is_some() || request.is_some();
            guaranteed &= limit.is_some() && request.is_none_or(|request| Some(request) == limit);
        }
    }
    match (asks, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Jobs own the pods that carry their uid, unless the user chose a selector.
fn select_by_uid(job: &mut Value) {
    let uid = text(job, &["metadata", "uid"]).to_owned();
    let name = text(job, &["metadata", "name"]).to_owned();
    if uid.is_empty() || flag(job, &["spec", "manualSelector"]) {
        return;
    }
    let Some(spec) = job.as_object_mut().and_then(|job| object_or_new(job, "spec")) else {
        return;
    };
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}),
    );
    let labels = object_or_new(spec, "template")
        .and_then(|template| object_or_new(template, "metadata"))
        .and_then(|metadata| object_or_new(metadata, "labels"));
    if let Some(labels) = labels {
        // The names without prefix are older, and still read by many.
        for (key, value) in [
            ("batch.kubernetes.io/controller-uid", &uid),
            ("batch.kubernetes.io/job-name", &name),
            ("controller-uid", &uid),
            ("job-name", &name),
        ] {
            labels.insert(key.to_owned(), json!(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::qos_class;
    use crate::kind::by_kind;

    #[test]
    fn the_quality_of_service_follows_from_resources() {
        let all = json!({"cpu": "1", "memory": "1Gi"});
        for (containers, class) in [
            (json!([{}]), "BestEffort"),
            (json!([]), "BestEffort"),
            (json!([{"resources": {"limits": all}}]), "Guaranteed"),
            (
                json!([{"resources": {"limits": all, "requests": {"cpu": "1000m", "memory": "1Gi"}}}]),
                "Guaranteed",
            ),
            (json!([{"resources": {"limits": all}}, {}]), "Burstable"),
            (json!([{"resources": {"requests": {"cpu": "1"}}}]), "Burstable"),
        ] {
            assert_eq!(
                qos_class(&json!({"spec": {"containers": containers}})),
                class,
                "{containers}"
            );
        }
    }

    #[test]
    fn new_pods_are_pending_and_tolerate_short_failures_of_their_node() {
        let kind = by_kind("v1", "Pod").unwrap();
        let mut pod = json!({"spec": {"containers": [{}]}, "status": {"phase": "Running"}});
        kind.prepare_create(&mut pod);
        assert_eq!(
            pod["status"],
            json!({"phase": "Pending", "qosClass": "BestEffort"})
        );
        assert_eq!(pod["spec"]["priority"], 0);
        let keys = |pod: &Value| -> Vec<String> {
            let tolerations = pod["spec"]["tolerations"].as_array().unwrap();
            tolerations
                .iter()
                .map(|toleration| toleration["key"].as_str().unwrap_or_default().to_owned())
                .collect()
        };
        assert_eq!(
            keys(&pod),
            ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
        );

        let mut tolerant =
            json!({"spec": {"tolerations": [{"operator": "Exists"}], "priorityClassName": "high"}});
        kind.prepare_create(&mut tolerant);
        assert_eq!(keys(&tolerant), [""]);
        assert!(tolerant["spec"].get("priority").is_none());
    }

    #[test]
    fn jobs_select_the_pods_that_carry_their_uid() {
        let kind = by_kind("batch/v1", "Job").unwrap();
        let mut job = json!({"metadata": {"name": "j", "uid": "u-1"}, "spec": {"template": {"spec": {}}}});
        kind.prepare_create(&mut job);
        assert_eq!(
            job["spec"]["selector"],
            json!({"matchLabels": {"batch.kubernetes.io/controller-uid": "u-1"}})
        );
        assert_eq!(job["spec"]["template"]["metadata"]["labels"]["job-name"], "j");

        let mut manual = json!({"metadata": {"uid": "u"}, "spec": {"manualSelector": true, "selector": {}}});
        kind.prepare_create(&mut manual);
        assert_eq!(manual["spec"]["selector"], json!({}));
    }
}
