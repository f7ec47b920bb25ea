//! The CustomResourceDefinitions this project installs must pass the checks of its own API server.

use std::path::Path;

use cluster_machinery::schema::structural_errors;
use cluster_machinery::{Schema, yaml};

#[test]
fn installed_definitions_are_structural() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/yaml");
    let mut versions = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for document in text.split("\n---\n") {
            let (definition, duplicates) = yaml::parse(document.as_bytes()).unwrap();
            assert!(duplicates.is_empty(), "{}: {duplicates:?}", path.display());
            for version in definition["spec"]["versions"].as_array().into_iter().flatten() {
                let schema = &version["schema"]["openAPIV3Schema"];
                assert_eq!(structural_errors(schema, "schema"), [], "{}", path.display());
                assert!(Schema::for_custom_resource(schema).is_ok(), "{}", path.display());
                versions += 1;
            }
        }
    }
    assert!(versions >= 12, "{versions}");
}
