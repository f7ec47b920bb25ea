//! The program itself against the embedded API server: what it stores, what it says, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/cluster.rs"]
mod cluster;

use cluster::{Cluster, DIGEST};
use serde_json::json;

#[tokio::test]
async fn a_service_is_created_changed_shown_and_deleted() {
    let cluster = Cluster::start().await;
    cluster
        .kn("service list")
        .await
        .code(0)
        .says(&["No services found."]);
    cluster
        .kn("service create web --image reg.io/web:1 --env A=1 --env-value-from B=cm:x:k -eC=3")
        .await
        .code(0)
        .says(&["Service 'web' created to latest revision 'web-00001' is available at URL:\nhttp://web.default.example.com\n"])
        .complains(&["Creating service 'web' in namespace 'default':", "s Ready to serve."]);
    let stored = cluster.service("web").await;
    assert_eq!(
        stored["spec"]["template"]["spec"]["containers"][0]["env"],
        json!([{ "name": "A", "value": "1" }, { "name": "B", "valueFrom": { "configMapKeyRef": { "name": "x", "key": "k" } } }, { "name": "C", "value": "3" }])
    );

    cluster
        .kn("service update web --env A=2 --traffic web-00001=90 --traffic @latest=10 --tag @latest=next")
        .await
        .code(0)
        .says(&["Service 'web' updated to latest revision 'web-00002'"])
        .complains(&["Keeping the image that runs, reg.io/web@sha256:abcdef"]);
    let stored = cluster.service("web").await;
    let container = &stored["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], format!("reg.io/web@{DIGEST}"));
    assert_eq!(container["env"][0], json!({ "name": "A", "value": "2" }));

    cluster
        .kn("service update web --label-service team=a")
        .await
        .code(0)
        .says(&["Service 'web' updated in namespace 'default'", "No new revision"]);
    cluster.kn("service describe web -v").await.code(0).says(&[
        "  90%  web-00001 [1]",
        "10%  @latest (web-00002) #next [2]",
        "reg.io/web:1 (pinned to abcdef)",
        "B=[cm:x:k]",
        "++       Ready",
    ]);
    cluster.kn("revision describe web-00001 -v").await.code(0).says(&[
        "Name:                      web\n",
        "Traffic:                   90%",
        "Image:        reg.io/web:1 (at abcdef)",
    ]);
    cluster
        .kn("service list -A --no-headers")
        .await
        .code(0)
        .says(&["default     web      http://web.default.example.com   web-00002"]);
    cluster
        .kn("service describe web -o jsonpath={.status.latestReadyRevisionName}")
        .await
        .code(0)
        .says(&["web-00002"]);

    cluster
        .kn("service delete nothing web")
        .await
        .code(3)
        .says(&["Service 'web' successfully deleted in namespace 'default'."])
        .complains(&["services.serving.knative.dev \"nothing\" not found"]);
}

#[tokio::test]
async fn a_failure_is_told_with_its_cause_and_the_next_step() {
    let cluster = Cluster::start().await;
    cluster
        .kn("service create a --image reg.io/missing --wait-window 0")
        .await
        .code(6)
        .complains(&[
            "Error: RevisionFailed: Revision failed with message: it broke.",
            "Ready is False: ContainerMissing: it broke",
            "kn service update a --image IMAGE",
        ]);
    cluster
        .kn("service create b --image reg.io/crash --wait-window 0")
        .await
        .code(6)
        .complains(&[
            "Container 'user-container' of pod 'b-00001-pod' ended with exit code 3 (Error), restarted 2 times",
            "  starting\n  panic: no database\n",
            "hint: mend the application",
        ]);
    cluster
        .kn("service create c --image reg.io/never --wait-timeout 1")
        .await
        .code(5)
        .complains(&["timeout: service 'c' not ready after 1 seconds"]);
    cluster
        .kn("service create d --image reg.io/never --no-wait")
        .await
        .code(0)
        .says(&["Service 'd' created in namespace 'default'."]);
}

#[tokio::test]
async fn create_refuses_to_replace_unless_forced() {
    let cluster = Cluster::start().await;
    cluster
        .kn("service create web --image reg.io/web -e OLD=1 -l old=1 --tag t")
        .await
        .code(0);
    cluster
        .patch(
            "web",
            json!({ "metadata": { "annotations": { "serving.knative.dev/creator": "me" } } }),
        )
        .await;
    cluster
        .kn("service create web --image reg.io/web")
        .await
        .code(4)
        .complains(&["already exists", "--force", "kn service update web"]);
    cluster
        .kn("service create web --image reg.io/web --force")
        .await
        .code(0)
        .says(&["Service 'web' replaced to latest revision 'web-00002'"]);
    let stored = cluster.service("web").await;
    assert!(stored["metadata"].get("labels").is_none(), "{stored}");
    assert!(stored["spec"].get("traffic").is_none(), "{stored}");
    assert!(
        stored["spec"]["template"]["spec"]["containers"][0]
            .get("env")
            .is_none(),
        "{stored}"
    );
    assert_eq!(
        stored["metadata"]["annotations"],
        json!({ "serving.knative.dev/creator": "me" })
    );
}

#[tokio::test]
async fn apply_changes_what_is_declared_and_nothing_else() {
    let cluster = Cluster::start().await;
    let file = |extra: &str| {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers:\n      - image: reg.io/web\n{extra}"
        )
    };
    let apply = "service apply -f -";
    cluster
        .kn_with(apply, &file("      timeoutSeconds: 30\n"))
        .await
        .code(0)
        .says(&["Service 'web' created to latest revision 'web-00001'"]);
    cluster
        .patch("web", json!({ "metadata": { "labels": { "foreign": "1" } } }))
        .await;
    cluster
        .kn_with(apply, &file("      timeoutSeconds: 30\n"))
        .await
        .code(0)
        .says(&[
            "No changes to apply to service 'web'",
            "'web-00001' (unchanged)",
            "http://web.default.example.com",
        ]);
    cluster
        .kn_with(apply, &file("      containerConcurrency: 5\n"))
        .await
        .code(0)
        .says(&["Service 'web' applied to latest revision 'web-00002'"]);
    let stored = cluster.service("web").await;
    let spec = &stored["spec"]["template"]["spec"];
    assert_eq!(
        (&spec["containerConcurrency"], spec.get("timeoutSeconds")),
        (&json!(5), None),
        "{spec}"
    );
    assert_eq!(stored["metadata"]["labels"], json!({ "foreign": "1" }));

    cluster
        .kn("service create flags --image reg.io/web")
        .await
        .code(0);
    cluster
        .kn("service apply flags --image reg.io/other")
        .await
        .code(0)
        .complains(&[
            "warning: service 'flags' lacks the annotation kubectl.kubernetes.io/last-applied-configuration",
        ]);
}

#[tokio::test]
async fn a_rehearsal_shows_what_would_be_and_writes_nothing() {
    let cluster = Cluster::start().await;
    for how in ["client", "server"] {
        cluster
            .kn(&format!("service create web --image reg.io/web --dry-run {how}"))
            .await
            .code(0)
            .says(&["+  name: web\n", "(dry run)"]);
    }
    cluster
        .kn("service list")
        .await
        .code(0)
        .says(&["No services found."]);
    cluster.kn("service create web --image reg.io/web").await.code(0);
    let before = cluster.service("web").await;
    for how in ["client", "server"] {
        for verb in ["update", "apply"] {
            cluster
                .kn(&format!(
                    "service {verb} web --image reg.io/other --dry-run {how}"
                ))
                .await
                .code(0)
                .says(&["-      - image: reg.io/web\n", "+      - image: reg.io/other\n"]);
        }
        cluster
            .kn(&format!("service update web --image reg.io/other --dry-run {how} -o jsonpath={{.spec.template.spec.containers[0].image}}"))
            .await
            .code(0)
            .says(&["reg.io/other"]);
    }
    assert_eq!(
        cluster.service("web").await["metadata"]["resourceVersion"],
        before["metadata"]["resourceVersion"]
    );
}

#[tokio::test]
async fn files_are_checked_before_anything_is_sent() {
    let cluster = Cluster::start().await;
    for (text, token) in [
        ("apiVersion: v1\nkind: Pod\n", "expected a Service"),
        (
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  template:\n    spec:\n      containers: hello\n",
            "cannot use -: spec.template.spec.containers must be a list, not a text",
        ),
        ("{", "cannot use -"),
    ] {
        cluster
            .kn_with("service create web -f - --env A=1", text)
            .await
            .code(2)
            .complains(&[token, "Run 'kn service create --help' for usage"]);
    }
    cluster
        .kn("service create -f /nowhere.yaml")
        .await
        .code(2)
        .complains(&["--filename /nowhere.yaml: No such file"]);
    cluster.kn("service list -o name").await.code(0).says(&[""]);
    std::fs::write(cluster.folder().join("env"), "# all\nA=1\nB=2\n").unwrap();
    cluster
        .kn_with(
            "service create web --image reg.io/web --env B=0 --env-file env --containers -",
            "containers:\n- name: log\n  image: reg.io/log\n",
        )
        .await
        .code(0);
    let stored = cluster.service("web").await;
    assert_eq!(
        stored["spec"]["template"]["spec"]["containers"],
        json!([{ "image": "reg.io/web", "env": [{ "name": "B", "value": "2" }, { "name": "A", "value": "1" }] }, { "name": "log", "image": "reg.io/log" }])
    );
}

#[tokio::test]
async fn trouble_with_the_cluster_is_told_with_what_to_do() {
    let cluster = Cluster::start().await;
    cluster
        .kn("service describe web")
        .await
        .code(3)
        .complains(&["services.serving.knative.dev \"web\" not found", "hint: "]);
    cluster.kn("service list --as nobody").await.code(8).complains(&[
        "forbidden",
        "nobody",
        "hint: this user may not do that",
    ]);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let text = std::fs::read_to_string(cluster.folder().join("kubeconfig")).unwrap();
    let port = text
        .split("127.0.0.1:")
        .nth(1)
        .unwrap()
        .split(|c: char| !c.is_ascii_digit())
        .next()
        .unwrap();
    std::fs::write(
        cluster.folder().join("refused"),
        text.replace(port, &free.port().to_string()),
    )
    .unwrap();
    cluster
        .kn("service list --kubeconfig refused")
        .await
        .code(7)
        .complains(&[
            &format!("https://127.0.0.1:{}", free.port()),
            "refused",
            "kn status",
        ]);
    cluster
        .kn("service list --kubeconfig a:b")
        .await
        .code(2)
        .complains(&["KUBECONFIG"]);
}

#[tokio::test]
async fn a_service_goes_elsewhere_with_its_revisions() {
    let cluster = Cluster::with_web("reg.io/web:1").await;
    cluster
        .kn("service update web --image reg.io/web:2 --traffic web-00001=90 --traffic @latest=10")
        .await
        .code(0);
    let exported = cluster
        .kn("service export web --with-revisions -o yaml")
        .await
        .code(0)
        .out;
    std::fs::write(cluster.folder().join("web.yaml"), &exported).unwrap();
    cluster
        .kn("service import web.yaml")
        .await
        .code(4)
        .complains(&["already exists", "kn service delete web"]);
    cluster
        .kn("revision delete web-00001")
        .await
        .code(4)
        .complains(&["has traffic or a tag", "--force"]);
    let replayed = cluster
        .kn("service export web --with-revisions --mode replay -o jsonpath={.items[*].spec.template.metadata.name}")
        .await
        .code(0);
    assert_eq!(replayed.out, "web-00001 web-00002");
    cluster
        .kn("service export web")
        .await
        .code(2)
        .complains(&["-o yaml"]);
}

#[tokio::test]
async fn a_service_that_comes_later_is_waited_for() {
    let cluster = Cluster::start().await;
    let (waited, created) = tokio::join!(
        cluster.kn("service wait web --wait-timeout 60"),
        cluster.kn("service create web --image reg.io/web -o name"),
    );
    waited
        .code(0)
        .says(&["Service 'web' in namespace 'default' is ready."]);
    assert_eq!(created.code(0).out, "service.serving.knative.dev/web\n");
    cluster
        .kn("service logs web")
        .await
        .code(0)
        .complains(&["has no running pod"]);
}
