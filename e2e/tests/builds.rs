//! Images of sources, made in pods: a Dockerfile of a git repository, an uploaded folder, and sources that mean harm.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use builds::{Plan, PodRegistry, Settings, Source, Strategy, pipeline};
use e2e::git_host::GitHost;
use e2e::images::digest;
use e2e::tools::Need;
use e2e::{Platform, block_on, cases, eventually, free_port, run, shared, stop_shared, suite, turn};
use formats::image::ImageReference;
use registries::Registry;
use serde_json::{Value, json};

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Busybox,
    Need::Buildah,
    Need::Git,
];

/// The platform, what builds are made with there, and by which address pods reach this machine.
fn machine() -> anyhow::Result<(&'static Platform, Settings, String)> {
    let platform = shared()?;
    let _turn = turn();
    let data = platform.data_dir();
    let builder = run(platform
        .program("spindrift")
        .args(["image", "builder", "--data-dir"])
        .arg(data))?
    .ok()?;
    let builder_image = builder.lines().last().unwrap_or_default().to_owned();
    let api = platform.get(&["endpoints", "kubernetes"])?;
    let host = api["subsets"][0]["addresses"][0]["ip"]
        .as_str()
        .context("no address")?
        .to_owned();
    let port = std::fs::read_to_string(data.join("registry-pods-port"))?;
    let address = format!("{host}:{}", port.trim());
    let registry = PodRegistry::new(
        platform.registry(),
        address,
        std::fs::read(data.join("registry-key"))?,
    );
    platform
        .apply(
            &serde_json::to_string(&registry.secret("default"))?,
            &["--server-side"],
        )?
        .ok()?;
    let settings = Settings {
        builder_image,
        registry: Some(registry),
        ..Settings::default()
    };
    Ok((platform, settings, host))
}

/// A build that has ended.
struct Built {
    run: Value,
    /// Of all steps.
    log: String,
}

impl Built {
    fn result(&self, name: &str) -> anyhow::Result<String> {
        let results = self.run["status"]["results"].as_array().context("no results")?;
        let found = results.iter().find(|result| result["name"] == name);
        let value = found.and_then(|result| result["value"].as_str());
        value
            .map(str::to_owned)
            .with_context(|| format!("no result {name}: {}", self.run["status"]))
    }

    fn image(&self) -> anyhow::Result<String> {
        let reason = &self.run["status"]["conditions"][0];
        ensure!(reason["status"] == "True", "{reason}\n{}", self.log);
        Ok(format!(
            "{}@{}",
            self.result("IMAGE_URL")?,
            self.result("IMAGE_DIGEST")?
        ))
    }

    fn refused(&self, words: &str) -> anyhow::Result<()> {
        ensure!(
            self.run["status"]["conditions"][0]["status"] == "False" && self.log.contains(words),
            "not {words:?}: {}",
            self.log
        );
        Ok(())
    }
}

fn build(platform: &Platform, name: &str, plan: &Plan, settings: &Settings) -> anyhow::Result<Built> {
    let spec = serde_json::to_value(pipeline(plan, settings))?;
    let run = json!({
        "apiVersion": "tekton.dev/v1", "kind": "PipelineRun", "metadata": {"name": name},
        "spec": {"pipelineSpec": spec},
    });
    platform.apply(&run.to_string(), &[])?.ok()?;
    let run = eventually(&format!("the end of {name}"), || {
        let run = platform.get(&["pipelinerun", name])?;
        let status = &run["status"]["conditions"][0]["status"];
        ensure!(status == "True" || status == "False", "{}", run["status"]);
        Ok(run)
    })?;
    let pod = format!("{name}-build-pod");
    let log = platform
        .kubectl(&["logs", &pod, "--all-containers", "--tail=-1"])?
        .ok()?;
    Ok(Built { run, log })
}

fn git(url: String, commit: &str) -> Source {
    Source::Git {
        url,
        commit: commit.to_owned(),
        reference: "refs/heads/main".to_owned(),
        secret: None,
    }
}

fn serves(platform: &Platform, service: &str, image: &str, path: &str, content: &str) -> anyhow::Result<()> {
    platform
        .kn(&["service", "create", service, "--image", image])?
        .ok()?;
    let answer = platform
        .curl(&format!("{service}.default.localhost"), path, &[])?
        .ok()?;
    ensure!(answer.trim() == content, "{answer}");
    Ok(())
}

fn a_dockerfile_of_a_repository_is_built_twice_and_runs() -> anyhow::Result<()> {
    let (platform, settings, host) = machine()?;
    let hub = GitHost::start()?;
    let copy = hub.repository("app")?;
    std::fs::copy(
        e2e::tools::find("busybox").context("no busybox")?,
        copy.path().join("busybox"),
    )?;
    std::fs::write(
        copy.path().join("Dockerfile"),
        "FROM scratch\nCOPY busybox /bin/busybox\n\
         RUN [\"/bin/busybox\", \"sh\", \"-c\", \"/bin/busybox --install -s /bin; mkdir /srv; echo made by a step > /srv/step; echo a slow step\"]\n\
         COPY page /srv/page\nARG WORD=none\nRUN echo \"$WORD\" > /srv/word\n\
         CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/srv\"]\n",
    )?;
    std::fs::write(copy.path().join("page"), "one\n")?;
    let first = copy.push("first")?;
    let plan = |commit: &str| Plan {
        args: vec!["WORD=it's $(x) \"quoted\" $$".to_owned()],
        ..Plan::new(
            git(hub.url(&host, "app"), commit),
            format!("{}/default/app", platform.registry()),
        )
    };
    plan(&first).check(&settings)?;
    let one = build(platform, "app-one", &plan(&first), &settings)?;
    let image = one.image()?;
    ensure!(
        one.result("commit")? == first && one.log.contains("\na slow step\n"),
        "{}",
        one.log
    );
    ensure!(
        one.result("author")? == "Jane Doe <jane@example.com>" && one.result("tree")?.len() == 40,
        "{}",
        one.run
    );
    serves(platform, "built", &image, "/page", "one")?;
    for (path, content) in [("/step", "made by a step"), ("/word", "it's $(x) \"quoted\" $$")] {
        let answer = platform.curl("built.default.localhost", path, &[])?.ok()?;
        ensure!(answer.trim() == content, "{answer}");
    }

    std::fs::write(copy.path().join("page"), "two\n")?;
    let second = copy.push("second")?;
    let two = build(platform, "app-two", &plan(&second), &settings)?;
    ensure!(two.image()? != image, "the page changed");
    // Another pod with an empty disk: the first step comes out of the registry.
    ensure!(
        two.log.contains("Using cache") && !two.log.contains("\na slow step\n"),
        "{}",
        two.log
    );

    copy.git(&["commit", "--quiet", "--amend", "--message", "replaced"])?;
    copy.git(&["push", "--quiet", "--force", "origin", "main"])?;
    copy.forget()?;
    build(platform, "app-gone", &plan(&second), &settings)?
        .refused("a forced push or a deleted branch took it away")
}

fn an_uploaded_program_becomes_an_image_with_the_same_digest_each_time() -> anyhow::Result<()> {
    let (platform, settings, _) = machine()?;
    let folder = tempfile::tempdir()?;
    std::fs::copy(
        e2e::programs::programs()?.join("hello"),
        folder.path().join("web"),
    )?;
    std::fs::write(folder.path().join(".gitignore"), "*.log\n")?;
    std::fs::write(folder.path().join("debug.log"), "not for the image")?;
    let repository = format!("{}/default/hello-source", platform.registry());
    let packed = source::pack(folder.path(), &source::Limits::default())?;
    let artifact = block_on(async { Ok(source::push(&packed, &repository, &Registry::new(), None).await?) })?;
    let plan = Plan::new(
        Source::Upload { artifact },
        format!("{}/default/hello-built", platform.registry()),
    );
    plan.check(&settings)?;
    let one = build(platform, "hello-one", &plan, &settings)?;
    let two = build(platform, "hello-two", &plan, &settings)?;
    ensure!(one.image()? == two.image()?, "equal sources give equal images");
    ensure!(one.result("tree")? == packed.digest, "{}", one.run);
    serves(platform, "uploaded", &one.image()?, "/", "Hello World!")?;

    std::fs::set_permissions(folder.path().join("web"), std::fs::Permissions::from_mode(0o644))?;
    let packed = source::pack(folder.path(), &source::Limits::default())?;
    let artifact = block_on(async { Ok(source::push(&packed, &repository, &Registry::new(), None).await?) })?;
    let nothing = Plan {
        source: Source::Upload { artifact },
        ..plan
    };
    build(platform, "hello-none", &nothing, &settings)?
        .refused("add a Dockerfile, or put one statically linked program")
}

/// An archive with one link and a file behind it, as an uploaded folder.
fn escaping(repository: &str) -> anyhow::Result<String> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut link = tar::Header::new_gnu();
    link.set_entry_type(tar::EntryType::Symlink);
    link.set_size(0);
    archive.append_link(&mut link, "out", "/tmp")?;
    let mut file = tar::Header::new_gnu();
    file.set_size(5);
    file.set_mode(0o644);
    archive.append_data(&mut file, "out/pwned", &b"pwned"[..])?;
    let mut encoder = archive.into_inner()?;
    encoder.flush()?;
    let layer = encoder.finish()?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": source::ARTIFACT_TYPE,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
        "layers": [{"mediaType": source::LAYER_TYPE, "digest": digest(&layer), "size": layer.len()}],
    });
    let image = ImageReference::parse(repository)?;
    let put = block_on(async {
        let registry = Registry::new();
        registry
            .upload(&image, &digest(&layer), &mut layer.as_slice(), None)
            .await?;
        registry
            .upload(&image, &digest(b"{}"), &mut &b"{}"[..], None)
            .await?;
        let bytes = manifest.to_string().into_bytes().into();
        let kind = "application/vnd.oci.image.manifest.v1+json";
        Ok(registry.put_manifest(&image, kind, bytes, None).await?)
    })?;
    Ok(format!("{repository}@{put}"))
}

fn sources_that_mean_harm_get_nowhere() -> anyhow::Result<()> {
    let (platform, settings, host) = machine()?;
    let image = format!("{}/default/harm", platform.registry());
    let hub = GitHost::start()?;
    let copy = hub.repository("harm")?;
    symlink("/etc/passwd", copy.path().join("Dockerfile"))?;
    let commit = copy.push("a link")?;
    let of = |url: &str| Plan::new(git(url.to_owned(), &commit), image.as_str());
    let url = hub.url(&host, "harm");
    build(platform, "harm-link", &of(&url), &settings)?.refused("leads out of the source")?;
    for (name, url, words) in [
        (
            "harm-option",
            "--upload-pack=touch /tmp/pwned",
            "must not begin with a dash",
        ),
        ("harm-program", "ext::sh -c id", "must begin with a protocol"),
        ("harm-file", "file:///etc", "'file' not allowed"),
    ] {
        ensure!(of(url).check(&settings).is_err(), "{url}");
        build(platform, name, &of(url), &settings)?.refused(words)?;
    }
    let artifact = escaping(&format!("{image}-source"))?;
    let upload = Plan::new(Source::Upload { artifact }, image.as_str());
    build(platform, "harm-archive", &upload, &settings)?.refused("leads out of the folder")?;
    // The registry takes from a namespace what is the namespace's.
    std::fs::remove_file(copy.path().join("Dockerfile"))?;
    std::fs::write(
        copy.path().join("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )?;
    let plan = Plan {
        strategy: Strategy::Dockerfile,
        cache: false,
        ..Plan::new(
            git(url, &copy.push("fine")?),
            format!("{}/spindrift/builder", platform.registry()),
        )
    };
    build(platform, "harm-other", &plan, &settings)?
        .refused("may write to repositories below default/ only")?;
    let registry = settings.registry.context("no registry")?;
    let status = run(Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}"])
        .arg(format!("http://{}/v2/", registry.address)))?
    .ok()?;
    ensure!(status == "401", "{status}");
    Ok(())
}

/// A git host that wants a password, and takes none.
fn locked() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("0.0.0.0:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = BufReader::new(&stream).lines();
            while head
                .next()
                .and_then(Result::ok)
                .is_some_and(|line| !line.is_empty())
            {}
            drop(head);
            // Whoever has gone away needs no answer.
            let _ = stream.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\n\
                  Connection: close\r\n\r\n",
            );
        }
    });
    Ok(port)
}

fn hosts_that_give_nothing_are_named() -> anyhow::Result<()> {
    let (platform, settings, host) = machine()?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-wrong"},
        "type": "kubernetes.io/basic-auth", "stringData": {"username": "jane", "password": "not-the-password"}});
    platform.apply(&secret.to_string(), &[])?.ok()?;
    let image = format!("{}/default/nothing", platform.registry());
    let closed = free_port()?;
    let locked = locked()?;
    for (name, port, secret, words) in [
        ("nothing-closed", closed, None, "Failed to connect to"),
        ("nothing-locked", locked, None, "could not read Username"),
        (
            "nothing-wrong",
            locked,
            Some("git-wrong"),
            "Authentication failed for",
        ),
    ] {
        let source = Source::Git {
            url: format!("http://{host}:{port}/app.git"),
            commit: "a".repeat(40),
            reference: "refs/heads/main".to_owned(),
            secret: secret.map(str::to_owned),
        };
        let built = build(platform, name, &Plan::new(source, image.as_str()), &settings)?;
        built.refused(words)?;
        ensure!(built.log.contains(&format!("{host}:{port}")), "{}", built.log);
        ensure!(!built.log.contains("not-the-password"), "a secret in a log");
    }
    Ok(())
}

fn main() -> ExitCode {
    suite(
        cases! {
            NEEDS => [
                a_dockerfile_of_a_repository_is_built_twice_and_runs,
                an_uploaded_program_becomes_an_image_with_the_same_digest_each_time,
                sources_that_mean_harm_get_nowhere,
                hosts_that_give_nothing_are_named,
            ],
        },
        stop_shared,
    )
}
