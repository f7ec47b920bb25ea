#![no_main]

use cluster_machinery::apply::{ApplyRequest, UpdateRequest, apply, record_update};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use spindrift_fuzz::{SCHEMA, documents};

// Live object (which may bring any managedFields) and configuration: applying twice is applying once.
fuzz_target!(|data: &[u8]| {
    let Some([live, config]) = documents(data) else {
        return;
    };
    let once = |live: &Value, now| {
        apply(ApplyRequest {
            live: Some(live),
            config: &config,
            manager: "me",
            force: true,
            subresource: None,
            reset_fields: &[],
            schema: &SCHEMA,
            versions_differ: false,
            now,
        })
    };
    let Ok(first) = once(&live, Timestamp::UNIX_EPOCH) else {
        return;
    };
    let second = once(&first, Timestamp::MAX).expect("it was accepted before");
    let third = once(&second, Timestamp::MIN).expect("it was accepted before");
    assert_eq!(second, third);
    let mut new = config.clone();
    record_update(UpdateRequest {
        old: Some(&live),
        new: &mut new,
        manager: "me",
        subresource: None,
        reset_fields: &[],
        schema: &SCHEMA,
        versions_differ: false,
        now: Timestamp::UNIX_EPOCH,
    });
});
