#![no_main]

use cluster_machinery::selector::{FieldSelector, LabelSelector};
use libfuzzer_sys::fuzz_target;

// What is printed means what was read.
fuzz_target!(|text: &str| {
    if let Ok(selector) = LabelSelector::parse(text) {
        assert_eq!(
            LabelSelector::parse(&selector.to_string()).as_ref(),
            Ok(&selector)
        );
        let _ = selector.matches(&serde_json::json!({"a": "b", "n": "3"}));
    }
    if let Ok(selector) = FieldSelector::parse(text) {
        assert_eq!(
            FieldSelector::parse(&selector.to_string()).as_ref(),
            Ok(&selector)
        );
    }
});
