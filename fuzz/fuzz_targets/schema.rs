#![no_main]

use cluster_machinery::Schema;
use cluster_machinery::schema::structural_errors;
use libfuzzer_sys::fuzz_target;
use spindrift_fuzz::documents;

// Schema of a custom resource, and an object: a pruned object has no unknown field, a defaulted one no new default.
fuzz_target!(|data: &[u8]| {
    let Some([document, mut value]) = documents(data) else {
        return;
    };
    let structural = structural_errors(&document, "schema").is_empty();
    let Ok(schema) = Schema::for_custom_resource(&document) else {
        return;
    };
    let _ = schema.validate(&value, None);
    schema.prune(&mut value);
    assert_eq!(schema.unknown_fields(&value), Vec::<String>::new());
    schema.default(&mut value);
    if structural {
        let once = value.clone();
        schema.default(&mut value);
        assert_eq!(value, once);
    }
});
