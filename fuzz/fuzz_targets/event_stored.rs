#![no_main]

use event::stored;
use libfuzzer_sys::fuzz_target;

// Any bytes can be read; what is read is the same after it was stored again.
fuzz_target!(|data: &[u8]| {
    if let Ok(event) = stored::decode(data.to_vec().into()) {
        let mut out = Vec::new();
        stored::encode(&event, &mut out);
        assert_eq!(stored::decode(out.into()).as_ref(), Ok(&event));
    }
});
