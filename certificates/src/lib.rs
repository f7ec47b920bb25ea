//! Certificates that the platform makes for itself: kept in Secrets, renewed in time, served.
//!
//! Replicas share one Secret with an authority and a certificate. Each looks at it again and again: whoever finds it
//! missing or about to expire makes it anew, and everybody else takes over what is there. A server shows what its
//! [`Identity`] holds from the next handshake on.

mod certificate;
mod identity;
mod secret;

pub use certificate::{CertificateError, Data, Profile, renewed, text};
pub use identity::{Identity, IdentityError, Tls};
pub use secret::{KeepError, keep};
