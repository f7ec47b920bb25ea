//! Why the network could not do what was asked.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::cidr::Cidr;

/// Why a network operation failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The kernel refused a netlink request.
    #[error("cannot {action}: {reason}")]
    Netlink {
        /// What was being done, with its object.
        action: String,
        /// The kernel's reason.
        reason: String,
    },
    /// The pod's network namespace cannot be entered.
    #[error("cannot enter network namespace {path}")]
    Namespace {
        /// Path of the namespace.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Saved state cannot be read or written.
    #[error("cannot {action} {path}")]
    State {
        /// The verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Saved state is damaged.
    #[error("{path} is damaged ({reason}); stop all pods and remove it")]
    DamagedState {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        reason: String,
    },
    /// A range that must stay (addresses were given out of it) now collides with the machine's own routes.
    #[error(
        "range {wanted} overlaps {taken}, which this machine routes elsewhere; choose another in the configuration"
    )]
    RangeTaken {
        /// The range asked for or saved.
        wanted: Cidr,
        /// The overlapping route.
        taken: Cidr,
    },
    /// No private range is free.
    #[error(
        "no free /16 in 10.64.0.0-10.254.0.0, 172.16.0.0/12 or 100.64.0.0/10: every candidate overlaps a route of this machine"
    )]
    NoFreeRange,
    /// All addresses of the pod range are in use.
    #[error("no free pod address in {0}")]
    NoFreeAddress(Cidr),
    /// The machine lacks something; the text is one sentence.
    #[error("{0}")]
    Lacking(String),
    /// A listener cannot be opened.
    #[error("cannot listen on {address}:{port}")]
    Listen {
        /// Address.
        address: Ipv4Addr,
        /// Port.
        port: u16,
        /// The system's reason.
        source: std::io::Error,
    },
}
