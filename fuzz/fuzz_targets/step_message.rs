#![no_main]

use entrypoint::log_results;
use entrypoint::message::{MOST, decode, encode};
use libfuzzer_sys::fuzz_target;

// What a container says may be anything: reading it ends in bounded memory, and records that were read are the same
// when they are written and read again.
fuzz_target!(|text: &str| {
    if let Ok(records) = decode(text) {
        let written = encode(&records);
        assert!(written.len() <= MOST.max(text.len()) * 8);
        let again = decode(&written).unwrap();
        assert_eq!(encode(&again), written);
    }
    let _ = log_results::read(text, text.lines().count());
});
