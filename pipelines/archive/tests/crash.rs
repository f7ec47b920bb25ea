//! A process that writes is killed at any instant: what is there afterwards is whole.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use archive::{Bounds, Kind, Store, Subject};

/// Names the folder to write to, and makes this program the one that is killed.
const FOLDER: &str = "ARCHIVE_CRASH_FOLDER";
const ROUNDS: u64 = 12;

fn subject(number: u64) -> Subject {
    Subject {
        kind: Kind::Pod,
        namespace: "ns".to_owned(),
        name: format!("p{number}"),
    }
}

/// So large that most of the time goes into writing, and different for each number.
fn text(number: u64) -> Vec<u8> {
    let mut state = number + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_le_bytes()
    };
    (0..4000).flat_map(|_| next()).collect()
}

#[test]
#[ignore = "is the program that the other test kills"]
fn write_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = Store::open(Path::new(&folder), Bounds::default()).unwrap();
    let first = store.usage().entries as u64;
    for number in first.. {
        store.put(subject(number), "u", &text(number)).unwrap();
        eprintln!("{number}");
    }
}

#[test]
fn what_was_told_to_be_there_is_there_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = 0;
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "write_until_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        // Not always after the same number of writes, nor at the same point of one.
        for line in lines.by_ref().take(2 + usize::try_from(round % 5).unwrap()) {
            told = line.unwrap().parse::<u64>().unwrap() + 1;
        }
        std::thread::sleep(std::time::Duration::from_micros(300 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let later = lines
            .map_while(Result::ok)
            .filter_map(|line| line.parse::<u64>().ok());
        told = later.map(|number| number + 1).max().unwrap_or(told);

        let store = Store::open(folder.path(), Bounds::default()).unwrap();
        let entries = store.usage().entries as u64;
        assert!(entries == told || entries == told + 1, "{entries} {told}");
        for number in 0..entries {
            let found = store.find(&subject(number));
            let mut read = Vec::new();
            store.read(&found[0]).unwrap().read_to_end(&mut read).unwrap();
            assert_eq!(read, text(number), "{number}");
        }
        assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
        told = entries;
    }
    assert!(told >= ROUNDS * 2);
}
