#![no_main]

use libfuzzer_sys::fuzz_target;
use spindrift_fuzz::{SCHEMA, documents};

// Ends without panic, with something that can be stored.
fuzz_target!(|data: &[u8]| {
    let Some([mut target, patch]) = documents(data) else {
        return;
    };
    if cluster_machinery::patch::strategic(&mut target, &patch, &SCHEMA).is_ok() {
        assert!(cluster_machinery::json::parse_strict(target.to_string().as_bytes()).is_ok());
    }
});
