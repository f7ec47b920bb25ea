#![no_main]

use crds::resource::tekton::Resource;
use crds::tekton::versions::{from_stored, to_stored};
use libfuzzer_sys::fuzz_target;
use serde_json::json;
use spindrift_fuzz::documents;

// Whatever an object is, once it is what is stored, the way to the older version and back changes nothing.
fuzz_target!(|data: &[u8]| {
    let Some([mut object]) = documents(data) else {
        return;
    };
    // The API server sees to it that there is some.
    if let Some(object) = object.as_object_mut() {
        object.insert("metadata".to_owned(), json!({"name": "a"}));
    }
    for resource in Resource::ALL {
        let mut stored = object.clone();
        to_stored(*resource, &mut stored);
        let mut back = stored.clone();
        from_stored(*resource, &mut back);
        to_stored(*resource, &mut back);
        assert_eq!(back, stored);
    }
});
