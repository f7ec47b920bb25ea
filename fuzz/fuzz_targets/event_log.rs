#![no_main]

use event_store::inspect::{block, inspect};
use libfuzzer_sys::fuzz_target;

/// The secret of a real store is random, so that none of these bytes can be chosen to look like its blocks.
const SALT: u64 = 0x5eed;

// Any bytes can be read, between two good blocks as well: those are found, unless a good header among the bytes
// takes their positions, or them for its payloads: then it has records, or says which are damaged.
fuzz_target!(|data: &[u8]| {
    let found = inspect(SALT, data.to_vec().into());
    assert!(found.records.windows(2).all(|pair| pair[0].position < pair[1].position));
    assert!(found.rubbish <= data.len() as u64);

    let (first, last) = (["before".into()], ["after".into()]);
    let mut bytes = block(SALT, 1, &first);
    bytes.extend_from_slice(data);
    bytes.extend(block(SALT, u64::MAX - 1, &last));
    let found = inspect(SALT, bytes.into());
    assert_eq!(found.records[0].payload, "before");
    let end = found.records.last().expect("there is one");
    assert!(end.payload == "after" || end.position > 1 || !found.damaged.is_empty());
});
