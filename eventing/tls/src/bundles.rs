//! Certificates that an operator has all senders trust: ConfigMaps of the system namespace with a label.

use std::sync::Arc;

use event_client::Anchors;
use informer::{Cache, Caches, Selection};
use k8s_openapi::api::core::v1::ConfigMap;

/// Label of trust bundles.
const TRUST_BUNDLE: &str = "networking.knative.dev/trust-bundle";

/// Follows the trust bundles in `namespace` for as long as the caches live: what is returned always holds what the
/// ConfigMaps do.
pub fn anchors(caches: &Caches, namespace: &str) -> Anchors {
    let anchors = Anchors::default();
    // The one that the configuration is read from, too.
    let maps: Cache<ConfigMap> = caches.cache_of(Selection::within(namespace));
    let take = {
        let (maps, anchors) = (maps.clone(), anchors.clone());
        move || anchors.set(bundles(&maps.list()))
    };
    let again = take.clone();
    maps.on_change(move |change| {
        if change.states().any(|map| is_bundle(map)) {
            again();
        }
    });
    // What was there before.
    take();
    anchors
}

fn is_bundle(map: &ConfigMap) -> bool {
    let labels = map.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(TRUST_BUNDLE))
        .is_some_and(|value| value == "true")
}

/// All values of all bundles, in an order that does not change by itself.
fn bundles(maps: &[Arc<ConfigMap>]) -> Vec<String> {
    let bundles = maps.iter().filter(|map| is_bundle(map));
    let mut texts: Vec<String> = bundles
        .flat_map(|map| map.data.iter().flatten())
        .map(|(_, text)| text.clone())
        .collect();
    texts.sort_unstable();
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labelled_maps_are_bundles_with_all_their_entries() {
        let map = |name: &str, label: Option<&str>, data: serde_json::Value| {
            let labels = label.map(|value| json!({TRUST_BUNDLE: value}));
            let map = json!({"metadata": {"name": name, "labels": labels}, "data": data});
            Arc::new(serde_json::from_value::<ConfigMap>(map).unwrap())
        };
        let maps = [
            map("b", Some("true"), json!({"x.pem": "2", "y.pem": "1"})),
            map("a", Some("true"), json!({"z": "3"})),
            map("c", Some("false"), json!({"z": "no"})),
            map("d", None, json!({"z": "no"})),
            map("e", Some("true"), json!(null)),
        ];
        assert_eq!(bundles(&maps), ["1", "2", "3"]);
        assert!(bundles(&maps[2..]).is_empty());
    }
}
