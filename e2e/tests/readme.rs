//! The commands of the READMEs, each run as it is written.

use std::process::ExitCode;

use anyhow::{Context, ensure};
use e2e::checkout::{self, Checkout};
use e2e::images::{Workshop, skopeo};
use e2e::readme::Shell;
use e2e::readme::Shows::{Echoes, Follows, Refused, Says};
use e2e::tools::Need;
use e2e::{busybox, cases, eventually, shared, stop_shared, suite, turn, workload};

const NEEDS: &[Need] = &[Need::Root, Need::Kubectl, Need::Curl];
const ECHO_NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Websocat,
    Need::Grpcurl,
];
const IMAGE_NEEDS: &[Need] = &[
    Need::Root,
    Need::Kubectl,
    Need::Curl,
    Need::Busybox,
    Need::Buildah,
    Need::Skopeo,
];

const README: &str = include_str!("../../README.md");

/// The part of the README below this heading.
fn section(heading: &str) -> anyhow::Result<&'static str> {
    let heading = format!("\n## {heading}\n");
    let (_, rest) = README.split_once(&heading).context("no such heading")?;
    Ok(rest.split("\n## ").next().unwrap_or(rest))
}

/// Services of one name come and go.
fn delete(names: &[&str]) -> anyhow::Result<()> {
    workload::delete(shared()?, names)
}

fn the_readme_shows_how_to_use_it() -> anyhow::Result<()> {
    let (shell, _turn) = (Shell::new(shared()?)?, turn());
    let (use_it, own_images) = section("Use")?
        .split_once("Your own images")
        .context("no images")?;
    shell.follow(
        use_it,
        &[
            ("export PATH", Says(&[])),
            ("export KUBECONFIG", Says(&[])),
            ("kn service create", Says(&["http://web.default.localhost"])),
            ("curl", Says(&["Hello blue!"])),
            ("kn service update", Says(&["web-00002"])),
            ("curl http://next-web", Says(&["Hello green!"])),
            ("kn service list; kn", Says(&["web-00002", "90%", "10%", "#next"])),
            (
                "kubectl get ksvc",
                Says(&[
                    "service.serving.knative.dev/web",
                    "revision.serving.knative.dev/web-00001",
                    "route.serving.knative.dev/web",
                    "pod/web-00002-deployment-",
                ]),
            ),
            ("kubectl get pods -w", Follows("web-00002-deployment-")),
            ("kubectl logs -f", Follows("Listening on port 8080")),
            ("kubectl apply", Says(&["service.serving.knative.dev/ab created"])),
            (
                "kubectl describe",
                Says(&["Kind:         Service", "Latest Ready Revision Name:"]),
            ),
            ("kn service delete", Says(&["web"])),
        ],
    )?;
    workload::gone(shared()?, "web")?;
    delete(&["ab"])?;
    ensure!(own_images.contains("buildah push"));
    Ok(())
}

fn the_readme_shows_how_to_bring_images() -> anyhow::Result<()> {
    let platform = shared()?;
    let (shell, _turn) = (Shell::new(platform)?, turn());
    let (_, own_images) = section("Use")?
        .split_once("Your own images")
        .context("no images")?;
    let archive = busybox::archive(shell.path(), "localhost:5000/my-image:v1")?;
    let reference = format!("{}/my-image:v1", platform.registry());
    let own = tempfile::tempdir()?;
    std::fs::rename(
        busybox::archive(own.path(), &reference)?,
        shell.path().join("my-image.tar"),
    )?;
    // The image as buildah would have it after a build, in a store of its own.
    let workshop = Workshop::new()?;
    let wrapper = format!(
        "buildah --root {0}/storage --runroot {0}/run --storage-driver overlay",
        workshop.path().display()
    );
    workshop.buildah(&[
        "pull",
        "--quiet",
        &format!("docker-archive:{}", archive.display()),
    ])?;
    workshop.buildah(&["tag", "localhost:5000/my-image:v1", "my-image"])?;
    let text = own_images.replace("    buildah push", &format!("    {wrapper} push"));
    shell.follow(
        &text,
        &[
            ("buildah", Says(&[])),
            ("skopeo copy", Says(&[])),
            ("spindrift image load", Says(&["Loaded", "kn service create"])),
        ],
    )?;
    platform
        .kn(&["service", "create", "mine", "--image", &reference])?
        .ok()?;
    ensure!(platform.curl("mine.default.localhost", "/", &["-f"])?.ok()? == "busybox");
    delete(&["mine"])
}

fn the_readme_shows_how_to_build() -> anyhow::Result<()> {
    let platform = shared()?;
    let (shell, _turn) = (Shell::new(platform)?, turn());
    // Somebody's app, and a repository of it at somebody's git host.
    let app = Checkout::within(platform, "web.git", shell.path())?;
    app.write_server()?;
    app.commit("v1")?;
    for (key, value) in [
        ("user.name", "Jane Doe"),
        ("user.email", "jane@example.com"),
        ("http.postBuffer", "67108864"),
    ] {
        app.git(&["config", key, value])?;
    }
    app.git(&["push", "-q", "-u", "origin", "main"])?;
    let text = section("Builds")?.replace("http://git.example.com/web.git", &app.url());
    let (create, push) = text.split_once("    git commit").context("no push")?;
    shell.follow(
        create,
        &[
            (
                "kn service create web2 --source",
                Says(&["Service 'web2' created to latest revision"]),
            ),
            (
                "kn service create web3 --git",
                Says(&["Service 'web3' created to latest revision", "http://push."]),
            ),
        ],
    )?;
    let described = shell.run("kn service describe web3")?.ok()?;
    let webhook = described
        .lines()
        .find_map(|line| line.trim().strip_prefix("Webhook:"));
    let secret = "kubectl get secret web3-webhook -o go-template='{{.data.secret | base64decode}}'";
    let secret = shell.run(secret)?.ok()?;
    app.hook(webhook.context("no webhook")?.trim(), secret.trim())?;
    app.write("index.html", "v2")?;
    let (push, look) = push.split_once("    kn build list").context("no list")?;
    shell.follow(
        &format!("    git commit{push}"),
        &[("git commit -am v2 && git push", Says(&["spindrift: {"]))],
    )?;
    eventually("web3 to say v2", || {
        let page = platform.curl("web3.default.localhost", "/", &["-f"])?.ok()?;
        ensure!(page == "v2", "it says {page}");
        Ok(())
    })?;
    shell.follow(
        &format!("    kn build list{look}"),
        &[(
            "kn build list; kn build logs -f web3; kn service describe web3",
            Says(&[
                "Succeeded",
                "Jane Doe",
                "[build : push] Pushed ",
                "web3@sha256:",
                "Completed",
            ]),
        )],
    )?;
    delete(&["web2", "web3"])
}

fn hello_does_what_its_readme_says() -> anyhow::Result<()> {
    let (shell, _turn) = (Shell::new(shared()?)?, turn());
    shell.follow(
        include_str!("../../examples/hello/README.md"),
        &[
            ("kubectl apply", Says(&["hello created"])),
            ("curl", Says(&["Hello World!"])),
            ("kn service update", Says(&["hello-00002"])),
            ("kn revision list", Says(&["hello-00001", "hello-00002"])),
        ],
    )?;
    let answer = shell.run("curl http://hello.default.localhost:8080/")?.ok()?;
    ensure!(answer == "Hello Spindrift!\n", "{answer}");
    delete(&["hello"])
}

fn ab_does_what_its_readme_says() -> anyhow::Result<()> {
    let (shell, _turn) = (Shell::new(shared()?)?, turn());
    shell.follow(
        include_str!("../../examples/ab/README.md"),
        &[
            ("kubectl apply", Says(&["ab created"])),
            ("kn service update", Says(&["ab-00002"])),
            // One of twenty is enough: that all of them go to the new one has a chance of 1 to 10^20.
            ("for i in", Says(&["<p>blue · ab-00001"])),
            ("curl http://next-ab", Says(&["green", "ab-00002"])),
            ("kn service update", Says(&["ab"])),
        ],
    )?;
    let all = shell
        .run("for i in $(seq 20); do curl -s http://ab.default.localhost:8080/ | grep -o '<p>.*ab-0000.'; done | sort | uniq -c")?
        .ok()?;
    ensure!(all.trim() == "20 <p>green · ab-00002", "{all}");
    delete(&["ab"])
}

fn autoscale_does_what_its_readme_says() -> anyhow::Result<()> {
    let (shell, _turn) = (Shell::new(shared()?)?, turn());
    shell.follow(
        include_str!("../../examples/autoscale/README.md"),
        &[
            ("kubectl apply", Says(&["autoscale created"])),
            ("for i in", Says(&["autoscale-00001-deployment-"])),
            ("kubectl get pods -w", Follows("autoscale-00001-deployment-")),
        ],
    )?;
    delete(&["autoscale"])
}

fn echo_does_what_its_readme_says() -> anyhow::Result<()> {
    let (shell, _turn) = (Shell::new(shared()?)?, turn());
    shell.follow(
        include_str!("../../examples/echo/README.md"),
        &[
            ("kubectl apply", Says(&["echo created"])),
            ("curl --data", Says(&["a body"])),
            ("curl --no-buffer", Follows("id: 3")),
            ("websocat", Echoes("over a socket")),
            ("kubectl apply", Says(&["grpc created"])),
            ("grpcurl", Says(&["\"text\": \"hi\""])),
        ],
    )?;
    delete(&["echo", "grpc"])
}

/// A first session with an image of one's own: `web:v1` shows `$COLOR`.
const SESSION: &str = "
    kn service create web --image localhost:5000/web:v1 --env COLOR=blue
    curl http://web.default.localhost:8080/
    kn service update web --env COLOR=green --traffic web-00001=90 --traffic @latest=10 --tag @latest=next
    curl http://next-web.default.localhost:8080/
    kn service list; kn service describe web; kn revision list; kn route list
    kubectl apply -f service.yaml
    kubectl apply --server-side --force-conflicts -f service.yaml
    kubectl apply --server-side -f service.yaml
    kubectl get ksvc,revisions,routes,pods
    kubectl get ksvc,revisions,routes,pods -w
    kubectl get ksvc -w
    kubectl describe ksvc web
    kubectl logs -f deploy/web-00002-deployment -c user-container
    kn service delete web
";

fn a_session_with_an_image_of_ones_own() -> anyhow::Result<()> {
    let platform = shared()?;
    let (shell, _turn) = (Shell::new(platform)?, turn());
    let registry = platform.registry();
    skopeo(&[
        "copy",
        "--quiet",
        "--src-tls-verify=false",
        "--dest-tls-verify=false",
        &format!("docker://{registry}/ab"),
        &format!("docker://{registry}/web:v1"),
    ])?;
    let other = std::fs::read_to_string(shell.path().join("examples/ab/service.yaml"))?;
    std::fs::write(
        shell.path().join("service.yaml"),
        other.replace("name: ab", "name: applied"),
    )?;
    shell.follow(
        SESSION,
        &[
            (
                "kn service create",
                Says(&[
                    "Service 'web' created to latest revision 'web-00001'",
                    "http://web.default.localhost",
                ]),
            ),
            ("curl", Says(&["blue", "web-00001"])),
            (
                "kn service update",
                Says(&["Service 'web' updated to latest revision 'web-00002'"]),
            ),
            ("curl http://next-web", Says(&["green", "web-00002"])),
            (
                "kn service list; kn",
                Says(&["web-00002", "90%", "10%", "#next", "http://web.default.localhost"]),
            ),
            (
                "kubectl apply",
                Says(&["service.serving.knative.dev/applied created"]),
            ),
            (
                "kubectl apply",
                Says(&["service.serving.knative.dev/applied serverside-applied"]),
            ),
            (
                "kubectl apply",
                Says(&["service.serving.knative.dev/applied serverside-applied"]),
            ),
            (
                "kubectl get",
                Says(&[
                    "service.serving.knative.dev/web",
                    "revision.serving.knative.dev/web-00001",
                    "route.serving.knative.dev/applied",
                    "pod/",
                ]),
            ),
            // Several kinds at once are more than kubectl itself can watch.
            (
                "kubectl get",
                Refused("you may only specify a single resource type"),
            ),
            ("kubectl get ksvc -w", Follows("web-00002")),
            (
                "kubectl describe",
                Says(&["Name:         web", "Latest Ready Revision Name:    web-00002"]),
            ),
            ("kubectl logs -f", Follows("Listening on port 8080")),
            (
                "kn service delete",
                Says(&["Service 'web' successfully deleted in namespace 'default'."]),
            ),
        ],
    )?;
    workload::gone(platform, "web")?;
    delete(&["applied"])
}

fn main() -> ExitCode {
    suite(
        cases![
            NEEDS => [the_readme_shows_how_to_use_it, hello_does_what_its_readme_says, ab_does_what_its_readme_says, autoscale_does_what_its_readme_says],
            IMAGE_NEEDS => [the_readme_shows_how_to_bring_images, a_session_with_an_image_of_ones_own],
            checkout::NEEDS => [the_readme_shows_how_to_build],
            ECHO_NEEDS => [echo_does_what_its_readme_says],
        ],
        stop_shared,
    )
}
