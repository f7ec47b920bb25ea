//! What a listener consists of.

use std::collections::BTreeMap;

use crds::serving;
use crds::triggers::{EventListener, KubernetesResource, RECORD_GROUP, generated_name, labels};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use reconciler::Key;
use serde_json::{Map, Value, json};

/// Where a listener listens.
pub(super) const PORT: i32 = 8080;
const METRICS_PORT: i32 = 9000;
/// User and group that it runs as.
const USER: i64 = 65532;
/// Where a pod finds its credentials.
const CREDENTIALS: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How long a token is good; it is renewed long before.
const TOKEN_SECONDS: i64 = 3607;
/// What somebody may say of the pods.
const POD: [&str; 8] = [
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "imagePullSecrets",
    "securityContext",
    "priorityClassName",
    "serviceAccountName",
];
/// What somebody may say of the container.
const CONTAINER: [&str; 3] = ["resources", "env", "securityContext"];

/// Where the API server is.
pub(super) struct Server {
    pub address: String,
    pub port: i32,
}

/// What is the same for all listeners.
pub(super) struct Settings<'a> {
    pub image: &'a str,
    pub cluster_domain: &'a str,
    pub server: Server,
}

fn name(listener: &EventListener) -> &str {
    listener.metadata.name.as_deref().unwrap_or_default()
}

/// What the objects of a listener are called.
pub(super) fn key(listener: &EventListener) -> Key {
    Key::new(
        listener.metadata.namespace.as_deref().unwrap_or_default(),
        generated_name(name(listener)),
    )
}

fn own_labels(listener: &EventListener) -> BTreeMap<String, String> {
    [
        labels::MANAGED_BY,
        labels::PART_OF,
        (labels::LISTENER, name(listener)),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// The labels of the objects of a listener; those of the listener come along.
fn all_labels(listener: &EventListener) -> BTreeMap<String, String> {
    let mut all = listener.metadata.labels.clone().unwrap_or_default();
    all.extend(own_labels(listener));
    all
}

fn metadata(listener: &EventListener) -> ObjectMeta {
    ObjectMeta {
        name: Some(generated_name(name(listener))),
        namespace: listener.metadata.namespace.clone(),
        labels: Some(all_labels(listener)),
        ..ObjectMeta::default()
    }
}

/// The account that a listener runs as.
pub(super) fn account(listener: &EventListener) -> String {
    let in_pod = listener
        .spec
        .resources
        .kubernetes_resource
        .as_ref()
        .and_then(|resource| {
            resource
                .spec
                .as_ref()?
                .template
                .spec
                .as_ref()?
                .service_account_name
                .clone()
        });
    let own = Some(listener.spec.service_account_name.clone()).filter(|name| !name.is_empty());
    own.or(in_pod).unwrap_or_else(|| "default".to_owned())
}

/// Lets the listener keep its events. What else it needs its account has to be given.
pub(super) fn role(listener: &EventListener) -> Role {
    let rule = json!({
        "apiGroups": [RECORD_GROUP], "resources": ["receivedevents"],
        "verbs": ["create", "get", "list", "patch", "delete"],
    });
    Role {
        metadata: metadata(listener),
        rules: serde_json::from_value(json!([rule])).ok(),
    }
}

pub(super) fn role_binding(listener: &EventListener) -> RoleBinding {
    let namespace = listener.metadata.namespace.clone();
    RoleBinding {
        metadata: metadata(listener),
        role_ref: k8s_openapi::api::rbac::v1::RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: generated_name(name(listener)),
        },
        subjects: Some(vec![k8s_openapi::api::rbac::v1::Subject {
            kind: "ServiceAccount".to_owned(),
            name: account(listener),
            namespace,
            ..k8s_openapi::api::rbac::v1::Subject::default()
        }]),
    }
}

/// The Deployment of a listener.
///
/// # Errors
/// If what somebody says of its pods cannot be read.
pub(super) fn deployment(listener: &EventListener, settings: &Settings<'_>) -> Result<Deployment, String> {
    let resource = listener
        .spec
        .resources
        .kubernetes_resource
        .clone()
        .unwrap_or_default();
    let template = given_template(&resource)?;
    let mut labels = text_map(template.pointer("/metadata/labels"));
    labels.extend(own_labels(listener));
    let annotations = text_map(template.pointer("/metadata/annotations"));
    let mut deployment = json!({
        "metadata": metadata(listener),
        "spec": {
            "selector": {"matchLabels": own_labels(listener)},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": pod(listener, settings, template.get("spec").unwrap_or(&Value::Null), true),
            },
        },
    });
    // One who does not say how many leaves it to whoever scales it.
    if let Some(replicas) = resource.replicas {
        deployment["spec"]["replicas"] = json!(replicas);
    }
    serde_json::from_value(deployment).map_err(|error| format!("the pod template cannot be read: {error}"))
}

fn given_template(resource: &KubernetesResource) -> Result<Value, String> {
    let template = resource.spec.as_ref().map(|spec| &spec.template);
    serde_json::to_value(template).map_err(|error| format!("the pod template cannot be read: {error}"))
}

fn text_map(value: Option<&Value>) -> BTreeMap<String, String> {
    let map = value.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// The pod, with what somebody may say of it from `given`.
fn pod(listener: &EventListener, settings: &Settings<'_>, given: &Value, with_probes: bool) -> Value {
    let mut pod = Map::new();
    for name in POD {
        if let Some(value) = given.get(name).filter(|value| !value.is_null()) {
            pod.insert(name.to_owned(), value.clone());
        }
    }
    pod.insert("serviceAccountName".to_owned(), json!(account(listener)));
    // The credentials are mounted below, the same way on every cluster.
    pod.insert("automountServiceAccountToken".to_owned(), json!(false));
    pod.entry("securityContext").or_insert_with(
        || json!({"runAsNonRoot": true, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER}),
    );
    pod.insert("volumes".to_owned(), json!([{
        "name": "credentials",
        "projected": {"sources": [
            {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
        ]},
    }]));
    pod.insert(
        "containers".to_owned(),
        json!([container(listener, settings, given, with_probes)]),
    );
    Value::Object(pod)
}

fn container(listener: &EventListener, settings: &Settings<'_>, given: &Value, with_probes: bool) -> Value {
    let given = given.pointer("/containers/0").unwrap_or(&Value::Null);
    let mut container = json!({
        "name": "event-listener",
        "image": settings.image,
        "args": [
            format!("--name={}", name(listener)),
            format!("--namespace={}", listener.metadata.namespace.as_deref().unwrap_or_default()),
            format!("--cluster-domain={}", settings.cluster_domain),
        ],
        "volumeMounts": [{"name": "credentials", "mountPath": CREDENTIALS, "readOnly": true}],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    for name in CONTAINER {
        if let Some(value) = given.get(name).filter(|value| !value.is_null()) {
            container[name] = value.clone();
        }
    }
    let mut env = vec![
        json!({"name": "KUBERNETES_SERVICE_HOST", "value": settings.server.address}),
        json!({"name": "KUBERNETES_SERVICE_PORT", "value": settings.server.port.to_string()}),
    ];
    env.extend(
        container
            .get("env")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
    );
    container["env"] = json!(env);
    if with_probes {
        let probe = json!({"httpGet": {"path": "/live", "port": PORT}, "periodSeconds": 5});
        container["ports"] = json!([
            {"name": "event-listener", "containerPort": PORT, "protocol": "TCP"},
            {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
        ]);
        container["livenessProbe"] = probe.clone();
        container["readinessProbe"] = probe;
    } else {
        container["ports"] = json!([{"containerPort": PORT}]);
        container["readinessProbe"] = json!({"httpGet": {"path": "/live", "port": 0}});
    }
    container
}

/// Port of the Service of a listener.
pub(super) fn service_port(listener: &EventListener) -> i32 {
    let resource = listener.spec.resources.kubernetes_resource.as_ref();
    resource
        .and_then(|resource| resource.service_port)
        .unwrap_or(PORT)
}

/// The Service of a listener.
pub(super) fn service(listener: &EventListener) -> Service {
    let resource = listener
        .spec
        .resources
        .kubernetes_resource
        .clone()
        .unwrap_or_default();
    let mut spec = json!({
        "selector": own_labels(listener),
        "ports": [
            {"name": "http-listener", "port": service_port(listener), "targetPort": PORT, "protocol": "TCP"},
            {"name": "http-metrics", "port": METRICS_PORT, "targetPort": METRICS_PORT, "protocol": "TCP"},
        ],
    });
    if !resource.service_type.is_empty() {
        spec["type"] = json!(resource.service_type);
    }
    if let Some(class) = resource.service_load_balancer_class {
        spec["loadBalancerClass"] = json!(class);
    }
    Service {
        metadata: metadata(listener),
        spec: serde_json::from_value(spec).ok(),
        status: None,
    }
}

/// The Knative Service that runs a listener, which scales to zero.
///
/// # Errors
/// If what somebody says of it cannot be read, or is something else.
pub(super) fn knative_service(
    listener: &EventListener,
    settings: &Settings<'_>,
) -> Result<serving::Service, String> {
    let custom = listener
        .spec
        .resources
        .custom_resource
        .as_ref()
        .unwrap_or(&Value::Null);
    let (version, kind) = (custom.get("apiVersion"), custom.get("kind"));
    if version != Some(&json!("serving.knative.dev/v1")) || kind != Some(&json!("Service")) {
        return Err("only a Service of serving.knative.dev/v1 can run a listener here".to_owned());
    }
    let null = Value::Null;
    let given = custom.pointer("/spec/template").unwrap_or(&null);
    let mut metadata = metadata(listener);
    metadata.annotations =
        Some(text_map(custom.pointer("/metadata/annotations"))).filter(|map| !map.is_empty());
    let mut labels = text_map(custom.pointer("/metadata/labels"));
    labels.extend(all_labels(listener));
    // Where it can be reached is said by the listener, which nobody outside need know.
    metadata.labels = Some(labels);
    let mut of_pods = text_map(given.pointer("/metadata/labels"));
    of_pods.extend(own_labels(listener));
    let mut spec = pod(listener, settings, given.get("spec").unwrap_or(&null), false);
    if let Some(spec) = spec.as_object_mut() {
        // A revision's pods have their own way to say these.
        spec.remove("securityContext");
        for name in [
            "nodeSelector",
            "tolerations",
            "affinity",
            "topologySpreadConstraints",
            "priorityClassName",
        ] {
            spec.remove(name);
        }
    }
    let service = json!({
        "metadata": metadata,
        "spec": {"template": {
            "metadata": {
                "labels": of_pods,
                "annotations": text_map(given.pointer("/metadata/annotations")),
            },
            "spec": spec,
        }},
    });
    serde_json::from_value(service).map_err(|error| format!("customResource cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(spec: Value) -> EventListener {
        serde_json::from_value(json!({
            "metadata": {"name": "x", "namespace": "ns", "uid": "u", "labels": {"own": "1"}}, "spec": spec,
        }))
        .unwrap()
    }

    fn settings() -> Settings<'static> {
        Settings {
            image: "image@sha256:0",
            cluster_domain: "cluster.local",
            server: Server {
                address: "10.0.0.1".to_owned(),
                port: 443,
            },
        }
    }

    #[test]
    fn a_listener_is_a_deployment_and_a_service() {
        let listener = listener(
            json!({"serviceAccountName": "sa", "resources": {"kubernetesResource": {
                "replicas": 2, "servicePort": 80, "serviceType": "NodePort", "spec": {"template": {
                    "metadata": {"labels": {"a": "b", "eventlistener": "mine"}},
                    "spec": {"nodeSelector": {"k": "v"}, "hostNetwork": true, "containers": [
                        {"name": "", "image": "mine", "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "1"}}},
                    ]},
                }},
            }}}),
        );
        let deployment = serde_json::to_value(deployment(&listener, &settings()).unwrap()).unwrap();
        let labels = json!({
            "app.kubernetes.io/managed-by": "EventListener", "app.kubernetes.io/part-of": "Triggers", "eventlistener": "x",
        });
        let mut all = labels.clone();
        all["own"] = json!("1");
        assert_eq!(
            deployment["metadata"],
            json!({"name": "el-x", "namespace": "ns", "labels": all})
        );
        assert_eq!(deployment["spec"]["replicas"], 2);
        assert_eq!(deployment["spec"]["selector"], json!({"matchLabels": labels}));
        let mut of_pod = labels.clone();
        of_pod["a"] = json!("b");
        let template = &deployment["spec"]["template"];
        assert_eq!(template["metadata"]["labels"], of_pod);
        let pod = &template["spec"];
        assert_eq!(pod["serviceAccountName"], "sa");
        assert_eq!(pod["nodeSelector"], json!({"k": "v"}));
        assert!(pod.get("hostNetwork").is_none());
        let container = &pod["containers"][0];
        assert_eq!(container["image"], "image@sha256:0");
        assert_eq!(container["resources"], json!({"limits": {"cpu": "1"}}));
        let names: Vec<&str> = container["env"]
            .as_array()
            .unwrap()
            .iter()
            .map(|variable| variable["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "A"]);

        let service = serde_json::to_value(service(&listener)).unwrap();
        assert_eq!(service["spec"]["type"], "NodePort");
        assert_eq!(service["spec"]["selector"], labels);
        assert_eq!(service["spec"]["ports"][0]["port"], 80);
        assert_eq!(service["spec"]["ports"][0]["targetPort"], 8080);
    }

    #[test]
    fn a_knative_service_runs_it_if_asked() {
        let custom = |kind: &str| {
            listener(
                json!({"serviceAccountName": "sa", "resources": {"customResource": {
                    "apiVersion": "serving.knative.dev/v1", "kind": kind,
                    "spec": {"template": {
                        "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
                        "spec": {"containers": [{"env": [{"name": "A", "value": "1"}]}]},
                    }},
                }}}),
            )
        };
        let service =
            serde_json::to_value(knative_service(&custom("Service"), &settings()).unwrap()).unwrap();
        let template = &service["spec"]["template"];
        assert_eq!(
            template["metadata"]["annotations"],
            json!({"autoscaling.knative.dev/min-scale": "1"})
        );
        assert_eq!(template["spec"]["serviceAccountName"], "sa");
        assert_eq!(template["spec"]["containers"][0]["image"], "image@sha256:0");
        assert!(knative_service(&custom("Other"), &settings()).is_err());
    }

    #[test]
    fn its_account_may_keep_events() {
        let listener = listener(json!({}));
        let binding = serde_json::to_value(role_binding(&listener)).unwrap();
        assert_eq!(binding["subjects"][0]["name"], "default");
        assert_eq!(binding["roleRef"]["name"], "el-x");
        assert_eq!(role(&listener).rules.unwrap().len(), 1);
    }
}
