//! Ids that follow from what an event tells: what is sent twice is recognised by whoever looks at ids.

use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

/// A UUID by name (RFC 9562, version 5) in the name space of the source with this UID.
pub(crate) fn named(uid: &str, name: &str) -> String {
    let space = Uuid::parse_str(uid).unwrap_or_default();
    let mut hash = Sha1::new();
    hash.update(space.as_bytes());
    if space.is_nil() {
        hash.update(uid.as_bytes());
    }
    hash.update(name.as_bytes());
    let mut bytes = [0; 16];
    bytes
        .iter_mut()
        .zip(hash.finalize())
        .for_each(|(to, from)| *to = from);
    Builder::from_sha1_bytes(bytes).into_uuid().to_string()
}
