use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{builtin, by_kind};

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

/// Prints the row of an object that was created an hour ago, cells joined as kubectl would.
fn row(mut object: Value) -> String {
    object["metadata"]["name"] = json!("x");
    object["metadata"]["creationTimestamp"] = json!("2026-01-01T00:00:00Z");
    let kind = by_kind(
        object["apiVersion"].as_str().unwrap(),
        object["kind"].as_str().unwrap(),
    )
    .unwrap();
    let cells: Vec<String> = kind
        .row(&object, now())
        .into_iter()
        .map(|cell| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned))
        .collect();
    cells.join(" | ")
}

#[test]
fn every_kind_has_one_cell_for_each_column() {
    for kind in builtin() {
        assert_eq!(
            kind.columns().len(),
            kind.row(&json!({}), now()).len(),
            "{}",
            kind.kind
        );
    }
}

#[test]
fn kinds_without_a_table_of_their_own_show_when_they_were_created() {
    assert_eq!(
        row(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"})),
        "x | 2026-01-01T00:00:00Z"
    );
}

fn pod(status: Value) -> String {
    let printed = row(json!({
        "apiVersion": "v1", "kind": "Pod",
        "spec": {
            "initContainers": [{"name": "setup"}, {"name": "mesh", "restartPolicy": "Always"}],
            "containers": [{"name": "a"}, {"name": "b"}],
        },
        "status": status,
    }));
    printed.split(" | ").skip(1).take(3).collect::<Vec<_>>().join(" ")
}

fn done() -> Value {
    json!({"name": "setup", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}})
}

fn mesh() -> Value {
    json!({"name": "mesh", "started": true, "ready": true, "restartCount": 1, "state": {"running": {}}})
}

#[test]
fn the_status_of_a_pod_sums_up_its_containers() {
    let running = json!({"name": "a", "ready": true, "restartCount": 0, "state": {"running": {}}});
    let finished = json!({"name": "b", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}});
    let crashing = json!({
        "name": "b", "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-01-01T00:57:00Z"}},
    });
    let init = |status: Value| json!({"phase": "Pending", "initContainerStatuses": [status]});
    let main = |statuses: Value| json!({"phase": "Running", "initContainerStatuses": [done(), mesh()], "containerStatuses": statuses});
    for (status, printed) in [
        (json!({"phase": "Pending"}), "0/3 Pending 0"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "0/3 Evicted 0"),
        (
            json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}),
            "0/3 SchedulingGated 0",
        ),
        (
            init(json!({"name": "setup", "state": {"running": {}}})),
            "0/3 Init:0/2 0",
        ),
        (
            init(json!({"name": "setup", "state": {"waiting": {"reason": "ErrImagePull"}}})),
            "0/3 Init:ErrImagePull 0",
        ),
        (
            init(json!({"name": "setup", "state": {"waiting": {"reason": "PodInitializing"}}})),
            "0/3 Init:0/2 0",
        ),
        (
            init(json!({"name": "setup", "restartCount": 2, "state": {"terminated": {"exitCode": 3}}})),
            "0/3 Init:ExitCode:3 2",
        ),
        (
            init(json!({"name": "setup", "state": {"terminated": {"exitCode": 137, "signal": 9}}})),
            "0/3 Init:Signal:9 0",
        ),
        (main(json!([running, finished])), "2/3 NotReady 1"),
        (
            main(json!([running, crashing])),
            "2/3 CrashLoopBackOff 5 (3m ago)",
        ),
        (
            main(json!([{"name": "a", "state": {"terminated": {"exitCode": 2}}}])),
            "1/3 ExitCode:2 1",
        ),
    ] {
        assert_eq!(pod(status.clone()), printed, "{status}");
    }
}

#[test]
fn a_deleted_pod_is_terminating_until_it_has_ended() {
    let deleted = |phase: &str| {
        row(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"deletionTimestamp": "2026-01-01T00:59:00Z"},
            "spec": {"containers": [{"name": "a"}], "nodeName": "n1"},
            "status": {"phase": phase, "podIPs": [{"ip": "10.1.0.5"}]},
        }))
    };
    assert_eq!(
        deleted("Running"),
        "x | 0/1 | Terminating | 0 | 60m | 10.1.0.5 | n1 | <none> | <none>"
    );
    assert_eq!(
        deleted("Succeeded"),
        "x | 0/1 | Succeeded | 0 | 60m | 10.1.0.5 | n1 | <none> | <none>"
    );
}

#[test]
fn workloads_show_replicas_and_templates() {
    let spec = json!({
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["b", "a"]}, {"key": "old", "operator": "DoesNotExist"},
        ]},
        "template": {"spec": {"containers": [{"name": "a", "image": "i:1"}, {"name": "b", "image": "j"}]}},
    });
    let status = json!({"replicas": 2, "readyReplicas": 1, "updatedReplicas": 2, "availableReplicas": 1});
    let object = |kind: &str| json!({"apiVersion": "apps/v1", "kind": kind, "spec": spec, "status": status});
    assert_eq!(
        row(object("Deployment")),
        "x | 1/3 | 2 | 1 | 60m | a,b | i:1,j | app=web,!old,tier in (a,b)"
    );
    assert_eq!(
        row(object("ReplicaSet")),
        "x | 3 | 2 | 1 | 60m | a,b | i:1,j | app=web,!old,tier in (a,b)"
    );
    assert_eq!(row(object("StatefulSet")), "x | 1/3 | 60m | a,b | i:1,j");
}

#[test]
fn jobs_show_status_completions_and_duration() {
    let job = |spec: Value, status: Value| {
        let printed = row(json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec, "status": status}));
        printed.split(" | ").skip(1).take(3).collect::<Vec<_>>().join(" ")
    };
    let started = "2026-01-01T00:50:00Z";
    assert_eq!(
        job(
            json!({"completions": 3}),
            json!({"succeeded": 1, "startTime": started})
        ),
        "Running 1/3 10m"
    );
    assert_eq!(job(json!({"parallelism": 4}), json!({})), "Running 0/1 of 4 ");
    let complete = json!({
        "succeeded": 1, "startTime": started, "completionTime": "2026-01-01T00:50:07Z",
        "conditions": [{"type": "Complete", "status": "True"}],
    });
    assert_eq!(job(json!({"completions": 1}), complete), "Complete 1/1 7s");
}

#[test]
fn services_show_addresses_and_ports() {
    let service = |spec: Value, status: Value| {
        row(json!({"apiVersion": "v1", "kind": "Service", "spec": spec, "status": status}))
    };
    let ports = json!([{"port": 80, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "nodePort": 30053}]);
    assert_eq!(
        service(
            json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": ports}),
            json!({})
        ),
        "x | ClusterIP | 10.96.0.9 | <none> | 80/TCP,53:30053/UDP | 60m | <none>"
    );
    assert_eq!(
        service(
            json!({"type": "LoadBalancer", "clusterIP": "10.96.0.9"}),
            json!({"loadBalancer": {}})
        ),
        "x | LoadBalancer | 10.96.0.9 | <pending> | <none> | 60m | <none>"
    );
    assert_eq!(
        service(
            json!({"type": "ExternalName", "externalName": "example.com"}),
            json!({})
        ),
        "x | ExternalName | <none> | example.com | <none> | 60m | <none>"
    );
}

#[test]
fn long_lists_of_endpoints_are_cut() {
    let addresses: Vec<Value> = (1..=5).map(|n| json!({"ip": format!("10.0.0.{n}")})).collect();
    assert_eq!(
        row(json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "subsets": [{"addresses": addresses, "ports": [{"port": 80}]}],
        })),
        "x | 10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more... | 60m"
    );
    assert_eq!(
        row(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "ports": [{"port": 80}, {"name": "any"}], "endpoints": [{"addresses": ["10.0.0.1"]}],
        })),
        "x | IPv4 | 80,any | 10.0.0.1 | 60m"
    );
}

#[test]
fn both_forms_of_an_event_print_alike() {
    let core = row(json!({
        "apiVersion": "v1", "kind": "Event", "type": "Normal", "reason": "Pulled", "message": " ok\n", "count": 3,
        "firstTimestamp": "2026-01-01T00:30:00Z", "lastTimestamp": "2026-01-01T00:59:30Z",
        "involvedObject": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
        "source": {"component": "kubelet", "host": "n1"},
    }));
    assert_eq!(
        core,
        "30s | Normal | Pulled | pod/p | spec.containers{a} | kubelet, n1 | ok | 30m | 3 | x"
    );
    let newer = row(json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "type": "Normal", "reason": "Pulled", "note": "ok",
        "eventTime": "2026-01-01T00:30:00.000000Z",
        "series": {"count": 3, "lastObservedTime": "2026-01-01T00:59:30.000000Z"},
        "regarding": {"kind": "Pod", "name": "p", "fieldPath": "spec.containers{a}"},
        "reportingController": "kubelet", "reportingInstance": "n1",
    }));
    assert_eq!(newer, core);
}

#[test]
fn nodes_show_readiness_roles_and_addresses() {
    assert_eq!(
        row(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"labels": {"node-role.kubernetes.io/control-plane": "", "kubernetes.io/role": "worker"}},
            "spec": {"unschedulable": true},
            "status": {
                "conditions": [{"type": "Ready", "status": "True"}],
                "addresses": [{"type": "InternalIP", "address": "192.0.2.1"}],
                "nodeInfo": {"kubeletVersion": "v1.37.0", "osImage": "Debian"},
            },
        })),
        "x | Ready,SchedulingDisabled | control-plane,worker | 60m | v1.37.0 | 192.0.2.1 | <none> | Debian | <unknown> \
         | <unknown>"
    );
}

#[test]
fn autoscalers_show_current_and_wanted_values() {
    let spec = json!({
        "maxReplicas": 5, "minReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "web"},
        "metrics": [
            {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}},
            {"type": "Pods", "pods": {"target": {"averageValue": "1k"}}},
            {"type": "External", "external": {"target": {"value": "30"}}},
        ],
    });
    let status = json!({
        "currentReplicas": 2,
        "currentMetrics": [{"type": "Resource", "resource": {"current": {"averageUtilization": 12}}}],
    });
    assert_eq!(
        row(
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": spec, "status": status})
        ),
        "x | Deployment/web | cpu: 12%/80%, <unknown>/1k + 1 more... | 1 | 5 | 2 | 60m"
    );
}

#[test]
fn smaller_kinds_print_their_cells() {
    for (object, printed) in [
        (
            json!({"apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"}}),
            "x | Active | 60m",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"a": ""}}),
            "x | Opaque | 1 | 60m",
        ),
        (
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": ""}, "binaryData": {"b": ""}}),
            "x | 2 | 60m",
        ),
        (
            json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "spec": {"ingressClassName": "c", "rules": [{"host": "a.example"}], "tls": [{}]},
                "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
            }),
            "x | c | a.example | 192.0.2.1 | 80, 443 | 60m",
        ),
        (
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "me"}}),
            "x | me | 60m",
        ),
        (
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "roleRef": {"kind": "Role", "name": "r"},
                "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "namespace": "n", "name": "s"}],
            }),
            "x | Role/r | 60m | u |  | n/s",
        ),
        (
            json!({
                "apiVersion": "v1", "kind": "ResourceQuota",
                "status": {"hard": {"pods": "3", "limits.cpu": "2"}, "used": {"pods": "1"}},
            }),
            "x | pods: 1/3 | limits.cpu: 0/2 | 60m",
        ),
        (
            json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "spec": {"minAvailable": "50%"}, "status": {"disruptionsAllowed": 1},
            }),
            "x | 50% | N/A | 1 | 60m",
        ),
        (
            json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "p",
                "metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            }),
            "x (default) | p | Delete | <unset> | false | 60m",
        ),
        (
            json!({
                "apiVersion": "batch/v1", "kind": "CronJob",
                "spec": {"schedule": "* * * * *", "suspend": false}, "status": {"active": [{}]},
            }),
            "x | * * * * * | <none> | False | 1 | <none> | 60m |  |  | <none>",
        ),
    ] {
        assert_eq!(row(object.clone()), printed, "{object}");
    }
}
