//! Hosts, visibility, splits, headers, status.

use std::collections::HashMap;

use http::Request;
use serde_json::json;

use crate::cluster::{Cluster, Pod, rule, text};
use crate::soon;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingress_becomes_ready_and_routes_by_host_and_visibility() {
    let cluster = Cluster::start().await;
    let pod = Pod::start("one").await;
    cluster.revision("r", 0, "Serve").await;
    cluster.endpoint("r-private", "r-1", pod.addr, true).await;
    cluster
        .ingress(
            "i",
            json!([
                rule("a.example", "ExternalIP", &[("r", 100)]),
                rule("r.default.svc", "ClusterLocal", &[("r", 100)])
            ]),
        )
        .await;
    let status = cluster.ready("i").await;
    assert_eq!(
        status["publicLoadBalancer"],
        json!({"ingress": [{"domainInternal": "gateway.knative-serving.svc.cluster.local"}]})
    );
    assert_eq!(
        status["privateLoadBalancer"],
        json!({"ingress": [{"domainInternal": "gateway-internal.knative-serving.svc.cluster.local"}]})
    );
    // Ready means that every request from now on sees it.
    for (external, host, expected) in [
        (true, "a.example", 200),
        (true, "A.Example:8080", 200),
        (false, "a.example", 200),
        (true, "r.default.svc", 404),
        (false, "r.default.svc", 200),
        (true, "b.example", 404),
    ] {
        assert_eq!(cluster.get(external, host, "/").await.0, expected, "{host}");
    }
    let request = Request::get("/")
        .header("host", "a.example")
        .header("x-forwarded-for", "9.9.9.9")
        .header("x-forwarded-proto", "https")
        .header("k-proxy-request", "activator")
        .header("k-original-host", "evil")
        .header("knative-serving-revision", "other")
        .header("spindrift-trace", "1");
    let answer = cluster.send(true, request).await;
    let timing = answer.headers()["server-timing"].to_str().unwrap().to_owned();
    assert!(timing.contains("first-byte;dur="), "{timing}");
    let seen = text(answer).await;
    for expected in [
        "one\n",
        "host: a.example\n",
        "x-forwarded-for: 9.9.9.9, 127.0.0.1\n",
        "x-forwarded-proto: http\n",
        "knative-serving-revision: r\n",
    ] {
        assert!(seen.contains(expected), "{seen}");
    }
    for absent in ["k-proxy-request", "k-original-host", "spindrift-trace"] {
        assert!(!seen.contains(absent), "{seen}");
    }
    // Probers of other ingresses ask the same way: the hash of the version comes back.
    let probe = || {
        Request::get("/healthz")
            .header("host", "a.example")
            .header("k-network-probe", "probe")
            .header("k-network-hash", "override")
    };
    let hash = cluster.send(true, probe()).await.headers()["k-network-hash"].clone();
    assert_eq!(hash.len(), 64);

    cluster.shutdown.cancel();
    soon(cluster.gateway).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_follows_the_split_and_moves_without_a_failed_request() {
    let cluster = Cluster::start().await;
    let (old, new) = (Pod::start("old").await, Pod::start("new").await);
    for (name, pod) in [("old", &old), ("new", &new)] {
        cluster.revision(name, 0, "Serve").await;
        cluster
            .endpoint(&format!("{name}-private"), name, pod.addr, true)
            .await;
    }
    let host = "split.example";
    cluster
        .ingress(
            "s",
            json!([rule(host, "ExternalIP", &[("old", 80), ("new", 20)])]),
        )
        .await;
    cluster.ready("s").await;
    let mut counts: HashMap<String, u32> = HashMap::new();
    for _ in 0..300 {
        let (status, seen) = cluster.get(true, host, "/").await;
        assert_eq!(status, 200);
        *counts.entry(seen.lines().next().unwrap().to_owned()).or_default() += 1;
    }
    // 20 % of 300 within five standard deviations.
    assert!((25..=95).contains(&counts["new"]), "{counts:?}");
    for percent in [50, 100] {
        cluster
            .ingress(
                "s",
                json!([rule(
                    host,
                    "ExternalIP",
                    &[("old", 100 - percent), ("new", percent)]
                )]),
            )
            .await;
        for _ in 0..50 {
            assert_eq!(cluster.get(true, host, "/").await.0, 200);
        }
    }
    cluster.ready("s").await;
    for _ in 0..50 {
        assert!(cluster.get(true, host, "/").await.1.starts_with("new"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_classes_are_left_alone_and_the_older_ingress_keeps_its_host() {
    let cluster = Cluster::start().await;
    cluster
        .apply(
            json!({
                "apiVersion": "networking.internal.knative.dev/v1alpha1", "kind": "Ingress",
                "metadata": {"name": "foreign", "namespace": "default",
                             "annotations": {"networking.knative.dev/ingress.class": "kourier.ingress.networking.knative.dev"}},
                "spec": {"rules": [rule("f.example", "ExternalIP", &[("r", 100)])]},
            }),
            "ingresses",
        )
        .await;
    let pod = Pod::start("one").await;
    cluster.revision("r", 0, "Serve").await;
    cluster.endpoint("r-private", "r-1", pod.addr, true).await;
    cluster
        .ingress("a-first", json!([rule("h.example", "ExternalIP", &[("r", 100)])]))
        .await;
    cluster.ready("a-first").await;
    cluster
        .ingress(
            "b-second",
            json!([rule("h.example", "ExternalIP", &[("r", 100)])]),
        )
        .await;
    let api: kube::Api<crds::networking::Ingress> = kube::Api::namespaced(cluster.client.clone(), "default");
    soon(async {
        loop {
            let status = api.get("b-second").await.unwrap().status.unwrap_or_default();
            if status
                .conditions
                .iter()
                .any(|condition| condition.reason.as_deref() == Some("DomainConflict"))
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    api.delete("a-first", &Default::default()).await.unwrap();
    cluster.ready("b-second").await;
    assert_eq!(cluster.get(true, "f.example", "/").await.0, 404);
    assert!(api.get("foreign").await.unwrap().status.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_no_revision_is_reached_by_its_endpoints() {
    let cluster = Cluster::start().await;
    let pod = Pod::start("plain").await;
    cluster
        .apply(
            json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": "plain", "namespace": "default"},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
            }),
            "services",
        )
        .await;
    cluster.endpoint("plain", "plain-1", pod.addr, true).await;
    let rule = json!([{"hosts": ["p.example"], "http": {"paths": [{
        "splits": [{"serviceNamespace": "default", "serviceName": "plain", "servicePort": 80}]}]}}]);
    cluster.ingress("p", rule).await;
    cluster.ready("p").await;
    soon(async {
        // The Service may be told before its endpoints.
        while cluster.get(true, "p.example", "/").await.0 != 200 {}
    })
    .await;
    assert!(cluster.get(true, "p.example", "/").await.1.starts_with("plain"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mapped_host_goes_on_to_the_routes_of_what_it_names() {
    let cluster = Cluster::start().await;
    let pod = Pod::start("one").await;
    cluster.revision("r", 0, "Serve").await;
    cluster.endpoint("r-private", "r-1", pod.addr, true).await;
    let local = "web.default.svc.cluster.local";
    cluster
        .ingress("web", json!([rule(local, "ClusterLocal", &[("r", 100)])]))
        .await;
    cluster.ready("web").await;
    // What stands in for the name of the route in the cluster.
    cluster
        .apply(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"},
                "spec": {"type": "ExternalName", "externalName": "gateway-internal.invalid", "ports": [{"port": 80}]}}),
            "services",
        )
        .await;
    let path = json!({"rewriteHost": local, "splits": [{
        "serviceNamespace": "default", "serviceName": "web", "servicePort": 80, "percent": 100,
        "appendHeaders": {"K-Original-Host": "www.example.org"},
    }]});
    cluster
        .ingress(
            "www.example.org",
            json!([{"hosts": ["www.example.org"], "visibility": "ExternalIP", "http": {"paths": [path]}}]),
        )
        .await;
    cluster.ready("www.example.org").await;
    let (status, seen) = cluster.get(true, "www.example.org", "/").await;
    assert_eq!(status, 200, "{seen}");
    for expected in [
        "one\n",
        "host: web.default.svc.cluster.local\n",
        "k-original-host: www.example.org\n",
        "knative-serving-revision: r\n",
    ] {
        assert!(seen.contains(expected), "{seen}");
    }
    assert_eq!(
        cluster.get(true, local, "/").await.0,
        404,
        "only by the mapped host"
    );
}
