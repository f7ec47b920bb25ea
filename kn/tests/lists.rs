//! What the program says about what is there: lists in their forms, changes as they happen, completions, and silence.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::Cluster;
use crds::networking::ClusterDomainClaim;
use kube::Api;
use serde_json::json;

#[tokio::test]
async fn lists_are_chosen_by_labels_and_widened() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster
        .kn("service create api --image reg.io/api -l team=a")
        .await
        .code(0);
    let named = cluster.kn("service list -l team=a -o name").await.code(0);
    assert_eq!(named.out, "service.serving.knative.dev/api\n");
    cluster
        .kn("service list --selector team=b")
        .await
        .code(0)
        .says(&["No services found."]);
    let wide = cluster
        .kn("service list web -o wide")
        .await
        .code(0)
        .says(&["CREATED", "reg.io/web:1"]);
    let plain = cluster.kn("service list web").await.code(0);
    assert!(
        !plain.out.contains("reg.io/web:1") && wide.out.contains("web-00001"),
        "{}",
        plain.out
    );
    cluster.kn("revision list -s api -o wide").await.code(0).says(&[
        "REPLICAS",
        "1/1",
        "reg.io/api (at abcdef)",
    ]);
    cluster
        .kn("service list -l team -o nonsense")
        .await
        .code(2)
        .complains(&["\"nonsense\"", "wide"]);
}

#[tokio::test]
async fn a_watched_list_goes_on_with_what_changes() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    let mut lines = cluster.follow("service list --watch -o wide");
    assert!(lines.next().await.starts_with("NAME"));
    assert!(lines.next().await.starts_with("web "));
    cluster
        .patch("web", json!({ "metadata": { "labels": { "a": "b" } } }))
        .await;
    assert!(lines.next().await.starts_with("web "));
    cluster.kn("service create api --image reg.io/api").await.code(0);
    while !lines.next().await.contains("api-00001") {}
    cluster.kn("service delete web").await.code(0);
    while !lines.next().await.starts_with("web ") {}

    let mut names = cluster.follow("service list -w -o name");
    assert_eq!(names.next().await, "service.serving.knative.dev/api");
}

#[tokio::test]
async fn names_are_completed_out_of_the_cluster() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster.kn("service create api --image reg.io/api").await.code(0);
    for (line, expected) in [
        ("kn service describe w", "web"),
        ("kn service delete api ", "web"),
        ("kn ksvc list -n default a", "api"),
        ("kn revision describe web", "web-00001"),
        ("kn revision list -s ap", "api"),
        ("kn service desc", "describe"),
    ] {
        let offered = cluster.complete(line).await.code(0);
        let offered: Vec<&str> = offered
            .out
            .lines()
            .map(|line| line.split('\t').next().unwrap())
            .collect();
        assert!(offered.contains(&expected), "{line}: {offered:?}");
    }
    // Nothing is said when the cluster cannot be asked.
    for line in [
        "kn service describe --kubeconfig /nowhere w",
        "kn service describe -n nowhere w",
    ] {
        let silent = cluster.complete(line).await.code(0);
        assert_eq!((silent.out.as_str(), silent.err.as_str()), ("", ""), "{line}");
    }
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        cluster
            .kn(&format!("completion {shell}"))
            .await
            .code(0)
            .says(&["KN_COMPLETE", "kn"]);
    }
}

#[tokio::test]
async fn quiet_says_only_what_was_asked_for() {
    let cluster = Cluster::start().await;
    for line in [
        "service create web --image reg.io/web --quiet",
        "service update web --env A=1 -q",
        "-q service wait web",
        "service delete web -q",
    ] {
        let ran = cluster.kn(line).await.code(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), ("", ""), "{line}");
    }
    let ran = cluster
        .kn("service create api --image reg.io/api -q -o name")
        .await
        .code(0);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        ("service.serving.knative.dev/api\n", "")
    );
    cluster.kn("service list -q").await.code(0).says(&["api-00001"]);
    cluster
        .kn("service create api --image reg.io/api -q")
        .await
        .code(4)
        .complains(&["already exists"]);
}

#[tokio::test]
async fn domains_are_mapped_listed_described_changed_and_deleted() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster
        .kn("domain list")
        .await
        .code(0)
        .says(&["No domain mapping found."]);
    cluster
        .kn("domain create www.example.com --ref nothing")
        .await
        .code(3)
        .complains(&["--ref", "nothing"]);
    cluster
        .kn("domain create www.example.com --ref ksvc:web:other")
        .await
        .code(2)
        .complains(&["--namespace"]);
    cluster
        .kn("domain create www.example.com --ref web --tls cert")
        .await
        .code(0)
        .says(&[
            "Domain mapping 'www.example.com'",
            "created",
            "namespace 'default'",
        ])
        .complains(&["hint:", "`kn domain claim www.example.com -n default`"]);
    cluster
        .kn("domain claim www.example.com -n default")
        .await
        .code(0)
        .says(&["belongs to namespace 'default'"]);
    let claims: Api<ClusterDomainClaim> = Api::all(cluster.client.clone());
    let claim = claims.get("www.example.com").await.unwrap();
    assert_eq!(claim.spec.namespace, "default");
    cluster.kn("domain claim www.example.com").await.code(0);
    cluster
        .kn("domain claim www.example.com -n other")
        .await
        .code(4)
        .complains(&["belongs to namespace 'default'"]);
    let path = "serving.knative.dev/v1beta1/domainmappings";
    let mapping = cluster.get(path, "www.example.com").await;
    assert_eq!(
        mapping["spec"],
        json!({
            "ref": { "apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "web", "namespace": "default" },
            "tls": { "secretName": "cert" },
        })
    );
    let url = json!({ "url": "https://www.example.com" });
    cluster.settle(path, "www.example.com", url).await;
    let list = cluster.kn("domain list").await.code(0);
    let lines: Vec<Vec<&str>> = list.out.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            ["NAME", "URL", "READY", "KSVC"],
            ["www.example.com", "https://www.example.com", "True", "web"]
        ]
    );
    cluster
        .kn("domain describe www.example.com")
        .await
        .code(0)
        .says(&["Reference:", "Kind:", "Service", "TLS Secret:", "cert"]);
    let printed = cluster.kn("domain describe www.example.com -o url").await.code(0);
    assert_eq!(printed.out, "https://www.example.com\n");

    cluster.kn("domain update www.example.com").await.code(2);
    cluster.kn("service create api --image reg.io/api").await.code(0);
    cluster
        .kn("domain update www.example.com --ref ksvc:api --tls=")
        .await
        .code(0)
        .says(&["updated"]);
    let mapping = cluster.get(path, "www.example.com").await;
    assert_eq!(mapping["spec"]["ref"]["name"], "api");
    assert_eq!(mapping["spec"]["tls"], json!(null));
    cluster
        .kn("domain delete www.example.com")
        .await
        .code(0)
        .says(&["Domain mapping 'www.example.com'", "deleted"]);
    assert!(cluster.find(path, "www.example.com").await.is_none());
}
