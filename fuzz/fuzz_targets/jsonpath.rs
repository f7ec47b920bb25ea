#![no_main]

use formats::jsonpath::JsonPath;
use libfuzzer_sys::fuzz_target;

// Template, zero byte, document.
fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (Some(template), Some(document)) = (parts.next(), parts.next()) else {
        return;
    };
    let (Ok(template), Ok(document)) = (std::str::from_utf8(template), serde_json::from_slice(document))
    else {
        return;
    };
    if let Ok(path) = JsonPath::parse(template) {
        let _ = path.render(&document);
        let _ = path.find(&document);
    }
    let _ = JsonPath::parse_relaxed(template);
});
