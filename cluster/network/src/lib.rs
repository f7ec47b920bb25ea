//! Pod network, cluster IPs and DNS.

mod catalog;
mod cidr;
pub mod dns;
mod error;
mod ipam;
mod netlink;
mod netns;
mod network;
mod outbound;
mod range;
mod resolv;
pub mod services;

pub use catalog::Catalog;
pub use cidr::{Cidr, CidrError};
pub use error::NetworkError;
pub use network::{Config, Network, preflight};
