//! Roles and bindings decide what callers may do; administrators act as others to try it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::server;
use kube::{Client, Error};
use serde_json::{Value, json};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Sends a request as somebody; the status code, and the answer or the message of the refusal.
async fn send(client: &Client, user: &str, method: &str, path: &str, body: Value) -> (u16, String) {
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json");
    if !user.is_empty() {
        request = request.header("impersonate-user", user);
    }
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    match client.request_text(request.body(body).unwrap()).await {
        Ok(text) => (200, text),
        Err(Error::Api(status)) => (status.code, status.message.clone()),
        Err(other) => panic!("{other}"),
    }
}

async fn create(client: &Client, user: &str, path: &str, body: Value) -> (u16, String) {
    send(client, user, "POST", path, body).await
}

async fn get(client: &Client, user: &str, path: &str) -> (u16, String) {
    send(client, user, "GET", path, Value::Null).await
}

fn role(name: &str, verbs: &[&str]) -> Value {
    json!({"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": verbs}]})
}

fn binding(name: &str, kind: &str, role: &str, subject: Value) -> Value {
    json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [subject],
    })
}

fn user(name: &str) -> Value {
    json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": name})
}

#[tokio::test]
async fn roles_allow_what_they_say_and_nothing_else() {
    let (server, _dir) = server().await;
    let client = server.client();
    let maps = "/api/v1/namespaces/default/configmaps";
    let (code, message) = get(&client, "jane", maps).await;
    assert_eq!(
        (code, message.as_str()),
        (
            403,
            "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" in the namespace \
             \"default\""
        )
    );
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    create(&client, "", &roles, role("reader", &["get", "list"])).await;
    create(
        &client,
        "",
        &bindings,
        binding("jane", "Role", "reader", user("jane")),
    )
    .await;
    assert_eq!(get(&client, "jane", maps).await.0, 200);
    assert_eq!(get(&client, "john", maps).await.0, 403);
    let elsewhere = "/api/v1/namespaces/kube-system/configmaps";
    assert_eq!(get(&client, "jane", elsewhere).await.0, 403);
    assert_eq!(get(&client, "jane", "/api/v1/configmaps").await.0, 403);
    let map = json!({"metadata": {"name": "a"}});
    assert_eq!(create(&client, "jane", maps, map).await.0, 403);

    // The built-in roles: discovery for everybody, and `view` where it is bound.
    assert_eq!(get(&client, "john", "/apis").await.0, 200);
    assert_eq!(get(&client, "john", "/metrics").await.0, 403);
    let bot = json!({"kind": "ServiceAccount", "name": "bot", "namespace": "default"});
    create(&client, "", &bindings, binding("bot", "ClusterRole", "view", bot)).await;
    let account = "system:serviceaccount:default:bot";
    assert_eq!(
        get(&client, account, "/api/v1/namespaces/default/pods").await.0,
        200
    );
    assert_eq!(
        get(&client, account, "/api/v1/namespaces/default/secrets")
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn a_role_for_one_object_lets_it_be_listed_and_watched_by_its_name() {
    let (server, _dir) = server().await;
    let client = server.client();
    let mut one = role("one", &["get", "list", "watch"]);
    one["rules"][0]["resourceNames"] = json!(["a"]);
    create(&client, "", &format!("{RBAC}/namespaces/default/roles"), one).await;
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    create(
        &client,
        "",
        &bindings,
        binding("jane", "Role", "one", user("jane")),
    )
    .await;
    let maps = "/api/v1/namespaces/default/configmaps";
    for (query, code) in [
        ("", 403),
        ("?fieldSelector=metadata.name%3Da", 200),
        (
            "?fieldSelector=metadata.name%3Da&watch=true&timeoutSeconds=1",
            200,
        ),
        ("?fieldSelector=metadata.name%3Db", 403),
        ("?fieldSelector=metadata.name!%3Da", 403),
        ("?fieldSelector=metadata.namespace%3Ddefault", 403),
        ("?watch=true&timeoutSeconds=1", 403),
    ] {
        assert_eq!(
            get(&client, "jane", &format!("{maps}{query}")).await.0,
            code,
            "{query}"
        );
    }
    let all = format!("{maps}?fieldSelector=metadata.name%3Da");
    assert_eq!(send(&client, "jane", "DELETE", &all, Value::Null).await.0, 403);
}

#[tokio::test]
async fn reviews_answer_as_requests_are_decided() {
    let (server, _dir) = server().await;
    let client = server.client();
    create(
        &client,
        "",
        &format!("{RBAC}/clusterroles"),
        role("reader", &["get"]),
    )
    .await;
    let bound = binding("jane", "ClusterRole", "reader", user("jane"));
    create(&client, "", &format!("{RBAC}/clusterrolebindings"), bound).await;
    let reviews = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    for (verb, allowed) in [("get", true), ("delete", false)] {
        let asked = json!({"spec": {"resourceAttributes": {"verb": verb, "resource": "configmaps", "namespace": "x"}}});
        let (_, answer) = create(&client, "jane", reviews, asked).await;
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["status"]["allowed"], allowed, "{answer}");
        if allowed {
            assert_eq!(
                answer["status"]["reason"],
                "RBAC: allowed by ClusterRoleBinding \"jane\" of ClusterRole \"reader\" to User \"jane\""
            );
        }
    }
    let about =
        json!({"spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "configmaps"}}});
    let (_, answer) = create(
        &client,
        "",
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        about,
    )
    .await;
    assert_eq!(
        serde_json::from_str::<Value>(&answer).unwrap()["status"]["allowed"],
        true
    );
}

#[tokio::test]
async fn nobody_gives_or_takes_what_they_do_not_have() {
    let (server, _dir) = server().await;
    let client = server.client();
    let roles = format!("{RBAC}/namespaces/default/roles");
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    // Jane administers the namespace, which is no right to more.
    create(
        &client,
        "",
        &bindings,
        binding("jane", "ClusterRole", "admin", user("jane")),
    )
    .await;
    assert_eq!(
        create(&client, "jane", &roles, role("fine", &["get", "delete"]))
            .await
            .0,
        200
    );
    let everything = json!({"metadata": {"name": "more"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let (code, message) = create(&client, "jane", &roles, everything).await;
    assert_eq!(code, 403);
    assert!(
        message.contains("is attempting to grant RBAC permissions not currently held"),
        "{message}"
    );
    let root = binding("root", "ClusterRole", "cluster-admin", user("jane"));
    assert_eq!(create(&client, "jane", &bindings, root).await.0, 403);
    let viewer = binding("viewer", "ClusterRole", "view", user("john"));
    assert_eq!(create(&client, "jane", &bindings, viewer).await.0, 200);

    // And impersonation is a right too.
    let (code, message) = {
        let request = http::Request::get("/api/v1/namespaces/default/pods")
            .header("impersonate-group", "devs")
            .body(Vec::new())
            .unwrap();
        match client.request_text(request).await {
            Err(Error::Api(status)) => (status.code, status.message.clone()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 400, "{message}");
}
