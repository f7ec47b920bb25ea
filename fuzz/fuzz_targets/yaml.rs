#![no_main]

use libfuzzer_sys::fuzz_target;

// Ends, in bounded memory; what it makes is JSON.
fuzz_target!(|data: &[u8]| {
    if let Ok((value, _)) = cluster_machinery::yaml::parse(data) {
        assert!(cluster_machinery::json::parse_strict(value.to_string().as_bytes()).is_ok());
    }
});
