//! Profiles: named sets of labels of the service and annotations of its revisions.

use serde_json::{Value, json};

use super::json::{at, drop_empty, object};
use crate::config_file::{Pair, Profile};

/// Adds what the profile holds, or takes it away.
pub fn apply(service: &mut Value, profile: &Profile, remove: bool) {
    change(service, &["metadata"], "labels", &profile.labels, remove);
    change(
        service,
        &["spec", "template", "metadata"],
        "annotations",
        &profile.annotations,
        remove,
    );
}

fn change(service: &mut Value, path: &[&str], field: &str, pairs: &[Pair], remove: bool) {
    if pairs.is_empty() {
        return;
    }
    let metadata = at(service, path);
    let map = object(at(metadata, &[field]));
    for Pair { name, value } in pairs {
        if remove {
            map.remove(name);
        } else {
            map.insert(name.clone(), json!(value));
        }
    }
    drop_empty(metadata, field);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_file::ConfigFile;

    #[test]
    fn a_profile_comes_and_goes() {
        let profile = ConfigFile::default().profile("istio").unwrap();
        let before = json!({ "metadata": { "name": "web" }, "spec": { "template": { "metadata": {} } } });
        let mut service = before.clone();
        apply(&mut service, &profile, false);
        assert_eq!(
            service["metadata"]["labels"],
            json!({ "sidecar.istio.io/inject": "true" })
        );
        assert_eq!(
            service["spec"]["template"]["metadata"]["annotations"]
                .as_object()
                .unwrap()
                .len(),
            2
        );
        apply(&mut service, &profile, true);
        assert_eq!(service, before);
    }
}
