//! A person's first minutes with builds: what `kn` prints is what the next command is made of.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, ensure};
use e2e::checkout::{Checkout, DOCKERFILE, NEEDS, write_server};
use e2e::readme::Shell;
use e2e::{Output, Platform, cases, eventually, shared, stop_shared, suite};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Fails, and says why.
const BROKEN: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
                      RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo there is no such library; exit 7\"]\n";
/// Takes longer than anybody waits.
const SLOW: &str = "FROM scratch\nCOPY busybox /bin/busybox\n\
                    RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo a slow step; /bin/busybox sleep 600\"]\n";

/// That a program said all of these, on either stream.
fn says(output: &Output, parts: &[&str]) -> anyhow::Result<()> {
    for part in parts {
        ensure!(
            output.stdout.contains(part) || output.stderr.contains(part),
            "no {part:?}: {}",
            output.text()
        );
    }
    Ok(())
}

/// As [`says`], by a program that succeeded.
fn fine(output: Output, parts: &[&str]) -> anyhow::Result<Output> {
    ensure!(output.code == 0, "{}", output.text());
    says(&output, parts)?;
    Ok(output)
}

fn answers(platform: &Platform, service: &str, page: &str) -> anyhow::Result<()> {
    eventually(&format!("{service} to say {page}"), || {
        let host = format!("{service}.default.localhost");
        let found = platform.curl(&host, "/", &["-f"])?.ok()?;
        ensure!(found.trim() == page, "it says {found}");
        Ok(())
    })
}

/// Gives the repository's hook the address and the secret that `kn` has printed, as a reader would.
fn connect(shell: &Shell, checkout: &Checkout, told: &Output) -> anyhow::Result<()> {
    let mut lines = told.stderr.lines().map(str::trim);
    let url = lines.find(|line| line.starts_with("http://push."));
    let url = url.with_context(|| format!("no webhook: {}", told.text()))?;
    let command = lines.find(|line| line.starts_with("kubectl get secret "));
    let secret = shell.run(command.context("no secret")?)?.ok()?;
    ensure!(secret.trim().len() == 64, "{secret}");
    checkout.hook(url, secret.trim())
}

fn a_service_is_built_from_git_and_again_with_each_push() -> anyhow::Result<()> {
    let platform = shared()?;
    let shell = Shell::new(platform)?;
    let checkout = Checkout::start(platform, "web")?;
    checkout.write_server()?;
    let first = checkout.commit("v1")?;
    checkout.push("main")?;
    let url = checkout.url();
    let line = ["service", "create", "web", "--git", &url, "--branch", "main"];
    let created = fine(
        platform.kn(&line)?,
        &[
            &format!("Building service 'web' in namespace 'default' from {url}:"),
            "[build : clone] ",
            "[build : build] ",
            "Service 'web' created to latest revision 'web-00001' is available at URL:\nhttp://web.default.localhost",
        ],
    )?;
    answers(platform, "web", "v1")?;
    connect(&shell, &checkout, &created)?;

    let commit = checkout.commit("v2")?;
    says_run(&checkout.push("main")?)?;
    answers(platform, "web", "v2")?;

    // The end of `--follow` is the end of the build.
    let log = fine(
        platform.kn(&["build", "logs", "-f", "web"])?,
        &["[build : clone] "],
    )?;
    ensure!(log.stdout.contains("[build : build] "), "{}", log.text());
    let list = platform.kn(&["build", "list", "--service", "web"])?;
    let list = fine(list, &["COMMIT", "MESSAGE"])?;
    let rows: Vec<&str> = list.stdout.lines().skip(1).collect();
    for part in ["web", &commit[..7], "main", "Succeeded", "Say v2"] {
        ensure!(
            rows.len() == 2 && rows[0].contains(part),
            "{part}: {}",
            list.text()
        );
    }
    // What was there before the webhook was found, not told.
    ensure!(rows[1].contains(&first[..7]), "{}", list.text());
    let digest = format!("{}/default/web@sha256:", platform.registry());
    fine(
        platform.kn(&["build", "describe", "web"])?,
        &[&commit, "Jane Doe", "Say v2", &digest, "web-00002", "Completed"],
    )?;
    let described = fine(
        platform.kn(&["service", "describe", "web"])?,
        &[
            &commit,
            "Jane Doe",
            &digest,
            "http://push.",
            "@latest (web-00002)",
        ],
    )?;
    for step in ["clone", "build"] {
        let line = described
            .stdout
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.get(..2) == Some(&["build", step]));
        let line = line.with_context(|| format!("no step {step}: {}", described.text()))?;
        ensure!(
            line[2].starts_with(|first: char| first.is_ascii_digit()) && line[3] == "Completed",
            "{line:?}"
        );
    }
    a_failing_build_is_told(platform, &checkout)?;
    platform.kn(&["service", "delete", "web"])?.ok().map(drop)
}

/// The answer of the receiver, which the hook prints.
fn says_run(said: &str) -> anyhow::Result<()> {
    ensure!(
        said.contains("spindrift: {") && said.contains("\"run\":\"web-"),
        "{said}"
    );
    Ok(())
}

fn a_failing_build_is_told(platform: &Platform, checkout: &Checkout) -> anyhow::Result<()> {
    checkout.write("Dockerfile", BROKEN)?;
    checkout.commit("v3")?;
    says_run(&checkout.push("main")?)?;
    eventually("the build of v3", || {
        let list = platform.kn(&["build", "list"])?.ok()?;
        ensure!(list.contains("Say v3"), "{list}");
        Ok(())
    })?;
    let log = platform.kn(&["build", "logs", "--follow", "web"])?;
    ensure!(log.code == 1, "{}", log.text());
    says(
        &log,
        &["there is no such library", "Failed", "kn build describe web-"],
    )?;
    let again = platform.kn(&["build", "rerun", "web", "--follow"])?;
    ensure!(again.code == 1, "{}", again.text());
    says(
        &again,
        &[
            "Build started: web-",
            "Step 'build' of task 'build' ended with exit code ",
            "Its last lines:\n",
            "there is no such library",
            "kn build describe web-",
            "what runs is left as it is",
        ],
    )?;
    ensure!(!again.text().contains("panicked"), "{}", again.text());
    fine(
        platform.kn(&["build", "describe", "web"])?,
        &["Failed", "there is no such library"],
    )?;
    eventually("the failure to be told", || {
        fine(
            platform.kn(&["service", "describe", "web"])?,
            &["Last Build:", "failed", "Last Failure:"],
        )
    })?;
    answers(platform, "web", "v2")
}

fn a_service_is_built_from_a_folder() -> anyhow::Result<()> {
    let platform = shared()?;
    let folder = tempfile::tempdir()?;
    write_server(folder.path())?;
    let page = |text: &str| std::fs::write(folder.path().join("index.html"), text);
    page("one")?;
    let source = folder.path().to_string_lossy().into_owned();
    let created = fine(
        platform.kn(&["service", "create", "local", "--source", &source])?,
        &[
            "Uploading ",
            "Service 'local' created to latest revision 'local-00001'",
        ],
    )?;
    // There is no git host whose webhook could be set up.
    ensure!(!created.text().contains("webhook"), "{}", created.text());
    answers(platform, "local", "one")?;
    let update = ["service", "update", "local", "--source", &source];
    fine(
        platform.kn(&update)?,
        &["Nothing has changed in ", "kn build rerun local"],
    )?;
    page("two")?;
    fine(
        platform.kn(&update)?,
        &["Service 'local' updated to latest revision 'local-00002'"],
    )?;
    answers(platform, "local", "two")?;

    // From a folder to a repository.
    let checkout = Checkout::start(platform, "local")?;
    checkout.write_server()?;
    checkout.commit("three")?;
    checkout.push("main")?;
    let updated = fine(
        platform.kn(&["service", "update", "local", "--git", &checkout.url()])?,
        &["Service 'local' updated to latest revision 'local-00003'"],
    )?;
    answers(platform, "local", "three")?;
    connect(&Shell::new(platform)?, &checkout, &updated)?;
    checkout.commit("four")?;
    checkout.push("main")?;
    answers(platform, "local", "four")?;
    platform.kn(&["service", "delete", "local"])?.ok().map(drop)
}

fn a_first_build_that_fails_is_mended() -> anyhow::Result<()> {
    let platform = shared()?;
    let folder = tempfile::tempdir()?;
    write_server(folder.path())?;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text);
    write("Dockerfile", BROKEN)?;
    write("index.html", "mended")?;
    let source = folder.path().to_string_lossy().into_owned();
    let failed = platform.kn(&["service", "create", "first", "--source", &source])?;
    ensure!(failed.code == 1, "{}", failed.text());
    says(
        &failed,
        &[
            "Its last lines:\n",
            "there is no such library",
            "kn build describe first-",
            &format!("kn service update first --source {source}"),
        ],
    )?;
    write("Dockerfile", DOCKERFILE)?;
    fine(
        platform.kn(&["service", "update", "first", "--source", &source])?,
        &["to latest revision 'first-00001'"],
    )?;
    answers(platform, "first", "mended")?;
    platform.kn(&["service", "delete", "first"])?.ok().map(drop)
}

/// A signal for a command once it has said `words`; what it said, and its exit code.
fn ended_by(signal: Signal, mut command: Command, words: &str) -> anyhow::Result<(String, Option<i32>)> {
    let said = tempfile::NamedTempFile::new()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(said.reopen()?)
        .stderr(said.reopen()?)
        .spawn()?;
    let read = || std::fs::read_to_string(said.path());
    let begun = eventually("the command to wait", || {
        let text = read()?;
        ensure!(text.contains(words), "{text}");
        Ok(())
    });
    kill(Pid::from_raw(i32::try_from(child.id())?), signal)?;
    let status = child.wait()?;
    begun?;
    Ok((read()?, status.code()))
}

fn what_is_interrupted_goes_on() -> anyhow::Result<()> {
    let platform = shared()?;
    let folder = tempfile::tempdir()?;
    write_server(folder.path())?;
    std::fs::write(folder.path().join("Dockerfile"), SLOW)?;
    let mut create = platform.program("kn");
    create
        .args(["service", "create", "slow", "--source"])
        .arg(folder.path() as &Path);
    let (said, code) = ended_by(Signal::SIGINT, create, "a slow step")?;
    ensure!(
        code == Some(130) && said.contains("interrupted") && said.contains("the build goes on"),
        "{code:?}: {said}"
    );
    // The commands that it names.
    let command = |verb: &str| {
        let (_, rest) = said.split_once(&format!("`kn build {verb} "))?;
        let (line, _) = rest.split_once('`')?;
        Some(line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    };
    let arguments = command("logs").context("no `kn build logs`")?;
    let mut logs = platform.program("kn");
    logs.args(["build", "logs"]).args(&arguments);
    // It leaves signals as they are, and tests in the background ignore Ctrl-C.
    let (log, _) = ended_by(Signal::SIGTERM, logs, "a slow step")?;
    ensure!(!log.contains("Error"), "{log}");
    let arguments = command("cancel").context("no `kn build cancel`")?;
    let mut line = vec!["build", "cancel"];
    line.extend(arguments.iter().map(String::as_str));
    fine(platform.kn(&line)?, &["PipelineRun cancelled: slow-"])?;
    eventually("the build to be over", || {
        let list = platform.kn(&["build", "list", "--service", "slow"])?.ok()?;
        ensure!(list.contains("Cancelled"), "{list}");
        Ok(())
    })?;
    platform
        .kubectl(&["delete", "repository", "slow"])?
        .ok()
        .map(drop)
}

fn main() -> ExitCode {
    suite(
        cases![
            NEEDS => [
                a_service_is_built_from_git_and_again_with_each_push,
                a_service_is_built_from_a_folder,
                a_first_build_that_fails_is_mended,
                what_is_interrupted_goes_on,
            ],
        ],
        stop_shared,
    )
}
