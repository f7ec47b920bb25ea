//! The embedded Kubernetes for one machine: this crate joins its parts behind one door.
