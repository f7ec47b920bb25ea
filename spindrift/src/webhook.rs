//! The admission webhook as a server of its own: HTTPS, and a registration that always names the authority that its
//! certificates come from.

mod registration;
mod server;

pub use registration::{Reached, register, register_converters};
pub use server::serve;
