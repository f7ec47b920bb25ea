//! Which form a body has, and which form the client wants the answer in.

mod accept;
mod content;

pub(crate) use self::accept::{Accepted, Document, Encoding, wants_gzip};
pub(crate) use self::content::{decode_body, decode_patch};
