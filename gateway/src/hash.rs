//! The hash by which a prober tells which version of an ingress a gateway serves.

use crds::networking::Ingress;
use sha2::{Digest, Sha256};

/// Hex SHA-256 of the spec, the namespace and the name.
pub(crate) fn ingress_hash(ingress: &Ingress) -> String {
    let mut hasher = Sha256::new();
    hasher.update(serde_json::to_vec(&ingress.spec).unwrap_or_default());
    hasher.update(ingress.metadata.namespace.as_deref().unwrap_or_default());
    hasher.update([0]);
    hasher.update(ingress.metadata.name.as_deref().unwrap_or_default());
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
