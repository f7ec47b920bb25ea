#![no_main]

use libfuzzer_sys::fuzz_target;
use spindrift_fuzz::documents;

// Patching twice is patching once.
fuzz_target!(|data: &[u8]| {
    let Some([mut target, patch]) = documents(data) else {
        return;
    };
    if cluster_machinery::patch::merge(&mut target, &patch).is_ok() {
        let once = target.clone();
        cluster_machinery::patch::merge(&mut target, &patch).expect("it was accepted before");
        assert_eq!(target, once);
    }
});
