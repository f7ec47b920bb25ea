use std::time::Duration;

use super::*;
use crate::build::{FileSource, LayerFile};

fn store(dir: &Path) -> ImageStore {
    ImageStore::open(StoreConfig::new(dir)).unwrap()
}

fn hello(name: &str, content: &str) -> LayerBuild {
    LayerBuild {
        name: name.into(),
        files: vec![LayerFile {
            path: "/bin/hello".into(),
            source: FileSource::Bytes(content.into()),
            mode: 0o755,
        }],
        entrypoint: vec!["/bin/hello".into()],
        ..LayerBuild::default()
    }
}

async fn pull(store: &ImageStore, name: &str) -> Result<Image, ImageError> {
    store.pull(name, None, PullPolicy::IfNotPresent, None).await
}

#[tokio::test]
async fn a_built_image_is_runnable_at_once_under_tag_and_digest() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let digest = store.build(hello("localhost:5000/hello", "one")).await.unwrap();
    let image = pull(&store, "localhost:5000/hello").await.unwrap();
    assert_eq!((image.digest, image.layers.len()), (digest, 1));
    assert_eq!(
        std::fs::read_to_string(image.layers[0].join("bin/hello")).unwrap(),
        "one"
    );
    assert_eq!(image.config.entrypoint, ["/bin/hello"]);
    assert_eq!(image.repo_digest, format!("localhost:5000/hello@{digest}"));
    let by_digest = pull(&store, &image.repo_digest).await.unwrap();
    assert_eq!(by_digest.layers, image.layers);
    // The embedded registry is this store: Always asks nobody either.
    let always = store
        .pull("localhost:5000/hello", None, PullPolicy::Always, None)
        .await
        .unwrap();
    assert_eq!(always.digest, digest);
}

#[tokio::test]
async fn builds_are_reproducible_and_stack_on_a_base() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (a, b) = (store(a.path()), store(b.path()));
    assert_eq!(
        a.build(hello("localhost:5000/x", "same")).await.unwrap(),
        b.build(hello("localhost:5000/y:v1", "same")).await.unwrap()
    );
    let host = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host.path(), "from the host").unwrap();
    let on_top = LayerBuild {
        base: Some("localhost:5000/x".into()),
        name: "localhost:5000/top".into(),
        files: vec![
            LayerFile {
                path: "data".into(),
                source: FileSource::Host(host.path().into()),
                mode: 0o600,
            },
            LayerFile {
                path: "empty".into(),
                source: FileSource::Directory,
                mode: 0o1777,
            },
        ],
        env: vec!["MODE=test".into()],
        user: Some("1000:1000".into()),
        labels: vec![("made-by".into(), "test".into())],
        ..LayerBuild::default()
    };
    a.build(on_top).await.unwrap();
    let image = pull(&a, "localhost:5000/top").await.unwrap();
    assert_eq!(image.layers.len(), 2);
    assert_eq!(
        image.config.entrypoint,
        ["/bin/hello"],
        "the base's command stays"
    );
    assert_eq!(image.config.user, "1000:1000");
    assert_eq!(image.config.labels["made-by"], "test");
    assert!(image.config.env.contains(&"MODE=test".to_owned()));
    assert_eq!(
        std::fs::read_to_string(image.layers[1].join("data")).unwrap(),
        "from the host"
    );
    let missing = LayerBuild {
        base: Some("localhost:5000/none".into()),
        ..hello("localhost:5000/z", "")
    };
    assert!(
        a.build(missing)
            .await
            .unwrap_err()
            .to_string()
            .contains("not in the store")
    );
    let foreign = a.build(hello("docker.io/library/x", "")).await.unwrap_err();
    assert!(foreign.to_string().contains("embedded registry"), "{foreign}");
}

#[tokio::test]
async fn absent_images_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let cases = [
        ("localhost:5000/none", PullPolicy::Always, "push it there first"),
        (
            "docker.io/library/none",
            PullPolicy::Never,
            "pull policy is Never",
        ),
        ("UPPER", PullPolicy::Never, "lower case"),
        // Nothing listens on this port of the loopback.
        ("127.0.0.1:1/none", PullPolicy::IfNotPresent, "cannot be reached"),
    ];
    for (name, policy, expected) in cases {
        let error = store
            .pull(name, None, policy, None)
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn a_store_survives_reopening_and_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let first = store(dir.path());
    let digest = first
        .build(hello("localhost:5000/hello:v1", "kept"))
        .await
        .unwrap();
    let second = ImageStore::open(StoreConfig::new(dir.path())).unwrap_err();
    assert!(
        std::error::Error::source(&second)
            .unwrap()
            .to_string()
            .contains("another process")
    );
    drop(first);
    std::fs::write(dir.path().join("tmp/left-over"), "x").unwrap();
    let again = store(dir.path());
    assert!(!dir.path().join("tmp/left-over").exists());
    let listed = again.list().await.unwrap();
    let [image] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert_eq!(
        (image.repository.as_str(), image.tag.as_deref()),
        ("localhost:5000/hello", Some("v1"))
    );
    assert_eq!(image.digest, digest);
    assert!(again.remove("localhost:5000/hello:v1").await.unwrap());
    assert!(!again.remove("localhost:5000/hello:v1").await.unwrap());
    assert!(
        again
            .remove(&format!("localhost:5000/hello@{digest}"))
            .await
            .unwrap()
    );
    assert_eq!(again.list().await.unwrap(), []);
}

#[tokio::test]
async fn collection_keeps_what_is_named_held_or_fresh() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let kept = store.build(hello("localhost:5000/kept", "kept")).await.unwrap();
    let gone = store.build(hello("localhost:5000/gone", "gone")).await.unwrap();
    let held = pull(&store, "localhost:5000/gone").await.unwrap();
    store
        .remove(&format!("localhost:5000/gone@{gone}"))
        .await
        .unwrap();

    let later = SystemTime::now() + Duration::from_secs(7_200);
    let collect = |in_use: Vec<Digest>, now| {
        let inner = Arc::clone(store.inner());
        async move {
            tokio::task::spawn_blocking(move || collect::collect(&inner, &in_use, 0, now))
                .await
                .unwrap()
                .unwrap()
        }
    };
    assert_eq!(
        collect(vec![], later).await,
        Collected::default(),
        "a living image holds its content"
    );
    drop(held);
    assert_eq!(
        collect(vec![gone], later).await,
        Collected::default(),
        "a container holds its image"
    );
    assert_eq!(
        collect(vec![], SystemTime::now()).await,
        Collected::default(),
        "fresh content may be part of a push"
    );
    let collected = collect(vec![], later).await;
    // Manifest, configuration and layer; and the unpacked layer.
    assert_eq!((collected.blobs, collected.layers), (3, 1));
    assert_eq!(pull(&store, "localhost:5000/kept").await.unwrap().digest, kept);
}

/// A collection at a time of one's choice.
async fn collect_at(store: &ImageStore, in_use: &[Digest], needed: u64, now: SystemTime) -> Collected {
    let (inner, in_use) = (Arc::clone(store.inner()), in_use.to_vec());
    tokio::task::spawn_blocking(move || collect::collect(&inner, &in_use, needed, now))
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn over_its_bound_the_store_forgets_untagged_images_first_used_first() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        max_bytes: 0,
        ..StoreConfig::new(dir.path())
    };
    let store = ImageStore::open(config).unwrap();
    let old = store.build(hello("localhost:5000/app", "old")).await.unwrap();
    let new = store.build(hello("localhost:5000/app", "new")).await.unwrap();
    let later = SystemTime::now() + Duration::from_secs(7_200);
    let collected = collect_at(&store, &[old], 0, later).await;
    assert_eq!(
        collected.manifests, 0,
        "the old one is in use, the new one is tagged"
    );
    assert_eq!(
        store.collect(&[]).await.unwrap().manifests,
        0,
        "nothing could be removed of a fresh image"
    );
    let collected = collect_at(&store, &[], 0, later).await;
    assert_eq!(collected.manifests, 1);
    assert_eq!(pull(&store, "localhost:5000/app").await.unwrap().digest, new);
    assert!(pull(&store, &format!("localhost:5000/app@{old}")).await.is_err());
}

#[tokio::test]
async fn for_a_full_disk_only_as_many_images_go_as_are_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut digests = Vec::new();
    for name in ["first", "second", "third"] {
        digests.push(store.build(hello("localhost:5000/app", name)).await.unwrap());
    }
    // Takes the tag away from the others.
    let tagged = store.build(hello("localhost:5000/app", "own")).await.unwrap();
    let soon = SystemTime::now() + Duration::from_secs(60);
    let later = SystemTime::now() + Duration::from_secs(700);
    assert_eq!(
        collect_at(&store, &[], u64::MAX, soon).await,
        Collected::default(),
        "all are fresh"
    );
    assert_eq!(
        collect_at(&store, &[], 0, later).await,
        Collected::default(),
        "nothing is needed"
    );
    let collected = collect_at(&store, &[digests[0]], 1, later).await;
    assert_eq!(
        collected.manifests, 1,
        "the first is in use, the second is enough"
    );
    let left: Vec<Digest> = store
        .list()
        .await
        .unwrap()
        .into_iter()
        .map(|image| image.digest)
        .collect();
    assert!(left.contains(&digests[0]) && left.contains(&tagged));
    assert_eq!(left.len(), 3);
    let collected = collect_at(&store, &[], u64::MAX, later).await;
    assert_eq!(collected.manifests, 2, "all but the one that nobody else has");
    assert_eq!(store.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_hostile_layer_is_refused_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..9].copy_from_slice(b"../escape");
    header.set_size(0);
    header.set_cksum();
    layer.append(&header, std::io::empty()).unwrap();
    let layer = layer.into_inner().unwrap();
    let config =
        serde_json::json!({"config": {}, "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]}});
    let inner = Arc::clone(store.inner());
    tokio::task::spawn_blocking(move || {
        let config = config.to_string();
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "config": {"mediaType": "x", "digest": inner.blobs.write(config.as_bytes()).unwrap(), "size": config.len()},
            "layers": [{"mediaType": "x", "digest": inner.blobs.write(&layer).unwrap(), "size": layer.len()}],
        });
        let repository = Repository { registry: EMBEDDED.into(), path: "bad".into() };
        inner
            .publish(publish::Publication {
                repository: &repository,
                bytes: manifest.to_string().as_bytes(),
                media_type: None,
                tag: Some("latest"),
                partial: false,
            })
            .unwrap();
    })
    .await
    .unwrap();
    let error = pull(&store, "localhost:5000/bad").await.unwrap_err().to_string();
    assert!(error.contains("leaves the layer"), "{error}");
    assert_eq!(
        std::fs::read_dir(dir.path().join("tmp")).unwrap().count(),
        0,
        "nothing half-unpacked is left"
    );
    assert_eq!(std::fs::read_dir(dir.path().join("layers")).unwrap().count(), 0);
}
