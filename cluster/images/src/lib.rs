//! Image store, pulls, layer builds and the embedded OCI registry.
