//! The program itself, as a container would run it, in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use entrypoint::log_results;
use entrypoint::message::{Kind, Record, decode};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a busy machine, and far less than anything that hangs.
const LIMIT: Duration = Duration::from_secs(30);

struct Pod {
    folder: tempfile::TempDir,
}

impl Pod {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("results")).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The program with the flags of every step, then `flags`, where `@` stands for the folder.
    fn command(&self, flags: &str, script: &str) -> Command {
        let folder = self.folder.path().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_entrypoint"));
        let common = "-post_file @/out -termination_path @/termination -step_metadata_dir @/status -results_dir @/results \
                      -steps_dir @/steps";
        command
            .args(
                common
                    .split_whitespace()
                    .chain(flags.split_whitespace())
                    .map(|word| word.replace('@', folder)),
            )
            .args(["-entrypoint", "sh", "--", "-c", script])
            .env("DIR", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, flags: &str, script: &str) -> Output {
        self.command(flags, script).output().unwrap()
    }

    fn start(&self, flags: &str, script: &str) -> Child {
        self.command(flags, script).spawn().unwrap()
    }

    fn records(&self) -> Vec<Record> {
        decode(&fs::read_to_string(self.path("termination")).unwrap()).unwrap()
    }

    fn record(&self, key: &str) -> Option<String> {
        self.records()
            .into_iter()
            .find(|record| record.key == key)
            .map(|record| record.value)
    }

    fn wait_for(&self, name: &str) {
        let deadline = Instant::now() + LIMIT;
        while !self.has(name) {
            assert!(Instant::now() < deadline, "{name} does not come");
            std::thread::yield_now();
        }
    }
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap())
}

#[test]
fn success_leaves_post_file_exit_code_results_and_time() {
    let pod = Pod::new();
    let output = pod.run(
        "-results digest,absent",
        "printf 'sha256:1\\n' > $DIR/results/digest; echo said",
    );
    assert_eq!(
        (code(&output), output.stdout.as_slice()),
        (0, b"said\n".as_slice())
    );
    assert!(pod.has("out") && !pod.has("out.err"));
    assert_eq!(fs::read_to_string(pod.path("status/exitCode")).unwrap(), "0");
    let records = pod.records();
    assert_eq!(records.len(), 2, "{records:?}");
    assert_eq!(records[1], Record::new(Kind::TaskResult, "digest", "sha256:1\n"));
    let time = &records[0].value;
    assert!(
        time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z'),
        "{time}"
    );
}

#[test]
fn artifacts_are_told_and_given_to_later_steps_if_they_are_on() {
    let made = r#"{"outputs":[{"name":"image","values":[{"uri":"pkg:oci/web"}]}]}"#;
    let write = format!("mkdir -p $DIR/artifacts; echo '{made}' | tee $DIR/artifacts/provenance.json");
    let flags = "-artifacts -artifacts_dir @/artifacts";
    let pod = Pod::new();
    fs::create_dir(pod.path("steps")).unwrap();
    std::os::unix::fs::symlink(pod.path("status"), pod.path("steps/step-one")).unwrap();
    let first = format!("{write} > $DIR/status/artifacts/provenance.json");
    assert_eq!(code(&pod.run(flags, &first)), 0);
    let of = |kind: Kind| {
        let mut all = pod.records().into_iter();
        all.find(|record| record.kind == kind).map(|record| record.value)
    };
    let told = Some(format!("{made}\n"));
    assert_eq!(
        (of(Kind::StepArtifacts), of(Kind::TaskArtifacts)),
        (told.clone(), told)
    );

    let ask = "printf %s '$(steps.one.outputs.image)'";
    let output = pod.run(flags, ask);
    assert_eq!(output.stdout, br#"[{"uri":"pkg:oci/web"}]"#);
    assert_eq!(code(&pod.run(flags, "echo $(steps.one.outputs.other)")), 1);
    // Without the flag it is the shell's affair, and nothing is told.
    let output = pod.run("-artifacts_dir @/artifacts", ask);
    assert_eq!(output.stdout, b"$(steps.one.outputs.image)");
    assert_eq!((of(Kind::StepArtifacts), of(Kind::TaskArtifacts)), (None, None));
}

#[test]
fn failure_keeps_its_code_and_its_results() {
    let pod = Pod::new();
    let output = pod.run("-results r", "echo -n half > $DIR/results/r; exit 7");
    assert_eq!(code(&output), 7);
    assert!(!pod.has("out") && pod.has("out.err") && !pod.has("status/exitCode"));
    assert_eq!(pod.record("r").as_deref(), Some("half"));
}

#[test]
fn a_failure_that_is_let_pass_is_told() {
    let pod = Pod::new();
    let output = pod.run("-on_error continue", "exit 7");
    assert_eq!(code(&output), 0);
    assert!(pod.has("out"));
    assert_eq!(fs::read_to_string(pod.path("status/exitCode")).unwrap(), "7");
    assert_eq!(pod.record("ExitCode").as_deref(), Some("7"));
}

#[test]
fn death_by_signal_is_told_as_a_shell_tells_it() {
    let pod = Pod::new();
    assert_eq!(code(&pod.run("", "kill -9 $$")), 137);
    assert!(pod.has("out.err"));
}

#[test]
fn a_program_that_is_not_there_fails_the_step() {
    let pod = Pod::new();
    let output = pod.command("", "").env("PATH", "/nowhere").output().unwrap();
    assert_eq!(code(&output), 1);
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("Error executing command: sh"), "{log}");
    assert!(pod.has("out.err"));
}

#[test]
fn the_time_limit_ends_every_process_of_the_step() {
    let pod = Pod::new();
    let began = Instant::now();
    // The processes hold the output: it ends with the last of them.
    let output = pod.run("-timeout 200ms", "sleep 60 & sleep 60");
    assert!(began.elapsed() < LIMIT);
    assert_eq!(code(&output), 1);
    assert!(pod.has("out.err"));
    assert_eq!(pod.record("Reason").as_deref(), Some("TimeoutExceeded"));
}

#[test]
fn a_step_waits_for_the_file_and_only_then_begins() {
    for flags in ["", "-wait_file_content"] {
        let pod = Pod::new();
        let child = pod.start(&format!("-wait_file @/turn {flags}"), "cat $DIR/turn");
        fs::write(pod.path("other"), "not yet").unwrap();
        // By a rename, as files of volumes come.
        fs::write(pod.path("aside"), "go").unwrap();
        assert!(!pod.has("termination"));
        fs::rename(pod.path("aside"), pod.path("turn")).unwrap();
        assert_eq!(child.wait_with_output().unwrap().stdout, b"go");
    }
}

#[test]
fn an_empty_file_is_not_enough_if_content_is_asked_for() {
    let pod = Pod::new();
    fs::write(pod.path("ready"), "").unwrap();
    let mut child = pod.start("-wait_file @/ready -wait_file_content", "true");
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none());
    fs::write(pod.path("ready"), "READY").unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_link_whose_target_is_exchanged_is_noticed() {
    use std::os::unix::fs::symlink;
    let pod = Pod::new();
    for (version, text) in [("..1", ""), ("..2", "READY")] {
        fs::create_dir(pod.path(version)).unwrap();
        fs::write(pod.path(version).join("ready"), text).unwrap();
    }
    symlink("..1", pod.path("..data")).unwrap();
    symlink("..data/ready", pod.path("ready")).unwrap();
    let mut child = pod.start("-wait_file @/ready -wait_file_content", "true");
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none());
    symlink("..2", pod.path("..new")).unwrap();
    fs::rename(pod.path("..new"), pod.path("..data")).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_hand_over_takes_no_polling_interval() {
    let pod = Pod::new();
    let started = || pod.start("-wait_file @/turn", "true");
    let mut times = Vec::new();
    for _ in 0..5 {
        let mut child = started();
        // It waits by now, or sees the file at once: both must be quick.
        std::thread::sleep(Duration::from_millis(30));
        let began = Instant::now();
        fs::write(pod.path("turn"), "").unwrap();
        assert!(child.wait().unwrap().success());
        times.push(began.elapsed());
        fs::remove_file(pod.path("turn")).unwrap();
    }
    let best = times.iter().min().unwrap();
    assert!(*best < Duration::from_millis(500), "{times:?}");
}

#[test]
fn failure_cascades() {
    let pod = Pod::new();
    fs::write(pod.path("turn.err"), "").unwrap();
    let output = pod.run("-wait_file @/turn -results r", "touch $DIR/ran");
    assert_eq!(code(&output), 1);
    assert!(!pod.has("ran") && !pod.has("out") && pod.has("out.err"));
    assert_eq!(pod.record("Reason").as_deref(), Some("Skipped"));
}

#[test]
fn signals_reach_every_process_of_the_command() {
    let pod = Pod::new();
    let script = "sh -c 'trap \"touch $DIR/inner; exit\" TERM; touch $DIR/inner-up; while :; do sleep 0.05; done' & \
                  trap 'wait; exit 3' TERM; touch $DIR/up; wait; wait";
    let child = pod.start("", script);
    pod.wait_for("up");
    pod.wait_for("inner-up");
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(code(&child.wait_with_output().unwrap()), 3);
    pod.wait_for("inner");
}

/// A signal that came before would end any process.
fn until_it_takes_signals(child: &Child) {
    let takes_signals = || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let blocked = status
            .lines()
            .find_map(|line| line.strip_prefix("SigBlk:"))
            .unwrap();
        u64::from_str_radix(blocked.trim(), 16).unwrap() & (1 << 14) != 0
    };
    let deadline = Instant::now() + LIMIT;
    while !takes_signals() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn a_step_that_waits_can_be_stopped() {
    let pod = Pod::new();
    let child = pod.start("-wait_file @/turn", "true");
    until_it_takes_signals(&child);
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(code(&child.wait_with_output().unwrap()), 143);
    assert!(pod.has("out.err"));
}

#[test]
fn the_command_can_be_stopped_although_the_entrypoint_blocks_signals() {
    let pod = Pod::new();
    let output = pod.run("", "grep SigBlk /proc/self/status");
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.trim().ends_with("0000000000000000"), "{line}");
}

#[test]
fn output_is_copied_to_files() {
    let pod = Pod::new();
    let output = pod.run(
        "-stdout_path @/copy/out -stderr_path @/copy/err",
        "echo one; echo two >&2",
    );
    assert_eq!(output.stdout, b"one\n");
    assert!(output.stderr.ends_with(b"two\n"));
    assert_eq!(fs::read(pod.path("copy/out")).unwrap(), b"one\n");
    assert_eq!(fs::read(pod.path("copy/err")).unwrap(), b"two\n");
    let output = pod.run(
        "-stdout_path @/both -stderr_path @/both",
        "echo one; echo two >&2",
    );
    assert_eq!(code(&output), 0);
    let both = fs::read_to_string(pod.path("both")).unwrap();
    assert!(both.contains("one\n") && both.contains("two\n"), "{both}");
}

#[test]
fn results_that_do_not_fit_are_compressed() {
    let pod = Pod::new();
    let output = pod.run(
        "-results r",
        "head -c 50000 /dev/zero | tr '\\0' x > $DIR/results/r",
    );
    assert_eq!((code(&output), output.stdout.as_slice()), (0, b"".as_slice()));
    assert_eq!(pod.record("r").unwrap(), "x".repeat(50_000));
    let message = fs::read_to_string(pod.path("termination")).unwrap();
    assert!(
        message.starts_with("tknz:") && message.len() < 1000,
        "{}",
        message.len()
    );
}

#[test]
fn results_that_do_not_fit_even_then_are_in_the_log() {
    let pod = Pod::new();
    let output = pod.run(
        "-results r -termination_limit 300",
        "head -c 200000 /dev/urandom | od -An -tx1 > $DIR/results/r; printf said",
    );
    assert_eq!(code(&output), 0);
    assert!(pod.has("out") && pod.record("r").is_none());
    assert!(fs::metadata(pod.path("termination")).unwrap().len() <= 300);
    let count = pod.record("ResultsInLog").unwrap().parse().unwrap();
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.starts_with("said\ntekton-results:0/"), "{}", &log[..80]);
    let records = log_results::read(&log, count).unwrap();
    let expected = fs::read_to_string(pod.path("results/r")).unwrap();
    assert!(records.contains(&Record::new(Kind::TaskResult, "r", expected)));
}

#[test]
fn results_without_end_fail_the_step() {
    let pod = Pod::new();
    let output = pod.run(
        "-results r",
        "head -c 1100000 /dev/zero | tr '\\0' x > $DIR/results/r",
    );
    assert_eq!(code(&output), 1);
    assert!(pod.has("out.err") && !pod.has("out") && !pod.has("status/exitCode"));
    assert_eq!(pod.record("r"), None);
    assert_eq!(
        pod.record("Reason").as_deref(),
        Some("TaskRunResultLargerThanAllowedLimit")
    );
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("1048576 are allowed")
    );
}

/// Runs with conditions, which have blanks of their own.
fn run_when(pod: &Pod, conditions: &str) -> Output {
    let folder = pod.folder.path().to_str().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_entrypoint"));
    let flags =
        "-post_file @/out -termination_path @/termination -step_metadata_dir @/status -steps_dir @/steps";
    command
        .args(flags.split_whitespace().map(|word| word.replace('@', folder)))
        .args([
            "-when_expressions",
            conditions,
            "-entrypoint",
            "echo",
            "--",
            "ran",
        ])
        .output()
        .unwrap()
}

#[test]
fn a_step_runs_only_if_its_conditions_hold() {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("steps/step-a/results")).unwrap();
    fs::write(pod.path("steps/step-a/results/r"), "go on").unwrap();
    let on =
        |value: &str| format!(r#"[{{"input":"$(steps.a.results.r)","operator":"in","values":["{value}"]}}]"#);
    let output = run_when(&pod, &on("go on"));
    assert_eq!(
        (code(&output), output.stdout.as_slice()),
        (0, b"ran\n".as_slice())
    );
    assert_eq!(pod.record("Reason"), None);
    let output = run_when(&pod, &on("stop"));
    assert_eq!((code(&output), output.stdout.as_slice()), (0, b"".as_slice()));
    assert!(pod.has("out") && !pod.has("out.err"));
    assert_eq!(fs::read_to_string(pod.path("status/exitCode")).unwrap(), "0");
    assert_eq!(pod.record("Reason").as_deref(), Some("Skipped"));
    let absent = on("x").replace("results.r", "results.z");
    let output = run_when(&pod, &absent);
    assert_eq!(code(&output), 1);
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("result \"z\" of step \"a\"")
    );
}

#[test]
fn credentials_are_there_when_the_command_runs_and_nowhere_in_the_log() {
    let pod = Pod::new();
    fs::create_dir_all(pod.path("secrets/s")).unwrap();
    fs::write(pod.path("secrets/s/username"), "me").unwrap();
    fs::write(pod.path("secrets/s/password"), "hush").unwrap();
    let home = pod.path("home");
    fs::create_dir(&home).unwrap();
    let output = pod
        .command(
            "-basic-git=s=https://git.example -basic-git=absent=https://other.example -creds_secrets_dir @/secrets \
             -creds_dir @/creds",
            "test \"$(cat $HOME/.git-credentials)\" = https://me:hush@git.example && cmp $HOME/.git-credentials \
             $DIR/creds/.git-credentials",
        )
        .env("HOME", &home)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(code(&output), 0, "{said}");
    assert!(said.contains("secret absent") && !said.contains("hush"), "{said}");
    assert!(
        !fs::read_to_string(pod.path("termination"))
            .unwrap()
            .contains("hush")
    );
}

#[test]
fn results_of_steps_reach_later_steps() {
    let pod = Pod::new();
    let output = pod.run(
        "-step_results list",
        "printf '[\"a\",\"b c\"]' > $DIR/status/results/list",
    );
    assert_eq!(code(&output), 0);
    assert!(
        pod.records()
            .contains(&Record::new(Kind::StepResult, "list", "[\"a\",\"b c\"]"))
    );
    fs::create_dir(pod.path("steps")).unwrap();
    std::os::unix::fs::symlink(pod.path("status"), pod.path("steps/step-one")).unwrap();
    let output = pod
        .command("", "echo $LAST; printf '<%s>' \"$@\"")
        .args(["sh", "$(steps.one.results.list[*])"])
        .env("LAST", "$(steps.one.results.list[1])")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "b c\n<a><b c>");
}

#[test]
fn a_user_command_named_like_a_sub_command_is_the_users() {
    let pod = Pod::new();
    let output = pod.run("", "exit 0");
    assert_eq!(code(&output), 0);
    let output = Command::new(env!("CARGO_BIN_EXE_entrypoint"))
        .arg("-termination_path")
        .arg(pod.path("termination"))
        .args(["-entrypoint", "echo", "--", "init", "decode-script"])
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"init decode-script\n");
}

#[test]
fn what_holds_a_place_ends_well_when_it_is_told() {
    let child = Command::new(env!("CARGO_BIN_EXE_entrypoint"))
        .arg("pause")
        .spawn()
        .unwrap();
    until_it_takes_signals(&child);
    kill(pid(&child), Signal::SIGHUP).unwrap();
    kill(pid(&child), Signal::SIGTERM).unwrap();
    assert_eq!(code(&child.wait_with_output().unwrap()), 0);
}

#[test]
fn a_cancelled_step_ends_with_all_its_processes() {
    let pod = Pod::new();
    fs::create_dir(pod.path("downward")).unwrap();
    fs::write(pod.path("downward/cancel"), "").unwrap();
    let child = pod.start(
        "-cancel_file @/downward/cancel -on_error continue",
        "sleep 1000 & touch $DIR/began; wait",
    );
    pod.wait_for("began");
    let began = Instant::now();
    fs::write(pod.path("downward/cancel"), "CANCEL").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        began.elapsed() < LIMIT,
        "its output ends only with its last process"
    );
    assert_eq!(code(&output), 9);
    assert!(pod.has("out.err") && !pod.has("out"));
    assert_eq!(pod.record("Reason").as_deref(), Some("Cancelled"));
    assert_eq!(fs::read_to_string(pod.path("status/exitCode")).unwrap(), "9");
}

#[test]
fn a_step_that_waits_is_cancelled_before_it_begins() {
    let pod = Pod::new();
    fs::create_dir(pod.path("downward")).unwrap();
    let child = pod.start(
        "-wait_file @/before -cancel_file @/downward/cancel",
        "touch $DIR/began",
    );
    // A volume shows new content by another link.
    fs::write(pod.path("downward/new"), "CANCEL").unwrap();
    fs::rename(pod.path("downward/new"), pod.path("downward/cancel")).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(code(&output), 9);
    assert!(!pod.has("began") && pod.has("out.err"));
    assert_eq!(pod.record("Reason").as_deref(), Some("Cancelled"));
}
