//! Runs the suite of all stores on the log.

#![expect(
    clippy::unwrap_used,
    clippy::type_complexity,
    reason = "test code: the whole program is one"
)]

use std::path::PathBuf;
use std::sync::Arc;

use event_store::conformance::{Backend, cases};
use event_store::{Log, Options, Store};
use futures::FutureExt;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

struct Folder {
    path: PathBuf,
    options: fn() -> Options,
}

impl Backend for Folder {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async { Arc::new(Log::open(&self.path, (self.options)()).unwrap()) as Arc<dyn Store> }.boxed()
    }
}

/// Everything small, so that a few records fill segments, and none stay in memory.
fn small() -> Options {
    Options {
        segment_bytes: 4 << 10,
        tail_bytes: 0,
        chunk_bytes: 0,
        writers: 1,
        ..Options::default()
    }
}

fn main() {
    let kinds: [(&str, fn() -> Options); 2] = [("log", Options::default), ("log_of_small_segments", small)];
    let mut trials = Vec::new();
    for (kind, options) in kinds {
        trials.extend(cases().into_iter().map(|case| {
            Trial::test(format!("{kind}::{}", case.name), move || {
                let folder = tempfile::tempdir()?;
                let path = folder.path().to_owned();
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()?;
                runtime.block_on((case.run)(Arc::new(Folder { path, options })));
                Ok(())
            })
        }));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
