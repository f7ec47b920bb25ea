//! The node agent: pods as OCI containers, probes, volumes, logs; and the container shim.
