//! Tasks and pipelines from elsewhere, as people name them: git, a bundle, a file behind a URL, a hub.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::ensure;
use e2e::git::{Request, git};
use e2e::images::digest;
use e2e::tools::Need;
use e2e::{Platform, busybox, cases, eventually, run, shared, stop_shared, suite, turn};
use serde_json::{Value, json};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Busybox, Need::Git, Need::Curl];

/// The platform, and an image with a shell.
fn platform() -> anyhow::Result<(&'static Platform, String)> {
    let platform = shared()?;
    let _turn = turn();
    let image = busybox::load(platform, "busybox:resolvers")?;
    Ok((platform, image))
}

/// A task that says something.
fn task(name: &str, image: &str, word: &str) -> String {
    format!(
        "apiVersion: tekton.dev/v1\nkind: Task\nmetadata:\n  name: {name}\nspec:\n  results: [{{name: said}}]\n  steps:\n    \
         - name: say\n      image: {image}\n      script: printf {word} > $(results.said.path)\n"
    )
}

fn params(all: &[(&str, &str)]) -> Value {
    all.iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect()
}

fn start(platform: &Platform, kind: &str, name: &str, spec: &Value) -> anyhow::Result<()> {
    let object =
        json!({"apiVersion": "tekton.dev/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    platform.apply(&object.to_string(), &[])?.ok().map(drop)
}

fn ended(platform: &Platform, kind: &str, name: &str) -> anyhow::Result<Value> {
    eventually(&format!("the end of {name}"), || {
        let run = platform.get(&[kind, name])?;
        let status = &run["status"]["conditions"][0]["status"];
        ensure!(status == "True" || status == "False", "{}", run["status"]);
        Ok(run)
    })
}

/// Runs the task that a resolver finds.
fn task_run(
    platform: &Platform,
    name: &str,
    resolver: &str,
    given: &[(&str, &str)],
) -> anyhow::Result<Value> {
    let spec = json!({"taskRef": {"resolver": resolver, "params": params(given)}});
    start(platform, "TaskRun", name, &spec)?;
    ended(platform, "taskrun", name)
}

/// Checks what a run said, and gives where its task was found.
fn said(run: &Value, word: &str) -> anyhow::Result<Value> {
    let status = &run["status"];
    ensure!(
        status["conditions"][0]["status"] == "True" && status["results"][0]["value"] == word,
        "{status}"
    );
    Ok(status["provenance"]["refSource"].clone())
}

/// Checks that a run found nothing, and why.
fn refused(run: &Value, reason: &str, words: &str) -> anyhow::Result<()> {
    let condition = &run["status"]["conditions"][0];
    ensure!(
        condition["status"] == "False"
            && condition["reason"] == reason
            && condition["message"].as_str().unwrap_or_default().contains(words),
        "not {reason} {words:?}: {}",
        run["status"]
    );
    Ok(())
}

/// A repository with what people have in theirs, and links that lead out; gives its last commit.
fn repository(root: &Path, image: &str) -> anyhow::Result<String> {
    let work = root.join("work");
    std::fs::create_dir_all(work.join("tasks"))?;
    std::fs::write(work.join("tasks/say.yaml"), task("say", image, "git"))?;
    let reference = json!({"resolver": "git", "params": [
        {"name": "url", "value": "$(params.repository)"}, {"name": "revision", "value": "main"},
        {"name": "pathInRepo", "value": "tasks/say.yaml"},
    ]});
    let pipeline = json!({
        "apiVersion": "tekton.dev/v1", "kind": "Pipeline", "metadata": {"name": "from-git"},
        "spec": {
            "params": [{"name": "repository"}],
            "tasks": [{"name": "say", "taskRef": reference}],
            "results": [{"name": "said", "value": "$(tasks.say.results.said)"}],
        },
    });
    std::fs::write(work.join("pipeline.yaml"), pipeline.to_string())?;
    std::os::unix::fs::symlink("tasks/../pipeline.yaml", work.join("latest.yaml"))?;
    std::os::unix::fs::symlink("/etc/passwd", work.join("absolute.yaml"))?;
    std::os::unix::fs::symlink("../../../etc/passwd", work.join("outside.yaml"))?;
    git(&work, &["init", "--quiet", "--initial-branch=main", "."])?;
    git(&work, &["add", "."])?;
    git(&work, &["commit", "--quiet", "-m", "first"])?;
    git(root, &["clone", "--quiet", "--bare", "work", "repo.git"])?;
    git(
        &root.join("repo.git"),
        &["config", "uploadpack.allowFilter", "true"],
    )?;
    Ok(git(&work, &["rev-parse", "HEAD"])?.trim().to_owned())
}

/// Serves files, and repositories by `git http-backend`.
struct Server {
    url: String,
    _folder: tempfile::TempDir,
}

impl Server {
    /// `fill` puts the files where they are served.
    fn start<T>(fill: impl FnOnce(&Path) -> anyhow::Result<T>) -> anyhow::Result<(Self, T)> {
        let folder = tempfile::tempdir()?;
        let filled = fill(folder.path())?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let root = folder.path().to_path_buf();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let root = root.clone();
                // Whoever sends nonsense gets no answer.
                std::thread::spawn(move || drop(answer(stream, &root)));
            }
        });
        let server = Self { url, _folder: folder };
        Ok((server, filled))
    }
}

fn answer(mut stream: TcpStream, root: &Path) -> anyhow::Result<()> {
    let request = Request::read(&stream)?;
    if request.path.contains(".git/") {
        return request.answer(stream, root);
    }
    let file = root.join(request.path.trim_start_matches('/'));
    // A hub lists the versions of a package where these are.
    let file = if file.is_dir() { file.join("index") } else { file };
    let (status, bytes) = match std::fs::read(file) {
        Ok(bytes) => ("200 OK", bytes),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = bytes.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    Ok(stream.write_all(&bytes)?)
}

fn a_pipeline_and_its_tasks_come_from_git() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let (server, commit) = Server::start(|root| repository(root, &image))?;
    let url = format!("{}/repo.git", server.url);
    let reference = |revision: &str, path: &str| {
        let given = params(&[("url", &url), ("revision", revision), ("pathInRepo", path)]);
        json!({
            "pipelineRef": {"resolver": "git", "params": given},
            "params": [{"name": "repository", "value": url}],
        })
    };
    for (name, revision) in [("git-branch", "main"), ("git-commit", commit.as_str())] {
        start(platform, "PipelineRun", name, &reference(revision, "latest.yaml"))?;
        let run = ended(platform, "pipelinerun", name)?;
        let source = said(&run, "git")?;
        ensure!(
            source["digest"]["sha1"] == commit && source["entryPoint"] == "latest.yaml",
            "{source}"
        );
        let task = platform.get(&["taskrun", &format!("{name}-say")])?;
        ensure!(
            said(&task, "git")?["entryPoint"] == "tasks/say.yaml",
            "{}",
            task["status"]
        );
        ensure!(
            run["metadata"]["labels"]["tekton.dev/pipeline"] == "from-git",
            "{}",
            run["metadata"]
        );
        // The task runs what its pipeline has looked at: one question each.
        let requests = platform.get(&["resolutionrequests"])?;
        let of = |kind: &str| {
            let items = requests["items"].as_array().into_iter().flatten();
            items
                .filter(|item| {
                    let owner = &item["metadata"]["ownerReferences"][0];
                    owner["kind"] == kind && owner["name"].as_str().unwrap_or_default().starts_with(name)
                })
                .count()
        };
        ensure!((of("PipelineRun"), of("TaskRun")) == (2, 0), "{requests}");
    }
    for (name, revision, path, words) in [
        (
            "git-absolute",
            "main",
            "absolute.yaml",
            "leads out of the repository",
        ),
        (
            "git-outside",
            "main",
            "outside.yaml",
            "leads out of the repository",
        ),
        (
            "git-dots",
            "main",
            "../../etc/passwd",
            "leads out of the repository",
        ),
        ("git-no-file", "main", "none.yaml", "there is no \"none.yaml\""),
        ("git-no-branch", "none", "latest.yaml", "has no revision \"none\""),
        ("git-option", "--upload-pack=id", "latest.yaml", "the revision"),
        (
            "git-no-object",
            "main",
            "tasks/say.yaml",
            "a Pipeline of tekton.dev is wanted",
        ),
    ] {
        start(platform, "PipelineRun", name, &reference(revision, path))?;
        refused(
            &ended(platform, "pipelinerun", name)?,
            "CouldntGetPipeline",
            words,
        )?;
    }
    Ok(())
}

/// Puts a blob into the registry.
fn push(registry: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), bytes)?;
    let place = format!("http://{registry}/v2/bundles/tasks/blobs/uploads/");
    let started = run(Command::new("curl").args([
        "-sSf",
        "-X",
        "POST",
        "-o",
        "/dev/null",
        "-w",
        "%header{location}",
        &place,
    ]))?;
    let started = started.ok()?;
    let location = match started.trim() {
        path if path.starts_with('/') => format!("http://{registry}{path}"),
        url => url.to_owned(),
    };
    let separator = if location.contains('?') { '&' } else { '?' };
    let location = format!("{location}{separator}digest={}", digest(bytes));
    let data = format!("@{}", file.path().display());
    let put = run(Command::new("curl")
        .args(["-sSf", "-X", "PUT", "--data-binary", &data, "-H"])
        .args(["Content-Type: application/octet-stream", &location]))?;
    put.ok().map(drop)
}

fn a_task_comes_from_a_bundle() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let registry = platform.registry();
    let (layer, config) = (task("bundled", &image, "bundle").into_bytes(), b"{}".to_vec());
    push(&registry, &layer)?;
    push(&registry, &config)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(&config), "size": config.len()},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(&layer), "size": layer.len(),
            "annotations": {
                "dev.tekton.image.name": "bundled", "dev.tekton.image.kind": "task", "dev.tekton.image.apiVersion": "v1",
            },
        }],
    })
    .to_string();
    let at = format!("http://{registry}/v2/bundles/tasks/manifests/v1");
    let put = run(Command::new("curl")
        .args(["-sSf", "-X", "PUT", "--data-binary", &manifest, "-H"])
        .args(["Content-Type: application/vnd.oci.image.manifest.v1+json", &at]))?;
    put.ok()?;
    let pinned = format!("{registry}/bundles/tasks@{}", digest(manifest.as_bytes()));
    for (name, bundle) in [
        ("bundle-tag", format!("{registry}/bundles/tasks:v1")),
        ("bundle-digest", pinned),
    ] {
        let run = task_run(
            platform,
            name,
            "bundles",
            &[("bundle", &bundle), ("name", "bundled"), ("kind", "task")],
        )?;
        let source = said(&run, "bundle")?;
        ensure!(
            format!(
                "sha256:{}",
                source["digest"]["sha256"].as_str().unwrap_or_default()
            ) == digest(manifest.as_bytes()),
            "{source}"
        );
    }
    let bundle = format!("{registry}/bundles/tasks:v1");
    let run = task_run(
        platform,
        "bundle-other",
        "bundles",
        &[("bundle", &bundle), ("name", "other")],
    )?;
    refused(
        &run,
        "TaskRunResolutionFailed",
        "has no task other; it has task bundled",
    )
}

fn a_file_is_what_its_digest_says() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let text = task("file", &image, "http");
    let (server, ()) = Server::start(|root| Ok(std::fs::write(root.join("task.yaml"), &text)?))?;
    let url = format!("{}/task.yaml", server.url);
    let right = digest(text.as_bytes());
    let run = task_run(
        platform,
        "http-right",
        "http",
        &[("url", &url), ("digest", &right)],
    )?;
    ensure!(said(&run, "http")?["uri"] == url, "{}", run["status"]);
    let wrong = digest(b"another");
    let run = task_run(
        platform,
        "http-wrong",
        "http",
        &[("url", &url), ("digest", &wrong)],
    )?;
    refused(&run, "TaskRunResolutionFailed", &format!("not {wrong}"))?;
    let metadata = "http://169.254.169.254/latest/meta-data/";
    let run = task_run(platform, "http-metadata", "http", &[("url", metadata)])?;
    refused(
        &run,
        "TaskRunResolutionFailed",
        "the address of a metadata service",
    )
}

fn the_newest_version_that_fits_comes_from_a_hub() -> anyhow::Result<()> {
    let (platform, image) = platform()?;
    let (server, ()) = Server::start(|root| {
        let package = root.join("api/v1/packages/tekton-task/tekton-catalog-tasks/say");
        let versions =
            json!({"available_versions": [{"version": "0.4.0"}, {"version": "0.6.0"}, {"version": "1.0.0"}]});
        std::fs::create_dir_all(&package)?;
        for (version, word) in [("0.4.0", "four"), ("0.6.0", "six"), ("1.0.0", "one")] {
            let manifest = json!({"data": {"manifestRaw": task("say", &image, word)}});
            std::fs::write(package.join(version), manifest.to_string())?;
        }
        Ok(std::fs::write(package.join("index"), versions.to_string())?)
    })?;
    for (name, version, word) in [("hub-exact", "0.4", "four"), ("hub-newest", ">= 0.5, < 1", "six")] {
        let run = task_run(
            platform,
            name,
            "hub",
            &[("url", &server.url), ("name", "say"), ("version", version)],
        )?;
        said(&run, word)?;
    }
    let run = task_run(
        platform,
        "hub-none",
        "hub",
        &[("url", &server.url), ("name", "say"), ("version", "> 2")],
    )?;
    refused(&run, "TaskRunResolutionFailed", "has no version that is > 2")
}

fn main() -> ExitCode {
    suite(
        cases![NEEDS => [
            a_pipeline_and_its_tasks_come_from_git,
            a_task_comes_from_a_bundle,
            a_file_is_what_its_digest_says,
            the_newest_version_that_fits_comes_from_a_hub,
        ]],
        stop_shared,
    )
}
