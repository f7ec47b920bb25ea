//! Waiting for changes in directories, by inotify.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

/// A change that no notice came for, such as a removed directory, is seen after this time.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

pub(super) struct Changes {
    /// The same descriptor twice: tokio waits on the owned one, the wrapper reads from its own.
    ready: AsyncFd<OwnedFd>,
    inotify: Inotify,
}

impl Changes {
    /// Watches directories; one that is missing is passed over.
    pub(super) fn of(dirs: &[&Path]) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let kinds = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE_SELF;
        for dir in dirs {
            match inotify.add_watch(*dir, kinds) {
                Ok(_) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let descriptor = inotify.as_fd().try_clone_to_owned()?;
        #[expect(
            unsafe_code,
            reason = "tokio cannot see that a descriptor stays open while it is registered"
        )]
        // SAFETY: an `OwnedFd` gives the same open descriptor until it is dropped, which `AsyncFd` does last.
        let ready = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }
            .map_err(io::Error::from)?;
        Ok(Self { ready, inotify })
    }

    /// Resolves when something has changed since the last call, or after a while.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        let Ok(ready) = timeout(LONGEST_WAIT, self.ready.readable_mut()).await else {
            return Ok(());
        };
        let mut guard = ready?;
        while self.inotify.read_events().is_ok() {}
        guard.clear_ready();
        Ok(())
    }
}
