//! Signals as something to wait for beside other things.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Every signal that this process could get for others. Blocked while this exists, since the process is the first of its
/// container: the kernel drops signals for which such a process has no answer.
pub(crate) struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    pub(crate) fn block() -> io::Result<Self> {
        let mut all = SigSet::all();
        // Faults of this program itself.
        for own in [
            Signal::SIGSEGV,
            Signal::SIGBUS,
            Signal::SIGFPE,
            Signal::SIGILL,
            Signal::SIGABRT,
        ] {
            all.remove(own);
        }
        all.thread_block()?;
        let descriptor = SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { descriptor })
    }

    /// The next one that has arrived.
    pub(crate) fn take(&mut self) -> Option<i32> {
        let info = self.descriptor.read_signal().ok().flatten()?;
        i32::try_from(info.ssi_signo).ok()
    }

    /// Waits for a signal, for `other`, or for the time to pass; `None` is for ever.
    pub(crate) fn wait(&self, other: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> io::Result<()> {
        let mut watched = vec![PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        watched.extend(other.map(|other| PollFd::new(other, PollFlags::POLLIN)));
        let limit = match limit {
            None => PollTimeout::NONE,
            // Not a moment too early, or the caller would come back for the rest again and again.
            Some(limit) => {
                PollTimeout::try_from(limit + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
            }
        };
        match poll(&mut watched, limit) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
