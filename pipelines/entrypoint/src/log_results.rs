//! Results that do not fit into the termination message: lines at the end of the step's log.
//!
//! The message says how many lines there are; each line has a part of the records, compressed, with a checksum over
//! all. A pod can always write its own log, whatever its service account may do, and needs no other container for it.

use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::message::{IN_LOG, MOST, Record, decode, encode};
use crate::say;

/// What these lines begin with.
pub const PREFIX: &str = "tekton-results:";
/// Bytes of a line: a write to a pipe of this size stays in one piece, whoever else writes.
const LINE: usize = 4000;

/// Prints the records, and returns the one that says so.
pub(crate) fn print(records: &[Record], log: &mut impl Write) -> Record {
    let lines = lines(records);
    // A line that somebody else has begun must not be the beginning of ours.
    let mut printed = log.write_all(b"\n");
    for line in &lines {
        printed = printed.and_then(|()| log.write_all(line.as_bytes()));
    }
    if let Err(error) = printed.and_then(|()| log.flush()) {
        say(&format!("cannot write results to the log: {error}"));
    }
    Record::internal(IN_LOG, lines.len().to_string())
}

fn lines(records: &[Record]) -> Vec<String> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Into memory: that cannot fail.
    let packed = encoder
        .write_all(encode(records).as_bytes())
        .and_then(|()| encoder.finish());
    let text = STANDARD.encode(packed.unwrap_or_default());
    let parts: Vec<String> = text
        .as_bytes()
        .chunks(LINE)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect();
    let count = parts.len();
    let line = |(index, part)| format!("{PREFIX}{index}/{count}:{part}\n");
    (0_usize..).zip(parts).map(line).collect()
}

/// How many lines of the log to read for as many lines of results: others may have written between them.
pub fn lines_to_read(count: usize) -> usize {
    count.saturating_mul(2).saturating_add(100)
}

/// The records that the end of a log has in `count` lines.
///
/// # Errors
/// If lines are missing, or are not what was written.
pub fn read(log: &str, count: usize) -> io::Result<Vec<Record>> {
    let wrong = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut parts: Vec<Option<&str>> = vec![None; count.min(MOST / LINE * 2)];
    for line in log.lines().filter_map(|line| line.strip_prefix(PREFIX)) {
        let found = line.split_once(':').and_then(|(head, part)| {
            let (index, of) = head.split_once('/')?;
            let fits = of.parse() == Ok(count);
            Some((fits.then(|| index.parse::<usize>().ok()).flatten()?, part))
        });
        if let Some((index, part)) = found
            && let Some(place) = parts.get_mut(index)
        {
            // The last one counts: a command may print an older log.
            *place = Some(part);
        }
    }
    let text: String = parts
        .into_iter()
        .collect::<Option<Vec<&str>>>()
        .filter(|parts| parts.len() == count)
        .ok_or_else(|| wrong("lines of the results are missing in the log"))?
        .concat();
    let packed = STANDARD
        .decode(text)
        .map_err(|_| wrong("a line of the results is broken"))?;
    let mut text = String::new();
    let most = u64::try_from(MOST).unwrap_or(u64::MAX);
    GzDecoder::new(packed.as_slice())
        .take(most)
        .read_to_string(&mut text)?;
    decode(&text).map_err(|_| wrong("the results in the log are no records"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Kind;

    fn records(count: u64) -> Vec<Record> {
        let noise = |seed: u64| format!("{:x}", seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        vec![
            Record::new(Kind::StepResult, "s", "x"),
            Record::new(Kind::TaskResult, "t", (0..count).map(noise).collect::<String>()),
        ]
    }

    #[test]
    fn what_is_printed_is_read_whatever_stands_around_it() {
        let mut log = b"a command that ends without a newline".to_vec();
        let note = print(&records(4000), &mut log);
        let count: usize = note.value.parse().unwrap();
        assert!(note.key == IN_LOG && count > 3);
        let log = String::from_utf8(log).unwrap();
        assert!(log.lines().all(|line| line.len() < 4096));
        assert_eq!(read(&log, count).unwrap(), records(4000));
        let between = log.replacen(
            PREFIX,
            &format!("said by a process in the background\n{PREFIX}"),
            2,
        );
        assert_eq!(read(&between, count).unwrap(), records(4000));
        let twice = format!("{PREFIX}0/{count}:AAAA\n{log}");
        assert_eq!(read(&twice, count).unwrap(), records(4000));
    }

    #[test]
    fn what_is_missing_or_broken_is_told() {
        let mut log = Vec::new();
        let count: usize = print(&records(4000), &mut log).value.parse().unwrap();
        let log = String::from_utf8(log).unwrap();
        let without_last: Vec<&str> = log.trim_end().lines().collect();
        let without_last = without_last.split_last().unwrap().1.join("\n");
        for (log, count) in [
            (String::new(), count),
            (without_last, count),
            (log.clone(), count + 1),
            (log.clone(), usize::MAX),
            (log.clone(), 0),
            (log.replace(":", "::"), count),
        ] {
            assert!(read(&log, count).is_err(), "{count}");
        }
    }
}
