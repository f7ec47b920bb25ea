//! What is built is deployed: once, the newest, and by nobody else.

use crds::spindrift::PushState;
use crds::tekton::PipelineRunSpecStatus;
use serde_json::json;

use crate::home::{Home, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn pushes_are_built_one_after_the_other_and_deployed() {
    let home = Home::start(1).await;
    home.repository("web").await;
    // What is there is built as it is.
    let first = eventually("first run", async || home.runs("web").await.pop()).await;
    let first = home.begun(first.metadata.name.as_deref().unwrap()).await;
    let address = eventually("address", async || home.status("web").await.address).await;
    assert_eq!(
        address.url.as_deref(),
        Some("http://push.example.com/default/web")
    );

    // Another Repository of the namespace waits, and shows its place.
    home.repository("shop").await;
    let waiting = eventually("run that waits", async || {
        let run = home.runs("shop").await.pop()?;
        run.metadata
            .annotations
            .as_ref()?
            .contains_key("spindrift.dev/position")
            .then_some(run)
    })
    .await;
    assert_eq!(
        waiting.spec.status,
        Some(PipelineRunSpecStatus::PipelineRunPending)
    );

    let deploy = home.deploy(&first, &Home::image("web", '1')).await;
    let service = eventually("Service", async || {
        home.get("serving.knative.dev/v1", "Service", "web").await
    })
    .await;
    assert_eq!(
        service["spec"]["template"]["spec"]["containers"][0]["image"],
        Home::image("web", '1').as_str()
    );
    home.revision("web", "web-00001", "True").await;
    assert_eq!(home.ended(&deploy).await.0, "Succeeded");
    home.end(first.metadata.name.as_deref().unwrap(), "True", "")
        .await;
    home.begun(waiting.metadata.name.as_deref().unwrap()).await;
    home.told("web", "succeeded").await;
    let deployed = home.status("web").await.deployed.unwrap();
    assert_eq!((deployed.sequence, deployed.revision.as_str()), (1, "web-00001"));
    eventually("owner", async || {
        let repository = home.get("spindrift.dev/v1alpha1", "Repository", "web").await?;
        (repository["metadata"]["ownerReferences"][0]["uid"] == service["metadata"]["uid"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_push_is_deployed_and_a_failure_changes_nothing() {
    let home = Home::start(5).await;
    home.repository("web").await;
    eventually("first run", async || home.runs("web").await.pop()).await;
    let older = home.push("web", 'a', 'b').await.unwrap();
    home.begun(&older).await;
    let newer = home.push("web", 'b', 'c').await.unwrap();
    // Redeliveries, also after a restart, make nothing.
    let home = home.with_controllers(5).await;
    assert_eq!(home.push("web", 'b', 'c').await, Some(newer.clone()));
    assert_eq!(home.push("web", 'a', 'b').await, Some(older.clone()));
    let cancelled = eventually("end of the older", async || {
        let runs = home.runs("web").await;
        let run = runs
            .into_iter()
            .find(|run| run.metadata.name.as_ref() == Some(&older))?;
        (run.spec.status == Some(PipelineRunSpecStatus::CancelledRunFinally)).then_some(run)
    })
    .await;
    let newer = home.begun(&newer).await;
    assert_eq!(home.runs("web").await.len(), 3);
    // It was about to be deployed, which now must not happen.
    let deploy = home.deploy(&cancelled, &Home::image("web", '1')).await;
    assert_eq!(home.ended(&deploy).await.0, "Superseded");
    assert!(
        home.get("serving.knative.dev/v1", "Service", "web")
            .await
            .is_none()
    );

    let deploy = home.deploy(&newer, &Home::image("web", '2')).await;
    eventually("Service", async || {
        home.get("serving.knative.dev/v1", "Service", "web").await
    })
    .await;
    home.revision("web", "web-00001", "True").await;
    assert_eq!(home.ended(&deploy).await.0, "Succeeded");
    let states: Vec<PushState> = home
        .status("web")
        .await
        .pushes
        .iter()
        .map(|push| push.state)
        .collect();
    assert_eq!(
        states,
        [PushState::Superseded, PushState::Superseded, PushState::Started]
    );

    let broken = home.push("web", 'c', 'd').await.unwrap();
    home.begun(&broken).await;
    home.end(&broken, "False", "step build failed").await;
    let told = home.told("web", "failed").await;
    assert_eq!(
        (&told["run"], &told["message"]),
        (&json!(broken), &json!("step build failed"))
    );
    let service = home
        .get("serving.knative.dev/v1", "Service", "web")
        .await
        .unwrap();
    assert_eq!(
        service["spec"]["template"]["spec"]["containers"][0]["image"],
        Home::image("web", '2').as_str()
    );

    // A revision that fails fails its run.
    let crashing = home.push("web", 'd', 'e').await.unwrap();
    let crashing = home.begun(&crashing).await;
    let deploy = home.deploy(&crashing, &Home::image("web", '3')).await;
    eventually("new template", async || {
        let service = home.get("serving.knative.dev/v1", "Service", "web").await?;
        (service["spec"]["template"]["spec"]["containers"][0]["image"] == Home::image("web", '3').as_str())
            .then_some(())
    })
    .await;
    home.revision("web", "web-00002", "False").await;
    let (reason, message) = home.ended(&deploy).await;
    assert!(
        reason == "RevisionFailed" && message.contains("it crashed"),
        "{reason} {message}"
    );
    assert_eq!(home.status("web").await.deployed.unwrap().revision, "web-00001");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_deploys() {
    let home = Home::start(5).await;
    home.repository("web").await;
    let run = eventually("run", async || home.runs("web").await.pop()).await;
    let run = home.begun(run.metadata.name.as_deref().unwrap()).await;
    let deploy = format!("{}-deploy", run.metadata.name.as_deref().unwrap());
    let param = |name: &str, value: &str| json!({"name": name, "value": value});
    let evil = Home::image("evil", '6');
    let params = json!([
        param("repository", "web"),
        param("image", &evil),
        param("sequence", "99")
    ]);
    for (name, owners, reason) in [
        ("mine", json!([]), "NotOfABuild"),
        // The owner is right, but the build's own deployment has another name.
        ("also-mine", Home::owners(&run), "NotOfABuild"),
        // The name is right, too, but nothing is built yet.
        (deploy.as_str(), Home::owners(&run), "NothingBuilt"),
    ] {
        home.custom_run(name, owners, params.clone()).await;
        assert_eq!(home.ended(name).await.0, reason, "{name}");
    }
    let web = home.get("serving.knative.dev/v1", "Service", "web");
    assert!(web.await.is_none());

    // When it is built, what was built is deployed, whoever wrote what into the run.
    let next = home.push("web", 'a', 'b').await.unwrap();
    let next = home.begun(&next).await;
    home.built(&next, &Home::image("web", '1')).await;
    let deploy = format!("{}-deploy", next.metadata.name.as_deref().unwrap());
    home.custom_run(&deploy, Home::owners(&next), params.clone())
        .await;
    let service = eventually("Service", async || {
        home.get("serving.knative.dev/v1", "Service", "web").await
    })
    .await;
    let container = &service["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], Home::image("web", '1').as_str());

    // Nor does a build deploy what is kept elsewhere than the Repository says.
    let next = home.push("web", 'b', 'c').await.unwrap();
    let next = home.begun(&next).await;
    let deploy = home.deploy(&next, &evil).await;
    assert_eq!(home.ended(&deploy).await.0, "NothingBuilt");
}
