//! StatefulSets against an API server, as in `workloads`. The test stands in for the node agent.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "support/cluster.rs"]
mod support;

use std::time::Duration;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::autoscaling::v1::Scale;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PropagationPolicy};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use support::{controllers, create, eventually};

fn set(name: &str, image: &str, spec: Value) -> Value {
    let mut all = json!({
        "serviceName": name, "replicas": 2, "selector": { "matchLabels": { "app": name } },
        "template": {
            "metadata": { "labels": { "app": name } },
            "spec": { "terminationGracePeriodSeconds": 1, "containers": [{
                "name": "c", "image": image, "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
            }]},
        },
        "volumeClaimTemplates": [{ "metadata": { "name": "data" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        }}],
    });
    for (key, value) in spec.as_object().unwrap() {
        all[key] = value.clone();
    }
    json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": name }, "spec": all })
}

fn of<K>(client: &Client) -> Api<K>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>,
{
    Api::namespaced(client.clone(), "default")
}

/// Does what a node agent does with a pod that is bound: runs it, unless its image is `bad`, and confirms its deletion.
fn run_pods(client: &Client) -> tokio::task::JoinHandle<()> {
    let pods: Api<Pod> = of(client);
    tokio::spawn(async move {
        loop {
            for pod in pods.list(&ListParams::default()).await.unwrap() {
                let name = pod.name_any();
                if pod.metadata.deletion_timestamp.is_some() {
                    let now = DeleteParams {
                        grace_period_seconds: Some(0),
                        ..Default::default()
                    };
                    let _ = pods.delete(&name, &now).await;
                    continue;
                }
                let spec = pod.spec.as_ref().unwrap();
                let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
                if spec.node_name.is_some()
                    && phase == Some("Pending")
                    && spec.containers[0].image.as_deref() != Some("bad")
                {
                    let status = json!({ "status": {
                        "phase": "Running",
                        "conditions": [{ "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z" }],
                    }});
                    let _ = pods
                        .patch_status(&name, &PatchParams::default(), &Patch::Merge(status))
                        .await;
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
}

/// Names and images of the pods that are there, and none of them on its way out.
async fn pods(client: &Client) -> Option<Vec<String>> {
    let all = of::<Pod>(client)
        .list(&ListParams::default())
        .await
        .unwrap()
        .items;
    let stays = all.iter().all(|pod| pod.metadata.deletion_timestamp.is_none());
    let shown = |pod: &Pod| {
        let image = pod.spec.as_ref().unwrap().containers[0].image.clone();
        format!("{} {}", pod.name_any(), image.unwrap_or_default())
    };
    stays.then(|| all.iter().map(shown).collect())
}

async fn claims(client: &Client) -> Vec<String> {
    let all = of::<PersistentVolumeClaim>(client)
        .list(&ListParams::default())
        .await;
    all.unwrap().iter().map(ResourceExt::name_any).collect()
}

/// Waits until exactly these pods are there.
async fn become_pods(client: &Client, expected: &[&str]) {
    eventually(&format!("the pods {expected:?}"), || async {
        (pods(client).await? == expected).then_some(())
    })
    .await;
}

async fn change(client: &Client, name: &str, spec: Value) {
    let patch = Patch::Merge(json!({ "spec": spec }));
    of::<StatefulSet>(client)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn set_image(client: &Client, name: &str, image: &str) {
    let patch =
        json!([{ "op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(patch).unwrap());
    of::<StatefulSet>(client)
        .patch(name, &PatchParams::default(), &patch)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_has_pods_with_names_and_claims_that_outlive_them() {
    let api = support::api().await;
    let client = api.client();
    let _controllers = controllers(&client);
    let agent = run_pods(&client);
    let sets: Api<StatefulSet> = of(&client);
    create(&sets, set("web", "a:1", json!({}))).await;
    become_pods(&client, &["web-0 a:1", "web-1 a:1"]).await;
    assert_eq!(claims(&client).await, ["data-web-0", "data-web-1"]);
    let pod = of::<Pod>(&client).get("web-1").await.unwrap();
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!(
        (spec.hostname.as_deref(), spec.subdomain.as_deref()),
        (Some("web-1"), Some("web"))
    );
    assert_eq!(pod.labels()["statefulset.kubernetes.io/pod-name"], "web-1");
    assert_eq!(pod.labels()["apps.kubernetes.io/pod-index"], "1");
    let status = eventually("two replicas that are ready", || async {
        let status = sets.get("web").await.unwrap().status?;
        (status.available_replicas == Some(2)).then_some(status)
    })
    .await;
    assert_eq!(
        (
            status.replicas,
            status.ready_replicas,
            status.updated_replicas,
            status.current_replicas
        ),
        (2, Some(2), Some(2), Some(2))
    );
    assert_eq!(
        (status.observed_generation, status.collision_count),
        (Some(1), Some(0))
    );
    assert_eq!(
        status.update_revision.as_ref(),
        Some(&pod.labels()["controller-revision-hash"])
    );
    assert_eq!(status.current_revision, status.update_revision);

    // A pod that is deleted, and one that has failed, come again.
    let uid = pod.uid();
    of::<Pod>(&client)
        .delete("web-1", &DeleteParams::default())
        .await
        .unwrap();
    let failed = json!({ "status": { "phase": "Failed" } });
    of::<Pod>(&client)
        .patch_status("web-0", &PatchParams::default(), &Patch::Merge(failed))
        .await
        .unwrap();
    eventually("other pods of the same names", || async {
        let again = of::<Pod>(&client).get_opt("web-1").await.unwrap()?;
        let first = of::<Pod>(&client).get_opt("web-0").await.unwrap()?;
        let phase = first.status.and_then(|status| status.phase);
        (again.uid() != uid && phase.as_deref() == Some("Running")).then_some(())
    })
    .await;

    // The subresource that `kubectl scale` uses.
    for (replicas, expected) in [
        (3, &["web-0 a:1", "web-1 a:1", "web-2 a:1"][..]),
        (1, &["web-0 a:1"]),
        (2, &["web-0 a:1", "web-1 a:1"]),
    ] {
        let scale = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        let scale: Scale = sets
            .patch_scale("web", &PatchParams::default(), &scale)
            .await
            .unwrap();
        assert_eq!(scale.spec.unwrap().replicas, Some(replicas));
        become_pods(&client, expected).await;
    }
    assert_eq!(claims(&client).await, ["data-web-0", "data-web-1", "data-web-2"]);
    let events = of::<Event>(&client).list(&ListParams::default()).await.unwrap();
    let told = |reason: &str, message: &str| {
        let is = |event: &Event| {
            event.reason.as_deref() == Some(reason) && event.message.as_deref() == Some(message)
        };
        events.iter().any(is)
    };
    assert!(told(
        "SuccessfulCreate",
        "create Pod web-0 in StatefulSet web successful"
    ));

    sets.delete("web", &DeleteParams::background()).await.unwrap();
    become_pods(&client, &[]).await;
    // The data stays.
    assert_eq!(claims(&client).await.len(), 3);
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn templates_roll_out_roll_back_and_leave_a_history() {
    let api = support::api().await;
    let client = api.client();
    let _controllers = controllers(&client);
    let agent = run_pods(&client);
    let sets: Api<StatefulSet> = of(&client);
    create(
        &sets,
        set("web", "a:1", json!({ "replicas": 3, "revisionHistoryLimit": 1 })),
    )
    .await;
    become_pods(&client, &["web-0 a:1", "web-1 a:1", "web-2 a:1"]).await;
    let first = eventually("a current revision", || async {
        sets.get("web").await.unwrap().status?.current_revision
    })
    .await;

    // A canary, then everybody.
    let partition = |ordinal: u32| json!({ "updateStrategy": { "type": "RollingUpdate", "rollingUpdate": { "partition": ordinal } } });
    change(&client, "web", partition(2)).await;
    set_image(&client, "web", "a:2").await;
    become_pods(&client, &["web-0 a:1", "web-1 a:1", "web-2 a:2"]).await;
    // Below the partition a pod comes back as it was.
    of::<Pod>(&client)
        .delete("web-0", &DeleteParams::default())
        .await
        .unwrap();
    become_pods(&client, &["web-0 a:1", "web-1 a:1", "web-2 a:2"]).await;
    let status = sets.get("web").await.unwrap().status.unwrap();
    assert_eq!(status.current_revision.as_ref(), Some(&first));
    assert_ne!(status.update_revision.as_ref(), Some(&first));
    change(&client, "web", partition(0)).await;
    become_pods(&client, &["web-0 a:2", "web-1 a:2", "web-2 a:2"]).await;

    // One that does not come up holds the others back; a template that was there before is found again.
    set_image(&client, "web", "bad").await;
    become_pods(&client, &["web-0 a:2", "web-1 a:2", "web-2 bad"]).await;
    set_image(&client, "web", "a:1").await;
    // In order, a pod that is not ready is left to whoever looks after it, as upstream does it.
    of::<Pod>(&client)
        .delete("web-2", &DeleteParams::default())
        .await
        .unwrap();
    become_pods(&client, &["web-0 a:1", "web-1 a:1", "web-2 a:1"]).await;
    eventually("the first revision to be the newest", || async {
        let status = sets.get("web").await.unwrap().status?;
        let done = status.current_revision.as_ref() == Some(&first);
        (done && status.update_revision.as_ref() == Some(&first)).then_some(())
    })
    .await;
    eventually("one revision beside it to be kept", || async {
        let kept = of::<ControllerRevision>(&client)
            .list(&ListParams::default())
            .await
            .unwrap()
            .items;
        let newest = kept.iter().max_by_key(|revision| revision.revision)?;
        (kept.len() == 2 && newest.name_any() == first && newest.revision == Some(4)).then_some(())
    })
    .await;

    let on_delete = json!({ "updateStrategy": { "type": "OnDelete", "rollingUpdate": null } });
    change(&client, "web", on_delete).await;
    set_image(&client, "web", "a:3").await;
    of::<Pod>(&client)
        .delete("web-1", &DeleteParams::default())
        .await
        .unwrap();
    become_pods(&client, &["web-0 a:1", "web-1 a:3", "web-2 a:1"]).await;
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_go_when_the_set_says_so() {
    let api = support::api().await;
    let client = api.client();
    let _controllers = controllers(&client);
    let agent = run_pods(&client);
    let sets: Api<StatefulSet> = of(&client);
    let policy = json!({
        "replicas": 3, "podManagementPolicy": "Parallel", "ordinals": { "start": 4 },
        "persistentVolumeClaimRetentionPolicy": { "whenDeleted": "Delete", "whenScaled": "Delete" },
    });
    create(&sets, set("web", "a:1", policy)).await;
    become_pods(&client, &["web-4 a:1", "web-5 a:1", "web-6 a:1"]).await;
    let uid = of::<PersistentVolumeClaim>(&client)
        .get("data-web-6")
        .await
        .unwrap()
        .uid();
    change(&client, "web", json!({ "replicas": 1 })).await;
    become_pods(&client, &["web-4 a:1"]).await;
    eventually("the claims to go with their pods", || async {
        (claims(&client).await == ["data-web-4"]).then_some(())
    })
    .await;
    change(&client, "web", json!({ "replicas": 3 })).await;
    become_pods(&client, &["web-4 a:1", "web-5 a:1", "web-6 a:1"]).await;
    let again = of::<PersistentVolumeClaim>(&client)
        .get("data-web-6")
        .await
        .unwrap();
    assert_ne!(again.uid(), uid);
    sets.delete("web", &DeleteParams::background()).await.unwrap();
    eventually("everything to go with the set", || async {
        let revisions = of::<ControllerRevision>(&client)
            .list(&ListParams::default())
            .await
            .unwrap();
        let nothing = claims(&client).await.is_empty() && revisions.items.is_empty();
        (nothing && pods(&client).await?.is_empty()).then_some(())
    })
    .await;
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_takes_over_what_the_one_before_has_left() {
    let api = support::api().await;
    let client = api.client();
    let _controllers = controllers(&client);
    let agent = run_pods(&client);
    let sets: Api<StatefulSet> = of(&client);
    create(&sets, set("web", "a:1", json!({}))).await;
    become_pods(&client, &["web-0 a:1", "web-1 a:1"]).await;
    let uids = async || {
        let all = of::<Pod>(&client).list(&ListParams::default()).await.unwrap();
        all.iter().map(ResourceExt::uid).collect::<Vec<_>>()
    };
    let before = uids().await;
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..Default::default()
    };
    sets.delete("web", &orphan).await.unwrap();
    eventually("the set to go, and its pods to stay", || async {
        let gone = sets.get_opt("web").await.unwrap().is_none();
        let all = of::<Pod>(&client).list(&ListParams::default()).await.unwrap();
        (gone && all.iter().all(|pod| pod.owner_references().is_empty())).then_some(())
    })
    .await;
    let new = create(&sets, set("web", "a:1", json!({ "replicas": 3 }))).await;
    become_pods(&client, &["web-0 a:1", "web-1 a:1", "web-2 a:1"]).await;
    let after = uids().await;
    assert_eq!(after[..2], before[..]);
    let all = of::<Pod>(&client).list(&ListParams::default()).await.unwrap();
    for pod in &all {
        assert_eq!(Some(&pod.owner_references()[0].uid), new.metadata.uid.as_ref());
    }
    let revisions = of::<ControllerRevision>(&client)
        .list(&ListParams::default())
        .await
        .unwrap();
    assert_eq!(revisions.items.len(), 1, "the template is the same");
    agent.abort();
}
