//! A CloudEvent in memory, over HTTP, and as it is stored.
//!
//! [`Event`] holds the attributes and the data of one event of specification 1.0 or 0.3 as slices of the bytes they came
//! in: reading a request or a stored record copies nothing that it does not have to decode.

mod attribute;
mod builder;
mod error;
mod event;
mod header_value;
pub mod http;
mod media_type;
#[cfg(feature = "sdk")]
pub mod sdk;
pub mod stored;
#[cfg(test)]
mod test_support;
mod text;
mod value;

pub use attribute::{MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES, Problem};
pub use error::ReadError;
pub use event::{DataKind, Event, Mode, SpecVersion};
pub use media_type::Content;
pub use text::Str;
pub use value::{Value, ValueRef};
