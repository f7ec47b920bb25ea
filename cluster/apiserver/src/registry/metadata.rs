//! `metadata`: what clients may set, what the server sets, and what never changes again.

use rand::Rng;
use serde_json::{Map, Value};

use super::Call;
use crate::meta::{metadata_mut, set, text};
use crate::status::StatusError;

/// Letters of generated names: no vowels, so no words (`k8s.io/apimachinery/pkg/util/rand`).
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
/// Longest generated name.
const MAX_GENERATED: usize = 63;

/// Makes a name from `generateName`.
pub(super) fn generate_name(base: &str) -> String {
    let mut rng = rand::rng();
    let mut name: String = base.chars().take(MAX_GENERATED - SUFFIX_LENGTH).collect();
    for _ in 0..SUFFIX_LENGTH {
        let letter = SUFFIX_LETTERS
            .get(rng.random_range(0..SUFFIX_LETTERS.len()))
            .copied()
            .unwrap_or(b'x');
        name.push(char::from(letter));
    }
    name
}

/// Checks the namespace and name of a body against the path, and completes them.
pub(super) fn match_path(call: &Call, object: &mut Value) -> Result<(), StatusError> {
    let namespace = text(object, "/metadata/namespace").to_owned();
    let name = text(object, "/metadata/name").to_owned();
    if call.resource.namespaced {
        if !namespace.is_empty() && namespace != call.namespace {
            return Err(StatusError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    } else if !namespace.is_empty() {
        return Err(StatusError::bad_request(format!(
            "{} live in no namespace: remove metadata.namespace \"{namespace}\"",
            call.resource.plural
        )));
    }
    if !call.name.is_empty() && !name.is_empty() && name != call.name {
        return Err(StatusError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.name
        )));
    }
    let metadata = metadata_mut(object);
    set(
        metadata,
        "namespace",
        (call.resource.namespaced).then(|| call.namespace.clone().into()),
    );
    if !call.name.is_empty() {
        metadata.insert("name".into(), call.name.clone().into());
    }
    Ok(())
}

/// Sets what the server decides about a new object.
pub(super) fn prepare_create(object: &mut Value, now: &str, generation: bool) {
    let metadata = metadata_mut(object);
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "resourceVersion",
        "generation",
    ] {
        metadata.remove(key);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), now.into());
    if generation {
        metadata.insert("generation".into(), 1.into());
    }
    drop_empty(metadata);
}

/// Carries over what an update cannot change.
pub(super) fn prepare_update(object: &mut Value, old: &Value) {
    let old = old.get("metadata").and_then(Value::as_object);
    let old = |key: &str| old.and_then(|metadata| metadata.get(key)).cloned();
    let metadata = metadata_mut(object);
    for key in [
        "name",
        "namespace",
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
    ] {
        set(metadata, key, old(key));
    }
    metadata.remove("selfLink");
    if !metadata.contains_key("managedFields") {
        set(metadata, "managedFields", old("managedFields"));
    }
    drop_empty(metadata);
}

/// Empty collections mean the same as absent ones; only the latter are stored, so that they compare equal.
fn drop_empty(metadata: &mut Map<String, Value>) {
    metadata.retain(|key, value| {
        let collection = matches!(
            key.as_str(),
            "labels" | "annotations" | "finalizers" | "ownerReferences"
        );
        let empty = match value {
            Value::Null => true,
            Value::Object(map) => collection && map.is_empty(),
            Value::Array(items) => collection && items.is_empty(),
            _ => false,
        };
        !empty
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn generated_names_have_five_letters_and_fit() {
        let name = generate_name("job-");
        assert_eq!((name.len(), name.starts_with("job-")), (9, true));
        assert_eq!(generate_name(&"x".repeat(200)).len(), MAX_GENERATED);
    }

    #[test]
    fn an_update_keeps_what_the_server_decided() {
        let old = json!({"metadata": {"name": "a", "uid": "u", "creationTimestamp": "t", "generation": 4}});
        let mut new = json!({"metadata": {"name": "a", "uid": "", "generation": 9, "labels": {}, "annotations": {"k": "v"}}});
        prepare_update(&mut new, &old);
        assert_eq!(
            new,
            json!({"metadata": {
                "name": "a", "uid": "u", "creationTimestamp": "t", "generation": 4, "annotations": {"k": "v"}
            }})
        );
    }
}
