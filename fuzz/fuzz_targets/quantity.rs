#![no_main]

use formats::quantity::Quantity;
use libfuzzer_sys::fuzz_target;

// The canonical form is a fixed point and the same amount.
fuzz_target!(|text: &str| {
    if let Ok(quantity) = text.parse::<Quantity>() {
        let canonical = quantity.to_string();
        let again: Quantity = canonical.parse().expect("the canonical form parses");
        assert_eq!(again, quantity);
        assert_eq!(again.to_string(), canonical);
        assert!(quantity.value().unsigned_abs() <= quantity.milli().unsigned_abs());
    }
});
