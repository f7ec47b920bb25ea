//! Objects that have about every field of their kind: what is read has to be written back the same.

use serde_json::{Value, json};

use super::*;

fn step_fields() -> Value {
    json!({
        "name": "s", "displayName": "S", "image": "i", "command": ["c"], "args": ["a"], "workingDir": "/w",
        "envFrom": [{"configMapRef": {"name": "m"}}], "env": [{"name": "K", "value": "v"}],
        "computeResources": {"requests": {"cpu": "1"}}, "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        "volumeDevices": [{"name": "d", "devicePath": "/d"}], "imagePullPolicy": "Always",
        "securityContext": {"runAsUser": 1}, "timeout": "1m0s",
        "workspaces": [{"name": "w", "mountPath": "/x"}], "onError": "continue", "stdoutConfig": {"path": "/o"},
        "stderrConfig": {"path": "/e"},
        "results": [{"name": "r", "type": "object", "properties": {"k": {"type": "string"}}, "description": "d"}],
        "when": [{"input": "a", "operator": "in", "values": ["a"]}],
    })
}

fn task_spec() -> Value {
    json!({
        "params": [
            {"name": "p", "type": "string", "description": "d", "default": "x", "enum": ["x", "y"]},
            {"name": "o", "type": "object", "properties": {"k": {"type": "string"}}, "default": {"k": "v"}},
            {"name": "a", "type": "array", "default": ["v"]},
        ],
        "displayName": "T", "description": "d",
        "steps": [
            step_fields(),
            {"name": "t", "script": "#!/bin/sh", "image": "i"},
            {"name": "u", "ref": {"resolver": "git", "params": [{"name": "a", "value": "b"}]},
             "params": [{"name": "p", "value": ["x"]}]},
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "stepTemplate": {"env": [{"name": "K", "value": "v"}], "computeResources": {"limits": {"cpu": "1"}}},
        "sidecars": [{
            "name": "c", "image": "i", "ports": [{"containerPort": 1}], "script": "x", "tty": true, "stdin": true,
            "stdinOnce": true, "readinessProbe": {"httpGet": {"port": 1}}, "restartPolicy": "Always",
            "lifecycle": {}, "terminationMessagePath": "/t", "terminationMessagePolicy": "File",
            "workspaces": [{"name": "w", "mountPath": "/x"}],
        }],
        "workspaces": [{"name": "w", "description": "d", "mountPath": "/m", "readOnly": true, "optional": true}],
        "results": [{"name": "r", "type": "array", "value": "$(steps.s.results.r)"}],
    })
}

fn pipeline_spec() -> Value {
    let mut embedded = task_spec();
    embedded["metadata"] = json!({"labels": {"a": "b"}, "annotations": {"c": "d"}});
    json!({
        "displayName": "P", "description": "d", "params": [{"name": "p", "default": ["a"]}],
        "tasks": [
            {"name": "a", "displayName": "A", "description": "d", "taskSpec": embedded, "retries": 2,
             "timeout": "1h30m0s", "when": [{"cel": "true"}],
             "params": [{"name": "p", "value": {"k": "v"}}],
             "matrix": {"params": [{"name": "m", "value": ["1", "2"]}],
                        "include": [{"name": "i", "params": [{"name": "n", "value": "3"}]}]},
             "workspaces": [{"name": "w", "workspace": "pw", "subPath": "x"}]},
            {"name": "b", "taskRef": {"name": "t", "kind": "Task"}, "runAfter": ["a"], "onError": "continue"},
            {"name": "c", "taskSpec": {"apiVersion": "example.dev/v1", "kind": "Wait", "spec": {"any": [1]}}},
            {"name": "d", "pipelineRef": {"name": "p"}},
            {"name": "e", "pipelineSpec": {"tasks": [{"name": "x", "taskRef": {"resolver": "hub"}}]}},
        ],
        "workspaces": [{"name": "pw", "description": "d", "optional": true}],
        "results": [{"name": "r", "type": "string", "description": "d", "value": "$(tasks.a.results.r)"}],
        "finally": [{"name": "f", "taskRef": {"name": "t", "kind": "Task"}}],
    })
}

fn bindings() -> Value {
    json!([
        {"name": "a", "subPath": "x", "emptyDir": {}}, {"name": "b", "persistentVolumeClaim": {"claimName": "c"}},
        {"name": "c", "configMap": {"name": "m"}}, {"name": "d", "secret": {"secretName": "s"}},
        {"name": "e", "projected": {"sources": [{"secret": {"name": "s"}}]}}, {"name": "f", "csi": {"driver": "d"}},
        {"name": "g", "volumeClaimTemplate": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "t"},
                                              "spec": {"accessModes": ["ReadWriteOnce"]}}},
    ])
}

fn succeeded() -> Value {
    json!([{"type": "Succeeded", "status": "True", "reason": "Succeeded", "message": "m",
            "lastTransitionTime": "2026-01-02T03:04:05Z"}])
}

/// By the names of their CRDs.
pub(crate) fn all() -> Vec<(&'static str, Value)> {
    let provenance = json!({
        "refSource": {"uri": "git+https://x", "digest": {"sha1": "a"}, "entryPoint": "t.yaml"},
        "featureFlags": {"coschedule": "workspaces"},
    });
    let pod_template = json!({
        "nodeSelector": {"a": "b"}, "env": [{"name": "K", "value": "v"}], "tolerations": [{"operator": "Exists"}],
        "affinity": {}, "securityContext": {"runAsUser": 1}, "volumes": [{"name": "v", "emptyDir": {}}],
        "runtimeClassName": "r", "automountServiceAccountToken": false, "dnsPolicy": "Default",
        "dnsConfig": {"nameservers": ["1.1.1.1"]}, "enableServiceLinks": false, "priorityClassName": "p",
        "schedulerName": "s", "imagePullSecrets": [{"name": "s"}], "hostAliases": [{"ip": "1.1.1.1"}],
        "hostNetwork": true, "hostUsers": false,
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "k", "whenUnsatisfiable": "DoNotSchedule"}],
    });
    let resources = json!([{"name": "s", "computeResources": {"limits": {"cpu": "1"}}}]);
    let artifact =
        json!([{"name": "a", "values": [{"digest": {"sha256": "x"}, "uri": "u"}], "buildOutput": true}]);
    let task_run = json!({
        "spec": {
            "debug": {"breakpoints": {"onFailure": "enabled", "beforeSteps": ["s"]}},
            "params": [{"name": "p", "value": "v"}], "serviceAccountName": "sa", "taskSpec": task_spec(),
            "status": "TaskRunPending", "statusMessage": "m", "retries": 1, "timeout": "1h0m0s",
            "podTemplate": pod_template, "workspaces": bindings(), "stepSpecs": resources, "sidecarSpecs": resources,
            "managedBy": "somebody",
        },
        "status": {
            "conditions": succeeded(), "observedGeneration": 1, "annotations": {"a": "b"}, "podName": "p",
            "startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T03:04:06Z",
            "steps": [
                {"name": "s", "container": "step-s", "imageID": "i@sha256:x", "terminationReason": "Completed",
                 "terminated": {"exitCode": 0, "reason": "Completed"}, "provenance": provenance,
                 "results": [{"name": "r", "type": "string", "value": "v"}], "inputs": artifact, "outputs": artifact},
                {"name": "t", "waiting": {"reason": "PodInitializing"}},
            ],
            "sidecars": [{"name": "c", "container": "sidecar-c", "imageID": "i", "running": {}}],
            "retriesStatus": [{"conditions": succeeded(), "podName": "p0"}],
            "results": [{"name": "r", "type": "array", "value": ["v"]}],
            "artifacts": {"inputs": artifact, "outputs": artifact}, "taskSpec": task_spec(), "provenance": provenance,
            "spanContext": {"traceparent": "x"},
        },
    });
    let pipeline_run = json!({
        "spec": {
            "pipelineSpec": pipeline_spec(), "params": [{"name": "p", "value": ["v"]}], "status": "StoppedRunFinally",
            "timeouts": {"pipeline": "1h0m0s", "tasks": "30m0s", "finally": "30m0s"},
            "taskRunTemplate": {"podTemplate": pod_template, "serviceAccountName": "sa"}, "workspaces": bindings(),
            "taskRunSpecs": [{
                "pipelineTaskName": "a", "serviceAccountName": "sa", "podTemplate": pod_template,
                "sidecarSpecs": resources, "metadata": {"labels": {"a": "b"}},
                "computeResources": {"requests": {"cpu": "1"}}, "timeout": "5m0s",
            }],
            "managedBy": "somebody",
        },
        "status": {
            "conditions": succeeded(), "startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T03:04:06Z",
            "results": [{"name": "r", "value": "v"}], "pipelineSpec": pipeline_spec(),
            "skippedTasks": [{"name": "a", "reason": "None",
                              "whenExpressions": [{"input": "a", "operator": "notin", "values": ["a"]}]}],
            "childReferences": [{"apiVersion": "tekton.dev/v1", "kind": "TaskRun", "name": "r-a", "displayName": "A",
                                 "pipelineTaskName": "a", "whenExpressions": [{"cel": "true"}]}],
            "finallyStartTime": "2026-01-02T03:04:06Z", "provenance": provenance, "spanContext": {"a": "b"},
        },
    });
    let custom_run = json!({
        "spec": {
            "customSpec": {"apiVersion": "example.dev/v1", "kind": "Wait", "metadata": {"labels": {"a": "b"}},
                           "spec": {"any": 1}},
            "params": [{"name": "p", "value": "v"}], "status": "RunCancelled", "statusMessage": "m", "retries": 1,
            "serviceAccountName": "sa", "timeout": "1m0s", "workspaces": bindings(),
        },
        "status": {
            "conditions": succeeded(), "startTime": "2026-01-02T03:04:05Z", "results": [{"name": "r", "value": "v"}],
            "retriesStatus": [{"conditions": succeeded()}], "extraFields": {"any": 1},
        },
    });
    let step_action = json!({"spec": {
        "description": "d", "image": "i", "args": ["a"], "env": [{"name": "K", "value": "v"}],
        "workingDir": "/w", "params": [{"name": "p", "default": "x"}], "results": [{"name": "r"}], "script": "x",
        "securityContext": {"runAsUser": 1}, "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }});
    let resolution = json!({
        "spec": {"params": [{"name": "url", "value": "u"}], "url": "u"},
        "status": {"conditions": succeeded(), "data": "eA==", "refSource": {"uri": "u"}},
    });
    vec![
        ("tasks.tekton.dev", json!({"spec": task_spec()})),
        ("taskruns.tekton.dev", task_run),
        ("pipelines.tekton.dev", json!({"spec": pipeline_spec()})),
        ("pipelineruns.tekton.dev", pipeline_run),
        ("stepactions.tekton.dev", step_action),
        ("customruns.tekton.dev", custom_run),
        ("resolutionrequests.resolution.tekton.dev", resolution),
    ]
}

fn round_trip<T: serde::de::DeserializeOwned + serde::Serialize>(value: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<T>(value.clone()).unwrap()).unwrap()
}

#[test]
fn what_is_read_is_written_back() {
    for (name, mut object) in all() {
        object["metadata"] = json!({"name": "x"});
        let (group, version) = match name {
            "resolutionrequests.resolution.tekton.dev" => (RESOLUTION_GROUP, "v1beta1"),
            "stepactions.tekton.dev" | "customruns.tekton.dev" => (GROUP, "v1beta1"),
            _ => (GROUP, "v1"),
        };
        object["apiVersion"] = json!(format!("{group}/{version}"));
        let (kind, trip): (_, fn(&Value) -> Value) = match name {
            "tasks.tekton.dev" => ("Task", round_trip::<Task>),
            "taskruns.tekton.dev" => ("TaskRun", round_trip::<TaskRun>),
            "pipelines.tekton.dev" => ("Pipeline", round_trip::<Pipeline>),
            "pipelineruns.tekton.dev" => ("PipelineRun", round_trip::<PipelineRun>),
            "stepactions.tekton.dev" => ("StepAction", round_trip::<StepAction>),
            "customruns.tekton.dev" => ("CustomRun", round_trip::<CustomRun>),
            _ => ("ResolutionRequest", round_trip::<ResolutionRequest>),
        };
        object["kind"] = json!(kind);
        assert_eq!(trip(&object), object, "{kind}");
    }
}
