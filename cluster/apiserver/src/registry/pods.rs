//! Subresources of pods: binding to a node, eviction, logs.

use serde_json::{Value, json};

use super::{Answer, Call, Registry};
use crate::admission::Operation;
use crate::meta::{self, as_map, child_mut, metadata_mut};
use crate::node::{LogOptions, LogStream};
use crate::status::StatusError;

impl Registry {
    /// Assigns a pod to a node; once only.
    pub(crate) async fn bind(&self, call: &mut Call, body: Value) -> Result<Answer, StatusError> {
        let node = meta::text(&body, "/target/name").to_owned();
        if node.is_empty() {
            let error = cluster_machinery::FieldError::required("target.name", "");
            let kind = crate::status::Subject {
                group: "",
                resource: "Binding",
            };
            return Err(StatusError::invalid(kind, &call.name, vec![error]));
        }
        let mut body = body;
        self.mutate(call, Operation::Create, Some(&mut body), None)
            .await?;
        self.validate_admission(call, Operation::Create, Some(&body), None)
            .await?;
        let now = self.now();
        self.modify(call, &mut |_, call, current| {
            let conflict = |why: String| Err(StatusError::conflict(call.resource.subject(), &call.name, why));
            if meta::is_deleting(current) {
                return conflict(format!(
                    "pod {} is being deleted, cannot be assigned to a host",
                    call.name
                ));
            }
            let present = meta::text(current, "/spec/nodeName");
            if !present.is_empty() {
                return conflict(format!(
                    "pod {} is already assigned to node \"{present}\"",
                    call.name
                ));
            }
            let uid = meta::uid(&body);
            if !uid.is_empty() && uid != meta::uid(current) {
                return conflict(format!("the UID in the precondition ({uid}) does not match"));
            }
            let mut next = current.clone();
            child_mut(&mut next, "spec").insert("nodeName".into(), node.clone().into());
            for key in ["annotations", "labels"] {
                if let Some(added) = body
                    .pointer(&format!("/metadata/{key}"))
                    .and_then(Value::as_object)
                {
                    let present = as_map(metadata_mut(&mut next).entry(key).or_insert(Value::Null));
                    present.extend(added.clone());
                }
            }
            set_condition(&mut next, "PodScheduled", &now);
            Ok(next)
        })
        .await?;
        Ok(success(201))
    }

    /// Deletes a pod on behalf of somebody who drains a node.
    pub(crate) async fn evict(&self, call: &mut Call, body: Value) -> Result<Answer, StatusError> {
        call.query.merge_delete_options(&body["deleteOptions"])?;
        let mut body = body;
        self.mutate(call, Operation::Create, Some(&mut body), None)
            .await?;
        self.validate_admission(call, Operation::Create, Some(&body), None)
            .await?;
        self.within_disruption_budgets(call)?;
        self.delete(call).await?;
        Ok(success(201))
    }

    /// Refuses an eviction that a PodDisruptionBudget does not allow now.
    fn within_disruption_budgets(&self, call: &Call) -> Result<(), StatusError> {
        let pod = self.find(call)?.value();
        if matches!(
            meta::text(&pod, "/status/phase"),
            "Pending" | "Succeeded" | "Failed"
        ) {
            return Ok(());
        }
        let prefix = format!("policy/poddisruptionbudgets/{}/", call.namespace);
        for (_, budget) in self.store.list(&prefix).1 {
            let budget = budget.value();
            let covers = cluster_machinery::selector::LabelSelector::from_json(&budget["spec"]["selector"])
                .is_ok_and(|selector| selector.matches_object(&pod));
            // A budget whose controller has not counted yet allows nothing, as upstream.
            if covers
                && budget
                    .pointer("/status/disruptionsAllowed")
                    .and_then(Value::as_i64)
                    .unwrap_or(0)
                    < 1
            {
                let mut error = StatusError::too_many_requests(
                    "Cannot evict pod as it would violate the pod's disruption budget.",
                    10,
                );
                error.details.causes.push(crate::status::Cause {
                    reason: "DisruptionBudget".into(),
                    message: format!(
                        "The disruption budget {} does not allow an eviction now",
                        meta::name(&budget)
                    ),
                    field: String::new(),
                });
                return Err(error);
            }
        }
        Ok(())
    }

    /// Opens the log of one container of a pod.
    pub(crate) async fn logs(&self, call: &Call) -> Result<LogStream, StatusError> {
        let pod = self.find(call)?.value();
        let (wanted, options) = log_options(call)?;
        let container = choose_container(call, &pod, wanted)?;
        let Some(node) = self.node.get() else {
            let mut error = StatusError::new(
                503,
                "ServiceUnavailable",
                "no node is connected yet: try again in a moment",
            );
            error.details.retry_after = Some(1);
            return Err(error);
        };
        node.logs(&call.namespace, &call.name, &container, options).await
    }
}

fn success(code: u16) -> Answer {
    Answer::Other {
        code,
        value: json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": code}),
    }
}

fn set_condition(pod: &mut Value, kind: &str, now: &str) {
    let conditions = child_mut(pod, "status")
        .entry("conditions")
        .or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut() {
        conditions.retain(|condition| condition["type"] != kind);
        conditions
            .push(json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": now}));
    }
}

/// Reads `PodLogOptions` from the query.
fn log_options(call: &Call) -> Result<(String, LogOptions), StatusError> {
    let mut options = LogOptions::default();
    let mut container = String::new();
    for (key, value) in &call.query.pairs {
        let bad = || StatusError::bad_request(format!("query parameter {key}={value}: cannot be understood"));
        let flag = !matches!(value.as_str(), "false" | "0");
        let number = || value.parse::<u64>().map(Some).map_err(|_| bad());
        match key.as_str() {
            "container" => container.clone_from(value),
            "follow" => options.follow = flag,
            "previous" => options.previous = flag,
            "timestamps" => options.timestamps = flag,
            "tailLines" => options.tail_lines = number()?,
            "limitBytes" => options.limit_bytes = number()?,
            "sinceSeconds" => options.since_seconds = number()?,
            "sinceTime" => options.since_time = Some(value.parse().map_err(|_| bad())?),
            _ => {}
        }
    }
    Ok((container, options))
}

/// Chooses the container: the one asked for, the default by annotation, or the only one.
fn choose_container(call: &Call, pod: &Value, wanted: String) -> Result<String, StatusError> {
    let names = |list: &str| -> Vec<String> {
        pod["spec"][list]
            .as_array()
            .into_iter()
            .flatten()
            .map(|c| meta::text(c, "/name").to_owned())
            .collect()
    };
    let (main, init, ephemeral) = (
        names("containers"),
        names("initContainers"),
        names("ephemeralContainers"),
    );
    let wanted = if wanted.is_empty() {
        let key = "kubectl.kubernetes.io/default-container";
        pod["metadata"]["annotations"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    } else {
        wanted
    };
    if wanted.is_empty() {
        return match main.as_slice() {
            [only] => Ok(only.clone()),
            many => Err(StatusError::bad_request(format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                call.name,
                many.join(" ")
            ))),
        };
    }
    if [main, init, ephemeral].concat().contains(&wanted) {
        return Ok(wanted);
    }
    Err(StatusError::bad_request(format!(
        "container {wanted} is not valid for pod {}",
        call.name
    )))
}
