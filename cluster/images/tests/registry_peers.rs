//! The embedded registry against the tools people use, and pulls from one store into another.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cluster_images::{
    FileSource, ImageError, ImageStore, LayerBuild, LayerFile, Progress, PullPolicy, StoreConfig, registry,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A registry that runs until dropped.
struct Served {
    address: SocketAddr,
    store: ImageStore,
    _stop: tokio::sync::oneshot::Sender<()>,
    _dir: tempfile::TempDir,
}

impl Served {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(StoreConfig::new(dir.path())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(registry::serve(listener, store.clone(), async move {
            let _ = stopped.await;
        }));
        Self {
            address,
            store,
            _stop: stop,
            _dir: dir,
        }
    }

    async fn build(&self, name: &str, content: &str) -> cluster_images::Digest {
        let files = vec![LayerFile {
            path: "/bin/hello".into(),
            source: FileSource::Bytes(content.into()),
            mode: 0o755,
        }];
        let name = format!("localhost:5000/{name}");
        let entrypoint = vec!["/bin/hello".into()];
        self.store
            .build(LayerBuild {
                name,
                files,
                entrypoint,
                ..LayerBuild::default()
            })
            .await
            .unwrap()
    }
}

async fn run(program: &'static str, arguments: Vec<String>) {
    let work = move || {
        Command::new(program)
            .args(&arguments)
            .output()
            .map(|output| (arguments, output))
    };
    let (arguments, output) = tokio::task::spawn_blocking(work).await.unwrap().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn read(layers: &[std::path::PathBuf], path: &str) -> String {
    let found = layers
        .iter()
        .rev()
        .find_map(|layer| std::fs::read_to_string(layer.join(path)).ok());
    found.unwrap_or_else(|| panic!("{path} in {layers:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn pulls_from_another_registry_with_progress_and_shares_layers() {
    let served = Served::start().await;
    let digest = served.build("team/hello:v1", "over the wire").await;
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(StoreConfig::new(dir.path())).unwrap();
    let name = format!("{}/team/hello:v1", served.address);
    let (sender, mut progress) = tokio::sync::mpsc::channel(64);
    let pulls = (0..4).map(|_| store.pull(&name, None, PullPolicy::Always, Some(sender.clone())));
    let images = futures::future::try_join_all(pulls).await.unwrap();
    drop(sender);
    assert!(
        images
            .iter()
            .all(|image| image.digest == digest && image.layers == images[0].layers)
    );
    assert_eq!(read(&images[0].layers, "bin/hello"), "over the wire");
    let mut downloads = 0;
    while let Some(step) = progress.recv().await {
        downloads +=
            usize::from(matches!(step, Progress::Downloading { received, total, .. } if received == total));
    }
    assert_eq!(downloads, 1, "four pulls, one download");
    let missing = format!("{}/team/none", served.address);
    let error = store
        .pull(&missing, None, PullPolicy::Always, None)
        .await
        .unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
    // Without the registry, what is here is enough unless Always is asked for.
    drop(served);
    assert!(
        store
            .pull(&name, None, PullPolicy::IfNotPresent, None)
            .await
            .is_ok()
    );
    assert!(store.pull(&name, None, PullPolicy::Always, None).await.is_err());
}

/// A registry whose every answer is the text given for the request's first line.
async fn scripted<F, Fut>(answer: F) -> SocketAddr
where
    F: Fn(String) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = String> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let text = answer(String::from_utf8(head).unwrap()).await;
            let _ = stream.write_all(text.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn credentials_go_to_the_token_service_and_not_along_a_redirect() {
    let (told, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let elsewhere_told = told.clone();
    let elsewhere = scripted(move |head| {
        elsewhere_told.send(("elsewhere", head)).unwrap();
        async { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned() }
    })
    .await;
    let address = scripted(move |head| {
        told.send(("registry", head.clone())).unwrap();
        let host = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned)).unwrap();
        let answer = if head.starts_with("GET /token") {
            let body = r#"{"token":"secret-token"}"#;
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
        } else if head.contains("Bearer secret-token") {
            format!("HTTP/1.1 307 x\r\nLocation: http://{elsewhere}/blob\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        } else {
            let bearer = format!("Bearer realm=\"http://{host}/token\",service=\"test\"");
            format!("HTTP/1.1 401 x\r\nWWW-Authenticate: {bearer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        };
        async { answer }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(StoreConfig::new(dir.path())).unwrap();
    let credentials = cluster_images::Credentials {
        username: "user".into(),
        password: "pass".into(),
    };
    let error = store
        .pull(
            &format!("{address}/x"),
            Some(credentials),
            PullPolicy::Always,
            None,
        )
        .await
        .unwrap_err();
    assert!(matches!(error, ImageError::NotFound { .. }), "{error}");
    let mut seen = Vec::new();
    while let Ok(request) = requests.try_recv() {
        seen.push(request);
    }
    let basic = "Basic dXNlcjpwYXNz";
    let token = seen
        .iter()
        .find(|(_, head)| head.starts_with("GET /token"))
        .unwrap();
    assert!(
        token.1.contains(basic) && token.1.contains("scope=repository%3Ax%3Apull"),
        "{}",
        token.1
    );
    let redirected = seen.iter().find(|(place, _)| *place == "elsewhere").unwrap();
    assert!(
        !redirected.1.to_lowercase().contains("authorization"),
        "{}",
        redirected.1
    );
}

#[tokio::test]
async fn a_registry_that_hangs_is_reported() {
    let address = scripted(|_| std::future::pending()).await;
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(StoreConfig::new(dir.path())).unwrap();
    let name = format!("{address}/x");
    // Real sockets need real time to connect, so the clock is stopped only once the request is on its way.
    let pull = store.pull(&name, None, PullPolicy::Always, None);
    let mut pull = std::pin::pin!(pull);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), &mut pull)
            .await
            .is_err()
    );
    tokio::time::pause();
    let error = pull.await.unwrap_err().to_string();
    assert!(error.contains("did not answer within 30 s"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs skopeo"]
async fn skopeo_pushes_copies_lists_and_deletes() {
    let served = Served::start().await;
    let digest = served.build("hello:v1", "skopeo was here").await;
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().display();
    let registry = format!("docker://{}", served.address);
    let tls = "--src-tls-verify=false --dest-tls-verify=false";
    for command in [
        format!("copy --src-tls-verify=false {registry}/hello:v1 oci:{work}/layout:v1"),
        format!(
            "copy --src-tls-verify=false {registry}/hello:v1 docker-archive:{work}/docker.tar:named/image:v1"
        ),
        format!(
            "copy --src-tls-verify=false {registry}/hello:v1 oci-archive:{work}/oci.tar:localhost:5000/from-oci:v1"
        ),
        format!("copy --dest-tls-verify=false oci:{work}/layout:v1 {registry}/pushed/oci:v1"),
        format!("copy --format v2s2 {tls} {registry}/hello:v1 {registry}/pushed/docker:v2"),
        format!("inspect --tls-verify=false {registry}/pushed/docker:v2"),
        format!("list-tags --tls-verify=false {registry}/pushed/oci"),
    ] {
        run("skopeo", words(&command)).await;
    }
    for (name, same) in [("pushed/oci:v1", true), ("pushed/docker:v2", false)] {
        let image = served
            .store
            .pull(&format!("localhost:5000/{name}"), None, PullPolicy::Never, None)
            .await
            .unwrap();
        assert_eq!(read(&image.layers, "bin/hello"), "skopeo was here", "{name}");
        assert_eq!(image.digest == digest, same, "{name}");
    }
    for (file, name) in [
        ("docker.tar", "named/image:v1"),
        ("oci.tar", "localhost:5000/from-oci:v1"),
    ] {
        let loaded = served
            .store
            .load_archive(Path::new(&format!("{work}/{file}")))
            .await
            .unwrap();
        assert_eq!(loaded.len(), 1);
        let image = served
            .store
            .pull(name, None, PullPolicy::IfNotPresent, None)
            .await
            .unwrap();
        assert_eq!(read(&image.layers, "bin/hello"), "skopeo was here", "{name}");
        assert_eq!(image.config.entrypoint, ["/bin/hello"]);
    }
    run(
        "skopeo",
        words(&format!("delete --tls-verify=false {registry}/pushed/oci:v1")),
    )
    .await;
    assert!(
        served
            .store
            .pull("localhost:5000/pushed/oci:v1", None, PullPolicy::Never, None)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: buildah and whiteout devices"]
async fn buildah_builds_on_a_pulled_image_and_its_push_runs() {
    let served = Served::start().await;
    served.build("base:v1", "base content").await;
    let dir = tempfile::tempdir().unwrap();
    let work = dir.path().display().to_string();
    let file = format!(
        "FROM {}/base:v1\nCOPY added /added\nCOPY replaced /bin/hello\nENV BUILT=yes\n",
        served.address
    );
    std::fs::write(dir.path().join("Containerfile"), file).unwrap();
    std::fs::write(dir.path().join("added"), "by buildah").unwrap();
    std::fs::write(dir.path().join("replaced"), "replaced content").unwrap();
    let global = format!("--root {work}/storage --runroot {work}/run --storage-driver vfs");
    let image = format!("{}/built:v1", served.address);
    for command in [
        format!(
            "{global} bud --isolation chroot --tls-verify=false -t {image} -f {work}/Containerfile {work}"
        ),
        format!("{global} push --tls-verify=false {image}"),
        format!("{global} rmi --all --force"),
        format!("{global} pull --tls-verify=false {image}"),
    ] {
        run("buildah", words(&command)).await;
    }
    let image = served
        .store
        .pull("localhost:5000/built:v1", None, PullPolicy::Never, None)
        .await
        .unwrap();
    assert_eq!(read(&image.layers, "added"), "by buildah");
    assert_eq!(read(&image.layers, "bin/hello"), "replaced content");
    assert!(
        image.config.env.contains(&"BUILT=yes".to_owned()),
        "{:?}",
        image.config
    );

    // The directories stack as overlayfs wants them.
    let merged = dir.path().join("merged");
    std::fs::create_dir(&merged).unwrap();
    let lower: Vec<String> = image
        .layers
        .iter()
        .rev()
        .map(|layer| layer.display().to_string())
        .collect();
    let options = format!("lowerdir={}", lower.join(":"));
    let overlay = Some("overlay");
    nix::mount::mount(
        overlay,
        &merged,
        overlay,
        nix::mount::MsFlags::MS_RDONLY,
        Some(options.as_str()),
    )
    .unwrap();
    let seen = std::fs::read_to_string(merged.join("bin/hello"));
    nix::mount::umount(&merged).unwrap();
    assert_eq!(seen.unwrap(), "replaced content");
}
