//! From `git push` to a new revision: real git, the hook of `examples/git`, or GitHub's webhook and the events of
//! `examples/rebuild`, a build in a pod, and curl.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use e2e::checkout::{Checkout, DOCKERFILE, NEEDS};
use e2e::git::git;
use e2e::tools::Need;
use e2e::{Platform, cases, eventually, run, shared, stop_shared, suite};
use serde_json::{Value, json};

#[path = "push/rebuild.rs"]
mod rebuild;
use rebuild::a_push_as_an_event_becomes_a_revision;

/// A clone with a server of one page, and the Repository that builds what is pushed.
struct Home {
    platform: &'static Platform,
    checkout: Checkout,
    /// The Repository, and the Service.
    name: &'static str,
}

impl Home {
    fn start(name: &'static str) -> anyhow::Result<Self> {
        let platform = shared()?;
        let checkout = Checkout::start(platform, name)?;
        checkout.write_server()?;
        Ok(Self {
            platform,
            checkout,
            name,
        })
    }

    /// Pushes; the answer of the receiver, which the hook prints.
    fn push(&self, refspec: &str) -> anyhow::Result<Value> {
        let said = self.checkout.push(refspec)?;
        let answer = said.lines().find_map(|line| line.split_once("spindrift: "));
        let (_, answer) = answer.with_context(|| format!("the hook says nothing: {said}"))?;
        serde_json::from_str(answer.trim()).with_context(|| answer.to_owned())
    }

    /// Makes the Repository, and gives the bare repository the hook, the address and the secret.
    fn connect(&self) -> anyhow::Result<()> {
        let name = self.name;
        let secret = format!("{name}-webhook");
        self.platform
            .apply(
                &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": {"secret": "hush"}})
                    .to_string(),
                &[],
            )?
            .ok()?;
        let repository = json!({
            "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": name},
            "spec": {
                "url": self.checkout.url(), "previews": true,
                "webhook": {"secretRef": {"name": secret, "key": "secret"}},
            },
        });
        self.platform.apply(&repository.to_string(), &[])?.ok()?;
        let url = eventually("the address of the Repository", || {
            let repository = self.repository()?;
            let url = repository["status"]["address"]["url"].as_str();
            Ok(url.context("no address")?.to_owned())
        })?;
        self.checkout.hook(&url, "hush")
    }

    fn repository(&self) -> anyhow::Result<Value> {
        self.platform.get(&["repository", self.name])
    }

    fn service(&self) -> anyhow::Result<Value> {
        self.platform.get(&["ksvc", self.name])
    }

    /// How the last build went, as the Service tells.
    fn last_build(&self) -> anyhow::Result<Value> {
        let service = self.service()?;
        let told = service["metadata"]["annotations"]["spindrift.dev/last-build"].as_str();
        Ok(serde_json::from_str(told.context("nothing is told")?)?)
    }

    fn runs(&self) -> anyhow::Result<Vec<Value>> {
        let label = format!("spindrift.dev/repository={}", self.name);
        let list = self.platform.get(&["pipelinerun", "-l", &label])?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// What the Service answers under a host of its own, or that of a tag.
    fn page(&self, tag: &str) -> anyhow::Result<String> {
        let host = format!("{tag}{}.default.localhost", self.name);
        Ok(self.platform.curl(&host, "/", &["-f"])?.ok()?.trim().to_owned())
    }

    fn answers(&self, tag: &str, page: &str) -> anyhow::Result<()> {
        eventually(&format!("{tag}{} to say {page}", self.name), || {
            let found = self.page(tag).with_context(|| self.told())?;
            ensure!(found == page, "it says {found}: {}", self.told());
            Ok(())
        })
    }

    /// What there is to know about builds, for those who read why a test failed.
    fn told(&self) -> String {
        let conditions =
            |run: &Value| format!("{}: {}", run["metadata"]["name"], run["status"]["conditions"]);
        let runs: Vec<String> = self.runs().unwrap_or_default().iter().map(conditions).collect();
        let status = self.repository().unwrap_or_default()["status"].clone();
        format!("{status} {}", runs.join(", "))
    }
}

fn a_push_becomes_a_revision() -> anyhow::Result<()> {
    let home = Home::start("pushed")?;
    // What is there when the Repository is made is built as it is.
    home.checkout.commit("one")?;
    home.checkout.git(&["push", "-q", "origin", "main"])?;
    home.connect()?;
    home.answers("", "one")?;

    let commit = home.checkout.commit("two")?;
    let answer = home.push("main")?;
    let run_name = answer["run"].as_str().context("no run")?.to_owned();
    home.answers("", "two")?;
    let template = &home.service()?["spec"]["template"];
    let marks = &template["metadata"]["annotations"];
    ensure!(
        marks["spindrift.dev/commit"] == commit.as_str()
            && marks["spindrift.dev/ref"] == "refs/heads/main"
            && marks["spindrift.dev/build"] == run_name.as_str(),
        "{marks}"
    );
    let image = template["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap_or_default();
    ensure!(image.contains("/default/pushed@sha256:"), "{image}");
    eventually("the build to be told", || {
        let told = home.last_build()?;
        ensure!(
            told["state"] == "succeeded" && told["commit"] == commit.as_str(),
            "{told}"
        );
        Ok(())
    })?;
    let run_object = home.platform.get(&["pipelinerun", &run_name])?;
    let marks = &run_object["metadata"]["annotations"];
    ensure!(
        marks["spindrift.dev/author"] == "Jane Doe" && marks["spindrift.dev/message"] == "Say two",
        "{marks}"
    );

    // The hook once more, as if the answer had got lost: the same run, and no other.
    let before = home.runs()?.len();
    let parent = home.checkout.git(&["rev-parse", "HEAD~1"])?;
    let again = run(Command::new("sh")
        .current_dir(home.checkout.bare())
        .args(["-c", "echo \"$0 $1 refs/heads/main\" | hooks/post-receive"])
        .args([parent.trim(), &commit]))?
    .ok()?;
    ensure!(again.contains(&run_name), "{again}");
    ensure!(home.runs()?.len() == before, "{}", home.told());

    // Without the secret nothing is built.
    let url = git(home.checkout.bare(), &["config", "spindrift.url"])?;
    let forged = run(Command::new("curl")
        .args([
            "-sS",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--data-binary",
            "push",
        ])
        .args([
            "-H",
            "X-Spindrift-Event: push",
            "-H",
            &format!("X-Hub-Signature-256: sha256={}", "0".repeat(64)),
            url.trim(),
        ]))?
    .ok()?;
    ensure!(forged == "401", "{forged}");

    newest_wins(&home)?;
    a_failed_build_leaves_what_runs(&home)?;
    another_branch_has_its_own_url(&home)?;
    home.platform.kubectl(&["delete", "ksvc", home.name])?.ok()?;
    eventually("the Repository to go with its Service", || {
        let left = home.platform.kubectl(&["get", "repository", home.name])?;
        ensure!(left.code != 0, "it is still there");
        Ok(())
    })
}

fn newest_wins(home: &Home) -> anyhow::Result<()> {
    home.checkout.commit("three")?;
    let older = home.push("main")?;
    let commit = home.checkout.commit("four")?;
    let newer = home.push("main")?;
    home.answers("", "four")?;
    let older = older["run"].as_str().context("no run")?;
    let end = eventually("the end of the older build", || {
        let condition = home.platform.get(&["pipelinerun", older])?["status"]["conditions"][0].clone();
        ensure!(
            condition["status"] != "Unknown" && !condition.is_null(),
            "{condition}"
        );
        Ok(condition)
    })?;
    ensure!(end["status"] == "False", "{end}");
    eventually("the newer build to be noted", || {
        let deployed = home.repository()?["status"]["deployed"].clone();
        ensure!(
            deployed["run"] == newer["run"] && deployed["commit"] == commit.as_str(),
            "{deployed}"
        );
        Ok(())
    })
}

fn a_failed_build_leaves_what_runs(home: &Home) -> anyhow::Result<()> {
    home.checkout
        .write("Dockerfile", "FROM scratch\nCOPY nothing-of-that-name /\n")?;
    home.checkout.commit("broken")?;
    let run_name = home.push("main")?["run"].clone();
    let told = eventually("the failure to be told", || {
        let told = home.last_build()?;
        ensure!(told["state"] == "failed" && told["run"] == run_name, "{told}");
        Ok(told)
    })?;
    ensure!(
        told["message"]
            .as_str()
            .is_some_and(|message| !message.is_empty()),
        "{told}"
    );
    ensure!(home.page("")? == "four", "{}", home.told());
    home.checkout.write("Dockerfile", DOCKERFILE)
}

fn another_branch_has_its_own_url(home: &Home) -> anyhow::Result<()> {
    home.checkout.commit("five")?;
    home.push("HEAD:refs/heads/feature")?;
    home.answers("feature-", "five")?;
    ensure!(
        home.page("")? == "four",
        "the preview took the requests: {}",
        home.told()
    );
    home.push(":refs/heads/feature")?;
    eventually("the tag to go", || {
        let traffic = home.service()?["spec"]["traffic"].clone();
        let tagged = traffic
            .as_array()
            .is_some_and(|all| all.iter().any(|target| target["tag"] == "feature"));
        ensure!(!tagged, "{traffic}");
        Ok(())
    })?;
    home.push("HEAD:main")?;
    home.answers("", "five")
}

fn the_examples_are_accepted() -> anyhow::Result<()> {
    let platform = shared()?;
    for file in ["git/repository.yaml", "rebuild/rebuild.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../examples")
            .join(file);
        let path = path.to_string_lossy().into_owned();
        platform
            .kubectl(&["apply", "--dry-run=server", "-f", &path])?
            .ok()?;
    }
    let wrong = json!({
        "apiVersion": "spindrift.dev/v1alpha1", "kind": "Repository", "metadata": {"name": "wrong"},
        "spec": {"url": "--upload-pack=touch /tmp/x"},
    });
    let refused = platform.apply(&wrong.to_string(), &[])?;
    ensure!(
        refused.code != 0 && refused.text().contains("spec.url"),
        "{}",
        refused.text()
    );
    Ok(())
}

fn main() -> ExitCode {
    let cases = cases![
        NEEDS => [a_push_becomes_a_revision, a_push_as_an_event_becomes_a_revision],
        &[Need::Root, Need::Kubectl] => [the_examples_are_accepted],
    ];
    suite(cases, stop_shared)
}
