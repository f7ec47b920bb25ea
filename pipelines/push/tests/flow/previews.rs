//! Branches have URLs, which go with them and with the Repository.

use crds::spindrift::Repository;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::home::{Home, eventually};

const SERVING: &str = "serving.knative.dev/v1";

impl Home {
    /// A Repository with previews, and its Service with these targets besides the newest revision.
    async fn with_previews(&self, targets: &[Value]) {
        self.create(json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "web"},
            "spec": {
                "url": "http://git/app", "branch": "main", "service": "web", "previews": true,
                "webhook": {"allowUnsigned": true},
            },
        }))
        .await;
        let mut traffic = vec![json!({"latestRevision": true, "percent": 100})];
        traffic.extend(targets.iter().cloned());
        self.create(json!({
            "apiVersion": SERVING, "kind": "Service", "metadata": {"name": "web"},
            "spec": {"template": {"spec": {"containers": [{"image": "i"}]}}, "traffic": traffic},
        }))
        .await;
    }

    async fn service(&self) -> Value {
        self.get(SERVING, "Service", "web").await.unwrap()
    }

    /// The Service once it is marked as one with previews.
    async fn marked(&self) -> Value {
        eventually("mark of the Service", async || {
            let service = self.service().await;
            mark(&service).is_string().then_some(service)
        })
        .await
    }

    /// A revision that was built of a branch.
    async fn revision_of(&self, name: &str, git_ref: &str) {
        self.create(json!({
            "apiVersion": SERVING, "kind": "Revision",
            "metadata": {"name": name, "annotations": {"spindrift.dev/ref": git_ref}},
            "spec": {"containers": [{"image": "x"}]},
        }))
        .await;
    }

    async fn delete_repository(&self) {
        let api: Api<Repository> = Api::namespaced(self.api.client(), "default");
        api.delete("web", &Default::default()).await.unwrap();
        eventually("end of the Repository", async || {
            api.get_opt("web").await.unwrap().is_none().then_some(())
        })
        .await;
    }
}

fn target(tag: &str, revision: &str) -> Value {
    json!({"tag": tag, "revisionName": revision, "latestRevision": false, "percent": 0})
}

fn mark(service: &Value) -> &Value {
    &service["metadata"]["annotations"]["spindrift.dev/previews-of"]
}

fn tags(service: &Value) -> Vec<&str> {
    let targets = service["spec"]["traffic"].as_array().unwrap();
    targets
        .iter()
        .filter_map(|target| target["tag"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn previews_go_with_the_repository() {
    let home = Home::start(5).await;
    // The one was noted, the other is shown and about to be noted.
    home.revision_of("y-1", "refs/heads/y").await;
    home.with_previews(&[target("x", "x-1"), target("y", "y-1"), target("mine", "web-1")])
        .await;
    let previews = json!({"previews": [{"tag": "x", "ref": "refs/heads/x"}]});
    home.set_status("spindrift.dev/v1alpha1", "Repository", "web", previews)
        .await;
    let before = home.marked().await;
    assert_eq!(tags(&before), ["x", "y", "mine"]);
    home.delete_repository().await;
    let after = home.service().await;
    assert_eq!((tags(&after), mark(&after)), (vec!["mine"], &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_is_on_its_way_comes_too_late_for_a_repository_that_is_gone() {
    let home = Home::start(5).await;
    home.with_previews(&[]).await;
    // What a deployment looked at just before.
    home.marked().await;
    let seen = eventually("word of the build", async || {
        let service = home.service().await;
        let told = &service["metadata"]["annotations"]["spindrift.dev/last-build"];
        (told.is_string() && mark(&service).is_string()).then_some(service)
    })
    .await;
    home.delete_repository().await;
    let write = json!({
        "metadata": {"resourceVersion": seen["metadata"]["resourceVersion"]},
        "spec": {"traffic": [{"latestRevision": true, "percent": 100}, target("x", "x-1")]},
    });
    let services = home.objects(&json!({"apiVersion": SERVING, "kind": "Service", "metadata": {}}));
    let written = services
        .patch("web", &PatchParams::default(), &Patch::Merge(write))
        .await;
    assert!(
        matches!(&written, Err(kube::Error::Api(refusal)) if refusal.code == 409),
        "{written:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_is_shown_and_not_noted_goes_with_its_branch() {
    let home = Home::start(5).await;
    home.revision_of("x-1", "refs/heads/x").await;
    home.with_previews(&[target("x", "x-1")]).await;
    home.push_to("web", "refs/heads/x", '0', 'a').await.unwrap();
    home.marked().await;
    assert_eq!(tags(&home.service().await), ["x"]);
    home.push_to("web", "refs/heads/x", 'a', '0').await;
    eventually("end of the preview", async || {
        tags(&home.service().await).is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_shown_under_its_tag() {
    let home = Home::start(5).await;
    home.with_previews(&[]).await;
    home.marked().await;
    home.revision("web", "web-00001", "True").await;
    let run = home.push_to("web", "refs/heads/x", '0', 'a').await.unwrap();
    let run = home.begun(&run).await;
    let deploy = home.deploy(&run, &Home::image("web", '7')).await;
    let name = eventually("template of the preview", async || {
        let service = home.service().await;
        service["spec"]["template"]["metadata"]["name"]
            .as_str()
            .map(str::to_owned)
    })
    .await;
    home.revision("web", &name, "True").await;
    let tagged = eventually("tag", async || {
        let service = home.service().await;
        (tags(&service) == ["x"]).then_some(service)
    })
    .await;
    let seen = json!({"observedGeneration": tagged["metadata"]["generation"]});
    home.set_status(SERVING, "Service", "web", seen).await;
    assert_eq!(home.ended(&deploy).await.0, "Succeeded");
    let status = home.status("web").await;
    assert_eq!(status.previews[0].deployed.revision, name);
    assert_eq!(status.previews[0].deployed.image, Home::image("web", '7'));
}
