//! Requests and their answers, against an API server and servers of files, images and git repositories.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crds::tekton::names::RESOLVERS_NAMESPACE;
use crds::tekton::{
    Param, ResolutionRequest, ResolutionRequestSpec, ResolutionRequestStatus, RunStatus as _, Task,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use reconciler::Caches;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use test_api::TestApi;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
const TASK: &str = "kind: Task\n";

struct Cluster {
    client: Client,
    resolvers: tokio::task::JoinHandle<()>,
    _api: TestApi,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.resolvers.abort();
    }
}

impl Cluster {
    /// With these ConfigMaps.
    async fn start(maps: &[(&str, Value)]) -> Self {
        let api = TestApi::start().await;
        let client = api.client();
        api.define(&crds::tekton_definitions()).await;
        let namespace = json!({"metadata": {"name": RESOLVERS_NAMESPACE}});
        Api::<Namespace>::all(client.clone())
            .create(
                &PostParams::default(),
                &serde_json::from_value(namespace).unwrap(),
            )
            .await
            .unwrap();
        let home = ("resolver-addresses", json!({"allow-loopback": "true"}));
        for (name, data) in maps.iter().chain([&home]) {
            let map = json!({"metadata": {"name": name}, "data": data});
            let maps: Api<ConfigMap> = Api::namespaced(client.clone(), RESOLVERS_NAMESPACE);
            // The first of a name counts.
            let _ = maps
                .create(&PostParams::default(), &serde_json::from_value(map).unwrap())
                .await;
        }
        let resolvers = tokio::spawn(resolvers::run_with(
            Caches::new(client.clone()),
            resolvers::Config::default(),
        ));
        Self {
            client,
            resolvers,
            _api: api,
        }
    }

    async fn secret(&self, name: &str, key: &str, value: &str) {
        let secret = json!({"metadata": {"name": name}, "stringData": {key: value}, "data": {key: STANDARD.encode(value)}});
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), "default");
        secrets
            .create(&PostParams::default(), &serde_json::from_value(secret).unwrap())
            .await
            .unwrap();
    }

    /// Asks, and gives the status with the answer.
    async fn ask(&self, resolver: &str, params: &[(&str, &str)]) -> ResolutionRequestStatus {
        let params = params
            .iter()
            .map(|(name, value)| Param::new(*name, *value))
            .collect();
        let spec = ResolutionRequestSpec {
            params,
            ..ResolutionRequestSpec::default()
        };
        let mut request = ResolutionRequest::new("", spec);
        request.metadata.name = None;
        request.metadata.generate_name = Some("r-".to_owned());
        request.metadata.labels =
            Some([("resolution.tekton.dev/type".to_owned(), resolver.to_owned())].into());
        let requests: Api<ResolutionRequest> = Api::namespaced(self.client.clone(), "default");
        let name = requests
            .create(&PostParams::default(), &request)
            .await
            .unwrap()
            .name_any();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            let status = requests.get(&name).await.unwrap().status.unwrap_or_default();
            if status.is_done() {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{resolver} did not answer")
    }

    /// What was found.
    async fn found(&self, resolver: &str, params: &[(&str, &str)]) -> (String, Value) {
        let status = self.ask(resolver, params).await;
        assert!(status.succeeded().unwrap().is_true(), "{status:?}");
        let data = String::from_utf8(STANDARD.decode(status.data).unwrap()).unwrap();
        (data, serde_json::to_value(status.ref_source).unwrap())
    }

    /// Why nothing was.
    async fn refused(&self, resolver: &str, params: &[(&str, &str)]) -> String {
        let status = self.ask(resolver, params).await;
        let condition = status.succeeded().unwrap();
        assert!(condition.is_false(), "{status:?}");
        assert_eq!(condition.reason.as_deref(), Some("ResolutionFailed"));
        condition.message.clone().unwrap()
    }
}

fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
}

/// Serves the files of a folder, and its repositories. What is below `locked` needs `git:secret`.
struct Server {
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let root = folder.path().to_path_buf();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                std::thread::spawn(move || drop(answer(stream, &root)));
            }
        });
        Self { address, folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let (path, query) = words[1].split_once('?').unwrap_or((words[1], ""));
    let (mut length, mut authorized) = (0, false);
    let mut backend = Command::new("git");
    backend.arg("http-backend");
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "content-type" => drop(backend.env("CONTENT_TYPE", value)),
            "content-encoding" => drop(backend.env("HTTP_CONTENT_ENCODING", value)),
            "git-protocol" => drop(backend.env("GIT_PROTOCOL", value)),
            "authorization" => authorized = value == format!("Basic {}", STANDARD.encode("git:secret")),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut reply = |status: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
        )?;
        stream.write_all(body)
    };
    if path.starts_with("/locked/") && !authorized {
        return reply("401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
    }
    if let Some(rest) = path.strip_prefix("/moved/") {
        return reply("302 Found", &format!("Location: /{rest}?{query}\r\n"), b"");
    }
    if !path.contains(".git/") {
        let file = root.join(path.trim_start_matches('/'));
        let file = if file.is_dir() { file.join("index") } else { file };
        return match std::fs::read(file) {
            Ok(bytes) => reply("200 OK", "", &bytes),
            Err(_) => reply("404 Not Found", "", b""),
        };
    }
    let mut child = backend
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", words[0])
        .env("CONTENT_LENGTH", length.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child
        .stdin
        .take()
        .map(|mut stdin| stdin.write_all(&body))
        .transpose()?;
    let output = child.wait_with_output()?.stdout;
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap_or(0);
    let head = String::from_utf8_lossy(&output[..end + 2]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    reply(status.unwrap_or("200 OK"), &head, &output[end + 4..])
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_fetched_checked_and_kept_from_others() {
    let (cluster, server) = (Cluster::start(&[]).await, Server::start());
    server.put("task.yaml", TASK);
    server.put("locked/task.yaml", TASK);
    server.put("long.yaml", vec![b'x'; (1 << 20) + 1]);
    cluster.secret("pass", "password", "secret").await;
    let (url, locked) = (server.url("task.yaml"), server.url("locked/task.yaml"));
    let (data, source) = cluster
        .found("http", &[("url", &url), ("digest", &digest(TASK.as_bytes()))])
        .await;
    assert_eq!(data, TASK);
    let hex = digest(TASK.as_bytes()).replace("sha256:", "");
    assert_eq!(source, json!({"uri": url, "digest": {"sha256": hex}}));
    cluster
        .found("http", &[("url", &server.url("moved/task.yaml"))])
        .await;
    let with_password = [
        ("url", locked.as_str()),
        ("http-username", "git"),
        ("http-password-secret", "pass"),
    ];
    cluster.found("http", &with_password).await;
    let wrong = digest(b"another");
    for (params, words) in [
        (
            &[("url", url.as_str()), ("digest", &wrong)][..],
            format!("not {wrong}"),
        ),
        (&[("url", &locked)], "answered 401".to_owned()),
        (&[("url", &server.url("none"))], "answered 404".to_owned()),
        (
            &[("url", &server.url("long.yaml"))],
            "larger than 1048576 bytes".to_owned(),
        ),
        (
            &[("url", "http://169.254.169.254/")],
            "the address of a metadata service".to_owned(),
        ),
        (
            &[("url", "http://u:hush@127.0.0.1/")],
            "name a secret instead".to_owned(),
        ),
        (
            &[
                ("url", &url),
                ("http-username", "u"),
                ("http-password-secret", "none"),
            ],
            "no secret \"none\"".to_owned(),
        ),
    ] {
        let message = cluster.refused("http", params).await;
        assert!(message.contains(&words) && !message.contains("hush"), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policy_lists_and_flags_refuse() {
    let cluster = Cluster::start(&[
        ("resolver-addresses", json!({})),
        ("resolvers-feature-flags", json!({"enable-hub-resolver": "false"})),
        (
            "cluster-resolver-config",
            json!({"blocked-namespaces": "kube-system"}),
        ),
    ])
    .await;
    let server = Server::start();
    server.put("task.yaml", TASK);
    let url = server.url("task.yaml");
    let bundle = format!("{}/b:1", server.address);
    for (resolver, params, words) in [
        ("http", &[("url", url.as_str())][..], "a loopback address"),
        ("git", &[("url", &url), ("pathInRepo", "a")], "a loopback address"),
        (
            "bundles",
            &[("bundle", &bundle), ("name", "a")],
            "a loopback address",
        ),
        (
            "hub",
            &[("url", &url), ("name", "a"), ("version", "1")],
            "enable-hub-resolver",
        ),
        (
            "cluster",
            &[("name", "a"), ("namespace", "kube-system")],
            "is blocked",
        ),
    ] {
        let message = cluster.refused(resolver, params).await;
        assert!(message.contains(words), "{resolver}: {message}");
    }
    let task = json!({"apiVersion": "tekton.dev/v1", "kind": "Task", "metadata": {"name": "t"}, "spec": {"steps": [{"name": "s", "image": "i"}]}});
    let tasks: Api<Task> = Api::namespaced(cluster.client.clone(), "default");
    tasks
        .create(&PostParams::default(), &serde_json::from_value(task).unwrap())
        .await
        .unwrap();
    let (data, source) = cluster.found("cluster", &[("kind", "task"), ("name", "t")]).await;
    assert!(
        data.contains("\"image\":\"i\"") && !data.contains("managedFields"),
        "{data}"
    );
    let uri = source["uri"].as_str().unwrap();
    assert!(
        uri.starts_with("/apis/tekton.dev/v1/namespaces/default/task/t@"),
        "{uri}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hubs_are_asked_in_order_and_for_versions() {
    let server = Server::start();
    let package = "hub/api/v1/packages/tekton-task/tekton-catalog-tasks/say";
    for version in ["0.4.0", "0.6.0", "1.0.0"] {
        let manifest = json!({"data": {"manifestRaw": format!("version: {version}")}});
        server.put(&format!("{package}/{version}"), manifest.to_string());
    }
    let all =
        json!({"available_versions": [{"version": "0.4.0"}, {"version": "1.0.0"}, {"version": "0.6.0"}]});
    server.put(&format!("{package}/index"), all.to_string());
    let urls = format!("{}, {}", server.url("empty"), server.url("hub"));
    let cluster = Cluster::start(&[("hubresolver-config", json!({"artifact-hub-urls": urls}))]).await;
    for (version, expected) in [("0.4", "0.4.0"), (">= 0.5, < 1", "0.6.0"), ("> 0.6", "1.0.0")] {
        let (data, source) = cluster
            .found("hub", &[("name", "say"), ("version", version)])
            .await;
        assert_eq!(data, format!("version: {expected}"));
        assert_eq!(source["uri"], server.url(&format!("{package}/{expected}")));
    }
    for (params, words) in [
        (
            &[("name", "say"), ("version", "> 2")][..],
            "has no version that is > 2",
        ),
        (
            &[("name", "say"), ("version", "9.9.9")],
            "no such package or version",
        ),
        (&[("name", "../x"), ("version", "1")], "the param name"),
        (
            &[("name", "say"), ("version", "1"), ("type", "tekton")],
            "Tekton Hub has been shut down",
        ),
    ] {
        let message = cluster.refused("hub", params).await;
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_out_of_bundles() {
    let (cluster, server) = (Cluster::start(&[]).await, Server::start());
    let manifest = |layer: &str| {
        let annotations = json!({"dev.tekton.image.name": "t", "dev.tekton.image.kind": "task"});
        json!({"layers": [{"digest": layer, "size": 1, "annotations": annotations}]}).to_string()
    };
    let (good, bad) = (manifest(&digest(TASK.as_bytes())), manifest(&digest(b"another")));
    server.put("v2/b/manifests/good", &good);
    server.put(&format!("v2/b/manifests/{}", digest(good.as_bytes())), &good);
    server.put("v2/b/manifests/bad", bad);
    server.put(&format!("v2/b/blobs/{}", digest(TASK.as_bytes())), TASK);
    server.put(&format!("v2/b/blobs/{}", digest(b"another")), TASK);
    let bundle = |rest: &str| format!("{}/b{rest}", server.address);
    let pinned = format!("@{}", digest(good.as_bytes()));
    for reference in [":good", pinned.as_str()] {
        let (data, source) = cluster
            .found("bundles", &[("bundle", &bundle(reference)), ("name", "t")])
            .await;
        assert_eq!(data, TASK);
        assert_eq!(source["entryPoint"], "t");
        assert_eq!(
            format!("sha256:{}", source["digest"]["sha256"].as_str().unwrap()),
            digest(good.as_bytes())
        );
    }
    for (reference, name, words) in [
        (":bad", "t", "does not have the digest"),
        (":good", "x", "has no task x; it has task t"),
        (":none", "t", "404"),
        (":UPPER case", "t", "the param bundle"),
    ] {
        let message = cluster
            .refused("bundles", &[("bundle", &bundle(reference)), ("name", name)])
            .await;
        assert!(message.contains(words), "{message}");
    }
    // What has a digest cannot change, and is not asked for again.
    std::fs::remove_dir_all(server.folder.path().join("v2")).unwrap();
    cluster
        .found("bundles", &[("bundle", &bundle(&pinned)), ("name", "t")])
        .await;
    let message = cluster
        .refused(
            "bundles",
            &[("bundle", &bundle(&pinned)), ("name", "t"), ("cache", "never")],
        )
        .await;
    assert!(message.contains("404"), "{message}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs git: a repository is made and served with it"]
async fn files_of_repositories_are_found_and_nothing_else() {
    let (cluster, server) = (Cluster::start(&[]).await, Server::start());
    let root = server.folder.path();
    server.put("work/tasks/a.yaml", TASK);
    server.put("work/long.yaml", vec![b'x'; (1 << 20) + 1]);
    let work = root.join("work");
    for (target, link) in [
        ("tasks/../tasks/a.yaml", "latest.yaml"),
        ("/etc/passwd", "absolute"),
        ("../../x", "out"),
    ] {
        std::os::unix::fs::symlink(target, work.join(link)).unwrap();
    }
    git(&work, &["init", "--quiet", "--initial-branch=main", "."]);
    git(&work, &["add", "."]);
    git(&work, &["commit", "--quiet", "-m", "first"]);
    git(&work, &["tag", "v1"]);
    let first = git(&work, &["rev-parse", "HEAD"]);
    server.put("work/tasks/a.yaml", "kind: Other\n");
    git(&work, &["commit", "--quiet", "-a", "-m", "second"]);
    for (place, filter) in [
        ("plain.git", "true"),
        ("unfiltered.git", "false"),
        ("locked/r.git", "true"),
    ] {
        git(root, &["clone", "--quiet", "--bare", "work", place]);
        git(&root.join(place), &["config", "uploadpack.allowFilter", filter]);
    }
    cluster.secret("git", "token", "secret").await;
    let (plain, unfiltered) = (server.url("plain.git"), server.url("unfiltered.git"));
    let (locked, moved) = (server.url("locked/r.git"), server.url("moved/plain.git"));
    for (url, revision, path, expected) in [
        (&plain, "main", "tasks/a.yaml", "kind: Other\n"),
        (&plain, "v1", "latest.yaml", TASK),
        (&plain, first.as_str(), "/tasks/a.yaml", TASK),
        (&unfiltered, "refs/tags/v1", "tasks/a.yaml", TASK),
        (&moved, "v1", "tasks/a.yaml", TASK),
    ] {
        let params = [
            ("url", url.as_str()),
            ("revision", revision),
            ("pathInRepo", path),
        ];
        let (data, source) = cluster.found("git", &params).await;
        assert_eq!(data, expected, "{params:?}");
        assert_eq!(source["entryPoint"], path);
        if expected == TASK {
            assert_eq!(
                source,
                json!({"uri": format!("git+{url}"), "digest": {"sha1": first}, "entryPoint": path})
            );
        }
    }
    let params = [
        ("url", locked.as_str()),
        ("pathInRepo", "tasks/a.yaml"),
        ("gitToken", "git"),
    ];
    cluster.found("git", &params).await;
    let org = [
        ("org", "locked"),
        ("repo", "r"),
        ("serverURL", &server.url("")),
        ("token", "git"),
        ("pathInRepo", "latest.yaml"),
    ];
    cluster.found("git", &org).await;
    for (url, revision, path, words) in [
        (&plain, "main", "absolute", "leads out of the repository"),
        (&plain, "main", "out", "leads out of the repository"),
        (
            &plain,
            "main",
            "../../../etc/passwd",
            "leads out of the repository",
        ),
        (&plain, "main", "none", "there is no \"none\""),
        (&plain, "main", "tasks", "is a folder"),
        (&plain, "main", "long.yaml", "longer than 1048576 bytes"),
        (&plain, "none", "latest.yaml", "has no revision \"none\""),
        (&plain, "--upload-pack=id", "latest.yaml", "the revision"),
        (&locked, "main", "latest.yaml", "refuses access"),
        (&server.url("none.git"), "main", "latest.yaml", "is not there"),
        (
            &"ext::sh -c id".to_owned(),
            "main",
            "latest.yaml",
            "expected a url with http",
        ),
    ] {
        let params = [
            ("url", url.as_str()),
            ("revision", revision),
            ("pathInRepo", path),
        ];
        let message = cluster.refused("git", &params).await;
        assert!(
            message.contains(words) && !message.contains("secret"),
            "{params:?}: {message}"
        );
    }
    // A whole commit cannot change, and is not asked for again.
    std::fs::remove_dir_all(root.join("plain.git")).unwrap();
    let params = [
        ("url", plain.as_str()),
        ("revision", &first),
        ("pathInRepo", "/tasks/a.yaml"),
    ];
    cluster.found("git", &params).await;
}
