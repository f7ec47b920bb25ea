#![no_main]

use libfuzzer_sys::fuzz_target;

// Ends, in bounded memory; what it makes is JSON.
fuzz_target!(|data: &[u8]| {
    if let Ok((value, _)) = cluster_machinery::yaml::parse(data) {
        let text = value.to_string();
        let again =
            cluster_machinery::json::parse_strict(text.as_bytes()).map(|(value, _)| value.to_string());
        assert_eq!(again, Ok(text));
    }
});
