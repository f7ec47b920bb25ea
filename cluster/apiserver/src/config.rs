//! What an API server is started with.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::admission::Admission;
use crate::conversion::Conversion;
use crate::node::NodeLink;

/// Tells the time; a parameter so that tests can hold it still.
pub type Clock = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// An IPv4 network, such as `10.96.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    /// First address.
    pub base: Ipv4Addr,
    /// Bits of the prefix, at most 30.
    pub prefix: u8,
}

/// Settings of one API server.
#[derive(Clone)]
pub struct Config {
    /// Directory of the store, the certificates and the keys. One process at a time may use it.
    pub data_dir: PathBuf,
    /// Addresses of Services; the first one belongs to the Service `kubernetes`.
    pub service_cidr: Cidr,
    /// Ports of NodePort Services, both ends included (upstream default: 30000–32767).
    pub node_ports: (u16, u16),
    /// Admission handlers in process, called in this order: the mutating ones, then the validating ones.
    pub admission: Vec<Admission>,
    /// Conversion webhooks in process.
    pub conversions: Vec<Conversion>,
    /// Who answers for containers (`pods/log`); may be connected later.
    pub node: NodeLink,
    /// Whether new pods get the account that they name, which must be there, and its token (upstream: the admission plugin
    /// `ServiceAccount`). Somebody has to put the ConfigMap `kube-root-ca.crt` into every namespace then.
    pub service_accounts: bool,
    /// Tells the time.
    pub clock: Clock,
    /// Names and addresses, beside the loopback ones, that the serving certificate is for.
    pub extra_sans: Vec<String>,
}

impl Config {
    /// The usual settings over a data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            service_cidr: Cidr {
                base: Ipv4Addr::new(10, 96, 0, 0),
                prefix: 16,
            },
            node_ports: (30_000, 32_767),
            admission: Vec::new(),
            conversions: Vec::new(),
            node: NodeLink::default(),
            service_accounts: true,
            clock: Arc::new(jiff::Timestamp::now),
            extra_sans: Vec::new(),
        }
    }

    /// Settings for a test without controllers: everything in a directory that is thrown away, and pods without accounts
    /// (as in upstream's envtest).
    pub fn ephemeral(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            service_accounts: false,
            ..Self::new(data_dir)
        }
    }
}
