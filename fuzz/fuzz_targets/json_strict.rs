#![no_main]

use libfuzzer_sys::fuzz_target;

// Accepts exactly what serde_json accepts, and makes the same of it.
fuzz_target!(|data: &[u8]| {
    let ours = cluster_machinery::json::parse_strict(data)
        .ok()
        .map(|(value, _)| value);
    let reference = serde_json::from_slice::<serde_json::Value>(data).ok();
    assert_eq!(ours, reference);
});
