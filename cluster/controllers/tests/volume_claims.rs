//! PersistentVolumeClaims against an API server: bound to directories of this machine, or to volumes that are there.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

#[path = "support/cluster.rs"]
mod support;

use std::os::unix::fs::PermissionsExt;

use cluster_controllers::Config;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use support::{create, eventually};

fn claim(name: &str, more: Value) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
}

fn claims(client: &Client) -> Api<PersistentVolumeClaim> {
    Api::namespaced(client.clone(), "default")
}

/// The name of the volume, once the claim is bound.
async fn bound(client: &Client, name: &str) -> String {
    let claims = claims(client);
    eventually(&format!("{name} to be bound"), || async {
        let claim = claims.get(name).await.unwrap();
        let phase = claim.status.and_then(|status| status.phase);
        (phase.as_deref() == Some("Bound")).then(|| claim.spec.unwrap().volume_name.unwrap())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_have_directories_that_go_with_them() {
    let api = support::api().await;
    let (client, folder) = (api.client(), tempfile::tempdir().unwrap());
    let config = Config {
        ca_pem: "PEM".into(),
        volumes: Some(folder.path().to_path_buf()),
    };
    let controllers = cluster_controllers::start(client.clone(), config);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());

    create(&claims(&client), claim("data", json!({}))).await;
    let name = bound(&client, "data").await;
    let directory = folder.path().join(&name);
    assert_eq!(
        std::fs::metadata(&directory).unwrap().permissions().mode() & 0o777,
        0o777
    );
    let volume = volumes.get(&name).await.unwrap();
    assert_eq!(volume.status.unwrap().phase.as_deref(), Some("Bound"));
    assert_eq!(
        volume.spec.unwrap().host_path.unwrap().path,
        directory.to_string_lossy()
    );
    let classes: Api<StorageClass> = Api::all(client.clone());
    eventually("the class", || async { classes.get_opt("local").await.unwrap() }).await;

    // What a pod still uses stays.
    let pods: Api<Pod> = Api::namespaced(client.clone(), "default");
    let pod = json!({"metadata": {"name": "user"}, "spec": {
        "containers": [{"name": "c", "image": "i"}],
        "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}],
    }});
    create(&pods, pod).await;
    std::fs::write(directory.join("file"), "kept").unwrap();
    claims(&client)
        .delete("data", &DeleteParams::default())
        .await
        .unwrap();
    // By the time a later claim is bound, the deletion has been looked at.
    create(
        &claims(&client),
        claim("later", json!({"storageClassName": "local"})),
    )
    .await;
    bound(&client, "later").await;
    assert!(directory.join("file").exists());
    let ended = json!({"status": {"phase": "Succeeded"}});
    pods.patch_status("user", &PatchParams::default(), &Patch::Merge(ended))
        .await
        .unwrap();
    eventually("the volume to go", || async {
        (volumes.get_opt(&name).await.unwrap().is_none() && !directory.exists()).then_some(())
    })
    .await;
    controllers.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_can_have_a_volume_that_somebody_made() {
    let api = support::api().await;
    let client = api.client();
    let controllers = support::controllers(&client);
    let volumes: Api<PersistentVolume> = Api::all(client.clone());
    let volume = json!({"metadata": {"name": "mine"}, "spec": {
        "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"}, "hostPath": {"path": "/nowhere"},
    }});
    create(&volumes, volume).await;
    create(
        &claims(&client),
        claim("asks", json!({"volumeName": "mine", "storageClassName": ""})),
    )
    .await;
    assert_eq!(bound(&client, "asks").await, "mine");
    claims(&client)
        .delete("asks", &DeleteParams::default())
        .await
        .unwrap();
    eventually("the volume to be released", || async {
        let volume = volumes.get("mine").await.unwrap();
        let phase = volume.status.and_then(|status| status.phase);
        (phase.as_deref() == Some("Released")).then_some(())
    })
    .await;
    controllers.stop().await;
}
