#![no_main]

use libfuzzer_sys::fuzz_target;
use spindrift_fuzz::documents;

// The result can be stored and read again.
fuzz_target!(|data: &[u8]| {
    let Some([mut target, patch]) = documents(data) else {
        return;
    };
    if cluster_machinery::patch::json(&mut target, &patch).is_ok() {
        assert!(cluster_machinery::json::parse_strict(target.to_string().as_bytes()).is_ok());
    }
});
