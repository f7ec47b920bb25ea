//! Steps that are held by breakpoints, with the program itself.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use entrypoint::message::decode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A step with `flags` in `folder`, where `@` stands for the folder.
fn start(folder: &Path, flags: &str, script: &str) -> Child {
    let common = "-post_file @/out -termination_path @/termination -step_metadata_dir @/status -results_dir @/results \
                  -steps_dir @/steps -results r";
    let at = folder.to_str().unwrap();
    Command::new(env!("CARGO_BIN_EXE_entrypoint"))
        .args(
            common
                .split_whitespace()
                .chain(flags.split_whitespace())
                .map(|word| word.replace('@', at)),
        )
        .args(["-entrypoint", "sh", "--", "-c", script])
        .env("DIR", folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads the log until the step says that it is held; the rest has to be kept open.
fn held(step: &mut Child) -> BufReader<impl Read + use<>> {
    let mut log = BufReader::new(step.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("a breakpoint holds this step") {
        line.clear();
        assert!(
            log.read_line(&mut line).unwrap() > 0,
            "the step ended without being held"
        );
    }
    log
}

fn result(folder: &Path) -> Option<String> {
    let records = decode(&fs::read_to_string(folder.join("termination")).unwrap()).unwrap();
    records
        .into_iter()
        .find(|record| record.key == "r")
        .map(|record| record.value)
}

#[test]
fn a_step_that_failed_is_held_and_ends_as_somebody_decides() {
    for (flags, script, mark, exit, passed) in [
        ("", "exit 7", "0\n", 0, true),
        ("", "exit 7", "1\n", 1, false),
        ("", "exit 7", "42", 42, false),
        ("", "kill -9 $$", "0", 0, true),
        ("-timeout 100ms", "sleep 1000", "0", 0, true),
        ("-on_error continue", "exit 7", "1", 0, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("results")).unwrap();
        let mut step = start(at, &format!("-breakpoint_on_failure {flags}"), script);
        let log = held(&mut step);
        let ends = ["out", "out.err"].map(|name| at.join(name));
        assert!(ends.iter().all(|end| !end.exists()), "{script}");
        // What is mended while the step is held counts.
        fs::write(at.join("results/r"), "mended").unwrap();
        fs::write(at.join("out.breakpointexit"), mark).unwrap();
        assert_eq!(step.wait().unwrap().code(), Some(exit), "{script}");
        assert_eq!(ends.map(|end| end.exists()), [passed, !passed], "{script}");
        assert_eq!(result(at).as_deref(), Some("mended"));
        drop(log);
    }
}

#[test]
fn a_step_that_succeeds_or_never_began_is_not_held() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut step = start(at, "-breakpoint_on_failure", "exit 0");
    assert_eq!(step.wait().unwrap().code(), Some(0));
    fs::write(at.join("before.err"), "").unwrap();
    let mut skipped = start(
        at,
        "-breakpoint_on_failure -debug_before_step -wait_file @/before",
        "exit 0",
    );
    assert_eq!(skipped.wait().unwrap().code(), Some(1));
}

#[test]
fn a_step_is_held_before_it_begins() {
    for (mark, exit, began) in [
        ("out.beforestepexit", 0, true),
        ("out.beforestepexit.err", 1, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        // A breakpoint at the failure of a step does not hold one that was let fail.
        let mut step = start(
            at,
            "-debug_before_step -breakpoint_on_failure",
            "touch $DIR/began",
        );
        let log = held(&mut step);
        assert!(!at.join("began").exists());
        fs::write(at.join(mark), "").unwrap();
        assert_eq!(step.wait().unwrap().code(), Some(exit), "{mark}");
        assert_eq!(
            (at.join("began").exists(), at.join("out").exists()),
            (began, began),
            "{mark}"
        );
        drop(log);
    }
}

#[test]
fn an_annotation_decides_too() {
    for (flag, script, said, exit) in [
        ("-debug_before_step", "exit 0", "a=beforestep-continue", 0),
        ("-debug_before_step", "exit 0", "a=beforestep-fail-continue", 1),
        (
            "-breakpoint_on_failure",
            "exit 7",
            "a=beforestep-continue,a=continue",
            0,
        ),
        ("-breakpoint_on_failure", "exit 7", "a=fail-continue", 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        fs::create_dir(at.join("downward")).unwrap();
        fs::write(at.join("downward/debug"), "b=continue").unwrap();
        let flags = format!("{flag} -debug_file @/downward/debug -debug_name a");
        let mut step = start(at, &flags, script);
        let log = held(&mut step);
        // A volume shows new content by another link.
        fs::write(at.join("downward/new"), said).unwrap();
        fs::rename(at.join("downward/new"), at.join("downward/debug")).unwrap();
        assert_eq!(step.wait().unwrap().code(), Some(exit), "{said}");
        drop(log);
    }
}

#[test]
fn what_is_held_can_be_stopped_and_cancelled() {
    for flag in ["-debug_before_step", "-breakpoint_on_failure"] {
        let folder = tempfile::tempdir().unwrap();
        let mut step = start(folder.path(), flag, "exit 7");
        let log = held(&mut step);
        kill(Pid::from_raw(i32::try_from(step.id()).unwrap()), Signal::SIGTERM).unwrap();
        assert_eq!(step.wait().unwrap().code(), Some(143), "{flag}");
        drop(log);
        let folder = tempfile::tempdir().unwrap();
        let mut step = start(folder.path(), &format!("{flag} -cancel_file @/cancel"), "exit 7");
        let log = held(&mut step);
        fs::write(folder.path().join("cancel"), "CANCEL").unwrap();
        assert_eq!(step.wait().unwrap().code(), Some(9), "{flag}");
        drop(log);
    }
}
