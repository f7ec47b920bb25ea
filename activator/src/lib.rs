//! Holds requests for revisions that have no capacity yet, and wakes them.
//!
//! A library in the gateway's path, and a server of its own behind other ingresses. It knows each revision's pods by
//! watching, gives a request to a pod only when that pod has a free slot, probes pods that Kubernetes does not call
//! ready yet, and tells the autoscaler of the first request at once.

mod balance;
mod config;
mod endpoints;
mod forward;
mod metrics;
mod model;
mod phases;
mod probe;
mod report;
mod revision;
mod server;
mod settings;
mod stations;
mod stats_socket;
mod throttler;
mod watch;

pub use config::{Bounds, Config};
pub use endpoints::{Address, Endpoints, ServiceKey};
pub use forward::Activator;
pub use model::{Model, Upstreams};
pub use phases::Phases;
pub use revision::{Revision, RevisionKey};
pub use settings::RevisionSettings;
pub use stations::{Observer, Stations};
pub use throttler::{Refused, Slot, Throttler};
pub use watch::{Change, ObjectKey, follow};
