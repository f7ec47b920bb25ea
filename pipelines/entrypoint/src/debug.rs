//! Breakpoints: a step is held until somebody who looks at it lets it go on.
//!
//! The decision comes as a file beside the post file, from a script in the container, or by an annotation of the pod,
//! which needs no shell in the image and nobody inside of the container.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::flags::Flags;
use crate::outcome::End;
use crate::paths::{BEFORE_STEP_EXIT, BREAKPOINT_EXIT, DEBUG_SCRIPTS};
use crate::say;
use crate::signals::Signals;
use crate::wait::{Cancellation, Waited, look, wait_until};

/// Holds a step whose command is about to run. An end if it does not run.
pub(crate) fn before(
    flags: &Flags,
    cancellation: &Cancellation<'_>,
    signals: &mut Signals,
) -> io::Result<Option<End>> {
    let Some(mark) = mark(flags, BEFORE_STEP_EXIT).filter(|_| flags.debug_before_step) else {
        return Ok(None);
    };
    tell(
        flags,
        "before it begins",
        "beforestep-continue",
        "beforestep-fail-continue",
    );
    let decided = || {
        look(&mark, false).or_else(|| match told(flags)?.as_str() {
            "beforestep-continue" => Some(Waited::Here),
            "beforestep-fail-continue" => Some(Waited::Failed),
            _ => None,
        })
    };
    Ok(
        match wait_until(&watched(flags, &mark), decided, cancellation, signals)? {
            Waited::Here => None,
            Waited::Failed => {
                say("Skipping step because it was let fail at the breakpoint before it");
                Some(End::HeldBack)
            }
            interrupted => of_interruption(interrupted),
        },
    )
}

/// Holds a step that came to a bad `end`. Returns the end that it has after that.
pub(crate) fn after(
    flags: &Flags,
    end: End,
    cancellation: &Cancellation<'_>,
    signals: &mut Signals,
) -> io::Result<End> {
    let failed = match end {
        End::Exited(code) => code != 0,
        End::Killed(_) | End::TimedOut | End::NotStarted => true,
        _ => false,
    };
    let Some(mark) = mark(flags, BREAKPOINT_EXIT).filter(|_| flags.breakpoint_on_failure && failed) else {
        return Ok(end);
    };
    tell(flags, "as it failed", "continue", "fail-continue");
    let mut code = 0;
    let decided = || {
        code = match std::fs::read_to_string(&mark) {
            // Written in two moves: first it is there, and then it says something.
            Ok(text) if !text.trim().is_empty() => exit_code(&text),
            _ => match told(flags)?.as_str() {
                "continue" => 0,
                "fail-continue" => 1,
                _ => return None,
            },
        };
        Some(Waited::Here)
    };
    let waited = wait_until(&watched(flags, &mark), decided, cancellation, signals)?;
    Ok(of_interruption(waited).unwrap_or(End::Exited(code)))
}

fn of_interruption(waited: Waited) -> Option<End> {
    match waited {
        Waited::Signal(signal) => Some(End::Stopped(signal)),
        Waited::Cancelled => Some(End::Cancelled),
        Waited::Here | Waited::Failed => None,
    }
}

/// What is no number lets the next step run, as upstream has it.
fn exit_code(text: &str) -> i32 {
    text.trim().parse().unwrap_or_default()
}

fn mark(flags: &Flags, suffix: &str) -> Option<PathBuf> {
    let mut name = OsString::from(flags.post_file.as_ref()?);
    name.push(suffix);
    Some(name.into())
}

fn watched<'f>(flags: &'f Flags, mark: &'f Path) -> Vec<&'f Path> {
    [mark].into_iter().chain(flags.debug_file.as_deref()).collect()
}

/// What the annotation says about this step.
fn told(flags: &Flags) -> Option<String> {
    let text = std::fs::read_to_string(flags.debug_file.as_ref()?).ok()?;
    decision(&text, &flags.debug_name).map(str::to_owned)
}

/// Reads `<step>=<decision>`, separated by commas; the last word about a step counts.
fn decision<'t>(text: &'t str, step: &str) -> Option<&'t str> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .filter(|(name, _)| name.trim() == step)
        .map(|(_, decision)| decision.trim())
        .next_back()
}

fn tell(flags: &Flags, when: &str, go_on: &str, fail: &str) {
    say(&format!(
        "a breakpoint holds this step {when}. To go on, run in this container {DEBUG_SCRIPTS}/debug-{go_on} or \
         {DEBUG_SCRIPTS}/debug-{fail}"
    ));
    if flags.debug_file.is_some() {
        let step = &flags.debug_name;
        say(&format!(
            "or annotate its pod with spindrift.dev/debug={step}={go_on} or spindrift.dev/debug={step}={fail}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_about_a_step_counts() {
        for (text, expected) in [
            ("", None),
            ("a", None),
            ("b=continue", None),
            ("a=continue", Some("continue")),
            ("b=x, a = beforestep-continue ,a=continue\n", Some("continue")),
        ] {
            assert_eq!(decision(text, "a"), expected, "{text:?}");
        }
    }

    #[test]
    fn an_exit_code_that_is_none_lets_the_next_step_run() {
        assert_eq!((exit_code("1\n"), exit_code(" 7 "), exit_code("x")), (1, 7, 0));
    }
}
