//! The doors of what takes events in: in the clear, over TLS, or both.
//!
//! `transport-encryption` of `config-features` says which of them are open; until that is known, none is. The certificate is in a Secret, which the
//! control plane keeps unless somebody else does; whoever serves only reads it. Those who send trust what [`anchors`] finds.

mod bundles;
mod door;
mod metrics;

pub use bundles::anchors;
pub use door::{Closed, Door};
