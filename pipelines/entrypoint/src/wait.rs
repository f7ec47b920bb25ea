//! Waits for a file, told by the kernel when it comes.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::signal::Signal;

use crate::signals::Signals;

/// For file systems that tell nothing of changes: how often a watched file is looked at nevertheless.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Likewise if the kernel gives no watch: an instance of inotify is a limited thing.
const WITHOUT_WATCH: Duration = Duration::from_millis(20);

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waited {
    Here,
    /// There is a file of that name with `.err` behind it.
    Failed,
    /// A signal that ends programs.
    Signal(i32),
    /// The run was cancelled.
    Cancelled,
}

/// The file that tells that the run is cancelled, if there is to be one.
pub(crate) struct Cancellation<'f> {
    file: Option<&'f Path>,
    watch: Option<Inotify>,
}

impl<'f> Cancellation<'f> {
    pub(crate) fn of(file: Option<&'f Path>) -> Self {
        let watch = file.and_then(|file| watch(&[file]).ok());
        Self { file, watch }
    }

    pub(crate) fn has_come(&self) -> bool {
        self.file
            .is_some_and(|file| std::fs::metadata(file).is_ok_and(|found| found.len() > 0))
    }

    /// Waits like [`Signals::wait`], and for the file.
    pub(crate) fn wait(&self, signals: &Signals, limit: Option<Duration>) -> io::Result<()> {
        let look_again = match (self.file, &self.watch) {
            (None, _) => return signals.wait(None, limit),
            (Some(_), Some(_)) => LOOK_AGAIN,
            (Some(_), None) => WITHOUT_WATCH,
        };
        let limit = limit.map_or(look_again, |limit| limit.min(look_again));
        signals.wait(self.watch.as_ref().map(AsFd::as_fd), Some(limit))?;
        if let Some(watch) = &self.watch {
            drain(watch);
        }
        Ok(())
    }
}

/// Waits until `file` is there, with something in it if `content` is asked for.
pub(crate) fn wait_for(
    file: &Path,
    content: bool,
    cancellation: &Cancellation<'_>,
    signals: &mut Signals,
) -> io::Result<Waited> {
    wait_until(&[file], || look(file, content), cancellation, signals)
}

/// Waits until `look` has an answer, which changes beside `files` may bring.
pub(crate) fn wait_until(
    files: &[&Path],
    mut look: impl FnMut() -> Option<Waited>,
    cancellation: &Cancellation<'_>,
    signals: &mut Signals,
) -> io::Result<Waited> {
    // First the watch and then the look: what comes in between is told.
    let files: Vec<&Path> = files.iter().copied().chain(cancellation.file).collect();
    let watch = watch(&files).ok();
    loop {
        if cancellation.has_come() {
            return Ok(Waited::Cancelled);
        }
        if let Some(waited) = look() {
            return Ok(waited);
        }
        while let Some(signal) = signals.take() {
            if ends_programs(signal) {
                return Ok(Waited::Signal(signal));
            }
        }
        match &watch {
            Some(watch) => {
                signals.wait(Some(watch.as_fd()), Some(LOOK_AGAIN))?;
                drain(watch);
            }
            None => signals.wait(None, Some(WITHOUT_WATCH))?,
        }
    }
}

fn drain(watch: &Inotify) {
    while watch.read_events().is_ok_and(|events| !events.is_empty()) {}
}

/// Of their folders, as a file may come by a rename, and files of volumes are links whose targets are exchanged.
fn watch(files: &[&Path]) -> io::Result<Inotify> {
    let watch = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    let changes = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MODIFY
        | AddWatchFlags::IN_CLOSE_WRITE
        | AddWatchFlags::IN_ATTRIB;
    for file in files {
        watch.add_watch(file.parent().unwrap_or(Path::new("/")), changes)?;
    }
    Ok(watch)
}

pub(crate) fn look(file: &Path, content: bool) -> Option<Waited> {
    let here = std::fs::metadata(file).is_ok_and(|found| !content || found.len() > 0);
    if here {
        return Some(Waited::Here);
    }
    failed(file).exists().then_some(Waited::Failed)
}

/// The name under which a failure is told.
pub(crate) fn failed(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".err");
    name.into()
}

fn ends_programs(signal: i32) -> bool {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT]
        .into_iter()
        .any(|ending| ending as i32 == signal)
}
