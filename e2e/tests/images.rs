//! Images that people have: whole Debian roots with nginx and Python, indexes, digests, moved tags, archives.

use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::{Context, ensure};
use e2e::images::{DEBIAN, Workshop, digest_of, skopeo_copy};
use e2e::tools::Need;
use e2e::{Platform, cases, eventually, shared, stop_shared, suite};
use serde_json::json;

const NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Buildah,
    Need::Skopeo,
    Need::Mmdebstrap,
];

const NGINX: &str = "\
FROM localhost/debian:e2e
RUN rm /etc/nginx/sites-enabled/default \
 && ln -sf /dev/stdout /var/log/nginx/access.log && ln -sf /dev/stderr /var/log/nginx/error.log
COPY site.conf /etc/nginx/conf.d/site.conf
COPY index.html /usr/share/nginx/html/index.html
STOPSIGNAL SIGQUIT
CMD [\"nginx\", \"-g\", \"daemon off;\"]
";
const NGINX_SITE: &str = "server { listen 8080; root /usr/share/nginx/html; }\n";

/// Its layers remove a file, empty a folder, make a folder a link, link one file twice, and give a file rights.
const PYTHON: &str = "\
FROM localhost/debian:e2e
RUN useradd --create-home --uid 1234 web && usermod --append --groups staff web \
 && echo python >/home/web/index.html && ln -s /home/web/index.html /srv/link \
 && echo one >/home/web/one && ln /home/web/one /home/web/two
RUN rm /usr/bin/tail && rm -rf /var/lib/dpkg/info && mkdir /var/lib/dpkg/info && touch /var/lib/dpkg/info/new \
 && rmdir /media && ln -s /tmp /media
RUN cp /bin/true /usr/local/bin/capped && python3 -c \"import os; os.setxattr('/usr/local/bin/capped', \
'security.capability', bytes.fromhex('0100000200040000000000000000000000000000'))\"
COPY facts.py /srv/facts.py
USER web
WORKDIR /home/web
ENTRYPOINT [\"python3\", \"-u\"]
CMD [\"/srv/facts.py\"]
";
const FACTS: &str = include_str!("images/facts.py");

static WORKSHOP: OnceLock<Result<Workshop, String>> = OnceLock::new();

/// `CAP_NET_BIND_SERVICE`, permitted and effective, as the kernel stores it.
const CAPABILITY: &str = "0100000200040000000000000000000000000000";

fn workshop() -> anyhow::Result<&'static Workshop> {
    let made = WORKSHOP.get_or_init(|| Workshop::new().map_err(|error| format!("{error:?}")));
    made.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn web_servers_from_debian_packages_answer_log_sleep_and_wake() -> anyhow::Result<()> {
    let (platform, workshop) = (shared()?, workshop()?);
    workshop.debian("nginx-light,python3,passwd")?;
    let nginx = workshop.build(
        "nginx",
        NGINX,
        &[("site.conf", NGINX_SITE), ("index.html", "real nginx\n")],
    )?;
    let python = workshop.build("python", PYTHON, &[("facts.py", FACTS)])?;
    let registry = platform.registry();
    let (nginx_image, python_image) = (
        format!("{registry}/web/nginx:v1"),
        format!("{registry}/python:v1"),
    );
    workshop.push(&nginx, &nginx_image)?;
    // Docker's own kind of manifest beside OCI's, and the base layer is there already.
    workshop.buildah(&[
        "push",
        "--quiet",
        "--tls-verify=false",
        "--format",
        "v2s2",
        &python,
        &python_image,
    ])?;

    for (name, image) in [("nginx", &nginx_image), ("python", &python_image)] {
        let created = platform.kn(&[
            "service",
            "create",
            name,
            "--image",
            image,
            "--scale-window",
            "6s",
            "--limit",
            "memory=256Mi,cpu=1",
        ])?;
        ensure!(created.code == 0, "{}", created.text());
    }
    answers_and_logs(platform)?;
    let facts = platform.curl("python.default.localhost", "/facts", &[])?.ok()?;
    check_facts(&serde_json::from_str(&facts).context(facts)?)?;

    for name in ["nginx", "python"] {
        eventually("no pods", || {
            let selector = format!("serving.knative.dev/service={name}");
            let pods = platform.get(&["pods", "-l", &selector])?;
            let left = platform.kubectl(&["get", "pods,podautoscaler"])?.ok()?;
            ensure!(pods["items"] == json!([]), "pods are left: {left}");
            Ok(())
        })?;
    }
    answers_and_logs(platform).context("woken from zero")
}

fn answers_and_logs(platform: &Platform) -> anyhow::Result<()> {
    for (name, body) in [("nginx", "real nginx"), ("python", "python")] {
        let host = format!("{name}.default.localhost");
        let answer = platform.curl(&host, "/index.html?logged", &[])?.ok()?;
        ensure!(answer.trim() == body, "{name} answered {answer}");
        eventually("the access log", || {
            let selector = format!("serving.knative.dev/service={name}");
            let log = platform
                .kubectl(&["logs", "-l", &selector, "-c", "user-container"])?
                .ok()?;
            ensure!(log.contains("\"GET /index.html?logged HTTP/1.1\" 200"), "{log}");
            Ok(())
        })?;
    }
    Ok(())
}

/// The container contract, as a process sees it.
fn check_facts(facts: &serde_json::Value) -> anyhow::Result<()> {
    for (fact, expected) in [
        ("uid", json!(1234)),
        ("gid", json!(1234)),
        ("groups", json!([50, 1234])),
        ("cwd", json!("/home/web")),
        ("home", json!("/home/web")),
        ("removed", json!(false)),
        ("emptied", json!(["new"])),
        ("replaced", json!("/tmp")),
        ("linked", json!("python\n")),
        ("one_file", json!(true)),
        ("capability", json!(CAPABILITY)),
        ("su", json!("0o4755")),
        ("tmp", json!("0o1777")),
        (
            "devices",
            json!(["full", "null", "ptmx", "random", "tty", "urandom", "zero"]),
        ),
        ("console", json!(false)),
        (
            "streams",
            json!([
                "/proc/self/fd",
                "/proc/self/fd/0",
                "/proc/self/fd/1",
                "/proc/self/fd/2"
            ]),
        ),
        ("stdin", json!(0)),
        ("proc_sys", json!(true)),
        ("resolv", json!("0o644")),
        ("hostname", json!(true)),
    ] {
        ensure!(facts[fact] == expected, "{fact}: {} in {facts}", facts[fact]);
    }
    ensure!(facts["memory"]["text"] == "268435456", "memory limit: {facts}");
    ensure!(
        facts["memory"]["writing"] != "ok" && facts["cpu"]["writing"] != "ok",
        "{facts}"
    );
    ensure!(
        facts["cpu"]["text"]
            .as_str()
            .is_some_and(|text| text.starts_with("100000")),
        "cpu limit: {facts}"
    );
    ensure!(
        facts["hosts"]
            .as_str()
            .is_some_and(|hosts| hosts.contains("127.0.0.1")),
        "{facts}"
    );
    ensure!(
        facts["files"].as_u64().is_some_and(|files| files >= 1024),
        "{facts}"
    );
    Ok(())
}

fn an_index_resolves_to_its_own_digest_and_runs_what_fits_this_machine() -> anyhow::Result<()> {
    let (platform, workshop) = (shared()?, workshop()?);
    let (own, other) = match std::env::consts::ARCH {
        "aarch64" => ("arm64", "amd64"),
        _ => ("amd64", "arm64"),
    };
    let fits = workshop.greeter("multi-own", "this-machine", own)?;
    let foreign = workshop.greeter("multi-other", "another-machine", other)?;
    workshop.buildah(&["manifest", "create", "localhost/multi:e2e", &foreign, &fits])?;
    let image = format!("{}/multi:v1", platform.registry());
    workshop.buildah(&[
        "manifest",
        "push",
        "--quiet",
        "--all",
        "--tls-verify=false",
        "localhost/multi:e2e",
        &format!("docker://{image}"),
    ])?;
    let digest = digest_of(&image)?;
    platform
        .kn(&["service", "create", "multi", "--image", &image])?
        .ok()?;
    greets(platform, "multi.default.localhost", "this-machine")?;
    let by_digest = format!("{}/multi@{digest}", platform.registry());
    ensure!(
        resolved(platform, "multi-00001")? == by_digest,
        "the index's digest is kept"
    );

    // The same image by its digest alone.
    platform
        .kn(&["service", "create", "pinned", "--image", &by_digest])?
        .ok()?;
    greets(platform, "pinned.default.localhost", "this-machine")?;
    ensure!(resolved(platform, "pinned-00001")? == by_digest);
    Ok(())
}

fn a_moved_tag_reaches_the_next_revision_and_not_the_last() -> anyhow::Result<()> {
    let (platform, workshop) = (shared()?, workshop()?);
    let image = format!("{}/team/moving:latest", platform.registry());
    workshop.push(&workshop.greeter("moving-one", "one", "amd64")?, &image)?;
    platform
        .kn(&[
            "service",
            "create",
            "moving",
            "--image",
            &image,
            "--scale-min",
            "1",
        ])?
        .ok()?;
    greets(platform, "moving.default.localhost", "one")?;
    let first = resolved(platform, "moving-00001")?;

    let elsewhere = format!("{}/team/other:two", platform.registry());
    workshop.push(&workshop.greeter("moving-two", "two", "amd64")?, &elsewhere)?;
    skopeo_copy(&format!("docker://{elsewhere}"), &format!("docker://{image}"))?;
    greets(platform, "moving.default.localhost", "one")?;
    platform
        .kn(&[
            "service",
            "update",
            "moving",
            "--image",
            &image,
            "--env",
            "ROUND=2",
            "--tag",
            "moving-00001=before",
        ])?
        .ok()?;
    greets(platform, "moving.default.localhost", "two")?;
    let second = resolved(platform, "moving-00002")?;
    ensure!(
        first != second && second.ends_with(&digest_of(&image)?),
        "{first} {second}"
    );

    // New pods of the old revision still run what it was made with.
    let pods = [
        "delete",
        "pods",
        "-l",
        "serving.knative.dev/revision=moving-00001",
        "--wait=true",
    ];
    platform.kubectl(&pods)?.ok()?;
    greets(platform, "before-moving.default.localhost", "one")?;
    ensure!(resolved(platform, "moving-00001")? == first);
    Ok(())
}

fn archives_are_loaded_listed_run_and_removed() -> anyhow::Result<()> {
    let (platform, workshop) = (shared()?, workshop()?);
    let registry = platform.registry();
    let data = platform.data_dir().to_string_lossy().into_owned();
    for (kind, transport) in [("oci", "oci-archive"), ("docker", "docker-archive")] {
        let local = workshop.greeter(&format!("from-{kind}"), kind, "amd64")?;
        let archive = workshop.path().join(format!("{kind}.tar"));
        let name = format!("{registry}/archived/{kind}:v1");
        let target = format!("{transport}:{}:{name}", archive.display());
        workshop.buildah(&["push", "--quiet", &local, &target])?;
        let loaded = spindrift(
            platform,
            &["image", "load", "--data-dir", &data, &archive.to_string_lossy()],
        )?;
        ensure!(loaded.contains(&format!("Loaded {name}")), "{loaded}");
        let listed = spindrift(platform, &["image", "list", "--data-dir", &data])?;
        ensure!(listed.contains(&name), "{listed}");
        let service = format!("from-{kind}");
        platform
            .kn(&["service", "create", &service, "--image", &name])?
            .ok()?;
        greets(platform, &format!("{service}.default.localhost"), kind)?;
        platform.kn(&["service", "delete", &service])?.ok()?;
        spindrift(platform, &["image", "remove", "--data-dir", &data, &name])?;
        let listed = spindrift(platform, &["image", "list", "--data-dir", &data])?;
        ensure!(!listed.contains(&name), "{listed}");
    }
    let missing = e2e::run(platform.program("spindrift").args([
        "image",
        "remove",
        "--data-dir",
        &data,
        &format!("{registry}/archived/oci:v1"),
    ]))?;
    ensure!(missing.code == 3, "{}", missing.text());
    Ok(())
}

fn spindrift(platform: &Platform, arguments: &[&str]) -> anyhow::Result<String> {
    e2e::run(platform.program("spindrift").args(arguments))?.ok()
}

fn greets(platform: &Platform, host: &str, whom: &str) -> anyhow::Result<()> {
    let answer = platform.curl(host, "/", &[])?.ok()?;
    ensure!(
        answer.trim() == format!("Hello {whom}!"),
        "{host} answered {answer}"
    );
    Ok(())
}

/// The image of a revision as its status names it.
fn resolved(platform: &Platform, revision: &str) -> anyhow::Result<String> {
    let object = platform.get(&["revision", revision])?;
    let digest = object["status"]["containerStatuses"][0]["imageDigest"].as_str();
    Ok(digest.context("no digest in the status")?.to_owned())
}

/// What a static holds is never dropped.
fn finish() -> anyhow::Result<()> {
    stop_shared()?;
    match WORKSHOP.get() {
        Some(Ok(workshop)) => workshop.remove(),
        _ => Ok(()),
    }
}

fn main() -> ExitCode {
    debug_assert!(NGINX.contains(DEBIAN) && PYTHON.contains(DEBIAN));
    suite(
        cases![NEEDS => [
            web_servers_from_debian_packages_answer_log_sleep_and_wake,
            an_index_resolves_to_its_own_digest_and_runs_what_fits_this_machine,
            a_moved_tag_reaches_the_next_revision_and_not_the_last,
            archives_are_loaded_listed_run_and_removed,
        ]],
        finish,
    )
}
