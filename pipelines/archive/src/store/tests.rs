use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

fn subject(kind: Kind, name: &str) -> Subject {
    Subject {
        kind,
        namespace: "ns".to_owned(),
        name: name.to_owned(),
    }
}

fn pod(name: &str) -> Subject {
    subject(Kind::Pod, name)
}

fn text(store: &Store, entry: &Entry) -> String {
    let mut text = String::new();
    store.read(entry).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// What cannot be compressed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn what_is_put_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    store.put(pod("a"), "u1_p1", b"first").unwrap();
    store.put(pod("a"), "u1_p1", b"second").unwrap();
    store.put(pod("a"), "u2_p2", b"other").unwrap();
    store.put(subject(Kind::TaskRun, "a"), "u1", b"{}").unwrap();
    store.sync().unwrap();
    let usage = store.usage();
    assert_eq!(usage.entries, 3);
    drop(store);
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!(store.usage(), usage);
    let found = store.find(&pod("a"));
    let texts: Vec<String> = found.iter().map(|entry| text(&store, entry)).collect();
    assert_eq!(texts, ["second", "other"]);
    assert!(store.has(&subject(Kind::TaskRun, "a"), "u1"));
    assert!(!store.has(&subject(Kind::TaskRun, "a"), "u2"));
    assert!(store.find(&pod("aa")).is_empty() && store.find(&subject(Kind::PipelineRun, "a")).is_empty());
}

#[test]
fn nobody_else_may_look() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("archive");
    let store = Store::open(&root, Bounds::default()).unwrap();
    store.put(pod("a"), "u", b"x").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&root), 0o700);
    assert_eq!(mode(&root.join("pods/ns")), 0o700);
    assert_eq!(mode(&root.join("pods/ns/a_u.gz")), 0o600);
}

#[test]
fn one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    let second = Store::open(folder.path(), Bounds::default());
    assert!(matches!(second, Err(StoreError::Locked(_))));
    drop(store);
    Store::open(folder.path(), Bounds::default()).unwrap();
}

#[test]
fn what_an_outage_left_is_cleaned_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    store.put(pod("a"), "u", b"x").unwrap();
    drop(store);
    fs::write(folder.path().join("tmp/7"), b"half").unwrap();
    fs::write(folder.path().join("pods/ns/b_u.gz"), b"").unwrap();
    fs::write(folder.path().join("pods/ns/what"), b"x").unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    assert_eq!(store.usage().entries, 1);
    assert!(!folder.path().join("tmp/7").exists());
    assert!(!store.has(&pod("b"), "u"));
}

#[test]
fn a_broken_piece_is_told_and_hurts_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    store.put(pod("a"), "u", &noise(1000, 1)).unwrap();
    store.put(pod("b"), "u", b"fine").unwrap();
    let path = folder.path().join("pods/ns/a_u.gz");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let mut read = Vec::new();
    assert!(
        store
            .read(&store.find(&pod("a"))[0])
            .unwrap()
            .read_to_end(&mut read)
            .is_err()
    );
    assert_eq!(text(&store, &store.find(&pod("b"))[0]), "fine");
}

#[test]
fn names_are_no_paths() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    let long = "x".repeat(121);
    for name in ["", "..", ".a", "a/b", "a\0", "ä", long.as_str()] {
        assert!(
            matches!(store.put(pod(name), "u", b"x"), Err(StoreError::Name(_))),
            "{name:?}"
        );
        assert!(store.put(pod("a"), name, b"x").is_err());
    }
    assert_eq!(store.usage().entries, 0);
}

#[test]
fn the_oldest_goes_when_there_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        bytes: 10_000,
        ..Bounds::default()
    };
    let store = Store::open(folder.path(), bounds).unwrap();
    for number in 0..20 {
        store
            .put(pod(&format!("p{number}")), "u", &noise(1000, number))
            .unwrap();
        assert!(store.usage().bytes <= bounds.bytes);
    }
    assert!(store.find(&pod("p0")).is_empty() && !store.find(&pod("p19")).is_empty());
    let files = fs::read_dir(folder.path().join("pods/ns")).unwrap().count();
    assert_eq!(files, store.usage().entries);
    // What cannot be kept at all makes no room for itself.
    let before = store.usage();
    assert!(matches!(
        store.put(pod("big"), "u", &noise(20_000, 99)),
        Err(StoreError::TooMuch(..))
    ));
    assert_eq!(store.usage(), before);
    assert_eq!(fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn entries_and_age_are_bounded_too() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds {
        entries: 5,
        age: Duration::from_secs(60),
        ..Bounds::default()
    };
    let store = Store::open(folder.path(), bounds).unwrap();
    for number in 0..7 {
        store.put(pod(&format!("p{number}")), "u", b"x").unwrap();
    }
    assert_eq!(store.usage().entries, 5);
    store.expire(SystemTime::now());
    assert_eq!(store.usage().entries, 5);
    store.expire(SystemTime::now() + Duration::from_secs(61));
    assert_eq!(store.usage(), Usage { bytes: 0, entries: 0 });
    // The folder of a namespace goes with its last piece.
    assert!(!folder.path().join("pods/ns").exists());
    store.put(pod("again"), "u", b"x").unwrap();
    drop(store);
    let tighter = Bounds {
        entries: 0,
        ..Bounds::default()
    };
    assert_eq!(Store::open(folder.path(), tighter).unwrap().usage().entries, 0);
}

#[test]
fn what_is_kept_of_a_namespace_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Bounds::default()).unwrap();
    for namespace in ["there", "gone", "again"] {
        let subject = Subject {
            namespace: namespace.to_owned(),
            ..pod("a")
        };
        store.put(subject, "u", b"x").unwrap();
    }
    let now = SystemTime::now();
    let (past, later) = (now - Duration::from_secs(60), now + Duration::from_secs(60));
    let since = HashMap::from([("there".to_owned(), past), ("again".to_owned(), later)]);
    // Nothing is so old that the list would have to know its namespace.
    store.drop_of_others(&since, past);
    assert_eq!(store.usage().entries, 3);
    store.drop_of_others(&since, later);
    assert_eq!(store.usage().entries, 1);
    let kept = Subject {
        namespace: "there".to_owned(),
        ..pod("a")
    };
    assert!(store.has(&kept, "u"));
    assert!(!folder.path().join("pods/gone").exists());
}
