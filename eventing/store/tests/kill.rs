//! Kills a process that writes and reads, at any instant, many times, and looks at what it left.
//!
//! The program is its own victim: with a folder in the environment it works there until it is killed.

#![expect(clippy::unwrap_used, reason = "test code: the whole program is one")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use event_store::{ConsumerName, Log, Options, Position, Start, Store, Topic};
use libtest_mimic::{Arguments, Failed, Trial};
use rand::Rng;

const FOLDER: &str = "EVENT_STORE_KILL_FOLDER";
const TOPICS: usize = 3;
const ROUNDS: u64 = 12;

fn main() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        work(Path::new(&folder));
        return;
    }
    let trial = Trial::test(
        "nothing_acknowledged_is_lost_when_the_process_is_killed",
        kill_and_check,
    );
    libtest_mimic::run(&Arguments::from_args(), vec![trial]).exit();
}

fn topic(number: usize) -> Topic {
    Topic::new(format!("topic-{number}")).unwrap()
}

fn name() -> ConsumerName {
    ConsumerName::new("c").unwrap()
}

fn options() -> Options {
    Options {
        // Many segments, so that kills hit the change from one to the next.
        segment_bytes: 64 << 10,
        ..Options::default()
    }
}

/// Appends, and says what was acknowledged; reads, and says what is done just before it says so to the store.
fn work(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let log: Arc<dyn Store> = Arc::new(Log::open(folder, options()).unwrap());
        for number in 0..TOPICS {
            let mut consumer = log
                .subscribe(&topic(number), &name(), Start::Earliest)
                .await
                .unwrap();
            tokio::spawn(async move {
                loop {
                    let batch = consumer.next().await.unwrap();
                    say(batch
                        .iter()
                        .map(|record| format!("done {number} {}\n", record.position))
                        .collect());
                    // Backwards, so that kills find places with records done above ones that are not.
                    batch
                        .iter()
                        .rev()
                        .for_each(|record| consumer.done(record.position));
                }
            });
        }
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..16usize {
            let log = log.clone();
            writers.spawn(async move {
                loop {
                    let ids: Vec<u64> = (0..1 + writer % 3).map(|_| rand::random()).collect();
                    let payloads = ids
                        .iter()
                        .map(|id| Bytes::from(format!("{id} {}", "x".repeat(writer * 80))));
                    let number = writer % TOPICS;
                    let last = log.append(&topic(number), payloads.collect()).await.unwrap();
                    let first = last + 1 - ids.len() as u64;
                    let lines = ids
                        .iter()
                        .zip(first..)
                        .map(|(id, at)| format!("stored {number} {at} {id}\n"));
                    say(lines.collect());
                }
            });
        }
        while writers.join_next().await.is_some() {}
    });
}

/// One write for each call, so that lines are whole.
fn say(lines: String) {
    std::io::stdout().write_all(lines.as_bytes()).unwrap();
}

#[derive(Default)]
struct Heard {
    stored: BTreeMap<(usize, Position), String>,
    done: BTreeSet<(usize, Position)>,
}

fn kill_and_check() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut heard = Heard::default();
    for round in 0..ROUNDS {
        let mut victim = Victim(
            Command::new(std::env::current_exe()?)
                .env(FOLDER, folder.path())
                .stdout(Stdio::piped())
                .spawn()?,
        );
        let mut output = BufReader::new(victim.0.stdout.take().ok_or("no output")?);
        let mut text = String::new();
        output.read_line(&mut text)?;
        // Somewhere in its work: this is no wait for a state.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(rand::rng().random_range(0..200)));
            victim.0.kill().unwrap();
            victim.0.wait().unwrap();
        });
        output.read_to_string(&mut text)?;
        killer.join().map_err(|_| "cannot kill")?;
        listen(&text, &mut heard);
        check(folder.path(), &heard, round)?;
    }
    if heard.stored.len() < 100 {
        return Err(format!("only {} records were stored", heard.stored.len()).into());
    }
    Ok(())
}

struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn listen(text: &str, heard: &mut Heard) {
    // The last line may be cut.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    for line in whole.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let place = (words[1].parse().unwrap(), words[2].parse().unwrap());
        match words[0] {
            "stored" => drop(heard.stored.insert(place, words[3].to_owned())),
            _ => drop(heard.done.insert(place)),
        }
    }
}

/// Every acknowledged record is at its position, positions are dense, and no consumer is further than it said.
fn check(folder: &Path, heard: &Heard, round: u64) -> Result<(), Failed> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let log = Log::open(folder, options()).map_err(|error| format!("round {round}: {error}"))?;
        for number in 0..TOPICS {
            let records = log
                .read(&topic(number), 1, usize::MAX)
                .await
                .map_err(|error| error.to_string())?;
            let dense = records
                .iter()
                .zip(1..)
                .all(|(record, position)| record.position == position);
            assert!(dense, "round {round}: positions have gaps");
            let stored = heard.stored.range((number, 0)..(number + 1, 0));
            for ((_, position), id) in stored {
                let record = records.get(*position as usize - 1);
                let found = record.map(|record| record.payload.starts_with(id.as_bytes()));
                assert_eq!(
                    found,
                    Some(true),
                    "round {round}: {position} of topic {number} was acknowledged"
                );
            }
            let status = log
                .status(&topic(number))
                .await
                .map_err(|error| error.to_string())?;
            assert_eq!(status.damaged, 0, "round {round}");
            for consumer in status.consumers {
                assert_eq!(consumer.lost, 0, "round {round}");
                for position in 1..consumer.position {
                    assert!(
                        heard.done.contains(&(number, position)),
                        "round {round}: {position} was skipped"
                    );
                }
            }
        }
        log.close().await;
        Ok(())
    })
}
