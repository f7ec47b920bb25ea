//! Ctrl-C and SIGTERM, at any instant: what was begun is ended in order, so that nothing stays on the machine.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::say;

/// Exit code of a command that was interrupted before it had come up (128 + SIGINT, as shells tell it).
const INTERRUPTED: u8 = 130;

/// How a command ends that was to stay up until a signal.
pub fn exit_code(before_it_was_up: bool) -> ExitCode {
    match before_it_was_up {
        true => ExitCode::from(INTERRUPTED),
        false => ExitCode::SUCCESS,
    }
}

/// Receives the signals from when it is made on. Until then, one of them ends the process where it stands.
pub struct Interrupt {
    terminate: Signal,
    interrupt: Signal,
}

impl Interrupt {
    /// # Errors
    /// If the kernel refuses the handlers.
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal. Cancel safe.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Runs `work` to its end, and tells whether a signal came meanwhile.
    ///
    /// For work that leaves something on the machine if it is dropped half done, and so has to end before it can be
    /// undone.
    ///
    /// # Errors
    /// If a second signal came: whoever sends it does not want to wait.
    pub async fn after<T>(&mut self, work: impl Future<Output = T>) -> anyhow::Result<(T, bool)> {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            () = self.next() => say::progress("Stopping ... (once more ends it at once)"),
            done = &mut work => return Ok((done, false)),
        }
        Ok((self.unless_again(work).await?, true))
    }

    /// Runs `work`, which has been asked to end, to its end.
    ///
    /// # Errors
    /// If one more signal came before that.
    pub async fn unless_again<T>(&mut self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.next() => {
                anyhow::bail!("ended at once by a second signal; `spindrift down` removes what is left behind")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, raise};

    use super::*;

    #[tokio::test]
    async fn one_signal_waits_for_the_work_and_two_do_not() {
        let mut interrupt = Interrupt::listen().unwrap();
        assert_eq!(interrupt.after(async { 1 }).await.unwrap(), (1, false));

        let mut witness = Interrupt::listen().unwrap();
        raise(Signal::SIGINT).unwrap();
        assert_eq!(interrupt.after(witness.next()).await.unwrap(), ((), true));

        raise(Signal::SIGINT).unwrap();
        let second = async {
            witness.next().await;
            raise(Signal::SIGTERM).unwrap();
            std::future::pending::<()>().await;
        };
        let error = interrupt.after(second).await.unwrap_err();
        assert!(error.to_string().contains("spindrift down"), "{error}");
    }
}
