//! Webhook configurations: the API server asks a real server over TLS.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::webhook::{WebhookServer, allowed, patched};
use common::{config_map, server};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use kube::{Client, Error};
use serde_json::{Value, json};

/// One webhook about config maps of the namespace `default`; `fields` add to it and replace.
fn webhook(server: &WebhookServer, name: &str, path: &str, fields: Value) -> Value {
    let mut webhook = json!({
        "name": name,
        "clientConfig": {"url": server.url(path), "caBundle": server.ca_bundle},
        "rules": [{"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
    });
    for (key, value) in fields.as_object().unwrap() {
        webhook[key] = value.clone();
    }
    webhook
}

async fn configure(client: &Client, kind: &str, name: &str, webhooks: Vec<Value>) -> Result<(), Error> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let configuration = serde_json::from_value(json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
        "metadata": {"name": name}, "webhooks": webhooks,
    }))
    .unwrap();
    api.create(&PostParams::default(), &configuration)
        .await
        .map(|_| ())
}

const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

async fn create(client: &Client, name: &str, value: &str) -> Result<ConfigMap, (u16, String)> {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let created = api.create(&PostParams::default(), &config_map(name, value)).await;
    created.map_err(api_error)
}

fn api_error(error: Error) -> (u16, String) {
    match error {
        Error::Api(status) => (status.code, status.message.clone()),
        other => panic!("{other}"),
    }
}

fn set(key: &str, value: &str) -> Value {
    patched(&json!([{"op": "add", "path": format!("/data/{key}"), "value": value}]))
}

#[tokio::test]
async fn webhooks_change_and_refuse_writes_and_own_no_fields() {
    let hooks = WebhookServer::start(
        &["localhost"],
        Arc::new(|path, request| match path {
            "/mutate" if request["operation"] != "DELETE" => set("added", "yes"),
            "/validate" if request["object"]["data"]["k"] == "bad" => {
                json!({"allowed": false, "status": {"code": 418, "message": "k must not be bad"}})
            }
            "/validate"
                if request["operation"] == "DELETE" && request["oldObject"]["data"]["k"] == "kept" =>
            {
                json!({"allowed": false, "status": {"reason": "Forbidden", "code": 403}})
            }
            _ => allowed(),
        }),
    )
    .await;
    let (server, _dir) = server().await;
    let client = server.client();
    let mutating = webhook(&hooks, "m.example.com", "/mutate", json!({}));
    configure(&client, MUTATING, "m", vec![mutating]).await.unwrap();
    let validating = webhook(&hooks, "v.example.com", "/validate", json!({}));
    configure(&client, VALIDATING, "v", vec![validating])
        .await
        .unwrap();

    let made = create(&client, "a", "1").await.unwrap();
    assert_eq!(made.data.as_ref().unwrap()["added"], "yes");
    let (code, message) = create(&client, "b", "bad").await.unwrap_err();
    assert_eq!(
        (code, message.as_str()),
        (
            418,
            "admission webhook \"v.example.com\" denied the request: k must not be bad"
        )
    );

    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let params = PatchParams::apply("someone");
    let applied = api
        .patch(
            "kept",
            &params,
            &Patch::Apply(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"k": "kept"},
            })),
        )
        .await
        .unwrap();
    assert_eq!(applied.data.as_ref().unwrap()["added"], "yes");
    let owners = applied.metadata.managed_fields.unwrap();
    assert_eq!(owners.len(), 1, "{owners:?}");
    assert_eq!(
        serde_json::to_value(&owners[0].fields_v1).unwrap(),
        json!({"f:data": {"f:k": {}}}),
        "what a webhook sets belongs to nobody"
    );
    // The webhook's field stays when the owner applies again, and nothing is written for it.
    let again = api
        .patch(
            "kept",
            &params,
            &Patch::Apply(json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"k": "kept"},
            })),
        )
        .await
        .unwrap();
    assert_eq!(again.metadata.resource_version, applied.metadata.resource_version);

    let refused = api.delete("kept", &DeleteParams::default()).await.unwrap_err();
    assert_eq!(
        api_error(refused),
        (
            403,
            "admission webhook \"v.example.com\" denied the request: Forbidden".to_owned()
        )
    );
    api.delete("a", &DeleteParams::default()).await.unwrap();

    // Another namespace is none of their business.
    let before = hooks.paths().len();
    let elsewhere: Api<ConfigMap> = Api::namespaced(client, "kube-public");
    elsewhere
        .create(&PostParams::default(), &config_map("b", "bad"))
        .await
        .unwrap();
    assert_eq!(hooks.paths().len(), before);
}

#[tokio::test]
async fn a_service_is_found_by_its_endpoints() {
    let hooks = WebhookServer::start(&["hook.default.svc"], Arc::new(|_, _| set("added", "yes"))).await;
    let (server, _dir) = server().await;
    let client = server.client();
    let service = json!({"service": {"namespace": "default", "name": "hook", "path": "/x", "port": 8443}});
    let mut config = service.clone();
    config["caBundle"] = json!(hooks.ca_bundle);
    let mutating = webhook(&hooks, "m.example.com", "", json!({"clientConfig": config}));
    configure(&client, MUTATING, "m", vec![mutating]).await.unwrap();

    let (code, message) = create(&client, "a", "1").await.unwrap_err();
    assert_eq!(code, 500);
    assert_eq!(
        message,
        "Internal error occurred: failed calling webhook \"m.example.com\": failed to call webhook: Post \
         \"https://hook.default.svc:8443/x?timeout=10s\": service \"hook\" not found"
    );
    let post = async |plural: &str, body: Value| {
        let request = http::Request::post(plural)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .unwrap();
        client.request::<Value>(request).await.unwrap()
    };
    post(
        "/api/v1/namespaces/default/services",
        json!({"metadata": {"name": "hook"}, "spec": {"ports": [{"port": 8443}]}}),
    )
    .await;
    post(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        json!({
            "metadata": {"name": "hook", "labels": {"kubernetes.io/service-name": "hook"}},
            "addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.1"]}],
            "ports": [{"name": "", "port": hooks.port}],
        }),
    )
    .await;
    let made = create(&client, "a", "1").await.unwrap();
    assert_eq!(made.data.unwrap()["added"], "yes");
    assert_eq!(hooks.paths(), ["/x"]);
}

#[tokio::test]
async fn webhooks_that_cannot_be_asked_fail_or_let_through_as_they_say() {
    let hooks = WebhookServer::start(
        &["localhost"],
        Arc::new(|path, _| match path {
            "/uid" => json!({"uid": "other", "allowed": true}),
            "/slow" => {
                std::thread::sleep(std::time::Duration::from_millis(1500));
                allowed()
            }
            _ => allowed(),
        }),
    )
    .await;
    let stranger = WebhookServer::start(&["localhost"], Arc::new(|_, _| allowed())).await;
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("https://localhost:{}/", listener.local_addr().unwrap().port())
    };
    let config = |url: &str| json!({"url": url, "caBundle": hooks.ca_bundle});
    let table = [
        (json!({"clientConfig": config(&closed)}), "Connection refused"),
        (
            json!({"clientConfig": config(&stranger.url("/"))}),
            "invalid peer certificate",
        ),
        (
            json!({"clientConfig": config(&hooks.url("/uid"))}),
            "received invalid webhook response: expected response.uid=",
        ),
        (
            json!({"clientConfig": config(&hooks.url("/slow")), "timeoutSeconds": 1}),
            "context deadline exceeded",
        ),
    ];
    for (fields, expected) in table {
        let (server, _dir) = server().await;
        let client = server.client();
        let mut fields = fields;
        let failing = webhook(&hooks, "f.example.com", "/", fields.clone());
        configure(&client, VALIDATING, "f", vec![failing]).await.unwrap();
        let (code, message) = create(&client, "a", "1").await.unwrap_err();
        assert_eq!(code, 500);
        assert!(
            message.starts_with("Internal error occurred: failed calling webhook \"f.example.com\": ")
                && message.contains(expected),
            "{message}"
        );
        let resource = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/f";
        let gone = http::Request::delete(resource).body(Vec::new()).unwrap();
        client.request::<Value>(gone).await.unwrap();
        fields["failurePolicy"] = json!("Ignore");
        let ignored = webhook(&hooks, "f.example.com", "/", fields);
        configure(&client, VALIDATING, "f", vec![ignored]).await.unwrap();
        create(&client, "a", "1").await.unwrap();
    }
}

#[tokio::test]
async fn an_earlier_webhook_is_asked_once_more_if_it_wants_to_know_of_changes() {
    let hooks = WebhookServer::start(
        &["localhost"],
        Arc::new(|path, request| match path {
            // Each round it sees how often it was asked.
            "/first" => {
                let rounds = request["object"]["data"]["rounds"].as_str().unwrap_or_default();
                set("rounds", &format!("{rounds}i"))
            }
            "/last" => set("last", "yes"),
            _ => allowed(),
        }),
    )
    .await;
    let (server, _dir) = server().await;
    let client = server.client();
    let webhooks = vec![
        webhook(
            &hooks,
            "first.example.com",
            "/first",
            json!({"reinvocationPolicy": "IfNeeded"}),
        ),
        webhook(&hooks, "never.example.com", "/never", json!({})),
        webhook(
            &hooks,
            "last.example.com",
            "/last",
            json!({"reinvocationPolicy": "IfNeeded"}),
        ),
    ];
    configure(&client, MUTATING, "m", webhooks).await.unwrap();
    let made = create(&client, "a", "1").await.unwrap();
    assert_eq!(hooks.paths(), ["/first", "/never", "/last", "/first"]);
    assert_eq!(made.data.unwrap()["rounds"], "ii");
}

#[tokio::test]
async fn scales_and_dry_runs_are_shown_as_what_they_are() {
    let hooks = WebhookServer::start(
        &["localhost"],
        Arc::new(|_, request| {
            if request["kind"]["kind"] == "Scale" && request["object"]["spec"]["replicas"] == 5 {
                return patched(&json!([{"op": "replace", "path": "/spec/replicas", "value": 3}]));
            }
            allowed()
        }),
    )
    .await;
    let (server, _dir) = server().await;
    let client = server.client();
    let scales = json!({"rules": [{"operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"],
                                   "resources": ["deployments/scale"]}]});
    let config_maps = webhook(
        &hooks,
        "c.example.com",
        "/",
        json!({"sideEffects": "NoneOnDryRun"}),
    );
    let webhooks = vec![webhook(&hooks, "s.example.com", "/", scales), config_maps];
    configure(&client, MUTATING, "m", webhooks).await.unwrap();

    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let labels = json!({"app": "a"});
    let deployment = json!({"metadata": {"name": "a"}, "spec": {"selector": {"matchLabels": labels}, "template": {
        "metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]},
    }}});
    let post = http::Request::post(deployments)
        .header("content-type", "application/json")
        .body(deployment.to_string().into_bytes())
        .unwrap();
    client.request::<Value>(post).await.unwrap();
    let patch = http::Request::patch(format!("{deployments}/a/scale"))
        .header("content-type", "application/merge-patch+json")
        .body(br#"{"spec": {"replicas": 5}}"#.to_vec())
        .unwrap();
    let scale: Value = client.request(patch).await.unwrap();
    assert_eq!(scale["spec"]["replicas"], 3);
    {
        let asked = hooks.asked.lock();
        let (_, request) = asked.last().unwrap();
        assert_eq!(request["subResource"], "scale");
        assert_eq!(request["resource"]["resource"], "deployments");
        assert_eq!(request["oldObject"]["spec"]["replicas"], 1);
    }
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    api.create(&dry, &config_map("a", "1")).await.unwrap();
    let asked = hooks.asked.lock();
    assert_eq!(asked.last().unwrap().1["dryRun"], true);
    assert_eq!(asked.last().unwrap().1["options"]["kind"], "CreateOptions");
}

#[tokio::test]
async fn a_configuration_that_could_never_work_is_refused() {
    let hooks = WebhookServer::start(&["localhost"], Arc::new(|_, _| allowed())).await;
    let (server, _dir) = server().await;
    let table = [
        (json!({"timeoutSeconds": 31}), "timeoutSeconds"),
        (json!({"clientConfig": {"url": "http://a/"}}), "clientConfig.url"),
        (
            json!({"clientConfig": {"url": hooks.url("/"), "caBundle": "bm8="}}),
            "clientConfig.caBundle",
        ),
        (json!({"sideEffects": "Some"}), "sideEffects"),
        (
            json!({"matchConditions": [{"name": "a", "expression": "true"}]}),
            "matchConditions",
        ),
    ];
    for (fields, expected) in table {
        let webhook = webhook(&hooks, "a.example.com", "/", fields);
        let refused = configure(&server.client(), VALIDATING, "v", vec![webhook]).await;
        let (code, message) = api_error(refused.unwrap_err());
        assert_eq!(code, 422);
        assert!(
            message.contains(&format!("webhooks[0].{expected}: ")),
            "{message}"
        );
    }
}
