//! The admission webhook as a server of its own: certificate, HTTPS, registration.
//!
//! Replicas share one Secret with an authority and a certificate. Each looks at it again and again: whoever finds it
//! missing or about to expire makes it anew, everybody else takes over what is there, and the registration always names the
//! authority that the certificates come from.

mod certificate;
mod registration;
mod secret;
mod server;

pub use certificate::{AUTHORITY, text};
pub use registration::{Reached, register};
pub use secret::keep;
pub use server::{Identity, serve};
