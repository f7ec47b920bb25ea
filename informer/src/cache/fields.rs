//! What a cache keeps of `metadata.managedFields`, which is a quarter of an object as it comes over the wire, and the
//! greater part of it as a tree of maps in memory.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::Resource;
use serde_json::Value;

/// How much of the managed fields a cache keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fields {
    /// Nothing, for readers that do not apply.
    None,
    /// What an Apply wrote, as text: it tells whether a field has to be taken back. Read it by [`owned_fields`].
    Applied,
}

impl Fields {
    pub(super) fn trim<K: Resource>(self, object: &mut K) {
        let Some(entries) = object.meta_mut().managed_fields.take() else {
            return;
        };
        if self == Self::Applied {
            let applied = entries.into_iter().filter(is_applied).map(pack);
            object.meta_mut().managed_fields = Some(applied.collect());
        }
    }
}

fn is_applied(entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() == Some("Apply") && entry.subresource.is_none()
}

/// Turns the tree into its JSON text: a map of one entry takes hundreds of bytes as a tree, and an applied Deployment
/// has dozens of them.
fn pack(mut entry: ManagedFieldsEntry) -> ManagedFieldsEntry {
    if let Some(FieldsV1(tree)) = entry.fields_v1.take() {
        let packed = match tree {
            Value::String(packed) => packed,
            tree => tree.to_string(),
        };
        entry.fields_v1 = Some(FieldsV1(Value::String(packed)));
    }
    entry
}

/// The fields that `manager` applied to an object with these entries, be they from a cache or from the API.
///
/// `None` if it never applied anything.
pub fn owned_fields(entries: Option<&[ManagedFieldsEntry]>, manager: &str) -> Option<Value> {
    let mut entries = entries.into_iter().flatten();
    let entry = entries.find(|entry| entry.manager.as_deref() == Some(manager) && is_applied(entry))?;
    match &entry.fields_v1.as_ref()?.0 {
        Value::String(packed) => serde_json::from_str(packed).ok(),
        tree => Some(tree.clone()),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn object() -> ConfigMap {
        let entry = |manager: &str, operation: &str| json!({"manager": manager, "operation": operation, "fieldsV1": {"f:data": {"f:a": {}}}});
        let fields = json!([entry("a", "Update"), entry("b", "Apply")]);
        serde_json::from_value(json!({"metadata": {"name": "x", "managedFields": fields}})).unwrap()
    }

    #[test]
    fn only_what_apply_wrote_is_kept_and_can_be_read_again() {
        let (fresh, mut kept) = (object(), object());
        Fields::Applied.trim(&mut kept);
        Fields::Applied.trim(&mut kept);
        assert_eq!(kept.metadata.managed_fields.as_ref().map(Vec::len), Some(1));
        for object in [&fresh, &kept] {
            let entries = object.metadata.managed_fields.as_deref();
            assert_eq!(owned_fields(entries, "b"), Some(json!({"f:data": {"f:a": {}}})));
            assert_eq!(owned_fields(entries, "a"), None);
        }
    }

    #[test]
    fn readers_that_do_not_apply_keep_nothing() {
        let mut object = object();
        Fields::None.trim(&mut object);
        assert_eq!(object.metadata.managed_fields, None);
    }
}
