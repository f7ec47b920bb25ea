//! Work inside another network namespace.
//!
//! A namespace belongs to a thread, and a runtime moves tasks between threads: so the work gets a thread of its own,
//! which enters the namespace, runs a small runtime and ends.

use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::NetworkError;

/// Opens a namespace file.
pub(crate) fn open(path: &Path) -> Result<File, NetworkError> {
    File::open(path).map_err(|source| NetworkError::Namespace {
        path: path.into(),
        source,
    })
}

/// Runs `work` in the namespace `file` was opened from.
pub(crate) async fn run_in<T, F, Fut>(path: PathBuf, file: File, work: F) -> Result<T, NetworkError>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, NetworkError>>,
{
    on_thread(move || setns(&file, CloneFlags::CLONE_NEWNET), path, work).await
}

/// Runs `work` in a fresh namespace that vanishes with it.
pub(crate) async fn run_in_new<T, F, Fut>(work: F) -> Result<T, NetworkError>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, NetworkError>>,
{
    on_thread(|| unshare(CloneFlags::CLONE_NEWNET), PathBuf::from("(new)"), work).await
}

async fn on_thread<T, E, F, Fut>(enter: E, path: PathBuf, work: F) -> Result<T, NetworkError>
where
    T: Send + 'static,
    E: FnOnce() -> nix::Result<()> + Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T, NetworkError>>,
{
    let (done, result) = tokio::sync::oneshot::channel();
    let lost = path.clone();
    let body = move || {
        let outcome = (|| {
            let failed = |source| NetworkError::Namespace {
                path: path.clone(),
                source,
            };
            enter().map_err(|errno| failed(errno.into()))?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build()
                .map_err(failed)?;
            runtime.block_on(work())
        })();
        // The receiver is gone only when the caller no longer wants to know.
        let _ = done.send(outcome);
    };
    std::thread::Builder::new()
        .name("netns".into())
        .spawn(body)
        .map_err(|source| NetworkError::Namespace {
            path: lost.clone(),
            source,
        })?;
    result.await.unwrap_or_else(|_| {
        Err(NetworkError::Namespace {
            path: lost,
            source: std::io::Error::other("its worker thread died"),
        })
    })
}
