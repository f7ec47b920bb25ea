//! A step from its turn to its end.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::child::{self, Child};
use crate::flags::Flags;
use crate::message::{self, Kind, Record, STARTED_AT};
use crate::outcome::{End, Outcome, outcome};
use crate::signals::Signals;
use crate::step_results::StepResults;
use crate::wait::{Cancellation, Waited, failed, wait_for};
use crate::{artifacts, conditions, credentials, debug, log_results, platform_command, results, say};

/// Runs the step. Returns the exit code of the container.
pub(crate) fn run(flags: &Flags) -> i32 {
    let cancellation = Cancellation::of(flags.cancel_file.as_deref());
    let ended = Signals::block().and_then(|mut signals| match waited(flags, &cancellation, &mut signals)? {
        Some(end) => Ok((Timestamp::now(), end)),
        None => {
            let started_at = Timestamp::now();
            let end = turn(flags, &cancellation, &mut signals);
            Ok((started_at, debug::after(flags, end, &cancellation, &mut signals)?))
        }
    });
    let (started_at, end) = ended.unwrap_or_else(|error| {
        say(&format!("cannot wait for the turn of this step: {error}"));
        (Timestamp::now(), End::NotStarted)
    });
    let mut records = vec![Record::internal(STARTED_AT, format!("{started_at:.3}"))];
    if !matches!(
        end,
        End::Skipped | End::Unneeded | End::Stopped(_) | End::Cancelled | End::HeldBack
    ) {
        records.extend(results::read(
            &flags.results_dir,
            &flags.results,
            Kind::TaskResult,
        ));
        if let Some(metadata) = &flags.step_metadata_dir {
            let folder = metadata.join("results");
            records.extend(results::read(&folder, &flags.step_results, Kind::StepResult));
        }
        records.extend(artifacts::told(flags));
    }
    finish(flags, end, &records)
}

/// Waits for the turn of the step; an end if it does not come.
fn waited(flags: &Flags, cancellation: &Cancellation<'_>, signals: &mut Signals) -> io::Result<Option<End>> {
    for file in &flags.wait_files {
        match wait_for(file, flags.wait_file_content, cancellation, signals)? {
            Waited::Here => {}
            Waited::Cancelled => {
                say("Skipping step because the run was cancelled");
                return Ok(Some(End::Cancelled));
            }
            Waited::Failed => {
                say("Skipping step because a previous step failed");
                return Ok(Some(End::Skipped));
            }
            Waited::Signal(signal) => return Ok(Some(End::Stopped(signal))),
        }
    }
    debug::before(flags, cancellation, signals)
}

/// Runs the command, if the conditions hold.
fn turn(flags: &Flags, cancellation: &Cancellation<'_>, signals: &mut Signals) -> End {
    match conditions::hold(&flags.conditions, &earlier(flags)) {
        Ok(true) => {
            let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
            credentials::place(&flags.credentials, home.as_ref().map(Path::new));
            command(flags, cancellation, signals)
        }
        Ok(false) => {
            say("Skipping step because its when expressions evaluated to false");
            End::Unneeded
        }
        Err(error) => {
            say(&format!(
                "cannot evaluate the when expressions of this step: {error}"
            ));
            End::NotStarted
        }
    }
}

/// What earlier steps found out.
fn earlier(flags: &Flags) -> StepResults {
    StepResults::new(&flags.steps_dir).with_artifacts(flags.artifacts)
}

fn command(flags: &Flags, cancellation: &Cancellation<'_>, signals: &mut Signals) -> End {
    if let Some(metadata) = &flags.step_metadata_dir {
        // The command tells by itself if it cannot write there.
        let _ = fs::create_dir_all(metadata.join("results"));
        if flags.artifacts {
            let _ = fs::create_dir_all(metadata.join(artifacts::OF_STEP));
        }
    }
    let started = platform_command::complete(&flags.command).and_then(|command| {
        let earlier = earlier(flags);
        let command = artifacts::in_script(
            earlier.in_list(&command)?,
            &earlier,
            flags.step_metadata_dir.as_deref(),
        )?;
        let child = Child {
            command: &command,
            variables: earlier.in_variables(std::env::vars_os())?,
            timeout: flags.timeout,
            stdout: flags.stdout_path.as_deref(),
            stderr: flags.stderr_path.as_deref(),
            cancellation,
        };
        child::run(&child, signals)
    });
    match started {
        Ok(End::TimedOut) => {
            say("Step exceeded its timeout");
            End::TimedOut
        }
        Ok(End::Cancelled) => {
            say("Step was cancelled");
            End::Cancelled
        }
        Ok(end) => end,
        Err(error) => {
            let name = flags.command.first().map_or("the command", String::as_str);
            say(&format!("Error executing command: {name}: {error}"));
            End::NotStarted
        }
    }
}

/// Tells the end: first what the TaskRun reads, then what lets the next step begin.
fn finish(flags: &Flags, end: End, records: &[Record]) -> i32 {
    let mut told = outcome(end, flags.on_error);
    let internal = || records.iter().filter(|record| record.kind == Kind::Internal);
    let with =
        |outcome: &Outcome| -> Vec<Record> { records.iter().chain(&outcome.record).cloned().collect() };
    let text = message::packed(&with(&told), flags.termination_limit).unwrap_or_else(|error| {
        let short = |records: Vec<Record>| message::encode(&records);
        if error.size > message::MOST {
            say(&error.to_string());
            told = outcome(End::TooLarge, flags.on_error);
            return short(internal().cloned().chain(told.record.clone()).collect());
        }
        let note = log_results::print(&with(&told), &mut io::stdout());
        short(
            internal()
                .cloned()
                .chain(told.record.clone())
                .chain([note])
                .collect(),
        )
    });
    if let Err(error) = fs::write(&flags.termination_path, text) {
        say(&format!(
            "cannot write {}: {error}",
            flags.termination_path.display()
        ));
    }
    if let (Some(metadata), Some(code)) = (&flags.step_metadata_dir, told.exit_code) {
        let _ = fs::create_dir_all(metadata);
        told_or_said(&metadata.join("exitCode"), &code.to_string());
    }
    if let Some(post) = &flags.post_file {
        let post = if told.passed { post.clone() } else { failed(post) };
        told_or_said(&post, "");
    }
    told.exit
}

fn told_or_said(path: &Path, text: &str) {
    if let Err(error) = fs::write(path, text) {
        say(&format!("cannot write {}: {error}", path.display()));
    }
}
