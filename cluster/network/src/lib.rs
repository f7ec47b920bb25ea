//! Pod network, cluster IPs and DNS.

mod cidr;
mod error;
mod network;

pub use cidr::{Cidr, CidrError};
pub use error::NetworkError;
pub use network::{Config, Network};
