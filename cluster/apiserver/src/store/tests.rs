use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use redb::backends::FileBackend;
use redb::{Database, StorageBackend};
use serde_json::{Value, json};

use super::backend::{BackendError, Batch};
use super::*;

fn put(key: &str, expect: Expect, value: i64) -> Write {
    write(
        key,
        expect,
        Change::Put(json!({"metadata": {"name": key}, "value": value})),
    )
}

fn remove(key: &str, revision: u64) -> Write {
    write(
        key,
        Expect::Revision(revision),
        Change::Remove(json!({"metadata": {"name": key}})),
    )
}

fn write(key: &str, expect: Expect, change: Change) -> Write {
    Write {
        key: key.into(),
        expect,
        change,
        guard: None,
        durability: Durability::Immediate,
    }
}

fn open(path: &Path) -> Store {
    Store::open(Box::new(RedbBackend::open(&path.join("store.redb")).unwrap())).unwrap()
}

fn scope() -> Scope {
    Scope {
        resource: "g/p/".into(),
        prefix: "g/p/".into(),
    }
}

#[tokio::test]
async fn expectations_guard_every_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = store.write(put("g/p//a", Expect::Absent, 1)).await.unwrap();
    assert!(matches!(
        store.write(put("g/p//a", Expect::Absent, 2)).await,
        Err(WriteError::Exists)
    ));
    assert!(matches!(
        store.write(put("g/p//b", Expect::Revision(1), 2)).await,
        Err(WriteError::Missing)
    ));
    let second = store
        .write(put("g/p//a", Expect::Revision(first.revision), 2))
        .await
        .unwrap();
    assert!(matches!(
        store
            .write(put("g/p//a", Expect::Revision(first.revision), 3))
            .await,
        Err(WriteError::Changed)
    ));
    let mut guarded = put("g/p//c", Expect::Absent, 1);
    guarded.guard = Some(("g/p//a".into(), first.revision));
    assert!(matches!(store.write(guarded).await, Err(WriteError::Guard)));
    assert_eq!(
        second.value()["metadata"]["resourceVersion"],
        second.revision.to_string()
    );
}

#[tokio::test]
async fn the_past_is_rebuilt_from_the_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let a = store
        .write(put("g/p//a", Expect::Absent, 1))
        .await
        .unwrap()
        .revision;
    let b = store
        .write(put("g/p//b", Expect::Absent, 1))
        .await
        .unwrap()
        .revision;
    store.write(put("g/p//a", Expect::Revision(a), 2)).await.unwrap();
    store.write(remove("g/p//b", b)).await.unwrap();
    let at = |revision| -> Vec<(String, i64)> {
        let objects = store.list_at("g/p/", revision).unwrap();
        objects
            .iter()
            .map(|(key, object)| (key.to_string(), object.value()["value"].as_i64().unwrap()))
            .collect()
    };
    assert_eq!(at(a), [("g/p//a".to_owned(), 1)]);
    assert_eq!(at(b), [("g/p//a".to_owned(), 1), ("g/p//b".to_owned(), 1)]);
    assert_eq!(at(store.revision()), [("g/p//a".to_owned(), 2)]);
    assert!(matches!(store.list_at("g/p/", 0), Err(PastError::Expired(0))));
    assert!(matches!(
        store.list_at("g/p/", b + 100),
        Err(PastError::Future { .. })
    ));
}

#[tokio::test]
async fn a_slow_watcher_is_cut_off_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut slow = store.watch(scope(), store.revision()).unwrap();
    let mut other = store
        .watch(
            Scope {
                resource: "g/q/".into(),
                prefix: "g/q/".into(),
            },
            store.revision(),
        )
        .unwrap();
    let mut deferred = put("g/p//a", Expect::Absent, 0);
    deferred.durability = Durability::Deferred;
    let mut revision = store.write(deferred).await.unwrap().revision;
    for value in 1..1100 {
        let mut next = put("g/p//a", Expect::Revision(revision), value);
        next.durability = Durability::Deferred;
        revision = store.write(next).await.unwrap().revision;
    }
    let mut received = 0;
    let last = loop {
        match slow.next().await {
            Received::Event(event) => {
                assert_eq!(event.object.value()["value"], received);
                received += 1;
            }
            end => break end,
        }
    };
    assert!(matches!(last, Received::Lagged) && received >= 1000);
    assert!(other.try_next().is_none());
    assert_eq!(store.usage().expired_watchers, 1);
    drop(other);
    assert_eq!(store.usage().watchers, 0);
}

#[tokio::test]
async fn deferred_writes_and_revisions_survive_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut lease = put("g/p//lease", Expect::Absent, 1);
    lease.durability = Durability::Deferred;
    let written = store.write(lease).await.unwrap().revision;
    store.close().await;
    assert!(matches!(
        store.write(put("g/p//x", Expect::Absent, 1)).await,
        Err(WriteError::Closed)
    ));
    let store = open(dir.path());
    assert_eq!(store.get("g/p//lease").unwrap().revision, written);
    assert_eq!(store.revision(), written, "a clean stop wastes no revisions");
    assert!(
        store
            .write(put("g/p//x", Expect::Absent, 1))
            .await
            .unwrap()
            .revision
            > written
    );
}

#[test]
fn a_directory_has_one_user() {
    let dir = tempfile::tempdir().unwrap();
    let lock = DirectoryLock::acquire(dir.path()).unwrap();
    assert!(matches!(
        DirectoryLock::acquire(dir.path()),
        Err(OpenError::Locked { .. })
    ));
    drop(lock);
    DirectoryLock::acquire(dir.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    drop(RedbBackend::open(&path).unwrap());
    let database = Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    write
        .open_table(redb::TableDefinition::<&str, u64>::new("meta"))
        .unwrap()
        .insert("format", 99)
        .unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(matches!(
        RedbBackend::open(&path),
        Err(OpenError::Format { found: 99, .. })
    ));
}

/// A file that can be full.
#[derive(Debug)]
struct FullDisk {
    file: FileBackend,
    full: Arc<AtomicBool>,
}

impl FullDisk {
    fn check(&self) -> std::io::Result<()> {
        if self.full.load(Ordering::SeqCst) {
            Err(std::io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }
}

impl StorageBackend for FullDisk {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.check()?;
        self.file.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.check()?;
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.check()?;
        self.file.write(offset, data)
    }
    fn close(&self) -> std::io::Result<()> {
        self.file.close()
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let full = Arc::new(AtomicBool::new(false));
    let (file_path, switch) = (path.clone(), full.clone());
    let backend = RedbBackend::open_with(Box::new(move || {
        let file = std::fs::File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file_path)?;
        let file = FileBackend::new(file)?;
        Database::builder().create_with_backend(FullDisk {
            file,
            full: switch.clone(),
        })
    }))
    .unwrap();
    let store = Store::open(Box::new(backend)).unwrap();
    let before = store.write(put("g/p//a", Expect::Absent, 1)).await.unwrap();
    full.store(true, Ordering::SeqCst);
    let refused = store
        .write(put("g/p//a", Expect::Revision(before.revision), 2))
        .await;
    assert!(matches!(refused, Err(WriteError::Storage(_))), "{refused:?}");
    assert_eq!(
        store.get("g/p//a").unwrap().value()["value"],
        1,
        "readers never see what was refused"
    );
    full.store(false, Ordering::SeqCst);
    let after = store
        .write(put("g/p//a", Expect::Revision(before.revision), 3))
        .await
        .unwrap();
    assert!(after.revision > before.revision);
    store.close().await;
    assert_eq!(open(dir.path()).get("g/p//a").unwrap().value()["value"], 3);
}

/// A disk that takes no more than it has room for, in memory.
struct Tight(Arc<std::sync::atomic::AtomicU64>);

impl Backend for Tight {
    fn range(&mut self, _: &mut dyn FnMut(&str, &[u8])) -> Result<u64, BackendError> {
        Ok(0)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), BackendError> {
        match batch.size() <= self.0.load(Ordering::SeqCst) {
            true => Ok(()),
            false => Err(BackendError::Engine("No space left on device".into())),
        }
    }

    fn room(&self) -> Option<u64> {
        Some(self.0.load(Ordering::SeqCst))
    }
}

/// A full disk takes small writes for a while, and then a large one is refused again.
#[tokio::test]
async fn a_small_write_does_not_prove_that_a_full_disk_is_well() {
    let room = Arc::new(std::sync::atomic::AtomicU64::new(500));
    let store = Store::open(Box::new(Tight(room.clone()))).unwrap();
    let large = json!({"metadata": {"name": "b"}, "text": "x".repeat(1000)});
    let large = || write("g/p//b", Expect::Absent, Change::Put(large.clone()));
    store.write(put("g/p//a", Expect::Absent, 1)).await.unwrap();
    assert_eq!(store.trouble(), None);
    let refused = store.write(large()).await;
    assert!(matches!(refused, Err(WriteError::Storage(_))), "{refused:?}");
    store.write(put("g/p//c", Expect::Absent, 1)).await.unwrap();
    assert_eq!(store.trouble().as_deref(), Some("No space left on device"));
    // Nobody writes, and it is found out all the same.
    room.store(1 << 30, Ordering::SeqCst);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while store.trouble().is_some() {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.trouble());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    store.write(large()).await.unwrap();
}

/// Names of the environment by which this test program knows that it is the child to be killed.
const CHILD: &str = "STORE_TEST_CHILD_DIR";

#[test]
fn what_was_answered_survives_a_kill() {
    if let Ok(dir) = std::env::var(CHILD) {
        return child(Path::new(&dir));
    }
    use std::io::BufRead;
    let dir = tempfile::tempdir().unwrap();
    let mut newest: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    for round in 0..3 {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::tests::what_was_answered_survives_a_kill",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, dir.path())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < 200 {
            let line = lines
                .next()
                .expect("the child writes until it is killed")
                .unwrap();
            let Some(rest) = line.split("answered ").nth(1) else {
                continue;
            };
            let fields: Vec<&str> = rest.split(' ').collect();
            newest.insert(
                fields[0].into(),
                (fields[1].parse().unwrap(), fields[2].parse().unwrap()),
            );
            seen += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let store = open(dir.path());
        let revision = store.revision();
        for (key, (value, written)) in &newest {
            let object = store
                .get(key)
                .unwrap_or_else(|| panic!("round {round}: {key} is lost"));
            assert!(
                object.revision >= *written && object.value()["value"].as_i64().unwrap() >= *value,
                "{key}"
            );
            assert!(revision >= object.revision, "revisions never go back");
        }
        // The next child needs the file.
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(store.close());
    }
}

/// Writes for ever and says what was answered.
fn child(dir: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = open(dir);
        for value in 0.. {
            let key = format!("g/p//{}", value % 20);
            let found = store.get(&key);
            let expect = found
                .as_ref()
                .map_or(Expect::Absent, |object| Expect::Revision(object.revision));
            let value = found.map_or(0, |object| object.value()["value"].as_i64().unwrap() + 1);
            let written = store.write(put(&key, expect, value)).await.unwrap();
            println!("answered {key} {value} {}", written.revision);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any run of writes leaves memory, disk and the watchers' view the same.
    #[test]
    fn disk_memory_and_watchers_agree(steps in proptest::collection::vec((0u8..6, 0u8..3, any::<bool>()), 1..60)) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (expected, seen) = runtime.block_on(async {
            let store = open(dir.path());
            let mut watcher = store.watch(scope(), store.revision()).unwrap();
            for (index, (key, action, deferred)) in steps.iter().enumerate() {
                let key = format!("g/p//{key}");
                let mut next = match (store.get(&key), action) {
                    (Some(object), 0) => remove(&key, object.revision),
                    (Some(object), _) => put(&key, Expect::Revision(object.revision), index as i64),
                    (None, _) => put(&key, Expect::Absent, index as i64),
                };
                if *deferred {
                    next.durability = Durability::Deferred;
                }
                store.write(next).await.unwrap();
            }
            let mut seen: BTreeMap<String, Value> = BTreeMap::new();
            let mut last = 0;
            while let Some(event) = watcher.try_next() {
                assert!(event.revision > last);
                last = event.revision;
                match event.kind {
                    EventKind::Deleted => seen.remove(&*event.key),
                    _ => seen.insert(event.key.to_string(), event.object.value()),
                };
            }
            let all = |store: &Store| -> BTreeMap<String, Value> {
                store.list("").1.iter().map(|(key, object)| (key.to_string(), object.value())).collect()
            };
            let expected = all(&store);
            store.close().await;
            assert_eq!(all(&open(dir.path())), expected);
            (expected, seen)
        });
        prop_assert_eq!(expected, seen);
    }
}
