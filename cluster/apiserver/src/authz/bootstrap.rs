//! Roles that every cluster has (`k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy`), as far as somebody can
//! use them here.

use serde_json::{Value, json};

const AUTHENTICATED: &str = "system:authenticated";
const LABEL: &str = "rbac.authorization.k8s.io/aggregate-to-";
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

/// What users of a namespace see and change: group and resources.
const WORKLOADS: [(&str, &[&str]); 7] = [
    (
        "",
        &[
            "configmaps",
            "endpoints",
            "events",
            "persistentvolumeclaims",
            "pods",
            "replicationcontrollers",
            "replicationcontrollers/scale",
            "serviceaccounts",
            "services",
        ],
    ),
    (
        "apps",
        &[
            "daemonsets",
            "deployments",
            "deployments/scale",
            "replicasets",
            "replicasets/scale",
            "statefulsets",
            "statefulsets/scale",
        ],
    ),
    ("autoscaling", &["horizontalpodautoscalers"]),
    ("batch", &["cronjobs", "jobs"]),
    ("discovery.k8s.io", &["endpointslices"]),
    ("networking.k8s.io", &["ingresses", "networkpolicies"]),
    ("policy", &["poddisruptionbudgets"]),
];

/// Cluster roles, by name.
pub(crate) fn roles() -> Vec<(String, Value)> {
    let rule = |groups: &[&str], resources: &[&str], verbs: &[&str]| json!({"apiGroups": groups, "resources": resources, "verbs": verbs});
    let on_workloads = |verbs: &[&str]| -> Vec<Value> {
        let rules = WORKLOADS.iter();
        rules
            .map(|(group, resources)| rule(&[group], resources, verbs))
            .collect()
    };
    let mut view = on_workloads(&READ);
    view.push(rule(
        &[""],
        &[
            "limitranges",
            "namespaces",
            "pods/log",
            "pods/status",
            "resourcequotas",
        ],
        &READ,
    ));
    // What `kubectl rollout history` reads; only controllers write it.
    view.push(rule(&["apps"], &["controllerrevisions"], &READ));
    let mut edit = on_workloads(&WRITE);
    edit.push(rule(
        &[""],
        &[
            "pods/attach",
            "pods/exec",
            "pods/portforward",
            "pods/proxy",
            "services/proxy",
        ],
        &["create", "get"],
    ));
    edit.push(rule(
        &[""],
        &["pods/eviction", "serviceaccounts/token"],
        &["create"],
    ));
    edit.push(rule(&[""], &["secrets"], &[&READ[..], &WRITE].concat()));
    edit.push(rule(&[""], &["serviceaccounts"], &["impersonate"]));
    edit.push(rule(
        &["coordination.k8s.io"],
        &["leases"],
        &[&READ[..], &WRITE].concat(),
    ));
    let admin = vec![
        rule(
            &["rbac.authorization.k8s.io"],
            &["rolebindings", "roles"],
            &[&READ[..], &WRITE].concat(),
        ),
        rule(
            &["authorization.k8s.io"],
            &["localsubjectaccessreviews"],
            &["create"],
        ),
    ];
    let everything = vec![
        rule(&["*"], &["*"], &["*"]),
        json!({"nonResourceURLs": ["*"], "verbs": ["*"]}),
    ];
    let basic = vec![
        rule(
            &["authorization.k8s.io"],
            &["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            &["create"],
        ),
        rule(&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
    ];
    let discovery = vec![json!({
        "nonResourceURLs": ["/", "/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*",
                            "/readyz", "/version", "/version/"],
        "verbs": ["get"],
    })];
    let authenticator = vec![
        rule(&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
        rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
    ];
    let plain = |name: &str, rules: Vec<Value>| (name.to_owned(), json!({"rules": rules}));
    let mut roles = vec![
        plain("cluster-admin", everything),
        plain("system:basic-user", basic),
        plain("system:discovery", discovery),
        plain("system:auth-delegator", authenticator),
    ];
    for (name, rules, next) in [
        ("view", view, "edit"),
        ("edit", edit, "admin"),
        ("admin", admin, ""),
    ] {
        let label = |to: &str| json!({format!("{LABEL}{to}"): "true"});
        // An aggregated role shows the rules of those it selects, those of users and charts included.
        let mut role = json!({"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label(name)}]}});
        if !next.is_empty() {
            role["metadata"] = json!({"labels": label(next)});
        }
        roles.push((name.to_owned(), role));
        roles.push((
            format!("system:aggregate-to-{name}"),
            json!({"metadata": {"labels": label(name)}, "rules": rules}),
        ));
    }
    roles
}

/// Cluster role bindings, by name.
pub(crate) fn bindings() -> Vec<(String, Value)> {
    [
        ("cluster-admin", "system:masters"),
        ("system:basic-user", AUTHENTICATED),
        ("system:discovery", AUTHENTICATED),
    ]
    .into_iter()
    .map(|(role, group)| {
        let binding = json!({
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        });
        (role.to_owned(), binding)
    })
    .collect()
}
